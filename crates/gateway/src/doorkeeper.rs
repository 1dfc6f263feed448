//! what the listeners need of verification (pure; a trait, so that they can be tested without cookies and keys).

use std::sync::Arc;

use axum::response::Response;
use http::HeaderMap;

use crate::index::Target;

/// Says who may pass.
pub trait Doorkeeper: Send + Sync + 'static {
    /// What admitted somebody to a socket.
    type Grant: Send + Sync + 'static;

    /// The whole answer of `/verify` to the proxy's headers.
    fn verify(&self, headers: &HeaderMap) -> impl Future<Output = Response> + Send;

    /// Judges a handshake on the workspace host `host` (lower case, without port) as `/verify` would: ticket, right to
    /// connect, and a sender that is named and is this host. A host that is unknown is answered as one without ticket.
    ///
    /// # Errors
    /// The refusal to answer with.
    fn admit(
        &self,
        host: &str,
        headers: &HeaderMap,
    ) -> impl Future<Output = Result<(Arc<Target>, Self::Grant), Response>> + Send;

    /// Whether what admitted somebody still holds, from memory alone.
    fn holds(&self, grant: &Self::Grant) -> bool;
}
