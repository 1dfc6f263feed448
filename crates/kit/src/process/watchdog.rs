//! Blocked event loop -> end of the process, so that another replica takes over (IO).
//!
//! A process whose worker threads are all blocked answers no request, and its peers wait on open connections.
//! The kubelet would notice only after half a minute.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use tokio::time::Instant;

/// Interval of the event loop's heartbeat, and of the check for it.
const INTERVAL: Duration = Duration::from_millis(100);
/// Number of checks without a heartbeat after which the process ends: 2 s.
const CHECKS: u32 = 20;

/// State of the heartbeat check.
#[derive(Debug, Default)]
struct Watch {
    last: u64,
    without: u32,
}

impl Watch {
    /// Whether the event loop is blocked. The check counts checks, not time.
    /// If the process is suspended or gets no CPU, the checking thread stops, too. Such a process is not blocked when it continues.
    fn is_blocked(&mut self, beats: u64) -> bool {
        self.without = if beats == self.last { self.without + 1 } else { 0 };
        self.last = beats;
        self.without >= CHECKS
    }
}

/// Starts a thread that ends the process (SIGABRT) when the caller's runtime is blocked for 2 s.
/// It calls `on_delay` ten times a second with the delay of the runtime.
///
/// # Errors
/// The thread cannot be started.
pub fn abort_when_blocked(on_delay: impl Fn(Duration) + Send + 'static) -> std::io::Result<()> {
    let beats = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&beats);
    tokio::spawn(async move {
        loop {
            let start = Instant::now();
            tokio::time::sleep(INTERVAL).await;
            on_delay(start.elapsed().saturating_sub(INTERVAL));
            beats.fetch_add(1, Ordering::Relaxed);
        }
    });
    let check = move || {
        let mut watch = Watch::default();
        loop {
            thread::sleep(INTERVAL);
            if watch.is_blocked(seen.load(Ordering::Relaxed)) {
                tracing::error!("the event loop was blocked for 2 s; the process exits");
                std::process::abort();
            }
        }
    };
    thread::Builder::new().name("watchdog".to_owned()).spawn(check)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::Command;

    use super::*;

    /// Environment variable that marks the test's child process.
    const CHILD: &str = "WATCHDOG_TEST_SECONDS";

    #[test]
    fn the_loop_is_blocked_after_many_checks_in_a_row_without_a_heartbeat() {
        let mut watch = Watch::default();
        for beat in 1..100 {
            for _ in 0..CHECKS - 1 {
                assert!(!watch.is_blocked(beat));
            }
        }
        assert!(!watch.is_blocked(99));
        assert!(watch.is_blocked(99));
    }

    /// Blocks its event loop for the given time. Does nothing in a normal test run.
    #[test]
    fn child() {
        let Some(seconds) = std::env::var(CHILD).ok().and_then(|text| text.parse().ok()) else {
            return;
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            abort_when_blocked(drop).unwrap();
            tokio::time::sleep(INTERVAL * 2).await;
            thread::sleep(Duration::from_secs(seconds));
            tokio::time::sleep(INTERVAL * 2).await;
        });
    }

    fn run_child(seconds: &str) -> std::process::ExitStatus {
        Command::new(std::env::current_exe().unwrap())
            .args(["process::watchdog::tests::child", "--exact"])
            .env(CHILD, seconds)
            .output()
            .unwrap()
            .status
    }

    #[test]
    fn a_process_with_a_blocked_loop_aborts_and_a_slow_one_continues() {
        const SIGABRT: i32 = 6;
        assert_eq!(run_child("10").signal(), Some(SIGABRT));
        assert!(run_child("1").success());
    }
}
