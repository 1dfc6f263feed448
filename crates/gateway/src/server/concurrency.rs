//! holder -> a permit, within a limit for each holder and a limit for all (pure).
//!
//! One holder gets at most a share of the free permits. Dozens of greedy holders never take all permits; it takes hundreds to keep
//! a new one out.
//!
//! The concurrency limits of tower count all requests together and know no holders.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// By default one holder may have this fraction (1/n) of the free permits.
const SHARE: usize = 8;

/// Counts taken permits, by holder and in total. Clones share their state.
#[derive(Debug)]
pub(crate) struct ConcurrencyLimit<K> {
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
pub(crate) struct Permit<K: Eq + Hash + Clone> {
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
    pub(crate) fn new(for_each: usize, for_all: usize) -> Self {
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
    pub(crate) fn sharing(self, share: usize) -> Self {
        Self { share, ..self }
    }

    /// A permit for this holder; `None` when its limit or its share is reached.
    pub(crate) fn take(&self, holder: K) -> Option<Permit<K>> {
        let mut taken = self.lock();
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

    fn lock(&self) -> MutexGuard<'_, Taken<K>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash + Clone> Drop for Permit<K> {
    fn drop(&mut self) {
        let mut taken = self.limit.lock();
        taken.all -= 1;
        if let Entry::Occupied(mut own) = taken.by_holder.entry(self.holder.clone()) {
            *own.get_mut() -= 1;
            if *own.get() == 0 {
                own.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
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
        let taken = limit.lock();
        assert_eq!((taken.all, taken.by_holder.len()), (0, 0));
    }
}
