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

/// How long a status is delayed under load.
pub const DELAY: Duration = Duration::from_secs(10);
/// Load starts with this many workspaces that start, stop or are deleted.
pub const LOAD_THRESHOLD: usize = 16;
/// A workspace that takes longer no longer counts as load.
const LOAD_WINDOW: Duration = Duration::from_mins(1);

/// Workspaces that start, stop or are deleted, and their delayed statuses.
#[derive(Debug, Default)]
pub struct StatusDebounce {
    moving: Mutex<HashMap<String, Moving>>,
}

#[derive(Debug)]
struct Moving {
    uid: String,
    since: Instant,
    delayed: Option<Box<WorkspaceStatus>>,
}

impl StatusDebounce {
    /// Delays a status that only reports starting, stopping or deletion. Returns the longest delay; `None`: write it now.
    pub fn debounce(&self, workspace: &str, uid: &str, status: &WorkspaceStatus) -> Option<Duration> {
        let mut moving = self.moving.lock();
        let now = Instant::now();
        let known = moving.get(workspace).filter(|it| it.uid == uid);
        let since = known.map_or(now, |it| it.since);
        let mut left = DELAY.checked_sub(now - since).filter(|left| !left.is_zero());
        let others = moving
            .iter()
            .filter(|(key, it)| *key != workspace && now - it.since < LOAD_WINDOW);
        if others.count() + 1 < LOAD_THRESHOLD {
            left = None;
        }
        let own = Moving {
            uid: uid.to_owned(),
            since,
            delayed: left.map(|_| Box::new(status.clone())),
        };
        moving.insert(workspace.to_owned(), own);
        left
    }

    /// The delayed status: the operator has computed it, but not written it yet.
    pub fn status(&self, workspace: &str, uid: &str) -> Option<WorkspaceStatus> {
        let moving = self.moving.lock();
        let found = moving.get(workspace).filter(|it| it.uid == uid)?;
        found.delayed.as_deref().cloned()
    }

    /// Removes a workspace that has started or stopped, or is gone.
    pub fn forget(&self, workspace: &str) {
        self.moving.lock().remove(workspace);
    }

    /// Drops everything, because another replica leads.
    pub fn clear(&self) {
        self.moving.lock().clear();
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

    /// Reports a status of this many other workspaces.
    fn start_others(debounce: &StatusDebounce, count: usize) {
        for number in 0..count {
            debounce.debounce(&format!("team/other-{number}"), "u", &status("1"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_status_is_delayed_under_load_by_a_fixed_time() {
        let debounce = StatusDebounce::default();
        start_others(&debounce, LOAD_THRESHOLD - 2);
        assert_eq!(
            debounce.debounce("team/first", "u", &status("1")),
            None,
            "no load"
        );
        assert_eq!(debounce.debounce("team/a", "u", &status("1")), Some(DELAY));
        tokio::time::advance(DELAY / 2).await;
        assert_eq!(debounce.debounce("team/a", "u", &status("2")), Some(DELAY / 2));
        assert_eq!(debounce.status("team/a", "u"), Some(status("2")));
        assert_eq!(debounce.status("team/a", "another"), None);
        tokio::time::advance(DELAY / 2).await;
        assert_eq!(debounce.debounce("team/a", "u", &status("3")), None);
        assert_eq!(debounce.status("team/a", "u"), None, "it is written");
        tokio::time::advance(LOAD_WINDOW).await;
        assert_eq!(
            debounce.debounce("team/b", "u", &status("1")),
            None,
            "the others no longer count"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_workspace_that_restarts_or_is_recreated_counts_once() {
        let debounce = StatusDebounce::default();
        for turn in 0..2 * LOAD_THRESHOLD {
            debounce.debounce("team/a", &format!("u{turn}"), &status("1"));
            debounce.forget("team/b");
            debounce.debounce("team/b", "u", &status("1"));
        }
        assert_eq!(debounce.moving.lock().len(), 2);
        start_others(&debounce, LOAD_THRESHOLD - 3);
        assert_eq!(debounce.debounce("team/a", "u", &status("1")), None);
        assert_eq!(debounce.debounce("team/c", "u", &status("1")), Some(DELAY));
    }
}
