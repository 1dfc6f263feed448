//! Recent requests of a key, or lines of a log -> allowed, or the time to wait (in memory).
//!
//! The generic cell rate algorithm: what is remembered of a key is when its whole allowance is back. `RateLimit` of tower counts all
//! requests together, and makes them wait instead of refusing them.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// A rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Time after which one more is allowed; zero: no limit.
    every: Duration,
    /// Number that is allowed at once.
    burst: u32,
}

impl Rate {
    /// No limit.
    pub const UNBOUNDED: Self = Self {
        every: Duration::ZERO,
        burst: 1,
    };

    /// `burst` at once, then one per `every`; zero is no limit.
    pub const fn new(burst: u32, every: Duration) -> Self {
        Self { every, burst }
    }

    /// `count` per minute, half of them at once; 0 is no limit.
    pub fn per_minute(count: u32) -> Self {
        match Duration::from_mins(1).checked_div(count) {
            Some(every) => Self::new(count.div_ceil(2), every),
            None => Self::UNBOUNDED,
        }
    }

    /// When the whole allowance is back after one more at `now`. `whole_at`: when it is back before that.
    ///
    /// # Errors
    /// The limit is exceeded. Contains the time until the next one is allowed.
    fn take(self, whole_at: Option<Instant>, now: Instant) -> Result<Instant, Duration> {
        let whole_at = whole_at.map_or(now, |whole_at| whole_at.max(now));
        let latest = now + self.every * self.burst.saturating_sub(1);
        match whole_at.saturating_duration_since(latest) {
            Duration::ZERO => Ok(whole_at + self.every),
            wait => Err(wait),
        }
    }
}

/// Counts recent requests by key, within a rate for each. The number of keys is bounded.
///
/// A key with the whole allowance need not be remembered. A full table removes the keys whose allowance is restored soonest. So a flood of
/// unknown keys causes no refusals for others, and the keys with the most requests are remembered the longest.
#[derive(Debug)]
pub struct KeyedRate {
    capacity: usize,
    table: Mutex<Table>,
    /// Random hash keys: clients cannot find out which of them share a cell.
    hashes: RandomState,
}

#[derive(Debug, Default)]
struct Table {
    /// When each key has the whole allowance back.
    whole_at: HashMap<u64, Instant>,
    in_order: BTreeSet<(Instant, u64)>,
}

impl KeyedRate {
    /// `capacity`: maximum number of remembered keys, of about 128 bytes each.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            table: Mutex::default(),
            hashes: RandomState::new(),
        }
    }

    /// Counts one request of `key` at `now`.
    ///
    /// # Errors
    /// The limit is exceeded. Contains the time until the next one is allowed. The refused request is not counted, so repeated
    /// requests do not extend the wait.
    pub fn take(&self, key: impl Hash, rate: Rate, now: Instant) -> Result<(), Duration> {
        if rate.every.is_zero() {
            return Ok(());
        }
        let key = self.hashes.hash_one(key);
        let table = &mut *self.table.lock();
        let before = table.whole_at.get(&key).copied();
        let next = rate.take(before, now)?;
        if let Some(before) = before {
            table.in_order.remove(&(before, key));
        } else if table.whole_at.len() >= self.capacity
            && let Some((_, forgotten)) = table.in_order.pop_first()
        {
            table.whole_at.remove(&forgotten);
        }
        table.whole_at.insert(key, next);
        table.in_order.insert((next, key));
        Ok(())
    }
}

/// Rate limit for log lines of one kind that clients cause.
#[derive(Debug)]
pub struct LogLimit {
    rate: Rate,
    /// When the whole burst is available again, and the number of suppressed lines since the last allowed one.
    state: Mutex<(Option<Instant>, u64)>,
}

impl LogLimit {
    /// Allows `burst` lines at once, then one per `every`.
    pub const fn new(burst: u32, every: Duration) -> Self {
        Self {
            rate: Rate::new(burst, every),
            state: Mutex::new((None, 0)),
        }
    }

    /// If a line is allowed now, the number of suppressed lines since the last one; else `None`.
    pub fn turn(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock();
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
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;

    const RATE: u32 = 60;
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

    impl KeyedRate {
        /// Number of remembered keys, in both lists.
        fn len(&self) -> (usize, usize) {
            let table = self.table.lock();
            (table.whole_at.len(), table.in_order.len())
        }
    }

    fn at(seconds: u64) -> Instant {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        *START + Duration::from_secs(seconds)
    }

    #[test]
    fn half_a_minutes_worth_at_once_and_then_one_by_one() {
        let (table, rate) = (KeyedRate::new(10), Rate::per_minute(RATE));
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
        let table = KeyedRate::new(1);
        for _ in 0..1000 {
            assert_eq!(table.take(1, Rate::per_minute(0), at(0)), Ok(()));
        }
        assert_eq!(table.len(), (0, 0));
    }

    #[test]
    fn a_flood_of_new_clients_causes_no_refusals_and_a_limited_client_stays_refused() {
        let (table, rate) = (KeyedRate::new(100), Rate::per_minute(RATE));
        while table.take(0, rate, at(0)).is_ok() {}
        for other in 1..100_000 {
            assert_eq!(table.take(other, rate, at(0)), Ok(()));
        }
        assert_eq!(table.len(), (100, 100));
        assert!(table.take(0, rate, at(0)).is_err(), "forgotten");
    }

    proptest! {
        #[test]
        fn no_client_exceeds_the_rate(
            asked in prop::collection::vec((0..4_u64, 0..3_000_u64), 1..400),
        ) {
            let (table, rate) = (KeyedRate::new(4), Rate::per_minute(RATE));
            let (mut now, mut taken) = (0, [0_u64; 4]);
            for (caller, pause) in asked {
                now += pause;
                if table.take(caller, rate, at(0) + Duration::from_millis(now)).is_ok() {
                    taken[usize::try_from(caller).unwrap()] += 1;
                }
                let (known, in_order) = table.len();
                prop_assert!(known <= 4);
                prop_assert_eq!(known, in_order);
                for count in taken {
                    prop_assert!(count <= 30 + now / 1000);
                }
            }
        }
    }
}
