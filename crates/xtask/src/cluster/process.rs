//! Process to be started -> its line in `node.sh` (pure); waits (IO).

use std::fmt::Write as _;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

/// Polling interval of waits.
const POLL: Duration = Duration::from_millis(50);

/// A process to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Service {
    /// Short name, also of its log.
    pub(crate) name: &'static str,
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
}

impl Service {
    /// The line of `node.sh` that runs it in the node's network.
    pub(crate) fn line(&self) -> String {
        let mut line = format!("run {} '{}'", self.name, self.program.display());
        for arg in &self.args {
            let _ = write!(line, " '{arg}'");
        }
        line
    }
}

/// Polls until the condition holds, at most for `limit`; returns whether it held.
pub(crate) fn wait_until(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !holds() {
        if start.elapsed() >= limit {
            return false;
        }
        thread::sleep(POLL);
    }
    true
}
