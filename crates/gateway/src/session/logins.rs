//! returning login -> a permit, once per login (IO: waits for a permit).
//!
//! Each login sends a request to the provider, and any client can begin one. So the number processed at a time is limited.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::{Sessions, Unavailable};
use crate::tokens::REDEEM_LIFE;
use crate::tokens::random::fingerprint;

/// Maximum number of logins processed at a time.
const MAX_CONCURRENT: usize = 32;
/// Maximum wait for a permit.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Maximum number of remembered logins.
const REMEMBERED: u64 = 10_000;

/// Logins that have returned from the provider.
pub(super) struct Logins {
    permits: Semaphore,
    seen: moka::future::Cache<String, ()>,
}

impl Default for Logins {
    fn default() -> Self {
        let seen = moka::future::Cache::builder()
            .max_capacity(REMEMBERED)
            .time_to_live(Duration::from_secs(REDEEM_LIFE.unsigned_abs()))
            .build();
        Self {
            permits: Semaphore::new(MAX_CONCURRENT),
            seen,
        }
    }
}

impl Sessions {
    /// A permit for the login of this `state`, held until it is dropped; `None`: that login has returned before.
    ///
    /// # Errors
    /// Too many logins return at the same time.
    pub async fn login_permit(&self, state: &str) -> Result<Option<SemaphorePermit<'_>>, Unavailable> {
        let permit = timeout(TIMEOUT, self.logins.permits.acquire()).await;
        let Ok(Ok(permit)) = permit else {
            return Err(Unavailable("too many users sign in at a time".into()));
        };
        let seen = self.logins.seen.entry(fingerprint(state)).or_insert(()).await;
        Ok(seen.is_fresh().then_some(permit))
    }
}

#[cfg(test)]
mod tests {
    use testkit::api_server::ApiServer;

    use super::*;
    use crate::clock::Clock;
    use crate::tokens::seal::KeyRing;

    #[tokio::test]
    async fn of_a_flood_of_logins_that_come_back_a_bounded_number_is_remembered_and_none_counts_twice_meanwhile()
     {
        let (_, client) = ApiServer::start();
        let api = kube::Api::namespaced(client, "system");
        let keys = std::sync::Arc::new(KeyRing::new(vec![]));
        let sessions = Sessions::new(api, keys, Clock::System);
        for number in 0..REMEMBERED * 3 / 2 {
            let state = format!("state-{number}");
            assert!(sessions.login_permit(&state).await.unwrap().is_some());
            assert!(sessions.login_permit(&state).await.unwrap().is_none(), "{state}");
        }
        sessions.logins.seen.run_pending_tasks().await;
        assert!(sessions.logins.seen.entry_count() <= REMEMBERED);
        assert_eq!(sessions.logins.permits.available_permits(), MAX_CONCURRENT);
    }
}
