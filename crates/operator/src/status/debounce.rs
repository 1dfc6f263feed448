//! A status that another one soon replaces -> whether to write it now (in memory).
//!
//! A status write costs the API server more than any other write of the operator. Under load, a status that only reports starting,
//! stopping or deletion is delayed. It is dropped if the next one comes first.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use api::WorkspaceStatus;
use tokio::time::Instant;

/// How long a status may be delayed under load.
pub const LONGEST: Duration = Duration::from_secs(10);
/// Additional delay per workspace under high load: about the time that the cluster needs to start one.
const EACH: Duration = Duration::from_millis(60);
/// The longest delay. A workspace that takes longer no longer counts as load.
const MOST: Duration = Duration::from_mins(1);
/// Load starts with this many workspaces that start, stop or are deleted.
pub const MANY: usize = 16;

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
        self.moving.values().filter(move |it| now - it.since < MOST)
    }

    fn delayed(&self, workspace: &str, uid: &str) -> Option<&WorkspaceStatus> {
        let found = self.moving.get(workspace).filter(|it| it.uid == uid)?;
        found.delayed.as_deref()
    }
}

impl StatusDebounce {
    /// Delays a status that only reports starting, stopping or deletion. Returns the longest delay; `None`: write it now.
    pub fn debounce(&self, workspace: &str, uid: &str, status: &WorkspaceStatus) -> Option<Duration> {
        let mut load = self.lock();
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
        load.peak = if recent < MANY { 0 } else { recent.max(load.peak) };
        if load.peak == 0 {
            return None;
        }
        let delay = EACH * u32::try_from(load.peak).unwrap_or(u32::MAX);
        let left = delay.clamp(LONGEST, MOST).checked_sub(now - since);
        let left = left.filter(|left| !left.is_zero())?;
        if let Some(moving) = load.moving.get_mut(workspace) {
            moving.delayed = Some(Box::new(status.clone()));
        }
        Some(left)
    }

    /// Whether statuses are delayed. It checks no more workspaces than it needs, because each change of a child calls it.
    pub fn is_crowded(&self) -> bool {
        self.lock().recent(Instant::now()).nth(MANY - 1).is_some()
    }

    /// The delayed status: the operator has computed it, but not written it yet.
    pub fn status(&self, workspace: &str, uid: &str) -> Option<WorkspaceStatus> {
        self.lock().delayed(workspace, uid).cloned()
    }

    /// Whether a status is delayed.
    pub fn has_put_off(&self, workspace: &str, uid: &str) -> bool {
        self.lock().delayed(workspace, uid).is_some()
    }

    /// Removes a workspace that has started or stopped, or is gone.
    pub fn forget(&self, workspace: &str) {
        self.lock().moving.remove(workspace);
    }

    /// Drops everything, because another replica leads.
    pub fn clear(&self) {
        *self.lock() = Load::default();
    }

    fn lock(&self) -> MutexGuard<'_, Load> {
        self.load.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
    async fn a_status_is_put_off_where_many_are_on_their_way_and_not_for_long() {
        let debounce = StatusDebounce::default();
        for number in 1..MANY {
            let other = format!("team/other-{number}");
            assert_eq!(
                debounce.debounce(&other, "u", &status("1")),
                None,
                "few are on their way"
            );
        }
        assert!(!debounce.is_crowded());
        assert_eq!(debounce.debounce("team/a", "u", &status("1")), Some(LONGEST));
        tokio::time::advance(LONGEST / 2).await;
        assert_eq!(debounce.debounce("team/a", "u", &status("2")), Some(LONGEST / 2));
        assert_eq!(debounce.status("team/a", "u"), Some(status("2")));
        assert_eq!(debounce.status("team/a", "another"), None);
        assert!(debounce.is_crowded());
        tokio::time::advance(LONGEST / 2).await;
        assert_eq!(debounce.debounce("team/a", "u", &status("3")), None);
        assert_eq!(debounce.status("team/a", "u"), None, "it is written");
        tokio::time::advance(MOST).await;
        assert!(!debounce.is_crowded());
        assert_eq!(
            debounce.debounce("team/b", "u", &status("1")),
            None,
            "the others do not count any more"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_more_are_on_their_way_the_longer_it_is_put_off() {
        let debounce = StatusDebounce::default();
        let last = |many: usize| {
            let put = (0..many).map(|number| debounce.debounce(&format!("team/{number}"), "u", &status("1")));
            put.last().flatten()
        };
        assert_eq!(last(160), Some(LONGEST));
        assert_eq!(last(500), Some(EACH * 500));
        for number in 0..400 {
            debounce.forget(&format!("team/{number}"));
        }
        let one_of_the_last = debounce.debounce("team/499", "u", &status("2"));
        assert_eq!(one_of_the_last, Some(EACH * 500), "the first got there before it");
        assert_eq!(last(2000), Some(MOST));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_sets_out_again_or_is_made_anew_counts_once() {
        let debounce = StatusDebounce::default();
        for turn in 0..2 * MANY {
            debounce.debounce("team/a", &format!("u{turn}"), &status("1"));
            debounce.forget("team/b");
            debounce.debounce("team/b", "u", &status("1"));
        }
        let count = || debounce.lock().recent(Instant::now()).count();
        assert_eq!(count(), 2);
        tokio::time::advance(MOST).await;
        debounce.debounce("team/c", "u", &status("1"));
        assert_eq!(count(), 1);
    }

    #[test]
    fn who_has_arrived_does_not_count() {
        let debounce = StatusDebounce::default();
        for number in 0..2 * MANY {
            debounce.debounce(&format!("team/{number}"), "u", &status("1"));
            debounce.forget(&format!("team/{number}"));
        }
        assert_eq!(debounce.debounce("team/a", "u", &status("1")), None);
    }
}
