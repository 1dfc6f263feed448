//! request for a sign-in page -> allowed, or the time to wait (pure but for the clock).
//!
//! `address` finds the client's address, `settings` are the flags. A signed-in user is counted by session, so that
//! a flood from one address does not shut out signed-in users behind it.

mod address;
mod settings;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use http::HeaderMap;
use ipnet::IpNet;
use kit::limit::KeyedRate;
pub use kit::limit::Rate;

pub(crate) use self::settings::RequestLimits;
use crate::tokens::RandomId;

/// Maximum number of remembered clients, of all kinds together: about 2 MiB.
const CAPACITY: usize = 16 * 1024;

/// What a client requests. Each is counted separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// The start of a login, or of entering a workspace.
    Enter,
    /// The end of a login or an entry.
    Callback,
    /// The start of a stopped workspace.
    Start,
    /// A sign-out by the user.
    SignOut,
    /// A program's question for a token or a ticket.
    Program,
    /// A logout message of the identity provider.
    Backchannel,
    /// Any other page of the sign-in host.
    Page,
    /// A request with a token that is not known yet.
    Token,
}

impl Endpoint {
    /// What a path of the pages' listener is. In mode Path those of a workspace begin with its folder.
    pub fn from_path(path: &str) -> Self {
        match path {
            "/enter" | "/sign-in" => Self::Enter,
            "/start" => Self::Start,
            "/sign-out" | "/_workspace/sign-out" | "/programs/sign-out" => Self::SignOut,
            "/programs/token" | "/programs/ticket" => Self::Program,
            "/backchannel-logout" => Self::Backchannel,
            // Callbacks of one identity provider, of all, and of workspaces.
            _ if path.starts_with("/callback/") || path.ends_with("/callback") => Self::Callback,
            _ => Self::Page,
        }
    }

    /// A stable label for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Enter => "enter",
            Self::Callback => "callback",
            Self::Start => "start",
            Self::SignOut => "sign_out",
            Self::Program => "program",
            Self::Backchannel => "backchannel",
            Self::Page => "page",
            Self::Token => "token",
        }
    }
}

/// The client that a request counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Caller {
    /// A session.
    Session(RandomId),
    /// A client's address; `None` counts all requests together for which the proxy named no client.
    Address(Option<IpAddr>),
}

impl Caller {
    /// A stable label for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Session(_) => "session",
            Self::Address(_) => "address",
        }
    }
}

/// Rate limits of each client.
#[derive(Debug, Clone)]
pub struct Rates {
    /// Of an address, for each [`Endpoint`].
    pub address: Rate,
    /// Of a session, for each [`Endpoint`].
    pub session: Rate,
    /// Of an address, for messages of the identity provider.
    pub provider: Rate,
    /// Proxies before the own one, whose entries about the client's address are trusted.
    pub trusted: Vec<IpNet>,
}

impl Rates {
    /// No limits, for tests and measurements.
    pub fn unbounded() -> Self {
        Self {
            address: Rate::UNBOUNDED,
            session: Rate::UNBOUNDED,
            provider: Rate::UNBOUNDED,
            trusted: Vec::new(),
        }
    }
}

/// Counts recent requests of each client.
#[derive(Debug)]
pub struct Throttle {
    rates: Rates,
    requests: KeyedRate,
}

impl Throttle {
    /// A new throttle without requests.
    pub fn new(rates: Rates) -> Self {
        Self {
            rates,
            requests: KeyedRate::new(CAPACITY),
        }
    }

    /// The client that a request counts for: its address, or its IPv6 network.
    pub fn client(&self, headers: &HeaderMap) -> Option<IpAddr> {
        self.address(headers).map(address::network)
    }

    /// The client's address, as the proxy reports it.
    pub fn address(&self, headers: &HeaderMap) -> Option<IpAddr> {
        address::client(headers, &self.rates.trusted)
    }

    /// Counts a request.
    ///
    /// # Errors
    /// The limit is exceeded. Contains the time until the next request is allowed.
    pub fn take(&self, caller: Caller, endpoint: Endpoint) -> Result<(), Duration> {
        let rate = match (caller, endpoint) {
            (Caller::Session(_), _) => self.rates.session,
            (Caller::Address(_), Endpoint::Backchannel) => self.rates.provider,
            (Caller::Address(_), _) => self.rates.address,
        };
        self.requests.take((caller, endpoint), rate, Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_addresses_and_endpoints_are_counted_separately() {
        let throttle = Throttle::new(Rates {
            address: Rate::per_minute(2),
            session: Rate::per_minute(2),
            ..Rates::unbounded()
        });
        let address = |last| Caller::Address(Some(IpAddr::from([203, 0, 113, last])));
        let session = |first| Caller::Session(RandomId::from_bytes([first; 16]));
        for (caller, endpoint) in [
            (address(1), Endpoint::Enter),
            (address(1), Endpoint::Callback),
            (address(2), Endpoint::Enter),
            (session(1), Endpoint::Enter),
            (session(2), Endpoint::Enter),
            (Caller::Address(None), Endpoint::Enter),
        ] {
            assert_eq!(throttle.take(caller, endpoint), Ok(()), "{caller:?} {endpoint:?}");
            assert!(
                throttle.take(caller, endpoint).is_err(),
                "{caller:?} {endpoint:?}"
            );
        }
        for _ in 0..100 {
            assert_eq!(throttle.take(address(1), Endpoint::Backchannel), Ok(()));
        }
    }
}
