//! A request, or data of a websocket -> whether somebody acts or a page is only open (pure).
//!
//! Pages ask and send by themselves as long as they are open, and some do so when nobody has looked at them for days. What they do
//! by themselves is presence; the operator lets it count for a while (docs/using.md).

use std::time::Duration;

use http::{HeaderMap, Method};

/// Of each websocket: what a client sends by itself when it connects, also after a laptop has slept, comes within this time. VS Code needs
/// more than twenty seconds on a slow machine.
const HANDSHAKE: Duration = Duration::from_secs(30);
/// Bytes of a frame that says more than that a page is there. What VS Code sends by itself, once a second and in bursts, is the head of a
/// message, of 13 bytes, and hardly more.
pub(crate) const LONG: u64 = 24;
/// As many long frames as this within [`TOGETHER`] are no page's own: a shared document sends up to three each ten seconds.
const FRAMES: usize = 5;
/// What is typed slowly comes within this time.
const TOGETHER: Duration = Duration::from_secs(3);

/// What a use tells of people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Usage {
    /// Somebody acts.
    User,
    /// A page is open, or a program asks.
    Presence,
}

/// Paths on which the application's pages send by themselves. One that ends with `/` is all that is below it.
#[derive(Debug, Default)]
pub(crate) struct Background(Vec<String>);

impl Background {
    /// `base`: with `/` at both ends. `paths`: below it, with `/` at the beginning.
    pub(crate) fn new(base: &str, paths: &[String]) -> Self {
        let below = |path: &String| format!("{base}{}", path.trim_start_matches('/'));
        Self(paths.iter().map(below).collect())
    }

    fn contains(&self, path: &str) -> bool {
        self.0
            .iter()
            .any(|named| path == named || named.ends_with('/') && path.starts_with(named.as_str()))
    }

    /// What a request tells: a page that a browser loads, and what changes something, is an act.
    pub(crate) fn sort(&self, method: &Method, path: &str, headers: &HeaderMap) -> Usage {
        let reads = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        let acts = !reads
            || headers
                .get("sec-fetch-mode")
                .is_some_and(|mode| mode == "navigate");
        if acts && !self.contains(path) {
            Usage::User
        } else {
            Usage::Presence
        }
    }
}

/// Sorts the data that the client of one websocket sends.
#[derive(Debug)]
pub(crate) struct Socket {
    /// Of a kernel or a terminal: each frame is an act.
    is_jupyter: bool,
    /// When the last long frames came, since the handshake; the oldest one is next to be replaced.
    last: [Option<Duration>; FRAMES - 1],
    oldest: usize,
}

impl Socket {
    /// `path`: of the handshake. What comes on Jupyter's sockets of kernels and terminals is what somebody runs or types.
    pub(crate) fn new(path: &str) -> Self {
        let of_kernel = path.ends_with("/channels") && path.contains("/api/kernels/");
        Self {
            is_jupyter: of_kernel || path.contains("/terminals/websocket/"),
            last: [None; FRAMES - 1],
            oldest: 0,
        }
    }

    /// What data tells. `frames`: as many long ones begin in it; `since`: the time since the handshake.
    pub(crate) fn sort(&mut self, frames: usize, since: Duration) -> Usage {
        if since < HANDSHAKE {
            return Usage::Presence;
        }
        let mut acts = self.is_jupyter;
        // More tell nothing more.
        for _ in 0..frames.min(FRAMES) {
            let together =
                self.last[self.oldest].is_some_and(|oldest| since.saturating_sub(oldest) <= TOGETHER);
            acts |= together;
            self.last[self.oldest] = Some(since);
            self.oldest = (self.oldest + 1) % self.last.len();
        }
        if acts { Usage::User } else { Usage::Presence }
    }
}

#[cfg(test)]
mod tests;
