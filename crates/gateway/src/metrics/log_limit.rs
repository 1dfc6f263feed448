//! log lines that clients cause -> a bounded rate, and a count of the rest (reads the clock).

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Rate limit for log lines of one kind. The same algorithm as `server::throttle::Table`, for a single caller.
pub(crate) struct LogLimit {
    /// Time after which one more line is allowed.
    every: Duration,
    /// Lines allowed at once.
    burst: u32,
    state: Mutex<State>,
}

struct State {
    /// When the whole burst is available again.
    whole_at: Option<Instant>,
    /// Number of suppressed lines since the last allowed one.
    left_out: u64,
}

impl LogLimit {
    /// Allows `burst` lines at once, then one per `every`.
    pub(crate) const fn new(burst: u32, every: Duration) -> Self {
        let state = State {
            whole_at: None,
            left_out: 0,
        };
        Self {
            every,
            burst,
            state: Mutex::new(state),
        }
    }

    /// If a line is allowed now, the number of suppressed lines since the last one; else `None`.
    pub(crate) fn turn(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let whole_at = state.whole_at.map_or(now, |whole_at| whole_at.max(now));
        if whole_at > now + self.every * self.burst.saturating_sub(1) {
            state.left_out += 1;
            return None;
        }
        state.whole_at = Some(whole_at + self.every);
        Some(std::mem::take(&mut state.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn one_line_a_second_has_the_number_of_suppressed_lines() {
        let (limit, start) = (LogLimit::new(1, SECOND), Instant::now());
        assert_eq!(limit.turn(start), Some(0));
        assert_eq!(limit.turn(start + SECOND / 2), None);
        assert_eq!(limit.turn(start + SECOND / 2), None);
        assert_eq!(limit.turn(start + SECOND), Some(2));
        assert_eq!(limit.turn(start + SECOND * 2), Some(0));
    }

    #[test]
    fn a_flood_has_its_burst_and_then_as_many_as_the_rate_allows() {
        let (limit, start) = (LogLimit::new(50, SECOND / 10), Instant::now());
        let message = |now| (0..1000).filter(|_| limit.turn(now).is_some()).count();
        assert_eq!((message(start), message(start + SECOND)), (50, 10));
        assert_eq!(limit.turn(start + 2 * SECOND), Some(990));
        assert_eq!(
            message(start + 60 * SECOND),
            50,
            "no more than the burst is saved up"
        );
    }
}
