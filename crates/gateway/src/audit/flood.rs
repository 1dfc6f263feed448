//! refusals as they come -> which get a record of their own, and how many did not (pure).
//!
//! Strangers have one budget together, and each session has its own: nobody can use up another's. They are kept in `throttle`'s
//! table: when it is full, those go that are nearly whole again, so that nobody gets a new budget by signing in often.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use tokio::time::Instant;

use crate::crypto::tokens::RandomId;
use crate::throttle::{Rate, Table};

/// 100 refusals may come at once, and then one has a record of its own each time so much has passed.
const RATE: Rate = Rate::new(EACH, 100);
const EACH: Duration = Duration::from_millis(100);
/// Most sessions whose budgets are remembered.
const MOST: usize = 10_000;

/// Who was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whom {
    /// Nobody knows whom.
    Stranger,
    /// The person of a session.
    Session(RandomId),
}

/// Lets through as many as people read, and counts the rest.
#[derive(Debug)]
pub(super) struct Floods {
    start: Instant,
    strangers: Table,
    sessions: Table,
    keys: RandomState,
    more: More,
}

/// Refusals without a record of their own.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct More {
    /// Of strangers.
    pub(super) strangers: u64,
    /// Of people with a session.
    pub(super) sessions: u64,
}

impl Floods {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            start: now,
            strangers: Table::new(1),
            sessions: Table::new(MOST),
            keys: RandomState::new(),
            more: More::default(),
        }
    }

    /// Whether this one gets its own record.
    pub(super) fn admits(&mut self, who: Whom, now: Instant) -> bool {
        let (table, key, more) = match who {
            Whom::Stranger => (&mut self.strangers, 0, &mut self.more.strangers),
            Whom::Session(id) => (
                &mut self.sessions,
                self.keys.hash_one(id),
                &mut self.more.sessions,
            ),
        };
        let admits = table.take(key, RATE, now.duration_since(self.start)).is_ok();
        *more += u64::from(!admits);
        admits
    }

    /// How many had none since this was asked last.
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
    fn neither_strangers_nor_one_session_use_up_another_s_budget() {
        let now = Instant::now();
        let mut floods = Floods::new(now);
        let mallory = Whom::Session(RandomId::new().unwrap());
        for _ in 0..1000 {
            stranger(&mut floods, now);
            floods.admits(mallory, now);
        }
        let alice = Whom::Session(RandomId::new().unwrap());
        assert!(floods.admits(alice, now));
        let expected = More {
            strangers: 900,
            sessions: 900,
        };
        assert_eq!(floods.take(), expected);
        for _ in 0..2 * MOST {
            assert!(floods.admits(Whom::Session(RandomId::new().unwrap()), now));
        }
        assert!(!floods.admits(mallory, now), "the others gave her a new budget");
    }
}
