//! Failures in a row of an object -> wait before the next try, with full jitter (in memory).

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;

use crate::support::random;

/// Longest wait after the first failure.
const BASE: Duration = Duration::from_millis(500);
/// Longest wait after any number of failures.
const CAP: Duration = Duration::from_mins(1);

/// Counts failures by object.
#[derive(Debug, Default)]
pub struct Backoff(Mutex<HashMap<String, u32>>);

impl Backoff {
    /// Counts a failure of `key` and returns the wait: random, up to a ceiling that doubles with each failure.
    pub fn after_failure(&self, key: &str) -> Duration {
        let count = {
            let mut failures = self.0.lock();
            let count = failures.entry(key.to_owned()).or_insert(0);
            *count = count.saturating_add(1);
            *count
        };
        up_to(ceiling(count))
    }

    /// Forgets the failures of `key`, because it succeeded or is gone.
    pub fn reset(&self, key: &str) {
        self.0.lock().remove(key);
    }
}

/// The longest wait after this many failures in a row.
fn ceiling(failures: u32) -> Duration {
    BASE.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)))
        .min(CAP)
}

/// Maps random bits to a number from 0 to 1.
fn fraction(bits: u64) -> f64 {
    f64::from(u32::try_from(bits >> 32).unwrap_or(u32::MAX)) / f64::from(u32::MAX)
}

/// A random part of `span`.
pub(crate) fn part(span: Duration) -> Duration {
    span.mul_f64(fraction(random::bits()))
}

/// A random time up to `span`.
pub(crate) fn up_to(span: Duration) -> Duration {
    span.mul_f64(fraction(random::bits()))
}

/// `span` plus or minus up to 10%, so that many objects are not triggered at once.
pub(crate) fn jitter(span: Duration) -> Duration {
    span.mul_f64(0.9 + 0.2 * fraction(random::bits()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_minute_and_objects_do_not_share_them() {
        let ceilings: Vec<_> = (1..=9).map(|count| ceiling(count).as_millis()).collect();
        assert_eq!(
            ceilings,
            [500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000]
        );
        assert_eq!(ceiling(u32::MAX), CAP);
        let backoff = Backoff::default();
        for _ in 0..20 {
            assert!(backoff.after_failure("a") <= CAP);
        }
        assert!(backoff.after_failure("b") <= BASE);
    }

    #[test]
    fn a_success_resets_the_wait() {
        let backoff = Backoff::default();
        for _ in 0..20 {
            backoff.after_failure("a");
        }
        backoff.reset("a");
        assert!(backoff.after_failure("a") <= BASE);
    }
}
