//! session admitted to a workspace by a rule -> whether to record it (pure, in memory).

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use rules::access::Allowed;
use tokio::time::Instant;

use crate::tokens::RandomId;

/// How often an administrator's continued access is recorded.
const MINUTE: Duration = Duration::from_mins(1);
/// Maximum number of remembered workspaces and sessions. Above it all are removed, and recorded once more.
const MAX_ENTRIES: usize = 50_000;

/// Whether to record a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Visit {
    /// The first visit, or the first by this rule.
    New,
    /// Recorded before.
    Recorded,
    /// Recorded a minute ago; contains the number of requests since.
    Again(u64),
}

/// Recorded visits.
#[derive(Default)]
pub(super) struct Visits(RwLock<Known>);

#[derive(Default)]
struct Known {
    seen: HashMap<String, HashMap<RandomId, Seen>>,
    count: usize,
}

struct Seen {
    rule: Allowed,
    last_recorded: Mutex<Instant>,
    requests: AtomicU64,
}

impl Visits {
    pub(super) fn visit(&self, session: RandomId, uid: &str, rule: Allowed, now: Instant) -> Visit {
        self.again(session, uid, rule, now).unwrap_or_else(|| {
            self.remember(session, uid, rule, now);
            Visit::New
        })
    }

    /// `None` for a first visit.
    fn again(&self, session: RandomId, uid: &str, rule: Allowed, now: Instant) -> Option<Visit> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let seen = known.seen.get(uid)?.get(&session)?;
        (seen.rule == rule).then(|| seen.again(now))
    }

    fn remember(&self, session: RandomId, uid: &str, rule: Allowed, now: Instant) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.count >= MAX_ENTRIES {
            *known = Known::default();
        }
        let seen = Seen {
            rule,
            last_recorded: Mutex::new(now),
            requests: AtomicU64::new(0),
        };
        let of_workspace = known.seen.entry(uid.to_owned()).or_default();
        if of_workspace.insert(session, seen).is_none() {
            known.count += 1;
        }
    }
}

impl Seen {
    fn again(&self, now: Instant) -> Visit {
        if self.rule != Allowed::Administrator {
            return Visit::Recorded;
        }
        let requests = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let mut last_recorded = self.last_recorded.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(*last_recorded) < MINUTE {
            return Visit::Recorded;
        }
        *last_recorded = now;
        self.requests.fetch_sub(requests, Ordering::Relaxed);
        Visit::Again(requests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visit_is_recorded_once_per_session_workspace_and_rule() {
        let visits = Visits::default();
        let (one, two) = (RandomId::new().unwrap(), RandomId::new().unwrap());
        let now = Instant::now();
        assert_eq!(visits.visit(one, "u", Allowed::Owner, now), Visit::New);
        let later = now + Duration::from_hours(1);
        assert_eq!(visits.visit(one, "u", Allowed::Owner, later), Visit::Recorded);
        assert_eq!(visits.visit(one, "u", Allowed::Share, now), Visit::New);
        assert_eq!(visits.visit(one, "v", Allowed::Share, now), Visit::New);
        assert_eq!(visits.visit(two, "u", Allowed::Share, now), Visit::New);
    }

    #[test]
    fn the_number_of_remembered_visits_is_bounded() {
        let visits = Visits::default();
        let now = Instant::now();
        for number in 0..2 * MAX_ENTRIES + MAX_ENTRIES / 2 {
            let session = RandomId::new().unwrap();
            let uid = (number % 100).to_string();
            assert_eq!(visits.visit(session, &uid, Allowed::Public, now), Visit::New);
            if number % 1_000 == 0 || number == MAX_ENTRIES {
                let known = visits.0.read().unwrap();
                let entries: usize = known.seen.values().map(HashMap::len).sum();
                assert_eq!(entries, known.count);
                assert!(known.count <= MAX_ENTRIES, "{}", known.count);
            }
        }
        assert_eq!(visits.0.read().unwrap().count, MAX_ENTRIES / 2);
    }

    #[test]
    fn requests_of_an_administrator_are_counted_and_recorded_every_minute() {
        let visits = Visits::default();
        let session = RandomId::new().unwrap();
        let now = Instant::now();
        let visit = |seconds| {
            let now = now + Duration::from_secs(seconds);
            visits.visit(session, "u", Allowed::Administrator, now)
        };
        assert_eq!(visit(0), Visit::New);
        assert_eq!((visit(1), visit(59)), (Visit::Recorded, Visit::Recorded));
        assert_eq!(visit(60), Visit::Again(3));
        assert_eq!(visit(119), Visit::Recorded);
        assert_eq!(visit(500), Visit::Again(2));
    }
}
