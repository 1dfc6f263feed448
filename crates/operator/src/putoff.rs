//! Statuses that will soon be followed by another -> whether to write them now (in memory).
//!
//! A status costs the API server more than any other write of ours. Where many workspaces are on their way at a time, what makes
//! them get on goes first: that one is starting, stopping or leaving is said once that has lasted, and not at all where it
//! ends before.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use api::WorkspaceStatus;
use tokio::time::Instant;

/// How long a status may be put off where some are on their way.
pub const LONGEST: Duration = Duration::from_secs(10);
/// For each of them where they are very many: what the cluster takes to bring one on its way, more or less.
const EACH: Duration = Duration::from_millis(60);
/// How long at most. Whoever is on the way for longer does not count as one of many any more.
const MOST: Duration = Duration::from_mins(1);
/// Workspaces on their way from which on statuses are put off.
pub const MANY: usize = 16;

/// Who is on the way, since when, and what is not said of it yet; by workspace.
#[derive(Debug, Default)]
pub struct PutOff {
    crowd: Mutex<Crowd>,
}

#[derive(Debug, Default)]
struct Crowd {
    moving: HashMap<String, Moving>,
    /// The most that were on their way at a time since many are.
    peak: usize,
}

#[derive(Debug)]
struct Moving {
    uid: String,
    since: Instant,
    unsaid: Option<WorkspaceStatus>,
}

impl PutOff {
    /// Puts a status off that says no more than that the workspace is on its way, and answers until when at the latest;
    /// `None`: it is to be written now.
    pub fn put_off(&self, workspace: &str, uid: &str, status: &WorkspaceStatus) -> Option<Duration> {
        let mut crowd = self.lock();
        let Crowd { moving, peak } = &mut *crowd;
        let now = Instant::now();
        let known = moving.get(workspace).filter(|it| it.uid == uid);
        let since = known.map_or(now, |it| it.since);
        let new = Moving {
            uid: uid.to_owned(),
            since,
            unsaid: None,
        };
        moving.insert(workspace.to_owned(), new);
        let recent = moving.values().filter(|it| now - it.since < MOST).count();
        if recent < MANY {
            *peak = 0;
            return None;
        }
        // Not fewer and fewer: the last ones waited for the first.
        *peak = recent.max(*peak);
        let patience = EACH * u32::try_from(*peak).unwrap_or(u32::MAX);
        let left = patience.clamp(LONGEST, MOST).checked_sub(now - since);
        let left = left.filter(|left| !left.is_zero())?;
        if let Some(it) = moving.get_mut(workspace) {
            it.unsaid = Some(status.clone());
        }
        Some(left)
    }

    /// The status that was put off: what we would say of this workspace.
    pub fn status(&self, workspace: &str, uid: &str) -> Option<WorkspaceStatus> {
        let crowd = self.lock();
        let found = crowd.moving.get(workspace).filter(|it| it.uid == uid)?;
        found.unsaid.clone()
    }

    /// The workspace has arrived, or is gone.
    pub fn forget(&self, workspace: &str) {
        self.lock().moving.remove(workspace);
    }

    /// Forgets everything: another leads.
    pub fn clear(&self) {
        *self.lock() = Crowd::default();
    }

    fn lock(&self) -> MutexGuard<'_, Crowd> {
        self.crowd.lock().unwrap_or_else(PoisonError::into_inner)
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
        let put_off = PutOff::default();
        for number in 1..MANY {
            let other = format!("team/other-{number}");
            assert_eq!(
                put_off.put_off(&other, "u", &status("1")),
                None,
                "few are on their way"
            );
        }
        assert_eq!(put_off.put_off("team/a", "u", &status("1")), Some(LONGEST));
        tokio::time::advance(LONGEST / 2).await;
        assert_eq!(put_off.put_off("team/a", "u", &status("2")), Some(LONGEST / 2));
        assert_eq!(put_off.status("team/a", "u"), Some(status("2")));
        assert_eq!(put_off.status("team/a", "another"), None);
        tokio::time::advance(LONGEST / 2).await;
        assert_eq!(put_off.put_off("team/a", "u", &status("3")), None);
        assert_eq!(put_off.status("team/a", "u"), None, "it is written");
        tokio::time::advance(MOST).await;
        assert_eq!(
            put_off.put_off("team/b", "u", &status("1")),
            None,
            "the others do not count any more"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_more_are_on_their_way_the_longer_it_is_put_off() {
        let put_off = PutOff::default();
        let last = |many: usize| {
            let put = (0..many).map(|number| put_off.put_off(&format!("team/{number}"), "u", &status("1")));
            put.last().flatten()
        };
        assert_eq!(last(160), Some(LONGEST));
        assert_eq!(last(500), Some(EACH * 500));
        for number in 0..400 {
            put_off.forget(&format!("team/{number}"));
        }
        let one_of_the_last = put_off.put_off("team/499", "u", &status("2"));
        assert_eq!(one_of_the_last, Some(EACH * 500), "the first got there before it");
        assert_eq!(last(2000), Some(MOST));
    }

    #[test]
    fn who_has_arrived_does_not_count() {
        let put_off = PutOff::default();
        for number in 0..2 * MANY {
            put_off.put_off(&format!("team/{number}"), "u", &status("1"));
            put_off.forget(&format!("team/{number}"));
        }
        assert_eq!(put_off.put_off("team/a", "u", &status("1")), None);
    }
}
