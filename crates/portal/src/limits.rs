//! User and kind of request -> may it be answered now? (pure, but for the clock)

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use moka::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Most users that are counted at the same time.
const USERS: u64 = 20_000;
/// Maximum size of a form, in bytes.
pub(crate) const MAX_FORM: usize = 256 * 1024;
/// Time for which requests are counted.
pub(crate) const WINDOW: Duration = Duration::from_mins(1);
/// Most pages of a user in that time.
pub(crate) const PAGES: u32 = 600;
/// Most changes of a user in that time.
pub(crate) const CHANGES: u32 = 60;
/// Most answers of a user under way: asked for, and not taken by the proxy yet. Streams are counted apart.
pub(crate) const ANSWERS: u32 = 16;
/// Most open streams of a user. Each open page has one.
const STREAMS: u32 = 8;
/// Most open streams of all users: each is a connection of the proxy, of which `kit::https` takes 1,024.
const ALL_STREAMS: u32 = 700;
/// Most outputs of containers in memory at the same time, each up to 2 MiB and five times that as HTML. A user has one of them.
const OUTPUTS: usize = 8;

/// What a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// A page, or the check of a form.
    Page,
    /// A change.
    Change,
}

/// Counts the requests of each user.
#[derive(Debug)]
pub(crate) struct Limits {
    requests: Cache<(String, Kind), Arc<AtomicU32>>,
    answers: Cache<String, Arc<AtomicU32>>,
    streams: Cache<String, Arc<AtomicU32>>,
    all_streams: Arc<AtomicU32>,
    /// Outputs of containers that are in memory at the same time, by user and of all.
    outputs: Cache<String, Arc<Semaphore>>,
    all_outputs: Arc<Semaphore>,
}

/// One output of a container in memory.
pub(crate) type OutputPermit = [OwnedSemaphorePermit; 2];

/// One open stream, or one answer under way. It counts until it is dropped.
#[derive(Debug)]
pub(crate) struct Permit(Vec<Arc<AtomicU32>>);

impl Drop for Permit {
    fn drop(&mut self) {
        for count in &self.0 {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn by_user<T: Clone + Send + Sync + 'static>() -> Cache<String, T> {
    let hour = Duration::from_hours(1);
    Cache::builder().max_capacity(USERS).time_to_idle(hour).build()
}

/// A permit that counts in all of these, if each has less than its most.
fn count(counts: impl IntoIterator<Item = (Arc<AtomicU32>, u32)>) -> Option<Permit> {
    let mut permit = Permit(Vec::with_capacity(2));
    for (count, most) in counts {
        let taken = count.fetch_add(1, Ordering::Relaxed);
        permit.0.push(count);
        if taken >= most {
            return None;
        }
    }
    Some(permit)
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests: Cache::builder().max_capacity(USERS).time_to_live(WINDOW).build(),
            answers: by_user(),
            streams: by_user(),
            all_streams: Arc::default(),
            outputs: by_user(),
            all_outputs: Arc::new(Semaphore::new(OUTPUTS)),
        }
    }
}

impl Limits {
    /// Counts the request, and says whether it is within the user's limit.
    pub(crate) fn allows(&self, user: &str, kind: Kind) -> bool {
        let most = match kind {
            Kind::Page => PAGES,
            Kind::Change => CHANGES,
        };
        let count = self.requests.get_with((user.to_owned(), kind), Arc::default);
        count.fetch_add(1, Ordering::Relaxed) < most
    }

    /// A permit for an answer to this user, if one is left.
    pub(crate) fn answer(&self, user: &str) -> Option<Permit> {
        let own = self.answers.get_with(user.to_owned(), Arc::default);
        count([(own, ANSWERS)])
    }

    /// A permit for a stream of this user, if one is left.
    pub(crate) fn stream(&self, user: &str) -> Option<Permit> {
        let own = self.streams.get_with(user.to_owned(), Arc::default);
        count([(own, STREAMS), (self.all_streams.clone(), ALL_STREAMS)])
    }

    /// Waits until the user has no other output of a container in memory, and one more fits into it.
    pub(crate) async fn output(&self, user: &str) -> Option<OutputPermit> {
        let own = self
            .outputs
            .get_with(user.to_owned(), || Arc::new(Semaphore::new(1)));
        let own = own.acquire_owned().await.ok()?;
        Some([own, self.all_outputs.clone().acquire_owned().await.ok()?])
    }

    /// Open streams of all users.
    pub(crate) fn open_streams(&self) -> u32 {
        self.all_streams.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn changes_are_limited_for_each_user_and_apart_from_pages() {
        let limits = Limits::default();
        for _ in 0..CHANGES {
            assert!(limits.allows("alice", Kind::Change));
        }
        assert!(!limits.allows("alice", Kind::Change));
        assert!(limits.allows("alice", Kind::Page));
        assert!(limits.allows("bob", Kind::Change));
    }

    #[test]
    fn a_user_has_a_few_streams_and_a_closed_one_makes_room() {
        let limits = Limits::default();
        let mut open: Vec<_> = (0..STREAMS).map(|_| limits.stream("alice").unwrap()).collect();
        assert!(limits.stream("alice").is_none());
        assert!(limits.stream("bob").is_some());
        assert_eq!(
            limits.open_streams(),
            STREAMS,
            "refused and closed ones do not count"
        );
        open.pop();
        assert!(limits.stream("alice").is_some());
    }

    #[tokio::test]
    async fn a_user_has_one_output_in_memory_and_others_do_not_wait_for_it() {
        let limits = Limits::default();
        let held = limits.output("alice").await.unwrap();
        assert!(limits.output("alice").now_or_never().is_none());
        assert!(limits.output("bob").now_or_never().flatten().is_some());
        drop(held);
        assert!(limits.output("alice").now_or_never().flatten().is_some());
    }
}
