//! aging or doubtful answers -> renewed in the background (IO).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use rules::access::Right;
use tokio::time::sleep;

use super::{Cached, For, MAX_REVIEWS, Priority, Rights, Wanted};
use crate::index::Target;
use crate::session::Session;

/// Maximum rate of reviews per second for answers that only age. Reviews for open sockets in doubt have priority over them: each
/// is sent within (sockets in doubt / `MAX_REVIEWS`) round trips.
const RENEWALS: u32 = 50;
/// Pause before a failed review in the background is repeated.
const REST: Duration = Duration::from_secs(1);

impl Rights {
    pub(super) fn renew_later(
        &self,
        session: &Arc<Session>,
        target: &Arc<Target>,
        cached: &Arc<Cached>,
        priority: Priority,
    ) {
        let waits = &cached.waits[priority as usize];
        if waits.swap(true, Ordering::Relaxed) {
            return;
        }
        let wanted = Wanted {
            session: Arc::clone(session),
            target: Arc::clone(target),
            cached: Arc::clone(cached),
        };
        if self.0.queues[priority as usize].wanted.try_send(wanted).is_err() {
            waits.store(false, Ordering::Relaxed);
        }
    }

    /// Renews answers in the background, forever.
    pub async fn renew(self) {
        tokio::join!(self.renew_aging(), self.renew_doubted());
    }

    async fn renew_aging(&self) {
        let mut waiting = self.0.queues[Priority::Some as usize].waiting.lock().await;
        while let Some(wanted) = waiting.recv().await {
            let Ok(turn) = Arc::clone(&self.0.aging).acquire_owned().await else {
                return;
            };
            let rights = self.clone();
            tokio::spawn(async move {
                rights.renew_one(wanted, Priority::Some).await;
                drop(turn);
            });
            sleep(Duration::from_secs(1) / RENEWALS).await;
        }
    }

    async fn renew_doubted(&self) {
        let mut waiting = self.0.queues[Priority::Most as usize].waiting.lock().await;
        let wanted = stream::poll_fn(|context| waiting.poll_recv(context));
        let renewed =
            wanted.for_each_concurrent(MAX_REVIEWS, |wanted| self.renew_one(wanted, Priority::Most));
        renewed.await;
    }

    async fn renew_one(&self, wanted: Wanted, priority: Priority) {
        let flight = self.flight(&wanted.session, &wanted.target, &For::Renewal(priority));
        if self.answer(flight).await == Right::Unanswered {
            sleep(REST).await;
        }
        wanted.cached.waits[priority as usize].store(false, Ordering::Relaxed);
    }
}
