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
    fetched: Mutex<i64>,
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
            fetched: Mutex::new(clock.now()),
            clock,
            current: ArcSwap::from_pointee(first),
        }
    }

    /// The keys as known.
    pub(super) fn current(&self) -> Arc<CoreJsonWebKeySet> {
        self.current.load_full()
    }

    /// Fetches the keys again, replacing all, unless that was done within the last minute; keeps them on failure.
    pub(super) async fn refetch(&self) {
        let mut fetched = self.fetched.lock().await;
        if self.clock.now() < *fetched + INTERVAL {
            return;
        }
        *fetched = self.clock.now();
        match JsonWebKeySet::fetch_async(&self.url, &self.http).await {
            Ok(keys) => self.current.store(Arc::new(keys)),
            Err(error) => {
                tracing::warn!(%error, "signing keys of the identity provider could not be fetched; the old ones stay");
            }
        }
    }
}
