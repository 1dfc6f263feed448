//! a token that opened a websocket -> whether it still counts (from memory; asks again in the background).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::sleep;

use super::kept::{Cause, KEEP, RENEW};
use super::{Accepted, Bearer, Unfit};
use crate::session::Session;
use crate::tokens::redacted::Secret;

/// After a question that nobody answered, the same one rests for so long.
const REST: Duration = Duration::from_secs(1);

/// A token for as long as a websocket is open that it opened.
#[derive(Debug, Clone)]
pub(in crate::verify) struct Held(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bearer: Bearer,
    token: Secret,
    site: String,
    standing: Mutex<Standing>,
    is_asked: AtomicBool,
}

#[derive(Debug)]
struct Standing {
    /// `None` once it was refused: for good.
    session: Option<Arc<Session>>,
    /// Since when it is known to count, Unix seconds.
    asked: i64,
}

impl Held {
    /// `accepted`: what was said of `token`.
    pub(in crate::verify) fn new(bearer: Bearer, token: &str, site: String, accepted: Accepted) -> Self {
        let standing = Standing {
            session: Some(accepted.session),
            asked: accepted.asked,
        };
        Self(Arc::new(Inner {
            bearer,
            token: Secret::new(token.to_owned()),
            site,
            standing: Mutex::new(standing),
            is_asked: AtomicBool::new(false),
        }))
    }

    /// Whom it speaks for, if it counts. While nobody can say, it counts for `grace` longer.
    pub(in crate::verify) fn session(&self, grace: Duration) -> Option<Arc<Session>> {
        let now = self.0.bearer.0.clock.now();
        let (session, age) = {
            let standing = self.0.lock();
            (standing.session.clone()?, now - standing.asked)
        };
        if session.end <= now {
            return None;
        }
        if age >= RENEW {
            self.ask();
        }
        let longest = KEEP + i64::try_from(grace.as_secs()).unwrap_or(KEEP);
        (age < longest).then_some(session)
    }

    fn ask(&self) {
        if self.0.is_asked.swap(true, Ordering::Relaxed) {
            return;
        }
        let held = self.clone();
        tokio::spawn(async move {
            let inner = &held.0;
            let judged = inner
                .bearer
                .judge(inner.token.expose(), &inner.site, Cause::Renewal, || Ok(()));
            match judged.await {
                Ok(accepted) => {
                    let mut standing = inner.lock();
                    standing.session = Some(accepted.session);
                    standing.asked = accepted.asked;
                }
                Err(Unfit::Refused(_)) => inner.lock().session = None,
                Err(Unfit::TooOften(_) | Unfit::Unavailable) => sleep(REST).await,
            }
            inner.is_asked.store(false, Ordering::Relaxed);
        });
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
