//! an event loop that stands still -> the end of the process, so that another takes its place (IO).
//!
//! A process whose workers are all held up answers nobody, and its peers wait: they see a connection that is open. The
//! kubelet would notice after half a minute.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use tokio::time::Instant;

/// How often the loop gives a sign, and how often somebody looks for one.
const BEAT: Duration = Duration::from_millis(100);
/// Looks without a sign after which the process ends: 2 s.
const LOOKS: u32 = 20;

/// Who looks for signs.
#[derive(Debug, Default)]
struct Watch {
    last: u64,
    without: u32,
}

impl Watch {
    /// Whether the loop stands still. Looks are counted instead of time: whoever stops or starves the process stops and starves
    /// the one who looks as well, and when it goes on nothing is wrong with it.
    fn is_stalled(&mut self, beats: u64) -> bool {
        self.without = if beats == self.last { self.without + 1 } else { 0 };
        self.last = beats;
        self.without >= LOOKS
    }
}

/// From now on ends the process (SIGABRT) when the runtime of the caller does nothing for 2 s. `late` is told, ten times a
/// second, how late the runtime was for that.
///
/// # Errors
/// The thread that looks cannot be started.
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

    /// Names the test that plays the process.
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

    /// Holds its event loop up for as long as it is told; does nothing when it is run like other tests.
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
