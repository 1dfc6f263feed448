//! a login that comes back -> whether it is looked at: once, and not too many together, since each asks the provider and
//! anybody can begin one (IO: waits for its turn).

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::{Sessions, Unavailable};
use crate::crypto::random::fingerprint;
use crate::crypto::tokens::ENTER_LIFE;

/// Most that are looked at together.
const PLACES: usize = 32;
/// How long one waits for its turn.
const PATIENCE: Duration = Duration::from_secs(3);
/// Most that are remembered.
const REMEMBERED: u64 = 10_000;

/// Logins that came back.
pub(super) struct Logins {
    places: Semaphore,
    seen: moka::future::Cache<String, ()>,
}

impl Default for Logins {
    fn default() -> Self {
        let seen = moka::future::Cache::builder()
            .max_capacity(REMEMBERED)
            .time_to_live(Duration::from_secs(ENTER_LIFE.unsigned_abs()))
            .build();
        Self {
            places: Semaphore::new(PLACES),
            seen,
        }
    }
}

impl Sessions {
    /// A place for the login of this `state` until it is dropped; `None`: that login came back before.
    ///
    /// # Errors
    /// Too many come back together.
    pub async fn login_place(&self, state: &str) -> Result<Option<SemaphorePermit<'_>>, Unavailable> {
        let place = timeout(PATIENCE, self.logins.places.acquire()).await;
        let Ok(Ok(place)) = place else {
            return Err(Unavailable("too many people sign in at a time".into()));
        };
        let seen = self.logins.seen.entry(fingerprint(state)).or_insert(()).await;
        Ok(seen.is_fresh().then_some(place))
    }
}
