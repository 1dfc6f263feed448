//! reviews -> their order, fair between users (pure).
//!
//! Each user has few concurrent turns. So a user with many reviews does not delay the others.

use std::sync::Arc;
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Maximum number of remembered users, and how long one without reviews is remembered.
const MAX_USERS: u64 = 10_000;
const UNUSED: Duration = Duration::from_mins(1);

pub(super) struct FairQueue {
    of_one: usize,
    all: Arc<Semaphore>,
    users: Cache<String, Arc<Semaphore>>,
}

/// A permit for one review, until it is dropped.
pub(super) struct QueuePermit {
    _all: OwnedSemaphorePermit,
    _own: Option<OwnedSemaphorePermit>,
}

impl FairQueue {
    /// `of_one`: maximum of concurrent turns of one user; `of_all`: of all users together.
    pub(super) fn new(of_one: usize, of_all: usize) -> Self {
        Self {
            of_one,
            all: Arc::new(Semaphore::new(of_all)),
            users: Cache::builder()
                .max_capacity(MAX_USERS)
                .eviction_policy(EvictionPolicy::lru())
                .time_to_idle(UNUSED)
                .build(),
        }
    }

    /// Waits for a turn. `user`: the user; `None`: no user, so only the limit of all applies. Never returns `None` while this
    /// value lives.
    pub(super) async fn take(&self, user: Option<&str>) -> Option<QueuePermit> {
        let own = match user {
            Some(user) => {
                let own = self.users.entry_by_ref(user);
                let own = own.or_insert_with(|| Arc::new(Semaphore::new(self.of_one)));
                Some(own.into_value().acquire_owned().await.ok()?)
            }
            None => None,
        };
        let all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(QueuePermit { _all: all, _own: own })
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn reviews_of_one_user_do_not_delay_those_of_another() {
        let fair_queue = FairQueue::new(2, 5);
        let taken = |user| fair_queue.take(user).now_or_never().flatten();
        let hers: Vec<_> = (0..9).map_while(|_| taken(Some("alice"))).collect();
        assert_eq!(hers.len(), 2);
        let his = taken(Some("bob")).unwrap();
        let nobodys: Vec<_> = (0..9).map_while(|_| taken(None)).collect();
        assert_eq!(nobodys.len(), 2, "all together are five");
        assert!(taken(Some("carol")).is_none());
        drop(his);
        assert!(taken(Some("carol")).is_some());
        drop(hers);
        assert!(taken(Some("alice")).is_some());
    }
}
