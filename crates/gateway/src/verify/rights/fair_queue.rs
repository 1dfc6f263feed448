//! reviews -> their order, fair between users (pure).
//!
//! Each user has few concurrent turns. So a user with many reviews does not delay the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Minimum number of remembered users before users without turns are removed.
const MIN_CLEANUP: usize = 64;

pub(super) struct FairQueue {
    of_one: usize,
    all: Arc<Semaphore>,
    users: Mutex<Users>,
}

struct Users {
    by_name: HashMap<String, Weak<Semaphore>>,
    /// Number of users at which those without turns are removed.
    full: usize,
}

/// A permit for one review, until it is dropped.
pub(super) struct QueuePermit {
    _all: OwnedSemaphorePermit,
    _own: Option<(OwnedSemaphorePermit, Arc<Semaphore>)>,
}

impl FairQueue {
    /// `of_one`: maximum of concurrent turns of one user; `of_all`: of all users together.
    pub(super) fn new(of_one: usize, of_all: usize) -> Self {
        Self {
            of_one,
            all: Arc::new(Semaphore::new(of_all)),
            users: Mutex::new(Users {
                by_name: HashMap::new(),
                full: MIN_CLEANUP,
            }),
        }
    }

    /// Waits for a turn. `user`: the user; `None`: no user, so only the limit of all applies. Never returns `None` while this
    /// value lives.
    pub(super) async fn take(&self, user: Option<&str>) -> Option<QueuePermit> {
        let own = match user {
            Some(user) => {
                let own = self.of(user);
                Some((Arc::clone(&own).acquire_owned().await.ok()?, own))
            }
            None => None,
        };
        let all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(QueuePermit { _all: all, _own: own })
    }

    fn of(&self, user: &str) -> Arc<Semaphore> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = users.by_name.get(user).and_then(Weak::upgrade) {
            return own;
        }
        if users.by_name.len() >= users.full {
            users.by_name.retain(|_, own| own.strong_count() > 0);
            users.full = MIN_CLEANUP.max(2 * users.by_name.len());
        }
        let own = Arc::new(Semaphore::new(self.of_one));
        users.by_name.insert(user.to_owned(), Arc::downgrade(&own));
        own
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

    #[tokio::test]
    async fn users_without_reviews_in_flight_are_removed() {
        let fair_queue = FairQueue::new(2, 5);
        let cached = fair_queue.take(Some("alice")).await;
        for number in 0..10 * MIN_CLEANUP {
            fair_queue.take(Some(&number.to_string())).await;
        }
        let known = fair_queue.users.lock().unwrap().by_name.len();
        assert!(known <= MIN_CLEANUP, "{known}");
        fair_queue.take(Some("alice")).await;
        assert!(fair_queue.take(Some("alice")).now_or_never().is_some());
        drop(cached);
    }
}
