//! Repeated writes of a child -> whether it may be written again now (in memory).
//!
//! Another controller may want a different state of the same child: an autoscaler, a policy engine, a second installation. Each write
//! triggers the other controller. Without a backoff both would write as fast as the API server allows.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::Duration,
};

use api::names;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::Instant;

use crate::{blockers::Blocker, cache::observed::Identity};

/// Identical writes of one child that are allowed before it counts as contested.
const FREE_WRITES: u32 = 3;
/// A write of a contested child that was not undone for this time after its backoff counts as lasting; any other write after half of it.
const WINDOW: Duration = Duration::from_mins(1);
/// First backoff of a contested child. It doubles each time.
const FIRST_BACKOFF: Duration = Duration::from_secs(5);
/// Longest backoff.
const MAX_BACKOFF: Duration = WINDOW;

/// A child: kind and name.
pub(crate) type Child<'a> = (&'a str, &'a str);

/// The children that were written recently, by workspace.
#[derive(Debug, Default)]
pub struct Contests(Mutex<HashMap<String, HashMap<String, Contest>>>);

/// Identical writes of a child, one soon after the other.
#[derive(Debug)]
struct Contest {
    planned: u64,
    writes: u32,
    last: Instant,
    /// The other field manager, if the object names one.
    manager: Option<String>,
}

impl Contest {
    fn backoff(&self) -> Duration {
        let Some(doublings) = self.writes.checked_sub(FREE_WRITES) else {
            return Duration::ZERO;
        };
        FIRST_BACKOFF
            .saturating_mul(2_u32.saturating_pow(doublings))
            .min(MAX_BACKOFF)
    }

    /// Whether another write of `planned` now would be one more of them.
    fn continues(&self, planned: u64) -> bool {
        let window = if self.writes < FREE_WRITES {
            WINDOW / 2
        } else {
            self.backoff() + WINDOW
        };
        self.planned == planned && self.last.elapsed() <= window
    }
}

impl Contests {
    /// Whether a child that differs from `planned` is contested if it is written now. The error: it must not be written yet.
    ///
    /// # Errors
    /// The blocker that names the other field manager.
    pub fn check(
        &self,
        workspace: &Identity,
        child: Child<'_>,
        planned: &impl Serialize,
    ) -> Result<bool, Blocker> {
        let all = self.0.lock();
        let contest = all
            .get(&workspace.key())
            .and_then(|children| children.get(&name_of(child)));
        match contest.filter(|contest| contest.continues(digest(planned))) {
            Some(contest) if contest.last.elapsed() < contest.backoff() => {
                Err(contest_blocker(child, contest.manager.as_deref()))
            }
            Some(contest) => Ok(contest.writes + 1 >= FREE_WRITES),
            None => Ok(false),
        }
    }

    /// Counts a write that succeeded. Failed writes, for example conflicts because the cache lagged, are not counted. `manager`: the
    /// other field manager of a contested child.
    pub fn written(
        &self,
        workspace: &Identity,
        child: Child<'_>,
        planned: &impl Serialize,
        manager: Option<String>,
    ) {
        let planned = digest(planned);
        let mut all = self.0.lock();
        let children = all.entry(workspace.key()).or_default();
        let earlier = children
            .get(&name_of(child))
            .filter(|contest| contest.continues(planned));
        let contest = Contest {
            planned,
            writes: 1 + earlier.map_or(0, |contest| contest.writes),
            last: Instant::now(),
            manager,
        };
        children.insert(name_of(child), contest);
    }

    /// Forgets a workspace that is gone.
    pub fn forget(&self, workspace: &str) {
        self.0.lock().remove(workspace);
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.0.lock().clear();
    }
}

fn name_of((kind, name): Child<'_>) -> String {
    [kind, "/", name].concat()
}

fn digest(planned: &impl Serialize) -> u64 {
    let mut hasher = DefaultHasher::new();
    serde_json::to_string(planned)
        .unwrap_or_default()
        .hash(&mut hasher);
    hasher.finish()
}

/// What reports a contested child.
pub(crate) fn contest_blocker((kind, name): Child<'_>, manager: Option<&str>) -> Blocker {
    Blocker::Contested {
        kind: kind.to_owned(),
        name: name.to_owned(),
        manager: manager.map(str::to_owned),
    }
}

/// The field manager, besides ours, that wrote last.
pub(crate) fn other_manager(found: &ObjectMeta) -> Option<String> {
    let entries = found.managed_fields.iter().flatten();
    let others = entries.filter(|entry| {
        let (manager, subresource) = (entry.manager.as_deref(), entry.subresource.as_deref());
        manager != Some(names::OPERATOR) && subresource != Some("status")
    });
    let time = |entry: &&ManagedFieldsEntry| entry.time.as_ref().map(|time| time.0);
    others.max_by_key(time)?.manager.clone()
}

#[cfg(test)]
mod tests {
    use api::names;
    use serde_json::json;

    use super::*;
    use crate::testing::identity;

    const CHILD: Child<'_> = ("Service", "workspace-demo");

    fn writes(contests: &Contests, planned: &str) -> bool {
        let writes = contests.check(&identity(), CHILD, &planned).is_ok();
        if writes {
            contests.written(&identity(), CHILD, &planned, None);
        }
        writes
    }

    #[tokio::test(start_paused = true)]
    async fn a_contested_child_is_written_with_growing_backoff_until_a_write_lasts() {
        let contests = Contests::default();
        let begin = Instant::now();
        let mut written = Vec::new();
        while begin.elapsed() < Duration::from_mins(4) {
            if writes(&contests, "a") {
                written.push(begin.elapsed().as_secs());
            }
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        assert_eq!(written, [0, 0, 0, 5, 15, 35, 75, 135, 195]);
        tokio::time::advance(Duration::from_mins(3)).await;
        assert!((0..3).all(|_| writes(&contests, "a")) && !writes(&contests, "a"));
    }

    #[tokio::test(start_paused = true)]
    async fn neither_a_few_writes_an_hour_nor_a_plan_that_changes_is_a_contest() {
        let contests = Contests::default();
        for number in 0..20 {
            assert!(writes(&contests, "same"), "{number}");
            tokio::time::advance(Duration::from_secs(31)).await;
        }
        for number in 0..20 {
            assert!(writes(&contests, &number.to_string()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_other_manager_is_named_and_forgotten_with_the_workspace() {
        let contests = Contests::default();
        let entry = |manager: &str, second: u8, subresource: Option<&str>| json!({"manager": manager, "time": format!("2026-01-01T00:00:{second:02}Z"), "subresource": subresource});
        let found: ObjectMeta = serde_json::from_value(json!({"managedFields": [
            entry("kubectl", 1, None), entry("other", 2, None), entry(names::OPERATOR, 3, None),
            entry("late", 5, Some("status")),
        ]}))
        .unwrap();
        for is_contested in [false, false, true] {
            assert_eq!(contests.check(&identity(), CHILD, &"a"), Ok(is_contested));
            contests.written(&identity(), CHILD, &"a", other_manager(&found));
        }
        let named = contests.check(&identity(), CHILD, &"a").unwrap_err();
        assert!(named.to_string().contains("\"other\""), "{named}");
        contests.forget(&identity().key());
        assert_eq!(contests.check(&identity(), CHILD, &"a"), Ok(false));
    }
}
