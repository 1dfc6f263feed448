//! Our last status of each object -> the valid one while a cache lags behind (in memory).

use std::{collections::HashMap, hash::Hash, time::Duration};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::version_of;

/// The last status that we wrote of each object.
#[derive(Debug)]
pub(crate) struct PendingStatuses<K, S>(Mutex<HashMap<K, Written<S>>>);

#[derive(Debug)]
struct Written<S> {
    at: Instant,
    /// `None` if it is not a number: then nothing can be concluded.
    version: Option<u64>,
    status: S,
}

impl<K, S> Default for PendingStatuses<K, S> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, S: Clone> PendingStatuses<K, S> {
    /// Records the answer to a write of this status.
    pub(crate) fn wrote(&self, key: K, answer: &ObjectMeta, status: S) {
        let written = Written {
            at: Instant::now(),
            version: version_of(answer),
            status,
        };
        self.0.lock().insert(key, written);
    }

    /// The status that we wrote, if the cached object is older.
    pub(crate) fn newer(&self, key: &K, cached: Option<u64>) -> Option<S> {
        let all = self.0.lock();
        let written = all.get(key)?;
        (cached? < written.version?).then(|| written.status.clone())
    }

    /// Time since our last write of it.
    pub(crate) fn age(&self, key: &K) -> Option<Duration> {
        self.0.lock().get(key).map(|written| written.at.elapsed())
    }

    /// Drops all objects except these.
    pub(crate) fn retain(&self, keep: impl Fn(&K) -> bool) {
        self.0.lock().retain(|key, _| keep(key));
    }
}
