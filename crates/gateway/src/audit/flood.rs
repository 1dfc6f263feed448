//! refusals -> which get a record of their own, and the number of the rest (pure).
//!
//! All unauthenticated clients share one budget. Each user has one budget for all their sessions, so no user can use up
//! another's. All users together have one as well, so that refusals do not push other records out of the stored log. Budgets of
//! users are in `throttle`'s table. When it is full, those are removed that are nearly whole again.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use tokio::time::Instant;

use crate::server::throttle::{Rate, Table};

/// 100 refusals at once get records of their own, then one per this interval.
const RATE: Rate = Rate::new(EACH, 100);
const EACH: Duration = Duration::from_millis(100);
/// The same for all users together.
const RATE_OF_ALL: Rate = Rate::new(Duration::from_millis(20), 500);
/// Maximum number of users whose budgets are remembered.
const MAX_ENTRIES: usize = 10_000;

/// The user who was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject<'a> {
    /// An unknown client.
    Anonymous,
    /// A user with this Kubernetes user name.
    User(&'a str),
}

/// Admits refusals within the budgets, and counts the rest.
#[derive(Debug)]
pub(super) struct RecordLimits {
    start: Instant,
    anonymous: Table,
    users: Table,
    all_users: Table,
    keys: RandomState,
    suppressed: Suppressed,
}

/// Number of refusals without a record of their own.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Suppressed {
    /// Of unknown clients.
    pub(super) anonymous: u64,
    /// Of users.
    pub(super) users: u64,
}

impl RecordLimits {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            start: now,
            anonymous: Table::new(1),
            users: Table::new(MAX_ENTRIES),
            all_users: Table::new(1),
            keys: RandomState::new(),
            suppressed: Suppressed::default(),
        }
    }

    /// Whether this refusal gets a record of its own.
    pub(super) fn admits(&mut self, who: Subject<'_>, now: Instant) -> bool {
        let now = now.duration_since(self.start);
        let (admits, suppressed) = match who {
            Subject::Anonymous => (
                self.anonymous.take(0, RATE, now).is_ok(),
                &mut self.suppressed.anonymous,
            ),
            Subject::User(name) => {
                let own = self.users.take(self.keys.hash_one(name), RATE, now);
                let admits = own.is_ok() && self.all_users.take(0, RATE_OF_ALL, now).is_ok();
                (admits, &mut self.suppressed.users)
            }
        };
        *suppressed += u64::from(!admits);
        admits
    }

    /// Number of refusals without a record since the last call.
    pub(super) fn take(&mut self) -> Suppressed {
        std::mem::take(&mut self.suppressed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anonymous(record_limits: &mut RecordLimits, now: Instant) -> bool {
        record_limits.admits(Subject::Anonymous, now)
    }

    #[test]
    fn single_refusals_are_all_recorded_and_ten_per_second_of_a_flood() {
        let start = Instant::now();
        let mut record_limits = RecordLimits::new(start);
        let admitted = (0..1000).filter(|_| anonymous(&mut record_limits, start)).count();
        assert_eq!((admitted, record_limits.take().anonymous), (100, 900));
        assert_eq!(record_limits.take(), Suppressed::default());
        let later = start + Duration::from_secs(1);
        let admitted = (0..1000).filter(|_| anonymous(&mut record_limits, later)).count();
        assert_eq!((admitted, record_limits.take().anonymous), (10, 990));
        let mut usual = (0..1000).map(|n| start + Duration::from_secs(2) + EACH * n);
        assert!(usual.all(|now| anonymous(&mut record_limits, now)));
    }

    #[test]
    fn the_record_limit_counts_fractions_of_its_interval() {
        let start = Instant::now();
        let mut record_limits = RecordLimits::new(start);
        while anonymous(&mut record_limits, start) {}
        let ticks = (1..=40).map(|n| start + Duration::from_millis(150) * n);
        let admitted = ticks.filter(|now| anonymous(&mut record_limits, *now)).count();
        assert_eq!(admitted, 40);
        let mut quick = RecordLimits::new(start);
        while anonymous(&mut quick, start) {}
        let ticks = (1..=100).map(|n| start + Duration::from_millis(60) * n);
        let admitted = ticks.filter(|now| anonymous(&mut quick, *now)).count();
        assert_eq!(admitted, 60, "six seconds");
    }

    #[test]
    fn each_user_has_a_record_limit_of_their_own() {
        let now = Instant::now();
        let mut record_limits = RecordLimits::new(now);
        for _ in 0..1000 {
            anonymous(&mut record_limits, now);
            record_limits.admits(Subject::User("mallory"), now);
        }
        assert!(record_limits.admits(Subject::User("alice"), now));
        let expected = Suppressed {
            anonymous: 900,
            users: 900,
        };
        assert_eq!(record_limits.take(), expected);
    }

    #[test]
    fn all_users_together_have_a_record_limit() {
        let now = Instant::now();
        let mut record_limits = RecordLimits::new(now);
        let admitted = (0..2 * MAX_ENTRIES)
            .filter(|number| record_limits.admits(Subject::User(&number.to_string()), now));
        assert_eq!(admitted.count(), 500);
        let later = now + Duration::from_secs(1);
        let admitted =
            (0..1000).filter(|number| record_limits.admits(Subject::User(&format!("{number}b")), later));
        assert_eq!(admitted.count(), 50);
    }
}
