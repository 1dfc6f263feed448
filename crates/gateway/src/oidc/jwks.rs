//! key set address -> the provider's signing keys, fetched rarely and never lost (IO).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

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
    /// When the provider told these, Unix seconds.
    told: AtomicI64,
    /// The last fetch that each of them caused; held while one goes on.
    login: Mutex<Last>,
    logout: Mutex<Last>,
    bearer: Mutex<Last>,
}

/// A fetch.
#[derive(Debug, Clone, Copy)]
struct Last {
    /// When, Unix seconds.
    at: i64,
    failed: bool,
}

/// What became of the wish to fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fetched {
    /// All keys are new.
    Anew,
    /// The same cause led to new keys within the last minute, and is no cause again.
    TooSoon,
    /// The provider did not answer, now or within the last minute: the old keys stay.
    Failed,
}

/// Who asks for keys that are not known. Strangers can send logout tokens and tokens for requests, so these have budgets of their
/// own, and never keep anybody from signing in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    /// An ID token from the provider itself.
    Login,
    /// A logout token from anywhere.
    Logout,
    /// A token that came with a request.
    Bearer,
}

impl Keys {
    /// `first`: the keys fetched just now from `url`.
    pub(super) fn new(
        url: JsonWebKeySetUrl,
        first: CoreJsonWebKeySet,
        http: HttpClient,
        clock: Clock,
    ) -> Self {
        let last = Last {
            at: clock.now(),
            failed: false,
        };
        Self(Arc::new(Inner {
            url,
            http,
            told: AtomicI64::new(last.at),
            login: Mutex::new(last),
            logout: Mutex::new(last),
            bearer: Mutex::new(last),
            clock,
            current: ArcSwap::from_pointee(first),
        }))
    }

    /// The keys as known.
    pub(super) fn current(&self) -> Arc<CoreJsonWebKeySet> {
        self.0.current.load_full()
    }

    /// How long ago the provider told these keys, in seconds.
    pub(super) fn age(&self) -> i64 {
        self.0.clock.now() - self.0.told.load(Ordering::Relaxed)
    }

    /// Fetches the keys again in the background, for tokens that come with requests.
    pub(super) fn renew(&self) {
        let now = self.0.clock.now();
        let last = self.0.bearer.try_lock();
        if last.is_ok_and(|last| now >= last.at + INTERVAL) {
            let keys = self.clone();
            tokio::spawn(async move { keys.0.fetch(For::Bearer).await });
        }
    }

    /// Fetches the keys again, replacing all; keeps them on failure. Goes on when whoever asked hangs up.
    pub(super) async fn refetch(&self, cause: For) -> Fetched {
        let keys = self.clone();
        let fetching = tokio::spawn(async move { keys.0.fetch(cause).await });
        fetching.await.unwrap_or(Fetched::Failed)
    }
}

impl Inner {
    async fn fetch(&self, cause: For) -> Fetched {
        let mut last = match cause {
            For::Login => self.login.lock().await,
            For::Logout => self.logout.lock().await,
            For::Bearer => self.bearer.lock().await,
        };
        let now = self.clock.now();
        if now < last.at + INTERVAL {
            return if last.failed {
                Fetched::Failed
            } else {
                Fetched::TooSoon
            };
        }
        last.at = now;
        let fetched = JsonWebKeySet::fetch_async(&self.url, &self.http).await;
        last.failed = fetched.is_err();
        match fetched {
            Ok(keys) => {
                self.current.store(Arc::new(keys));
                self.told.store(now, Ordering::Relaxed);
                Fetched::Anew
            }
            Err(error) => {
                tracing::warn!(%error, "signing keys of the identity provider could not be fetched; the old ones stay");
                Fetched::Failed
            }
        }
    }
}
