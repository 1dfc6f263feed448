//! User and kind of request -> may it be answered now? (in memory)

use std::time::{Duration, Instant};

use kit::limit::{ConcurrencyLimit, FairQueue, KeyedRate, Permit, QueuePermit, Rate};

/// Most users, by kind of request, whose requests are counted at the same time.
const USERS: usize = 20_000;
/// Maximum size of a form, in bytes.
pub(crate) const MAX_FORM: usize = 256 * 1024;
/// Most pages of a user at once; then ten a second.
pub(crate) const PAGES: u32 = 600;
/// The same of changes; then one a second.
pub(crate) const CHANGES: u32 = 60;
/// The same of checks of a form; then five a second.
const CHECKS: u32 = 5;
/// Most answers of a user under way: asked for, and not taken by the proxy yet. Streams are counted apart.
pub(crate) const ANSWERS: usize = 16;
/// Most open streams of a user. Each open page has one.
const STREAMS: usize = 8;
/// Most open streams of all users: each is a connection of the proxy, of which `kit::https` takes 1,024.
const ALL_STREAMS: usize = 700;
/// Most outputs of containers in memory at the same time, each up to 2 MiB and five times that as HTML. A user has one of them.
const OUTPUTS: usize = 8;

/// What a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// A page, or the check of a form.
    Page,
    /// A change.
    Change,
    /// The check of a form, which counts as a page as well.
    Check,
}

/// Counts the requests of each user.
#[derive(Debug)]
pub(crate) struct Limits {
    requests: KeyedRate,
    answers: ConcurrencyLimit<String>,
    streams: ConcurrencyLimit<String>,
    /// Outputs of containers that are in memory at the same time.
    outputs: FairQueue,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests: KeyedRate::new(USERS),
            answers: ConcurrencyLimit::new(ANSWERS, usize::MAX).sharing(1),
            streams: ConcurrencyLimit::new(STREAMS, ALL_STREAMS).sharing(1),
            outputs: FairQueue::new(1, OUTPUTS),
        }
    }
}

impl Limits {
    /// Whether the request is within the user's limit. If so, it counts. If not, the next one is within a second.
    pub(crate) fn allows(&self, user: &str, kind: Kind) -> bool {
        let (most, window) = match kind {
            Kind::Page => (PAGES, Duration::from_mins(1)),
            Kind::Change => (CHANGES, Duration::from_mins(1)),
            Kind::Check => (CHECKS, Duration::from_secs(1)),
        };
        let rate = Rate::new(most, window / most);
        self.requests.take((user, kind), rate, Instant::now()).is_ok()
    }

    /// A permit for an answer to this user, if one is left.
    pub(crate) fn answer(&self, user: &str) -> Option<Permit<String>> {
        self.answers.take(user.to_owned())
    }

    /// A permit for a stream of this user, if one is left.
    pub(crate) fn stream(&self, user: &str) -> Option<Permit<String>> {
        self.streams.take(user.to_owned())
    }

    /// Waits until the user has no other output of a container in memory, and one more fits into it.
    pub(crate) async fn output(&self, user: &str) -> Option<QueuePermit> {
        self.outputs.take(Some(user)).await
    }

    /// Open streams of all users.
    pub(crate) fn open_streams(&self) -> usize {
        self.streams.taken()
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
