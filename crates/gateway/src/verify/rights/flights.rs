//! access reviews in flight -> which callers share one (pure).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::{BoxFuture, Shared};
use tokio::time::Instant;

use super::Key;

/// A review in flight; `None` when it got no answer.
pub(super) type Flight = Shared<BoxFuture<'static, Option<bool>>>;

/// All reviews in flight. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Flights(Arc<Mutex<InFlight>>);

#[derive(Default)]
struct InFlight {
    last: u64,
    all: HashMap<Key, Question>,
}

struct Question {
    number: u64,
    started: Instant,
    flight: Flight,
}

/// Removes a review from the list on drop, however it ended.
pub(super) struct Landing {
    flights: Flights,
    key: Key,
    number: u64,
}

impl Flights {
    /// Joins the review in flight for `key`, if `joins` accepts its start time. Otherwise starts a new one, which keeps its
    /// `Landing` until it ends.
    pub(super) fn join_or_start(
        &self,
        key: Key,
        joins: impl FnOnce(Instant) -> bool,
        start: impl FnOnce(Landing) -> Flight,
    ) -> Flight {
        let mut under_way = self.lock();
        let present = under_way.all.get(&key);
        if let Some(present) = present.filter(|it| joins(it.started)) {
            return present.flight.clone();
        }
        under_way.last += 1;
        let number = under_way.last;
        let flight = start(Landing {
            flights: self.clone(),
            key: key.clone(),
            number,
        });
        let question = Question {
            number,
            started: Instant::now(),
            flight: flight.clone(),
        };
        under_way.all.insert(key, question);
        flight
    }

    fn lock(&self) -> MutexGuard<'_, InFlight> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut under_way = self.flights.lock();
        if under_way
            .all
            .get(&self.key)
            .is_some_and(|it| it.number == self.number)
        {
            under_way.all.remove(&self.key);
        }
    }
}
