//! a request for a sign-in page -> allowed, or the time to wait (pure but for the clock).
//!
//! `address` finds the client's address, `table` counts, `settings` are the flags. A signed-in user is counted by session. So a flood
//! from an address does not shut out the users behind it.

mod address;
mod settings;
mod table;

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderMap;

pub use self::address::{Network, NoNetwork};
pub use self::settings::RequestLimits;
pub use self::table::Rate;
pub(crate) use self::table::Table;
use crate::tokens::RandomId;

/// How many askers are remembered, of all kinds together: about 2 MiB.
const CAPACITY: usize = 16 * 1024;

/// What is asked for. Each is counted for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum What {
    /// A login begins, or a workspace is entered.
    Enter,
    /// A login or an entry ends.
    Callback,
    /// A stopped workspace is to start.
    Start,
    /// A user signs out.
    SignOut,
    /// The identity provider says that a user signed out.
    Backchannel,
    /// Any other page of the sign-in host.
    Page,
    /// A token that is not known yet comes with a request.
    Token,
}

impl What {
    /// One stable word for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Enter => "enter",
            Self::Callback => "callback",
            Self::Start => "start",
            Self::SignOut => "sign_out",
            Self::Backchannel => "backchannel",
            Self::Page => "page",
            Self::Token => "token",
        }
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Who {
    /// A session.
    Session(RandomId),
    /// A client's address; `None` counts all together that the proxy did not name.
    Address(Option<IpAddr>),
}

impl Who {
    /// One stable word for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Session(_) => "session",
            Self::Address(_) => "address",
        }
    }
}

/// How often each may ask.
#[derive(Debug, Clone)]
pub struct Rates {
    /// Of an address, for each thing that is asked for.
    pub address: Rate,
    /// Of a session, for each thing that is asked for.
    pub session: Rate,
    /// Of an address, for messages of the identity provider.
    pub provider: Rate,
    /// Proxies before ours, whose word about the client's address counts.
    pub trusted: Vec<Network>,
}

impl Rates {
    /// No bounds, for tests and measurements.
    pub fn unbounded() -> Self {
        Self {
            address: Rate::UNBOUNDED,
            session: Rate::UNBOUNDED,
            provider: Rate::UNBOUNDED,
            trusted: Vec::new(),
        }
    }
}

/// Counts who asked how often lately.
#[derive(Debug)]
pub struct Throttle {
    rates: Rates,
    table: Mutex<Table>,
    /// Nobody outside can tell who shares a cell with whom.
    keys: RandomState,
    start: Instant,
}

impl Throttle {
    /// Nobody asked yet.
    pub fn new(rates: Rates) -> Self {
        Self {
            rates,
            table: Mutex::new(Table::new(CAPACITY)),
            keys: RandomState::new(),
            start: Instant::now(),
        }
    }

    /// The client's address, as the proxy says.
    pub fn client(&self, headers: &HeaderMap) -> Option<IpAddr> {
        address::client(headers, &self.rates.trusted)
    }

    /// Counts a request.
    ///
    /// # Errors
    /// It is one too many: one is allowed again after this time.
    pub fn take(&self, who: Who, what: What) -> Result<(), Duration> {
        let rate = match (who, what) {
            (Who::Session(_), _) => self.rates.session,
            (Who::Address(_), What::Backchannel) => self.rates.provider,
            (Who::Address(_), _) => self.rates.address,
        };
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.take(self.keys.hash_one((who, what)), rate, self.start.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_addresses_and_things_are_counted_apart() {
        let throttle = Throttle::new(Rates {
            address: Rate::per_minute(2),
            session: Rate::per_minute(2),
            ..Rates::unbounded()
        });
        let address = |last| Who::Address(Some(IpAddr::from([203, 0, 113, last])));
        let session = |first| Who::Session(RandomId::from_bytes([first; 16]));
        for (who, what) in [
            (address(1), What::Enter),
            (address(1), What::Callback),
            (address(2), What::Enter),
            (session(1), What::Enter),
            (session(2), What::Enter),
            (Who::Address(None), What::Enter),
        ] {
            assert_eq!(throttle.take(who, what), Ok(()), "{who:?} {what:?}");
            assert!(throttle.take(who, what).is_err(), "{who:?} {what:?}");
        }
        for _ in 0..100 {
            assert_eq!(throttle.take(address(1), What::Backchannel), Ok(()));
        }
    }
}
