//! A namespace -> the lock of what workspaces share there (in memory).

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::RwLock;

/// The locks. A run that starts reads what its namespace has; who writes or deletes that, waits for starts and keeps others waiting.
#[derive(Debug, Default)]
pub struct NamespaceLocks(Mutex<HashMap<String, Arc<RwLock<()>>>>);

impl NamespaceLocks {
    /// The lock of a namespace. Locks that nobody holds or waits for are dropped.
    pub(crate) fn lock(&self, namespace: &str) -> Arc<RwLock<()>> {
        let mut locks = self.0.lock();
        locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        locks.entry(namespace.to_owned()).or_default().clone()
    }
}
