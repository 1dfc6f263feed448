//! recent requests of a caller, or lines of a log -> allowed, or the time to wait (pure).
//!
//! The generic cell rate algorithm: what is remembered of a caller is when its whole allowance is back. `server::throttle` remembers
//! many callers.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Time after which one more is allowed; zero: no limit.
    pub(crate) every: Duration,
    /// Number that is allowed at once.
    burst: u32,
}

impl Rate {
    /// No limit.
    pub const UNBOUNDED: Self = Self {
        every: Duration::ZERO,
        burst: 1,
    };

    /// `count` per minute, half of them at once; 0 is no limit.
    pub fn per_minute(count: u32) -> Self {
        match Duration::from_mins(1).checked_div(count) {
            Some(every) => Self {
                every,
                burst: count.div_ceil(2),
            },
            None => Self::UNBOUNDED,
        }
    }

    /// When the whole allowance is back after one more at `now`. `whole_at`: when it is back before that.
    ///
    /// # Errors
    /// The limit is exceeded. Contains the time until the next one is allowed.
    pub(crate) fn take(self, whole_at: Option<Instant>, now: Instant) -> Result<Instant, Duration> {
        let whole_at = whole_at.map_or(now, |whole_at| whole_at.max(now));
        let latest = now + self.every * self.burst.saturating_sub(1);
        match whole_at.saturating_duration_since(latest) {
            Duration::ZERO => Ok(whole_at + self.every),
            wait => Err(wait),
        }
    }
}

/// Rate limit for log lines of one kind that clients cause.
pub(crate) struct LogLimit {
    rate: Rate,
    /// When the whole burst is available again, and the number of suppressed lines since the last allowed one.
    state: Mutex<(Option<Instant>, u64)>,
}

impl LogLimit {
    /// Allows `burst` lines at once, then one per `every`.
    pub(crate) const fn new(burst: u32, every: Duration) -> Self {
        Self {
            rate: Rate { every, burst },
            state: Mutex::new((None, 0)),
        }
    }

    /// If a line is allowed now, the number of suppressed lines since the last one; else `None`.
    pub(crate) fn turn(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(next) = self.rate.take(state.0, now) else {
            state.1 += 1;
            return None;
        };
        let (_, left_out) = std::mem::replace(&mut *state, (Some(next), 0));
        Some(left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

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
