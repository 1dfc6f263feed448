//! User and time of a request -> allowed, or too soon after the last one (in memory).

use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::sync::Cache;
use parking_lot::Mutex;

/// Requests of one user in a second.
const PER_SECOND: u32 = 5;
/// Users that are remembered at most.
const USERS: u64 = 16 * 1024;

/// Limits how often each user asks: five requests at once, then one every 200 ms.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    /// When the user's requests so far are used up.
    free_at: Cache<String, Arc<Mutex<Instant>>>,
}

impl Default for Pace {
    fn default() -> Self {
        let free_at = Cache::builder()
            .max_capacity(USERS)
            .time_to_idle(Duration::from_secs(10))
            .build();
        Self { free_at }
    }
}

impl Pace {
    /// Whether the user may ask at `now`. If so, it counts.
    pub(crate) fn allows(&self, user: &str, now: Instant) -> bool {
        let interval = Duration::from_secs(1) / PER_SECOND;
        let of_user = self.free_at.get_with_by_ref(user, || Arc::new(Mutex::new(now)));
        let mut free_at = of_user.lock();
        let from = (*free_at).max(now);
        if from.duration_since(now) > interval * (PER_SECOND - 1) {
            return false;
        }
        *free_at = from + interval;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_requests_pass_at_once_and_then_one_every_200_ms() {
        let pace = Pace::default();
        let start = Instant::now();
        let at = |milliseconds: u64| start + Duration::from_millis(milliseconds);
        let passed = (0..10).filter(|_| pace.allows("alice", at(0))).count();
        assert_eq!(passed, 5);
        assert!(!pace.allows("alice", at(150)));
        assert!(pace.allows("alice", at(200)));
        assert!(!pace.allows("alice", at(200)));
        let later = (0..10).filter(|_| pace.allows("alice", at(5000))).count();
        assert_eq!(later, 5, "time that was not used does not add up");
    }

    #[test]
    fn users_do_not_slow_each_other() {
        let pace = Pace::default();
        let now = Instant::now();
        while pace.allows("alice", now) {}
        assert!(pace.allows("bob", now));
    }
}
