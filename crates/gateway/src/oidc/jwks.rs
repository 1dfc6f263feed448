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

/// The keys that an identity provider signs with. Clones share them.
#[derive(Clone)]
pub(super) struct Keys(Arc<Inner>);

struct Inner {
    url: JsonWebKeySetUrl,
    http: HttpClient,
    clock: Clock,
    current: ArcSwap<CoreJsonWebKeySet>,
    /// When each of them last made the gateway fetch, Unix seconds; held while that goes on.
    login: Mutex<i64>,
    logout: Mutex<i64>,
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

impl Keys {
    /// `first`: the keys fetched just now from `url`.
    pub(super) fn new(
        url: JsonWebKeySetUrl,
        first: CoreJsonWebKeySet,
        http: HttpClient,
        clock: Clock,
    ) -> Self {
        Self(Arc::new(Inner {
            url,
            http,
            login: Mutex::new(clock.now()),
            logout: Mutex::new(clock.now()),
            clock,
            current: ArcSwap::from_pointee(first),
        }))
    }

    /// The keys as known.
    pub(super) fn current(&self) -> Arc<CoreJsonWebKeySet> {
        self.0.current.load_full()
    }

    /// Fetches the keys again, replacing all; keeps them on failure. `false`: that was done for the same cause within the
    /// last minute, and is not done again. Goes on when whoever asked hangs up.
    pub(super) async fn refetch(&self, cause: For) -> bool {
        let keys = self.clone();
        let fetching = tokio::spawn(async move { keys.0.fetch(cause).await });
        fetching.await.unwrap_or_default()
    }
}

impl Inner {
    async fn fetch(&self, cause: For) -> bool {
        let mut fetched = match cause {
            For::Login => self.login.lock().await,
            For::Logout => self.logout.lock().await,
        };
        let now = self.clock.now();
        if now < *fetched + INTERVAL {
            return false;
        }
        *fetched = now;
        match JsonWebKeySet::fetch_async(&self.url, &self.http).await {
            Ok(keys) => self.current.store(Arc::new(keys)),
            Err(error) => {
                tracing::warn!(%error, "signing keys of the identity provider could not be fetched; the old ones stay");
            }
        }
        true
    }
}
