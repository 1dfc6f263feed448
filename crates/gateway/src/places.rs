//! requests for a place -> a place, within a bound for each workspace and for all together (pure).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts what is taken, by workspace and in all. Clones share their state.
#[derive(Debug, Clone)]
pub struct Places {
    taken: Arc<Mutex<Taken>>,
    for_each: usize,
    for_all: usize,
}

#[derive(Debug, Default)]
struct Taken {
    by_uid: HashMap<String, usize>,
    all: usize,
}

/// A place, taken until it is dropped.
#[derive(Debug)]
pub struct Place {
    uid: String,
    places: Places,
}

impl Places {
    /// `for_each`: most places of one workspace; `for_all`: most of all together.
    pub fn new(for_each: usize, for_all: usize) -> Self {
        Self {
            taken: Arc::default(),
            for_each,
            for_all,
        }
    }

    /// A place for the workspace with this UID; `None` when there is no more room.
    pub fn take(&self, uid: &str) -> Option<Place> {
        let mut taken = self.lock();
        let own = taken.by_uid.get(uid).copied().unwrap_or_default();
        if own >= self.for_each || taken.all >= self.for_all {
            return None;
        }
        taken.all += 1;
        taken.by_uid.insert(uid.to_owned(), own + 1);
        Some(Place {
            uid: uid.to_owned(),
            places: self.clone(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.all -= 1;
        if let Entry::Occupied(mut own) = taken.by_uid.entry(std::mem::take(&mut self.uid)) {
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

    #[test]
    fn places_run_out_for_one_and_for_all_and_come_back() {
        let places = Places::new(2, 3);
        let first = places.take("a").unwrap();
        let _second = places.take("a").unwrap();
        assert!(places.take("a").is_none());
        let third = places.take("b").unwrap();
        assert!(places.take("c").is_none());
        drop(third);
        assert!(places.take("c").is_some());
        drop(first);
        assert!(places.take("a").is_some());
    }

    #[test]
    fn nothing_is_remembered_of_those_who_left() {
        let places = Places::new(1, 10);
        for uid in 0..100 {
            drop(places.take(&uid.to_string()).unwrap());
        }
        let taken = places.lock();
        assert_eq!((taken.all, taken.by_uid.len()), (0, 0));
    }
}
