//! A change in a cache -> controllers that reconcile all objects are triggered (in memory).

use std::sync::Arc;

use tokio::sync::watch;

/// Signals that a watch reported a change that matters to controllers that reconcile all objects of a kind.
#[derive(Clone, Debug)]
pub struct Pulse {
    beats: Arc<watch::Sender<()>>,
}

impl Default for Pulse {
    fn default() -> Self {
        Self {
            beats: Arc::new(watch::Sender::new(())),
        }
    }
}

impl Pulse {
    /// Triggers all subscribers.
    pub fn beat(&self) {
        self.beats.send_replace(());
    }

    /// Receives every beat from now on. Several beats in a short time count as one.
    pub fn subscribe(&self) -> watch::Receiver<()> {
        self.beats.subscribe()
    }
}
