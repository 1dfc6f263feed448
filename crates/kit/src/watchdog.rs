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
const BEAT: Duration = Duration::from_millis(100);
/// Number of checks without a heartbeat after which the process ends: 2 s.
const LOOKS: u32 = 20;

/// State of the heartbeat check.
#[derive(Debug, Default)]
struct Watch {
    last: u64,
    without: u32,
}

impl Watch {
    /// Whether the event loop is blocked. The check counts checks, not time.
    /// If the process is suspended or gets no CPU, the checking thread stops, too. Such a process is not blocked when it continues.
    fn is_stalled(&mut self, beats: u64) -> bool {
        self.without = if beats == self.last { self.without + 1 } else { 0 };
        self.last = beats;
        self.without >= LOOKS
    }
}

/// Starts a thread that ends the process (SIGABRT) when the caller's runtime is blocked for 2 s.
/// It calls `late` ten times a second with the delay of the runtime.
///
/// # Errors
/// The thread cannot be started.
pub fn end_when_stalled(late: impl Fn(Duration) + Send + 'static) -> std::io::Result<()> {
    let beats = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&beats);
    tokio::spawn(async move {
        loop {
            let start = Instant::now();
            tokio::time::sleep(BEAT).await;
            late(start.elapsed().saturating_sub(BEAT));
            beats.fetch_add(1, Ordering::Relaxed);
        }
    });
    let look = move || {
        let mut watch = Watch::default();
        loop {
            thread::sleep(BEAT);
            if watch.is_stalled(seen.load(Ordering::Relaxed)) {
                tracing::error!("the event loop stands still for 2 s; the process ends");
                std::process::abort();
            }
        }
    };
    thread::Builder::new().name("stall".to_owned()).spawn(look)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::Command;

    use super::*;

    /// Environment variable that marks the test's child process.
    const CHILD: &str = "STALL_TEST_SECONDS";

    #[test]
    fn only_many_looks_in_a_row_without_a_sign_are_a_stall() {
        let mut watch = Watch::default();
        for beat in 1..100 {
            for _ in 0..LOOKS - 1 {
                assert!(!watch.is_stalled(beat));
            }
        }
        assert!(!watch.is_stalled(99));
        assert!(watch.is_stalled(99));
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
            end_when_stalled(drop).unwrap();
            tokio::time::sleep(BEAT * 2).await;
            thread::sleep(Duration::from_secs(seconds));
            tokio::time::sleep(BEAT * 2).await;
        });
    }

    fn run_child(seconds: &str) -> std::process::ExitStatus {
        Command::new(std::env::current_exe().unwrap())
            .args(["watchdog::tests::child", "--exact"])
            .env(CHILD, seconds)
            .output()
            .unwrap()
            .status
    }

    #[test]
    fn a_process_whose_loop_stands_still_ends_and_one_that_is_slow_does_not() {
        const SIGABRT: i32 = 6;
        assert_eq!(run_child("10").signal(), Some(SIGABRT));
        assert!(run_child("1").success());
    }
}
