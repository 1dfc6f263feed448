//! Something changed in a cache -> whoever looks at all of it is woken (in memory).

use std::sync::Arc;

use tokio::sync::watch;

/// Beats whenever a watch has told something that matters to those who look at all objects of a kind.
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
    /// Wakes everybody.
    pub fn beat(&self) {
        self.beats.send_replace(());
    }

    /// Is told of every beat from now on; several that come close together are one.
    pub fn subscribe(&self) -> watch::Receiver<()> {
        self.beats.subscribe()
    }
}
