//! client and its rate -> allowed, or the time to wait; the number of clients is bounded (pure).
//!
//! A client with the whole allowance need not be remembered. A full table removes the clients whose allowance is restored soonest. So
//! a flood of unknown clients causes no refusals for others, and the clients with the most requests are remembered the longest.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use crate::rate::Rate;

/// Recent requests of each client.
#[derive(Debug)]
pub(crate) struct Table {
    capacity: usize,
    /// When each client has the whole allowance back.
    whole_at: HashMap<u64, Instant>,
    in_order: BTreeSet<(Instant, u64)>,
}

impl Table {
    /// `capacity`: maximum number of remembered clients.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            whole_at: HashMap::new(),
            in_order: BTreeSet::new(),
        }
    }

    /// Counts one request of `caller` at `now`.
    ///
    /// # Errors
    /// The limit is exceeded. Contains the time until the next one is allowed. The refused request is not counted, so repeated
    /// requests do not extend the wait.
    pub(crate) fn take(&mut self, caller: u64, rate: Rate, now: Instant) -> Result<(), Duration> {
        if rate.every.is_zero() {
            return Ok(());
        }
        let before = self.whole_at.get(&caller).copied();
        let next = rate.take(before, now)?;
        if let Some(before) = before {
            self.in_order.remove(&(before, caller));
        } else if self.whole_at.len() >= self.capacity
            && let Some((_, forgotten)) = self.in_order.pop_first()
        {
            self.whole_at.remove(&forgotten);
        }
        self.whole_at.insert(caller, next);
        self.in_order.insert((next, caller));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;

    const RATE: u32 = 60;

    fn at(seconds: u64) -> Instant {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        *START + Duration::from_secs(seconds)
    }

    #[test]
    fn half_a_minutes_worth_at_once_and_then_one_by_one() {
        let (mut table, rate) = (Table::new(10), Rate::per_minute(RATE));
        for _ in 0..30 {
            assert_eq!(table.take(1, rate, at(5)), Ok(()));
        }
        assert_eq!(table.take(1, rate, at(5)), Err(Duration::from_secs(1)));
        assert_eq!(table.take(2, rate, at(5)), Ok(()), "another client");
        assert_eq!(table.take(1, rate, at(6)), Ok(()));
        assert_eq!(
            table.take(1, rate, at(6)),
            Err(Duration::from_secs(1)),
            "asking did not put it off"
        );
        for _ in 0..30 {
            assert_eq!(table.take(1, rate, at(60)), Ok(()));
        }
        assert!(table.take(1, rate, at(60)).is_err());
    }

    #[test]
    fn without_a_bound_nothing_is_refused_or_remembered() {
        let mut table = Table::new(1);
        for _ in 0..1000 {
            assert_eq!(table.take(1, Rate::per_minute(0), at(0)), Ok(()));
        }
        assert!(table.whole_at.is_empty());
    }

    #[test]
    fn a_flood_of_new_clients_causes_no_refusals_and_a_limited_client_stays_refused() {
        let (mut table, rate) = (Table::new(100), Rate::per_minute(RATE));
        while table.take(0, rate, at(0)).is_ok() {}
        for other in 1..100_000 {
            assert_eq!(table.take(other, rate, at(0)), Ok(()));
        }
        assert_eq!((table.whole_at.len(), table.in_order.len()), (100, 100));
        assert!(table.take(0, rate, at(0)).is_err(), "forgotten");
    }

    proptest! {
        #[test]
        fn no_client_exceeds_the_rate(
            asked in prop::collection::vec((0..4_u64, 0..3_000_u64), 1..400),
        ) {
            let (mut table, rate) = (Table::new(4), Rate::per_minute(RATE));
            let (mut now, mut taken) = (0, [0_u64; 4]);
            for (caller, pause) in asked {
                now += pause;
                if table.take(caller, rate, at(0) + Duration::from_millis(now)).is_ok() {
                    taken[usize::try_from(caller).unwrap()] += 1;
                }
                prop_assert!(table.whole_at.len() <= 4);
                prop_assert_eq!(table.whole_at.len(), table.in_order.len());
                for count in taken {
                    prop_assert!(count <= 30 + now / 1000);
                }
            }
        }
    }
}
