//! events of a watch on one kind -> the facts of its objects (pure).

use std::collections::HashMap;

use kube::runtime::watcher;

use crate::index::partial::Key;

/// An event of a watch; `None` for an object that is treated as absent (unreadable, or not served by this gateway).
pub(super) type Event<T> = watcher::Event<(Key, Option<T>)>;

/// The objects of one kind. During a new list the old ones stay in use until the new list is complete.
#[derive(Debug)]
pub(super) struct Store<T> {
    pub(super) objects: HashMap<Key, T>,
    arriving: HashMap<Key, T>,
    /// Whether a list has ended.
    pub(super) is_complete: bool,
    /// Whether a list ended since the last snapshot.
    pub(super) has_ended: bool,
}

impl<T> Default for Store<T> {
    fn default() -> Self {
        Self {
            objects: HashMap::new(),
            arriving: HashMap::new(),
            is_complete: false,
            has_ended: false,
        }
    }
}

impl<T> Store<T> {
    pub(super) fn apply(&mut self, event: Event<T>) {
        match event {
            watcher::Event::Init => {
                self.arriving.clear();
                self.has_ended = false;
            }
            watcher::Event::InitApply((key, facts)) => set(&mut self.arriving, key, facts),
            watcher::Event::InitDone => {
                self.objects = std::mem::take(&mut self.arriving);
                (self.is_complete, self.has_ended) = (true, true);
            }
            watcher::Event::Apply((key, facts)) => set(&mut self.objects, key, facts),
            watcher::Event::Delete((key, _)) => set(&mut self.objects, key, None),
        }
    }
}

fn set<T>(map: &mut HashMap<Key, T>, key: Key, value: Option<T>) {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
}
