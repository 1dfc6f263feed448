//! token of an open websocket -> whether it is still valid (from memory; checks in the background).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::sleep;

use super::cache::TTL;
use super::{Accepted, Bearer, TokenError};
use crate::session::Session;
use crate::tokens::redacted::Secret;

/// Pause after a check that got no answer.
const PAUSE: Duration = Duration::from_secs(1);

/// A token, for as long as a websocket is open that it admitted.
#[derive(Debug, Clone)]
pub(in crate::verify) struct SocketToken(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bearer: Bearer,
    token: Secret,
    site: String,
    status: Mutex<TokenStatus>,
    is_asked: AtomicBool,
}

#[derive(Debug)]
struct TokenStatus {
    /// `None` after a refusal, permanently.
    session: Option<Arc<Session>>,
    /// Time of the last successful check, Unix seconds.
    asked: i64,
}

impl SocketToken {
    /// `accepted`: the answer about `token`.
    pub(in crate::verify) fn new(bearer: Bearer, token: &str, site: String, accepted: Accepted) -> Self {
        let status = TokenStatus {
            session: Some(accepted.session),
            asked: accepted.asked,
        };
        Self(Arc::new(Inner {
            bearer,
            token: Secret::new(token.to_owned()),
            site,
            status: Mutex::new(status),
            is_asked: AtomicBool::new(false),
        }))
    }

    /// The session of the token's user, while the token is valid. When no check gets an answer, it stays valid for `grace` longer.
    pub(in crate::verify) fn session(&self, grace: Duration) -> Option<Arc<Session>> {
        let now = self.0.bearer.0.clock.now();
        let (session, age) = {
            let status = self.0.status.lock();
            (status.session.clone()?, now - status.asked)
        };
        if session.end <= now {
            return None;
        }
        if age >= TTL {
            self.ask();
        }
        let longest = TTL + i64::try_from(grace.as_secs()).unwrap_or(TTL);
        (age < longest).then_some(session)
    }

    fn ask(&self) {
        if self.0.is_asked.swap(true, Ordering::Relaxed) {
            return;
        }
        let open_socket = self.clone();
        tokio::spawn(async move {
            let inner = &open_socket.0;
            let verified = inner.bearer.verify(inner.token.expose(), &inner.site, || Ok(()));
            match verified.await {
                Ok(accepted) => {
                    let mut status = inner.status.lock();
                    status.session = Some(accepted.session);
                    status.asked = accepted.asked;
                }
                Err(TokenError::Refused(_)) => inner.status.lock().session = None,
                Err(TokenError::Failed(_)) => sleep(PAUSE).await,
            }
            inner.is_asked.store(false, Ordering::Relaxed);
        });
    }
}
