//! denials as they come -> which get a record of their own, and how many did not (pure).

use std::time::Duration;

use tokio::time::Instant;

/// Denials that may come at once.
const BURST: u32 = 100;
/// Time after which one more has a record of its own.
const EACH: Duration = Duration::from_millis(100);

/// Lets through as many as people read, and counts the rest.
#[derive(Debug)]
pub(super) struct Flood {
    left: u32,
    since: Instant,
    more: u64,
}

impl Flood {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            left: BURST,
            since: now,
            more: 0,
        }
    }

    /// Whether this one gets its own record.
    pub(super) fn admits(&mut self, now: Instant) -> bool {
        let earned = now.duration_since(self.since).as_millis() / EACH.as_millis();
        let earned = u32::try_from(earned).unwrap_or(u32::MAX);
        if earned > 0 {
            self.left = self.left.saturating_add(earned).min(BURST);
            self.since = now;
        }
        if self.left == 0 {
            self.more += 1;
            return false;
        }
        self.left -= 1;
        true
    }

    /// How many had none since this was asked last.
    pub(super) fn take(&mut self) -> u64 {
        std::mem::take(&mut self.more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_denials_all_have_a_record_and_of_a_flood_ten_per_second_do() {
        let start = Instant::now();
        let mut flood = Flood::new(start);
        let admitted = (0..1000).filter(|_| flood.admits(start)).count();
        assert_eq!((admitted, flood.take(), flood.take()), (100, 900, 0));
        let later = start + Duration::from_secs(1);
        let admitted = (0..1000).filter(|_| flood.admits(later)).count();
        assert_eq!((admitted, flood.take()), (10, 990));
        let mut usual = (0..1000).map(|n| start + Duration::from_secs(2) + EACH * n);
        assert!(usual.all(|now| flood.admits(now)));
    }
}
