//! session admitted to a workspace by a rule -> whether to record it (pure, in memory).

use std::sync::Arc;
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use parking_lot::Mutex;
use rules::access::Allowed;
use tokio::time::Instant;

use super::By;
use crate::tokens::RandomId;

/// How often an administrator's continued access is recorded.
const MINUTE: Duration = Duration::from_mins(1);
/// Maximum number of remembered workspaces and sessions. One that is not remembered any more is recorded once more.
const MAX_ENTRIES: u64 = 50_000;
/// A visit that does not go on is remembered for so long.
const UNUSED: Duration = Duration::from_hours(12);

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

/// Recorded visits, by session, UID of the workspace, and means: a program of a session alternates with its browser.
pub(super) struct Visits(Cache<(RandomId, String, Option<By>), Arc<Recorded>>);

struct Recorded {
    rule: Allowed,
    /// When the visit was last recorded, and the number of requests since.
    state: Mutex<(Instant, u64)>,
}

impl Default for Visits {
    fn default() -> Self {
        let cache = Cache::builder()
            .max_capacity(MAX_ENTRIES)
            .eviction_policy(EvictionPolicy::lru())
            .time_to_idle(UNUSED);
        Self(cache.build())
    }
}

impl Visits {
    pub(super) fn visit(
        &self,
        session: RandomId,
        (uid, by): (&str, Option<By>),
        rule: Allowed,
        now: Instant,
    ) -> Visit {
        let seen = self.0.entry((session, uid.to_owned(), by)).or_insert_with_if(
            || {
                let state = Mutex::new((now, 0));
                Arc::new(Recorded { rule, state })
            },
            |seen| seen.rule != rule,
        );
        if seen.is_fresh() {
            return Visit::New;
        }
        seen.into_value().again(now)
    }
}

impl Recorded {
    fn again(&self, now: Instant) -> Visit {
        if self.rule != Allowed::Administrator {
            return Visit::Recorded;
        }
        let mut state = self.state.lock();
        state.1 += 1;
        if now.duration_since(state.0) < MINUTE {
            return Visit::Recorded;
        }
        let (_, requests) = std::mem::replace(&mut *state, (now, 0));
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
        assert_eq!(visits.visit(one, ("u", None), Allowed::Owner, now), Visit::New);
        let later = now + Duration::from_hours(1);
        assert_eq!(
            visits.visit(one, ("u", None), Allowed::Owner, later),
            Visit::Recorded
        );
        assert_eq!(visits.visit(one, ("u", None), Allowed::Share, now), Visit::New);
        assert_eq!(visits.visit(one, ("v", None), Allowed::Share, now), Visit::New);
        assert_eq!(visits.visit(two, ("u", None), Allowed::Share, now), Visit::New);
        let ssh = ("u", Some(By::Ssh));
        assert_eq!(visits.visit(one, ssh, Allowed::Share, now), Visit::New);
        assert_eq!(
            visits.visit(one, ("u", None), Allowed::Share, now),
            Visit::Recorded
        );
        assert_eq!(visits.visit(one, ssh, Allowed::Share, now), Visit::Recorded);
    }

    #[test]
    fn requests_of_an_administrator_are_counted_and_recorded_every_minute() {
        let visits = Visits::default();
        let session = RandomId::new().unwrap();
        let now = Instant::now();
        let visit = |seconds| {
            let now = now + Duration::from_secs(seconds);
            visits.visit(session, ("u", None), Allowed::Administrator, now)
        };
        assert_eq!(visit(0), Visit::New);
        assert_eq!((visit(1), visit(59)), (Visit::Recorded, Visit::Recorded));
        assert_eq!(visit(60), Visit::Again(3));
        assert_eq!(visit(119), Visit::Recorded);
        assert_eq!(visit(500), Visit::Again(2));
    }
}
