//! Assertion -> the signed-in user, or a refusal (pure).

use std::sync::Arc;

use http::HeaderMap;

/// The user of a request, as Kubernetes knows them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct User {
    /// User name.
    pub name: String,
    /// Groups, without those that the API server adds.
    pub groups: Vec<String>,
    /// When the session ends, Unix seconds.
    pub session_end: Option<i64>,
    /// When the assertion ends, Unix seconds. No stream outlives it.
    pub assertion_end: i64,
}

/// Why a request has no user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoUser {
    /// No assertion, more than one, or one that does not count.
    NotSignedIn,
    /// The name or a group cannot be used with Kubernetes, and why.
    Unusable(&'static str),
}

/// Checks assertions by the gateway's public keys.
pub trait Authenticator: Send + Sync {
    /// The user that the assertion names, if it counts at `now` (Unix seconds).
    fn user(&self, assertion: &str, now: i64) -> Result<User, NoUser>;
}

impl User {
    /// The user whom the headers of a request name.
    ///
    /// # Errors
    /// There is not exactly one assertion, or it does not count.
    pub fn from_headers(
        headers: &HeaderMap,
        keys: &dyn Authenticator,
        now: i64,
    ) -> Result<Arc<Self>, NoUser> {
        let mut values = headers.get_all(api::names::ASSERTION_HEADER).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(NoUser::NotSignedIn);
        };
        let assertion = value.to_str().map_err(|_| NoUser::NotSignedIn)?;
        keys.user(assertion, now).map(Arc::new)
    }
}
