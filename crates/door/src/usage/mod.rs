//! A request, or data of a websocket -> whether somebody acts or a page is only open (pure).
//!
//! Pages ask and send by themselves as long as they are open, and some do so when nobody has looked at them for days. What they do
//! by themselves is presence; the operator lets it count for a while (docs/using.md).

use std::time::Duration;

use http::{HeaderMap, Method};

use crate::frames::Data;

/// What a client sends by itself when it connects comes within this time, also after a laptop has slept.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The same of VS Code, which needs more than twenty seconds on a slow machine.
const HANDSHAKE_OF_CODE: Duration = Duration::from_secs(30);
/// As many frames as this within [`TOGETHER`] are no page's own: a shared document sends up to three each ten seconds.
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

/// Whose page is at the other end of a websocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    /// Of a kernel or a terminal of Jupyter: each frame is what somebody runs or types.
    Jupyter,
    /// VS Code: short frames are its own.
    Code,
    Other,
}

impl Client {
    /// By the path of the handshake, whatever comes before the part that the application gives it.
    fn of(path: &str) -> Self {
        let of_kernel = path.ends_with("/channels") && path.contains("/api/kernels/");
        if of_kernel || path.contains("/terminals/websocket/") {
            Self::Jupyter
        } else if is_of_code(path) {
            Self::Code
        } else {
            Self::Other
        }
    }
}

/// Whether it ends with quality and commit of a VS Code server, which are `oss-dev` where its build names none.
fn is_of_code(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let is_commit = |text: &str| text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    name == "oss-dev" || name.rsplit_once('-').is_some_and(|(_, commit)| is_commit(commit))
}

/// Sorts the data that the client of one websocket sends.
#[derive(Debug)]
pub(crate) struct Socket {
    client: Client,
    /// When the last frames came that count, since the handshake; the oldest one is next to be replaced.
    last: [Option<Duration>; FRAMES - 1],
    oldest: usize,
}

impl Socket {
    /// `path`: of the handshake.
    pub(crate) fn new(path: &str) -> Self {
        Self {
            client: Client::of(path),
            last: [None; FRAMES - 1],
            oldest: 0,
        }
    }

    /// What data tells. `since`: the time since the handshake.
    pub(crate) fn sort(&mut self, data: Data, since: Duration) -> Usage {
        let (handshake, frames) = match self.client {
            Client::Jupyter | Client::Other => (HANDSHAKE, data.frames),
            Client::Code => (HANDSHAKE_OF_CODE, data.long),
        };
        if since < handshake {
            return Usage::Presence;
        }
        let mut acts = self.client == Client::Jupyter;
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
