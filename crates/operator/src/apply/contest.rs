//! Repeated writes of a child -> whether it may be written again now (in memory).
//!
//! Another controller may want a different state of the same child: an autoscaler, a policy engine, a second installation. Each write
//! triggers the other controller. Without a backoff both would write as fast as the API server allows.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::Duration,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::Instant;

use crate::{
    blockers::Blocker,
    cache::{field_managers, observed::Identity},
};

/// Identical writes of one child within [`WINDOW`] that are allowed before it counts as contested.
const FREE_WRITES: u32 = 3;
/// A write that was not undone for this time counts as lasting.
const WINDOW: Duration = Duration::from_mins(1);
/// First backoff of a contested child. It doubles each time.
const FIRST_BACKOFF: Duration = Duration::from_secs(5);
/// Longest backoff.
const MAX_BACKOFF: Duration = WINDOW;

/// A child: kind and name.
pub type Child<'a> = (&'a str, &'a str);

/// What to do about a child that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Write it.
    Write,
    /// Write it, and find out which field manager changes it.
    WriteContested,
    /// Do not write it until the backoff is over.
    BackOff(Blocker),
}

/// The children that were written recently, by workspace.
#[derive(Debug, Default)]
pub struct Contests(Mutex<HashMap<String, HashMap<String, Contest>>>);

#[derive(Debug)]
struct Contest {
    planned: u64,
    writes: u32,
    first: Instant,
    last: Instant,
    /// The other field manager, if the object names one.
    manager: Option<String>,
}

impl Contest {
    fn new(planned: u64, now: Instant) -> Self {
        Self {
            planned,
            writes: 0,
            first: now,
            last: now,
            manager: None,
        }
    }

    fn backoff(&self) -> Duration {
        let doublings = self.writes.saturating_sub(FREE_WRITES);
        FIRST_BACKOFF
            .saturating_mul(2_u32.saturating_pow(doublings))
            .min(MAX_BACKOFF)
    }

    fn is_over(&self, now: Instant) -> bool {
        if self.writes < FREE_WRITES {
            now - self.first > WINDOW
        } else {
            now - self.last > self.backoff() + WINDOW
        }
    }
}

impl Contests {
    /// What to do about a child that differs from `planned`.
    pub fn decide(&self, workspace: &Identity, child: Child<'_>, planned: &impl Serialize) -> Decision {
        let (now, planned) = (Instant::now(), digest(planned));
        let mut all = self.0.lock();
        let children = all.entry(workspace.key()).or_default();
        let contest = children
            .entry(name_of(child))
            .or_insert_with(|| Contest::new(planned, now));
        if contest.planned != planned || contest.is_over(now) {
            *contest = Contest::new(planned, now);
        }
        if contest.writes >= FREE_WRITES && now - contest.last < contest.backoff() {
            return Decision::BackOff(contested(child, contest.manager.as_deref()));
        }
        if contest.writes + 1 < FREE_WRITES {
            Decision::Write
        } else {
            Decision::WriteContested
        }
    }

    /// Counts a write that succeeded. Failed writes, for example conflicts because the cache lagged, are not counted.
    pub fn written(&self, workspace: &Identity, child: Child<'_>) {
        let mut all = self.0.lock();
        let children = all.get_mut(&workspace.key());
        if let Some(contest) = children.and_then(|children| children.get_mut(&name_of(child))) {
            contest.writes += 1;
            contest.last = Instant::now();
        }
    }

    /// Records the other field manager of a contested child. Returns the blocker that names it.
    pub fn name(&self, workspace: &Identity, child: Child<'_>, found: Option<&ObjectMeta>) -> Blocker {
        let manager = found.and_then(other_manager);
        let mut all = self.0.lock();
        let children = all.get_mut(&workspace.key());
        if let Some(contest) = children.and_then(|children| children.get_mut(&name_of(child))) {
            contest.manager.clone_from(&manager);
        }
        contested(child, manager.as_deref())
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

fn contested((kind, name): Child<'_>, manager: Option<&str>) -> Blocker {
    Blocker::Contested {
        kind: kind.to_owned(),
        name: name.to_owned(),
        manager: manager.map(str::to_owned),
    }
}

/// The field manager, besides ours, that wrote last.
fn other_manager(found: &ObjectMeta) -> Option<String> {
    let entries = found.managed_fields.iter().flatten();
    let others = entries.filter(|entry| {
        let (manager, subresource) = (entry.manager.as_deref(), entry.subresource.as_deref());
        // The autoscaler writes under the name of the controller that makes ReplicaSets.
        let is_expected = manager.is_some_and(field_managers::is_expected) && subresource != Some("scale");
        !is_expected && subresource != Some("status")
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
        let decision = contests.decide(&identity(), CHILD, &planned);
        let writes = !matches!(decision, Decision::BackOff(_));
        if writes {
            contests.written(&identity(), CHILD);
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
    async fn writes_that_fail_are_not_counted() {
        let contests = Contests::default();
        for _ in 0..10 {
            assert_eq!(contests.decide(&identity(), CHILD, &"a"), Decision::Write);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_other_manager_is_named_and_forgotten_with_the_workspace() {
        let contests = Contests::default();
        for _ in 0..3 {
            writes(&contests, "a");
        }
        let entry = |manager: &str, second: u8, subresource: Option<&str>| json!({"manager": manager, "time": format!("2026-01-01T00:00:{second:02}Z"), "subresource": subresource});
        let found: ObjectMeta = serde_json::from_value(json!({"managedFields": [
            entry("kubectl", 1, None), entry("other", 2, None), entry(names::OPERATOR, 3, None),
            entry("kube-controller-manager", 4, None), entry("late", 5, Some("status")),
        ]}))
        .unwrap();
        let named = contests.name(&identity(), CHILD, Some(&found));
        assert!(named.to_string().contains("\"other\""), "{named}");
        assert_eq!(
            contests.decide(&identity(), CHILD, &"a"),
            Decision::BackOff(named)
        );
        contests.forget(&identity().key());
        assert_eq!(contests.decide(&identity(), CHILD, &"a"), Decision::Write);
    }
}
