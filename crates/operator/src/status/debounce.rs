//! A status that another one soon replaces -> whether to write it now (in memory).
//!
//! A status write costs the API server more than any other write of the operator. Under load, a status that only reports starting,
//! stopping or deletion is delayed. It is dropped if the next one comes first.

use std::{collections::HashMap, time::Duration};

use api::{
    WorkspaceStatus,
    condition::{self, DEGRADED, VALID},
    workspace::Phase,
};
use parking_lot::Mutex;
use tokio::time::Instant;

/// How long a status may be delayed under load.
pub const MIN_DELAY: Duration = Duration::from_secs(10);
/// Additional delay per workspace under high load: about the time that the cluster needs to start one.
const DELAY_PER_WORKSPACE: Duration = Duration::from_millis(60);
/// The longest delay. A workspace that takes longer no longer counts as load.
const MAX_DELAY: Duration = Duration::from_mins(1);
/// Load starts with this many workspaces that start, stop or are deleted.
pub const LOAD_THRESHOLD: usize = 16;

/// Workspaces that start, stop or are deleted, and their delayed statuses.
#[derive(Debug, Default)]
pub struct StatusDebounce {
    load: Mutex<Load>,
}

#[derive(Debug, Default)]
struct Load {
    moving: HashMap<String, Moving>,
    /// The highest number since the load started: the last workspaces waited for the first.
    peak: usize,
}

#[derive(Debug)]
struct Moving {
    uid: String,
    since: Instant,
    delayed: Option<Box<WorkspaceStatus>>,
}

impl Load {
    fn recent(&self, now: Instant) -> impl Iterator<Item = &Moving> {
        self.moving.values().filter(move |it| now - it.since < MAX_DELAY)
    }

    fn delayed(&self, workspace: &str, uid: &str) -> Option<&WorkspaceStatus> {
        let found = self.moving.get(workspace).filter(|it| it.uid == uid)?;
        found.delayed.as_deref()
    }
}

impl StatusDebounce {
    /// Delays a status that only reports starting, stopping or deletion. Returns the longest delay; `None`: write it now.
    pub fn debounce(&self, workspace: &str, uid: &str, status: &WorkspaceStatus) -> Option<Duration> {
        let mut load = self.load.lock();
        let now = Instant::now();
        let known = load.moving.get(workspace).filter(|it| it.uid == uid);
        let since = known.map_or(now, |it| it.since);
        let moving = Moving {
            uid: uid.to_owned(),
            since,
            delayed: None,
        };
        load.moving.insert(workspace.to_owned(), moving);
        let recent = load.recent(now).count();
        load.peak = if recent < LOAD_THRESHOLD {
            0
        } else {
            recent.max(load.peak)
        };
        if load.peak == 0 {
            return None;
        }
        let delay = DELAY_PER_WORKSPACE * u32::try_from(load.peak).unwrap_or(u32::MAX);
        let left = delay.clamp(MIN_DELAY, MAX_DELAY).checked_sub(now - since);
        let left = left.filter(|left| !left.is_zero())?;
        if let Some(moving) = load.moving.get_mut(workspace) {
            moving.delayed = Some(Box::new(status.clone()));
        }
        Some(left)
    }

    /// Whether statuses are delayed. It checks no more workspaces than it needs, because each change of a child calls it.
    pub fn is_loaded(&self) -> bool {
        self.load
            .lock()
            .recent(Instant::now())
            .nth(LOAD_THRESHOLD - 1)
            .is_some()
    }

    /// The delayed status: the operator has computed it, but not written it yet.
    pub fn status(&self, workspace: &str, uid: &str) -> Option<WorkspaceStatus> {
        self.load.lock().delayed(workspace, uid).cloned()
    }

    /// Removes a workspace that has started or stopped, or is gone.
    pub fn forget(&self, workspace: &str) {
        self.load.lock().moving.remove(workspace);
    }

    /// Drops everything, because another replica leads.
    pub fn clear(&self) {
        *self.load.lock() = Load::default();
    }
}

/// Whether a status reports no more than that a pod starts or ends.
///
/// `is_end_requested`: a stop or a deletion was requested. From then on the gateway admits no user. Without such a request, the endpoint
/// of an ending pod must leave the status at once, because another pod may soon get its address.
pub fn may_be_delayed(
    before: Option<&WorkspaceStatus>,
    after: &WorkspaceStatus,
    is_end_requested: bool,
) -> bool {
    let is_calm = |status: &WorkspaceStatus| {
        !condition::holds(&status.conditions, DEGRADED)
            && condition::find(&status.conditions, VALID).is_none_or(|it| it.status == "True")
    };
    let goes_on = match after.phase {
        Some(Phase::Starting) => before.is_none_or(|before| before.endpoint.is_none()),
        Some(Phase::Stopping | Phase::Deleting) => is_end_requested,
        _ => false,
    };
    goes_on
        && is_calm(after)
        && before.is_none_or(is_calm)
        && before.is_none_or(|before| before.owner == after.owner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(message: &str) -> WorkspaceStatus {
        WorkspaceStatus {
            message: Some(message.to_owned()),
            ..WorkspaceStatus::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_status_is_delayed_under_load_and_not_for_long() {
        let debounce = StatusDebounce::default();
        for number in 1..LOAD_THRESHOLD {
            let other = format!("team/other-{number}");
            assert_eq!(
                debounce.debounce(&other, "u", &status("1")),
                None,
                "few are on their way"
            );
        }
        assert!(!debounce.is_loaded());
        assert_eq!(debounce.debounce("team/a", "u", &status("1")), Some(MIN_DELAY));
        tokio::time::advance(MIN_DELAY / 2).await;
        assert_eq!(
            debounce.debounce("team/a", "u", &status("2")),
            Some(MIN_DELAY / 2)
        );
        assert_eq!(debounce.status("team/a", "u"), Some(status("2")));
        assert_eq!(debounce.status("team/a", "another"), None);
        assert!(debounce.is_loaded());
        tokio::time::advance(MIN_DELAY / 2).await;
        assert_eq!(debounce.debounce("team/a", "u", &status("3")), None);
        assert_eq!(debounce.status("team/a", "u"), None, "it is written");
        tokio::time::advance(MAX_DELAY).await;
        assert!(!debounce.is_loaded());
        assert_eq!(
            debounce.debounce("team/b", "u", &status("1")),
            None,
            "the others do not count any more"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_delay_grows_with_the_load() {
        let debounce = StatusDebounce::default();
        let last = |many: usize| {
            let put = (0..many).map(|number| debounce.debounce(&format!("team/{number}"), "u", &status("1")));
            put.last().flatten()
        };
        assert_eq!(last(160), Some(MIN_DELAY));
        assert_eq!(last(500), Some(DELAY_PER_WORKSPACE * 500));
        for number in 0..400 {
            debounce.forget(&format!("team/{number}"));
        }
        let one_of_the_last = debounce.debounce("team/499", "u", &status("2"));
        assert_eq!(
            one_of_the_last,
            Some(DELAY_PER_WORKSPACE * 500),
            "the first got there before it"
        );
        assert_eq!(last(2000), Some(MAX_DELAY));
    }

    #[tokio::test(start_paused = true)]
    async fn a_workspace_that_restarts_or_is_recreated_counts_once() {
        let debounce = StatusDebounce::default();
        for turn in 0..2 * LOAD_THRESHOLD {
            debounce.debounce("team/a", &format!("u{turn}"), &status("1"));
            debounce.forget("team/b");
            debounce.debounce("team/b", "u", &status("1"));
        }
        let count = || debounce.load.lock().recent(Instant::now()).count();
        assert_eq!(count(), 2);
        tokio::time::advance(MAX_DELAY).await;
        debounce.debounce("team/c", "u", &status("1"));
        assert_eq!(count(), 1);
    }

    #[test]
    fn a_settled_workspace_does_not_count() {
        let debounce = StatusDebounce::default();
        for number in 0..2 * LOAD_THRESHOLD {
            debounce.debounce(&format!("team/{number}"), "u", &status("1"));
            debounce.forget(&format!("team/{number}"));
        }
        assert_eq!(debounce.debounce("team/a", "u", &status("1")), None);
    }
}
