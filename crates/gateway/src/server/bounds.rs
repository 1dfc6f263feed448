//! request -> a permit of its kind, or 503 at once (pure).
//!
//! The permit is taken before the request waits for a processor. So under overload, requests with a permit are answered in bounded
//! time, and the rest cost next to nothing.
//!
//! `GlobalConcurrencyLimit` and `LoadShed` of tower take the permit when the request's future is first polled, which is after that wait.
//! They also have one limit for all kinds of requests.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::UPGRADE;
use kit::limit::{ConcurrencyLimit, Permit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::metrics::{Metrics, Open};
use crate::pages::Failure;
use crate::server::throttle::{Endpoint, Throttle};

/// Kinds of requests. No kind can take the permits of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An auth request of the proxy.
    Question,
    /// A websocket handshake; it takes as long as its pod does.
    Handshake,
    /// Sign-in, sign-out, and other requests that call other servers.
    Login,
    /// A logout message of the identity provider.
    Backchannel,
    /// A request of any kind whose body is still being read.
    Body,
    /// Pages made from memory.
    Page,
    /// The proxy fetches its routes; held for seconds.
    Poll,
}

/// Timeout of a whole body.
pub(super) const BODY_TIMEOUT: Duration = Duration::from_millis(2500);

/// Each kind with its label and the maximum number of its concurrent requests, in the order of [`Kind`].
const KINDS: [(Kind, &str, usize); 7] = [
    // At about 20,000 per second and processor, the last of so many waits 50 ms.
    (Kind::Question, "question", 1024),
    (Kind::Handshake, "handshake", 512),
    (Kind::Login, "login", 256),
    // Any client can send some.
    (Kind::Backchannel, "backchannel", 64),
    // Each for the timeout and of the maximum size of `body`.
    (Kind::Body, "body", 512),
    (Kind::Page, "page", 256),
    // One per proxy.
    (Kind::Poll, "poll", 256),
];

impl Kind {
    fn label(self) -> &'static str {
        KINDS[self as usize].1
    }

    /// Whether handlers of this kind read the body of a POST.
    pub(super) fn reads_bodies(self) -> bool {
        matches!(self, Self::Login | Self::Backchannel)
    }
}

/// Maximum number of concurrent requests of each kind.
#[derive(Debug, Clone, Copy)]
pub struct Most {
    of: [usize; KINDS.len()],
    /// Bodies being read of one client's address.
    bodies_of_one: usize,
}

impl Default for Most {
    fn default() -> Self {
        Self {
            of: KINDS.map(|(_, _, most)| most),
            bodies_of_one: 64,
        }
    }
}

impl Most {
    /// The same, but for one kind.
    #[must_use]
    pub fn with(mut self, kind: Kind, most: usize) -> Self {
        self.of[kind as usize] = most;
        self
    }
}

/// Permits of one process, by kind. Clones share them.
#[derive(Debug, Clone)]
pub struct Bounds {
    permits: [Arc<Semaphore>; KINDS.len()],
    bodies: ConcurrencyLimit<IpAddr>,
    clients: Option<Arc<Throttle>>,
    metrics: Metrics,
}

/// A permit, taken until it is dropped.
#[derive(Debug)]
pub(super) struct RequestPermit(
    #[expect(dead_code, reason = "held")] OwnedSemaphorePermit,
    #[expect(dead_code, reason = "held")] Open,
    #[expect(dead_code, reason = "held")] Option<Permit<IpAddr>>,
);

impl Bounds {
    /// All permits are free. `metrics` counts taken permits and refusals.
    pub fn new(most: Most, metrics: Metrics) -> Self {
        for (_, label, _) in KINDS {
            metrics.sheds(label);
        }
        Self {
            permits: most.of.map(|most| Arc::new(Semaphore::new(most))),
            bodies: ConcurrencyLimit::new(most.bodies_of_one, most.of[Kind::Body as usize]),
            clients: None,
            metrics,
        }
    }

    /// The same, but shares permits for bodies among the addresses that `clients` reads from requests.
    #[must_use]
    pub fn among(self, clients: Arc<Throttle>) -> Self {
        Self {
            clients: Some(clients),
            ..self
        }
    }

    /// A permit for a request of this kind.
    ///
    /// # Errors
    /// None is free.
    pub(super) fn take(&self, kind: Kind) -> Result<RequestPermit, Failure> {
        self.permit(kind, None).ok_or(Failure::Unavailable)
    }

    /// A permit to read the body of a request with these headers.
    ///
    /// # Errors
    /// None is free, or this client has its share of them.
    pub(super) fn take_for_body(&self, headers: &HeaderMap) -> Result<RequestPermit, Failure> {
        let client = self.clients.as_ref().and_then(|clients| clients.client(headers));
        let share = match client.map(|client| self.bodies.take(client)) {
            Some(None) => {
                self.metrics.count_shed(Kind::Body.label());
                return Err(Failure::RateLimited(BODY_TIMEOUT));
            }
            Some(share) => share,
            None => None,
        };
        self.permit(Kind::Body, share).ok_or(Failure::Unavailable)
    }

    fn permit(&self, kind: Kind, share: Option<Permit<IpAddr>>) -> Option<RequestPermit> {
        let free = Arc::clone(&self.permits[kind as usize]).try_acquire_owned();
        let Ok(permit) = free else {
            self.metrics.count_shed(kind.label());
            return None;
        };
        Some(RequestPermit(permit, self.metrics.request(kind.label()), share))
    }
}

/// The kind of a request to the listener for auth requests and websockets.
pub fn at_entrance(_: &str, headers: &HeaderMap) -> Kind {
    if headers.contains_key(UPGRADE) {
        Kind::Handshake
    } else {
        Kind::Question
    }
}

/// The kind of a request to the listener of pages.
pub fn at_pages(path: &str, _: &HeaderMap) -> Kind {
    match Endpoint::from_path(path) {
        Endpoint::Backchannel => Kind::Backchannel,
        // The list of workspaces, which needs the API server's answers about rights.
        Endpoint::Page if path == "/" => Kind::Login,
        Endpoint::Page => Kind::Page,
        _ => Kind::Login,
    }
}

/// The kind of a request to the listener of routes.
pub fn at_routes(_: &str, _: &HeaderMap) -> Kind {
    Kind::Poll
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::server::throttle::Rates;

    #[test]
    fn the_table_has_the_order_of_the_kinds() {
        for (at, (kind, ..)) in KINDS.into_iter().enumerate() {
            assert_eq!(kind as usize, at, "{kind:?}");
        }
    }

    #[test]
    fn a_client_that_sends_no_bodies_does_not_use_up_the_permits() {
        let throttle = Arc::new(Throttle::new(Rates::unbounded()));
        let bounds = Bounds::new(Most::default(), Metrics::default()).among(throttle);
        let from = |address: String| {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-for", address.parse().unwrap());
            bounds.take_for_body(&headers)
        };
        let mut held = Vec::new();
        let refused = loop {
            match from("203.0.113.7".to_owned()) {
                Ok(permit) => held.push(permit),
                Err(refused) => break refused,
            }
        };
        assert!(held.len() < Most::default().bodies_of_one + 1, "{}", held.len());
        let refused = refused.answer();
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
        assert!(refused.headers().contains_key("retry-after"));
        // Further addresses, each as greedy, one after the other.
        for other in 0..19 {
            while let Ok(permit) = from(format!("198.51.100.{other}")) {
                held.push(permit);
            }
        }
        assert!(from("192.0.2.1".to_owned()).is_ok());
        drop(held);
        assert!(from("203.0.113.7".to_owned()).is_ok());
    }

    #[test]
    fn requests_with_outgoing_calls_count_as_logins() {
        for (path, kind) in [
            ("/", Kind::Login),
            ("/enter", Kind::Login),
            ("/sign-in", Kind::Login),
            ("/callback", Kind::Login),
            ("/callback/partners", Kind::Login),
            ("/callbacks", Kind::Page),
            ("/start", Kind::Login),
            ("/sign-out", Kind::Login),
            ("/_workspace/sign-out", Kind::Login),
            ("/backchannel-logout", Kind::Backchannel),
            ("/_workspace/callback", Kind::Login),
            ("/workspaces/team/lab/_workspace/callback", Kind::Login),
            ("/lab", Kind::Page),
        ] {
            assert_eq!(at_pages(path, &HeaderMap::new()), kind, "{path}");
        }
    }
}
