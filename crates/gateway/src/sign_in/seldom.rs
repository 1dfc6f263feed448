//! lines of the log that strangers can cause -> one a second at most, which says how many had none (pure but for the clock).

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Shortest time between two lines.
const PAUSE: Duration = Duration::from_secs(1);

/// When the last line was written, and how many were left out since.
pub(super) struct Seldom(Mutex<(Option<Instant>, u64)>);

impl Seldom {
    pub(super) const fn new() -> Self {
        Self(Mutex::new((None, 0)))
    }

    /// How many lines had no turn since the last one, if this one has.
    pub(super) fn turn(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, left_out) = &mut *state;
        if last.is_some_and(|last| now.duration_since(last) < PAUSE) {
            *left_out += 1;
            return None;
        }
        *last = Some(now);
        Some(std::mem::take(left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_second_says_how_many_were_left_out() {
        let (seldom, start) = (Seldom::new(), Instant::now());
        assert_eq!(seldom.turn(start), Some(0));
        assert_eq!(seldom.turn(start + PAUSE / 2), None);
        assert_eq!(seldom.turn(start + PAUSE / 2), None);
        assert_eq!(seldom.turn(start + PAUSE), Some(2));
        assert_eq!(seldom.turn(start + PAUSE * 2), Some(0));
    }
}
