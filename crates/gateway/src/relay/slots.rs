//! requests for a slot -> a slot, within a bound for each workspace and for all together (pure).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts what is taken, by workspace and in all. Clones share their state.
#[derive(Debug, Clone)]
pub(super) struct Slots {
    taken: Arc<Mutex<Taken>>,
    for_each: usize,
    for_all: usize,
}

#[derive(Debug, Default)]
struct Taken {
    by_uid: HashMap<String, usize>,
    all: usize,
}

/// A slot, taken until it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    uid: String,
    slots: Slots,
}

impl Slots {
    /// `for_each`: most slots of one workspace; `for_all`: most of all together.
    pub(super) fn new(for_each: usize, for_all: usize) -> Self {
        Self {
            taken: Arc::default(),
            for_each,
            for_all,
        }
    }

    /// A slot for the workspace with this UID; `None` when there is no more room.
    pub(super) fn take(&self, uid: &str) -> Option<Slot> {
        let mut taken = self.lock();
        let own = taken.by_uid.get(uid).copied().unwrap_or_default();
        if own >= self.for_each || taken.all >= self.for_all {
            return None;
        }
        taken.all += 1;
        taken.by_uid.insert(uid.to_owned(), own + 1);
        Some(Slot {
            uid: uid.to_owned(),
            slots: self.clone(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.lock();
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
    fn slots_run_out_for_one_and_for_all_and_come_back() {
        let slots = Slots::new(2, 3);
        let first = slots.take("a").unwrap();
        let _second = slots.take("a").unwrap();
        assert!(slots.take("a").is_none());
        let third = slots.take("b").unwrap();
        assert!(slots.take("c").is_none());
        drop(third);
        assert!(slots.take("c").is_some());
        drop(first);
        assert!(slots.take("a").is_some());
    }

    #[test]
    fn nothing_is_remembered_of_those_who_left() {
        let slots = Slots::new(1, 10);
        for uid in 0..100 {
            drop(slots.take(&uid.to_string()).unwrap());
        }
        let taken = slots.lock();
        assert_eq!((taken.all, taken.by_uid.len()), (0, 0));
    }
}
