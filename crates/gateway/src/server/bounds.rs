//! request -> a permit of its kind, or 503 at once (pure).
//!
//! The permit is taken before the request waits for a processor. So under overload, requests with a permit are answered in bounded
//! time, and the rest cost next to nothing.

use std::net::IpAddr;
use std::sync::Arc;

use axum::response::Response;
use http::HeaderMap;
use http::header::UPGRADE;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::body;
use super::concurrency::{ConcurrencyLimit, Permit};
use crate::metrics::{Metrics, Open};
use crate::pages;
use crate::server::throttle::Throttle;

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

impl Kind {
    const ALL: [Self; 7] = [
        Self::Question,
        Self::Handshake,
        Self::Login,
        Self::Backchannel,
        Self::Body,
        Self::Page,
        Self::Poll,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::Question => "question",
            Self::Handshake => "handshake",
            Self::Login => "login",
            Self::Backchannel => "backchannel",
            Self::Body => "body",
            Self::Page => "page",
            Self::Poll => "poll",
        }
    }

    /// Whether handlers of this kind read the body of a POST.
    pub(super) fn reads_bodies(self) -> bool {
        matches!(self, Self::Login | Self::Backchannel)
    }
}

/// Maximum number of concurrent requests of each kind.
#[derive(Debug, Clone, Copy)]
pub struct Most {
    /// Auth requests: at about 20,000 per second and processor, the last of so many waits 50 ms.
    pub questions: usize,
    /// Handshakes.
    pub handshakes: usize,
    /// Logins.
    pub logins: usize,
    /// Messages of the identity provider. Any client can send some.
    pub backchannel: usize,
    /// Bodies being read, each for the timeout and of the maximum size of `body`.
    pub bodies: usize,
    /// The same for one client's address.
    pub bodies_of_one: usize,
    /// Pages.
    pub pages: usize,
    /// Polls: one per proxy.
    pub polls: usize,
}

impl Default for Most {
    fn default() -> Self {
        Self {
            questions: 1024,
            handshakes: 512,
            logins: 256,
            backchannel: 64,
            bodies: 512,
            bodies_of_one: 64,
            pages: 256,
            polls: 256,
        }
    }
}

impl Most {
    fn of(self, kind: Kind) -> usize {
        match kind {
            Kind::Question => self.questions,
            Kind::Handshake => self.handshakes,
            Kind::Login => self.logins,
            Kind::Backchannel => self.backchannel,
            Kind::Body => self.bodies,
            Kind::Page => self.pages,
            Kind::Poll => self.polls,
        }
    }
}

/// Permits of one process, by kind. Clones share them.
#[derive(Debug, Clone)]
pub struct Bounds {
    permits: [Arc<Semaphore>; Kind::ALL.len()],
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
        Self {
            permits: Kind::ALL.map(|kind| Arc::new(Semaphore::new(most.of(kind)))),
            bodies: ConcurrencyLimit::new(most.bodies_of_one, most.bodies),
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
    /// None is free. Contains the answer to give.
    pub(super) fn take(&self, kind: Kind) -> Result<RequestPermit, Box<Response>> {
        self.permit(kind, None)
            .ok_or_else(|| Box::new(pages::unavailable()))
    }

    /// A permit to read the body of a request with these headers.
    ///
    /// # Errors
    /// None is free, or this client has its share of them. Contains the answer to give.
    pub(super) fn take_for_body(&self, headers: &HeaderMap) -> Result<RequestPermit, Box<Response>> {
        let client = self.clients.as_ref().and_then(|clients| clients.client(headers));
        let share = match client.map(|client| self.bodies.take(client)) {
            Some(None) => {
                self.metrics.shed(Kind::Body.label());
                return Err(Box::new(pages::too_often(body::TIME, true)));
            }
            Some(share) => share,
            None => None,
        };
        self.permit(Kind::Body, share)
            .ok_or_else(|| Box::new(pages::unavailable()))
    }

    fn permit(&self, kind: Kind, share: Option<Permit<IpAddr>>) -> Option<RequestPermit> {
        let free = Arc::clone(&self.permits[kind as usize]).try_acquire_owned();
        let Ok(permit) = free else {
            self.metrics.shed(kind.label());
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
    match path {
        "/backchannel-logout" => Kind::Backchannel,
        "/" | "/enter" | "/sign-in" | "/start" | "/sign-out" => Kind::Login,
        // Callbacks of one identity provider, of all, and of workspaces.
        _ if path.starts_with("/callback/") || path.ends_with("/callback") => Kind::Login,
        _ => Kind::Page,
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
    fn kinds_have_permits_of_their_own_which_come_back() {
        let most = Most {
            questions: 1,
            ..Most::default()
        };
        let bounds = Bounds::new(most, Metrics::default());
        let first = bounds.take(Kind::Question).unwrap();
        let refused = bounds.take(Kind::Question).unwrap_err();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(refused.headers().contains_key("retry-after"));
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Question) {
            assert!(bounds.take(kind).is_ok());
        }
        drop(first);
        assert!(bounds.take(Kind::Question).is_ok());
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
            ("/sign-out", Kind::Login),
            ("/backchannel-logout", Kind::Backchannel),
            ("/_workspace/callback", Kind::Login),
            ("/workspaces/team/lab/_workspace/callback", Kind::Login),
            ("/lab", Kind::Page),
        ] {
            assert_eq!(at_pages(path, &HeaderMap::new()), kind, "{path}");
        }
    }
}
