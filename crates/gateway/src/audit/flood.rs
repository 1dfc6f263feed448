//! refusals -> which get a record of their own, and the number of the rest (pure).
//!
//! All strangers together have one budget. Each user has one of their own, whatever their sessions, so no user can use up
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
const MOST: usize = 10_000;

/// The user who was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whom<'a> {
    /// An unknown client.
    Stranger,
    /// A user with this Kubernetes user name.
    User(&'a str),
}

/// Admits refusals within the budgets, and counts the rest.
#[derive(Debug)]
pub(super) struct Floods {
    start: Instant,
    strangers: Table,
    users: Table,
    all_users: Table,
    keys: RandomState,
    more: More,
}

/// Number of refusals without a record of their own.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct More {
    /// Of unknown clients.
    pub(super) strangers: u64,
    /// Of users.
    pub(super) users: u64,
}

impl Floods {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            start: now,
            strangers: Table::new(1),
            users: Table::new(MOST),
            all_users: Table::new(1),
            keys: RandomState::new(),
            more: More::default(),
        }
    }

    /// Whether this refusal gets a record of its own.
    pub(super) fn admits(&mut self, who: Whom<'_>, now: Instant) -> bool {
        let now = now.duration_since(self.start);
        let (admits, more) = match who {
            Whom::Stranger => (
                self.strangers.take(0, RATE, now).is_ok(),
                &mut self.more.strangers,
            ),
            Whom::User(name) => {
                let own = self.users.take(self.keys.hash_one(name), RATE, now);
                let admits = own.is_ok() && self.all_users.take(0, RATE_OF_ALL, now).is_ok();
                (admits, &mut self.more.users)
            }
        };
        *more += u64::from(!admits);
        admits
    }

    /// Number of refusals without a record since the last call.
    pub(super) fn take(&mut self) -> More {
        std::mem::take(&mut self.more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stranger(floods: &mut Floods, now: Instant) -> bool {
        floods.admits(Whom::Stranger, now)
    }

    #[test]
    fn usual_refusals_all_have_a_record_and_of_a_flood_ten_per_second_do() {
        let start = Instant::now();
        let mut floods = Floods::new(start);
        let admitted = (0..1000).filter(|_| stranger(&mut floods, start)).count();
        assert_eq!((admitted, floods.take().strangers), (100, 900));
        assert_eq!(floods.take(), More::default());
        let later = start + Duration::from_secs(1);
        let admitted = (0..1000).filter(|_| stranger(&mut floods, later)).count();
        assert_eq!((admitted, floods.take().strangers), (10, 990));
        let mut usual = (0..1000).map(|n| start + Duration::from_secs(2) + EACH * n);
        assert!(usual.all(|now| stranger(&mut floods, now)));
    }

    #[test]
    fn no_time_between_refusals_is_lost() {
        let start = Instant::now();
        let mut floods = Floods::new(start);
        while stranger(&mut floods, start) {}
        let ticks = (1..=40).map(|n| start + Duration::from_millis(150) * n);
        let admitted = ticks.filter(|now| stranger(&mut floods, *now)).count();
        assert_eq!(admitted, 40);
        let mut quick = Floods::new(start);
        while stranger(&mut quick, start) {}
        let ticks = (1..=100).map(|n| start + Duration::from_millis(60) * n);
        let admitted = ticks.filter(|now| stranger(&mut quick, *now)).count();
        assert_eq!(admitted, 60, "six seconds");
    }

    #[test]
    fn neither_strangers_nor_one_user_use_up_another_s_budget() {
        let now = Instant::now();
        let mut floods = Floods::new(now);
        for _ in 0..1000 {
            stranger(&mut floods, now);
            floods.admits(Whom::User("mallory"), now);
        }
        assert!(floods.admits(Whom::User("alice"), now));
        let expected = More {
            strangers: 900,
            users: 900,
        };
        assert_eq!(floods.take(), expected);
    }

    #[test]
    fn all_users_together_have_a_bound_and_who_is_new_has_no_new_budget() {
        let now = Instant::now();
        let mut floods = Floods::new(now);
        let admitted = (0..2 * MOST).filter(|number| floods.admits(Whom::User(&number.to_string()), now));
        assert_eq!(admitted.count(), 500);
        let later = now + Duration::from_secs(1);
        let admitted = (0..1000).filter(|number| floods.admits(Whom::User(&format!("{number}b")), later));
        assert_eq!(admitted.count(), 50);
    }
}
