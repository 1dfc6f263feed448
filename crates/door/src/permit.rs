//! Connection -> its place among a bounded number (in memory).

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

/// The place of one connection. It is an extension of each request; a websocket keeps it after its handshake.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionPermit(
    #[expect(dead_code, reason = "held until it is dropped")] Arc<OwnedSemaphorePermit>,
);

impl From<OwnedSemaphorePermit> for ConnectionPermit {
    fn from(permit: OwnedSemaphorePermit) -> Self {
        Self(Arc::new(permit))
    }
}
