//! key set address -> the provider's signing keys, fetched rarely and never lost (IO).

use std::sync::Arc;

use arc_swap::ArcSwap;
use openidconnect::core::CoreJsonWebKeySet;
use openidconnect::{JsonWebKeySet, JsonWebKeySetUrl};
use tokio::sync::Mutex;

use crate::clock::Clock;
use crate::oidc::http::HttpClient;

/// Least time between two fetches, in seconds, whatever tokens ask for.
const INTERVAL: i64 = 60;

/// The keys that an identity provider signs with.
pub(super) struct Keys {
    url: JsonWebKeySetUrl,
    http: HttpClient,
    clock: Clock,
    current: ArcSwap<CoreJsonWebKeySet>,
    fetched: Mutex<Fetched>,
}

/// Who asks for keys that are not known. Strangers can send logout tokens, so these have a budget of their own, and never
/// keep anybody from signing in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    /// An ID token from the provider itself.
    Login,
    /// A logout token from anywhere.
    Logout,
}

/// When each of them last made the gateway fetch, Unix seconds.
struct Fetched {
    login: i64,
    logout: i64,
}

impl Keys {
    /// `first`: the keys fetched just now from `url`.
    pub(super) fn new(
        url: JsonWebKeySetUrl,
        first: CoreJsonWebKeySet,
        http: HttpClient,
        clock: Clock,
    ) -> Self {
        Self {
            url,
            http,
            fetched: Mutex::new(Fetched {
                login: clock.now(),
                logout: clock.now(),
            }),
            clock,
            current: ArcSwap::from_pointee(first),
        }
    }

    /// The keys as known.
    pub(super) fn current(&self) -> Arc<CoreJsonWebKeySet> {
        self.current.load_full()
    }

    /// Fetches the keys again, replacing all, unless that was done for the same cause within the last minute; keeps them on
    /// failure.
    pub(super) async fn refetch(&self, cause: For) {
        let mut fetched = self.fetched.lock().await;
        let now = self.clock.now();
        let last = match cause {
            For::Login => &mut fetched.login,
            For::Logout => &mut fetched.logout,
        };
        if now < *last + INTERVAL {
            return;
        }
        *last = now;
        match JsonWebKeySet::fetch_async(&self.url, &self.http).await {
            Ok(keys) => self.current.store(Arc::new(keys)),
            Err(error) => {
                tracing::warn!(%error, "signing keys of the identity provider could not be fetched; the old ones stay");
            }
        }
    }
}
