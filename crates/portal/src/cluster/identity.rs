//! Token or assertion -> how a request to the API server names the user (pure).

use std::sync::Arc;

use http::HeaderValue;

/// Shown where the API server does not take the user's token.
pub(super) const UNTRUSTED: &str = "The API server does not accept your sign-in (401). An administrator must let it trust the gateway's \
    identity provider: `oidc.issuerUrl` as issuer, `oidc.clientId` among the audiences (docs/sign-in.md, \"The API server\"). A change \
    shows after half a minute.";

/// How the API server learns who the user of a request is.
#[derive(Debug, Clone)]
pub(crate) enum Identity {
    /// By impersonation headers.
    Impersonated,
    /// By the user's own token, which it takes for the gateway's user.
    Token {
        /// `Authorization`.
        header: HeaderValue,
        /// The user's groups, as the API server has them.
        groups: Arc<[String]>,
    },
    /// Not at all, and why. Nothing is sent as the user.
    Unproven(Arc<str>),
}
