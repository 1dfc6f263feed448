//! key set URL -> the provider's signing keys, fetched rarely, kept after errors (IO).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arc_swap::ArcSwap;
use openidconnect::core::CoreJsonWebKeySet;
use openidconnect::{JsonWebKeySet, JsonWebKeySetUrl};
use tokio::sync::Mutex;

use crate::clock::Clock;
use crate::oidc::http::HttpClient;
use crate::oidc::id_token::JwtError;

/// Minimum time between two fetches for tokens that any client can send, in seconds, whatever the tokens name.
const INTERVAL: i64 = 60;
/// The same for ID tokens. The provider itself sent them, so an unknown key is new: the provider rotated keys, or restarted with others.
const LOGIN_INTERVAL: i64 = 5;

/// The provider's signing keys. Clones share them.
#[derive(Clone)]
pub(super) struct Keys(Arc<Inner>);

struct Inner {
    url: JsonWebKeySetUrl,
    http: HttpClient,
    clock: Clock,
    current: ArcSwap<CoreJsonWebKeySet>,
    /// Time of the last successful fetch, Unix seconds.
    last_fetch: AtomicI64,
    /// Time of the last fetch for each cause, if there was one since discovery, Unix seconds. The lock is held during a fetch.
    login: Mutex<Option<i64>>,
    logout: Mutex<Option<i64>>,
    bearer: Mutex<Option<i64>>,
}

/// Why unknown keys are needed. Any client can send logout tokens and bearer tokens. So these have rate limits of their own, and
/// never prevent a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    /// An ID token from the provider itself.
    Login,
    /// A logout token from any client.
    Logout,
    /// A token that came with a request.
    Bearer,
}

impl For {
    /// Whether it is too early for another fetch after the `last` one.
    fn is_too_soon(self, last: Option<i64>, now: i64) -> bool {
        let interval = match self {
            Self::Login => LOGIN_INTERVAL,
            Self::Logout | Self::Bearer => INTERVAL,
        };
        last.is_some_and(|last| now < last + interval)
    }
}

impl Keys {
    /// `first`: the keys that were just fetched from `url`.
    pub(super) fn new(
        url: JsonWebKeySetUrl,
        first: CoreJsonWebKeySet,
        http: HttpClient,
        clock: Clock,
    ) -> Self {
        Self(Arc::new(Inner {
            url,
            http,
            last_fetch: AtomicI64::new(clock.now()),
            login: Mutex::default(),
            logout: Mutex::default(),
            bearer: Mutex::default(),
            clock,
            current: ArcSwap::from_pointee(first),
        }))
    }

    /// The present keys.
    pub(super) fn current(&self) -> Arc<CoreJsonWebKeySet> {
        self.0.current.load_full()
    }

    /// Age of these keys, in seconds.
    pub(super) fn age(&self) -> i64 {
        self.0.clock.now() - self.0.last_fetch.load(Ordering::Relaxed)
    }

    /// The result of `verify` with the present keys, and with new ones if the token names an unknown key.
    ///
    /// # Errors
    /// Those of `verify`. [`JwtError::KeysLater`]: the key is unknown, and the keys cannot be fetched now.
    pub(super) async fn verify<T>(
        &self,
        cause: For,
        verify: impl Fn(&CoreJsonWebKeySet) -> Result<T, JwtError>,
    ) -> Result<T, JwtError> {
        match verify(&self.current()) {
            Err(JwtError::UnknownKey) => {
                let is_fetched = self.refetch(cause).await;
                verify(&self.current()).map_err(|error| match error {
                    JwtError::UnknownKey if !is_fetched => JwtError::KeysLater,
                    error => error,
                })
            }
            verified => verified,
        }
    }

    /// Fetches the keys again in the background, for bearer tokens.
    pub(super) fn renew(&self) {
        let now = self.0.clock.now();
        let last = self.0.bearer.try_lock();
        if last.is_ok_and(|last| !For::Bearer.is_too_soon(*last, now)) {
            let keys = self.clone();
            tokio::spawn(async move { keys.0.fetch(For::Bearer).await });
        }
    }

    /// Fetches the keys again and replaces all; keeps the old ones on failure. Continues when the caller disconnects. Returns whether
    /// all keys were replaced: the provider may not answer, or the same cause fetched just now.
    pub(super) async fn refetch(&self, cause: For) -> bool {
        let keys = self.clone();
        let fetching = tokio::spawn(async move { keys.0.fetch(cause).await });
        fetching.await.unwrap_or_default()
    }
}

impl Inner {
    async fn fetch(&self, cause: For) -> bool {
        let mut last = match cause {
            For::Login => self.login.lock().await,
            For::Logout => self.logout.lock().await,
            For::Bearer => self.bearer.lock().await,
        };
        let now = self.clock.now();
        if cause.is_too_soon(*last, now) {
            return false;
        }
        let fetched = JsonWebKeySet::fetch_async(&self.url, &self.http).await;
        *last = Some(now);
        match fetched {
            Ok(keys) => {
                self.current.store(Arc::new(keys));
                self.last_fetch.store(now, Ordering::Relaxed);
                true
            }
            Err(error) => {
                tracing::warn!(%error, "signing keys of the identity provider could not be fetched; the old ones stay");
                false
            }
        }
    }
}
