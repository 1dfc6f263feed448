//! Holder -> a permit, within a limit for each holder and a limit for all (in memory).
//!
//! [`ConcurrencyLimit`] refuses above the limit. [`FairQueue`] makes callers wait.
//!
//! One holder gets at most a share of the free permits. Dozens of greedy holders never take all permits; it takes hundreds to keep
//! a new one out.
//!
//! The concurrency limits of tower count all requests together and know no holders.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// By default one holder may have this fraction (1/n) of the free permits.
const SHARE: usize = 8;
/// Number of users from which on a queue forgets those who have no turn and wait for none.
const MANY_USERS: usize = 10_000;

/// Counts taken permits, by holder and in total. Clones share their state.
#[derive(Debug)]
pub struct ConcurrencyLimit<K> {
    taken: Arc<Mutex<Taken<K>>>,
    for_each: usize,
    for_all: usize,
    share: usize,
}

#[derive(Debug)]
struct Taken<K> {
    by_holder: HashMap<K, usize>,
    all: usize,
}

/// A permit, taken until it is dropped.
#[derive(Debug)]
pub struct Permit<K: Eq + Hash + Clone> {
    holder: K,
    limit: ConcurrencyLimit<K>,
}

impl<K> Clone for ConcurrencyLimit<K> {
    fn clone(&self) -> Self {
        Self {
            taken: Arc::clone(&self.taken),
            ..*self
        }
    }
}

impl<K: Eq + Hash + Clone> ConcurrencyLimit<K> {
    /// `for_each`: maximum of permits of one holder; `for_all`: maximum of all together.
    pub fn new(for_each: usize, for_all: usize) -> Self {
        let none = Taken {
            by_holder: HashMap::new(),
            all: 0,
        };
        Self {
            taken: Arc::new(Mutex::new(none)),
            for_each,
            for_all,
            share: SHARE,
        }
    }

    /// The same, but one holder may have 1/`share` of the free permits.
    #[must_use]
    pub fn sharing(self, share: usize) -> Self {
        Self { share, ..self }
    }

    /// A permit for this holder; `None` when its limit or its share is reached.
    pub fn take(&self, holder: K) -> Option<Permit<K>> {
        let mut taken = self.taken.lock();
        let own = taken.by_holder.get(&holder).copied().unwrap_or_default();
        let free = self.for_all.saturating_sub(taken.all);
        if free == 0 || own >= self.for_each.min((free / self.share).max(1)) {
            return None;
        }
        taken.all += 1;
        taken.by_holder.insert(holder.clone(), own + 1);
        Some(Permit {
            holder,
            limit: self.clone(),
        })
    }

    /// Permits that are taken, of all holders together.
    pub fn taken(&self) -> usize {
        self.taken.lock().all
    }
}

impl<K: Eq + Hash + Clone> Drop for Permit<K> {
    fn drop(&mut self) {
        let mut taken = self.limit.taken.lock();
        taken.all -= 1;
        if let Entry::Occupied(mut own) = taken.by_holder.entry(self.holder.clone()) {
            *own.get_mut() -= 1;
            if *own.get() == 0 {
                own.remove();
            }
        }
    }
}

/// Turns of users. Each user has few concurrent ones, so a user who wants many does not delay the others.
#[derive(Debug)]
pub struct FairQueue {
    of_one: usize,
    all: Arc<Semaphore>,
    /// The turns of each user live as long as one is taken or awaited.
    users: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub struct QueuePermit {
    _all: OwnedSemaphorePermit,
    _own: Option<OwnedSemaphorePermit>,
}

impl FairQueue {
    /// `of_one`: maximum of concurrent turns of one user; `of_all`: of all users together.
    pub fn new(of_one: usize, of_all: usize) -> Self {
        Self {
            of_one,
            all: Arc::new(Semaphore::new(of_all)),
            users: Mutex::default(),
        }
    }

    /// Waits for a turn. `user`: the user; `None`: no user, so only the limit of all applies. Never returns `None` while this
    /// value lives.
    pub async fn take(&self, user: Option<&str>) -> Option<QueuePermit> {
        let own = match user {
            Some(user) => Some(self.turns_of(user).acquire_owned().await.ok()?),
            None => None,
        };
        let all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(QueuePermit { _all: all, _own: own })
    }

    fn turns_of(&self, user: &str) -> Arc<Semaphore> {
        let mut users = self.users.lock();
        if let Some(own) = users.get(user).and_then(Weak::upgrade) {
            return own;
        }
        if users.len() >= MANY_USERS {
            users.retain(|_, own| own.strong_count() > 0);
        }
        let own = Arc::new(Semaphore::new(self.of_one));
        users.insert(user.to_owned(), Arc::downgrade(&own));
        own
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    /// All permits that this holder gets.
    fn all_of(limit: &ConcurrencyLimit<usize>, holder: usize) -> Vec<Permit<usize>> {
        std::iter::from_fn(|| limit.take(holder)).collect()
    }

    #[test]
    fn permits_are_limited_per_holder_and_in_total_and_are_returned() {
        let limit = ConcurrencyLimit::new(2, 20);
        let mut first = all_of(&limit, 0);
        assert_eq!(first.len(), 2);
        let others: Vec<_> = (1..=18).map(|holder| limit.take(holder).unwrap()).collect();
        assert!(limit.take(19).is_none(), "all are taken");
        first.pop();
        assert!(limit.take(19).is_some());
        drop(others);
        assert!(limit.take(0).is_some());
    }

    #[test]
    fn dozens_of_greedy_holders_leave_room_for_a_newcomer_to_have_several() {
        for greedy in [1, 12, 32, 100] {
            let limit = ConcurrencyLimit::new(16, 512);
            // In turns, until no holder gets more.
            let mut held = Vec::new();
            loop {
                let before = held.len();
                held.extend((0..greedy).filter_map(|holder| limit.take(holder)));
                if held.len() == before {
                    break;
                }
            }
            let newcomer = all_of(&limit, greedy);
            assert!(newcomer.len() >= 4, "{greedy} leave {}", newcomer.len());
        }
    }

    #[test]
    fn a_holder_gets_at_most_a_share_of_the_free_permits() {
        // With the limits of websockets; 2,000 of them, over 25 workspaces in turns.
        let fit = |holders: usize| {
            let limit = ConcurrencyLimit::new(256, 3_000);
            let held: Vec<_> = (0..2_000)
                .map_while(|number| limit.take(number % holders))
                .collect();
            held.len()
        };
        assert_eq!([fit(1), fit(25)], [256, 2_000]);
        assert!(fit(10) < 2_000, "{}", fit(10));
    }

    #[test]
    fn a_holder_who_may_have_half_of_what_is_free_leaves_twice_as_much() {
        let limit = ConcurrencyLimit::new(256, 768).sharing(2);
        let first = all_of(&limit, 0);
        let second = all_of(&limit, 1);
        assert_eq!((first.len(), second.len()), (256, 171));
    }

    #[test]
    fn nothing_is_remembered_of_those_who_left() {
        let limit = ConcurrencyLimit::new(1, 10);
        for holder in 0..100 {
            drop(limit.take(holder).unwrap());
        }
        let taken = limit.taken.lock();
        assert_eq!((taken.all, taken.by_holder.len()), (0, 0));
    }

    #[tokio::test]
    async fn turns_of_one_user_do_not_delay_those_of_another() {
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
    async fn a_user_is_remembered_as_long_as_a_turn_is_taken_and_not_longer() {
        let fair_queue = FairQueue::new(1, 2);
        let hers = fair_queue.take(Some("alice")).await;
        for other in 0..2 * MANY_USERS {
            drop(fair_queue.take(Some(&other.to_string())).await.unwrap());
        }
        assert!(fair_queue.take(Some("alice")).now_or_never().is_none());
        assert!(fair_queue.users.lock().len() <= MANY_USERS);
        drop(hers);
        assert!(fair_queue.take(Some("alice")).now_or_never().is_some());
    }
}
