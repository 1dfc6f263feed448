//! Statuses that will soon be followed by another -> whether to write them now (in memory).
//!
//! A status costs the API server more than any other write of ours. Where many workspaces are on their way at a time, what makes
//! them get on goes first: that one is starting, stopping or leaving is said once that has lasted, and not at all where it
//! ends before.

use std::{
    collections::{HashMap, VecDeque},
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
    /// Who set out, the earliest first; those that have arrived meanwhile are among them.
    setting_out: VecDeque<(Instant, String)>,
    /// How many of those on their way count as one of many.
    recent: usize,
    /// The most that were on their way at a time since many are.
    peak: usize,
}

#[derive(Debug)]
struct Moving {
    uid: String,
    since: Instant,
    /// Whether it counts as one of many still.
    is_recent: bool,
    /// As text: as structs, those of a thousand are as many kilobytes and more.
    unsaid: Option<Box<str>>,
}

impl Crowd {
    /// Takes note of a workspace on its way, since when, and how many are. No call looks at all of them.
    fn meet(&mut self, workspace: &str, uid: &str, now: Instant) -> Instant {
        if let Some(known) = self.moving.get_mut(workspace).filter(|it| it.uid == uid) {
            known.unsaid = None;
            return known.since;
        }
        self.leave(workspace);
        let new = Moving {
            uid: uid.to_owned(),
            since: now,
            is_recent: true,
            unsaid: None,
        };
        self.moving.insert(workspace.to_owned(), new);
        self.setting_out.push_back((now, workspace.to_owned()));
        self.recent += 1;
        now
    }

    /// Whoever has been on the way for long does not count any more.
    fn age(&mut self, now: Instant) {
        while let Some((since, workspace)) = self.setting_out.pop_front_if(|(since, _)| now - *since >= MOST)
        {
            let known = self.moving.get_mut(&workspace);
            if let Some(known) = known.filter(|it| it.since == since && it.is_recent) {
                known.is_recent = false;
                self.recent -= 1;
            }
        }
    }

    fn unsaid(&self, workspace: &str, uid: &str) -> Option<&str> {
        let found = self.moving.get(workspace).filter(|it| it.uid == uid)?;
        found.unsaid.as_deref()
    }

    fn leave(&mut self, workspace: &str) {
        if self.moving.remove(workspace).is_some_and(|it| it.is_recent) {
            self.recent -= 1;
        }
    }
}

impl PutOff {
    /// Puts a status off that says no more than that the workspace is on its way, and answers until when at the latest;
    /// `None`: it is to be written now.
    pub fn put_off(&self, workspace: &str, uid: &str, status: &WorkspaceStatus) -> Option<Duration> {
        let mut crowd = self.lock();
        let now = Instant::now();
        crowd.age(now);
        let since = crowd.meet(workspace, uid, now);
        if crowd.recent < MANY {
            crowd.peak = 0;
            return None;
        }
        // Not fewer and fewer: the last ones waited for the first.
        crowd.peak = crowd.recent.max(crowd.peak);
        let patience = EACH * u32::try_from(crowd.peak).unwrap_or(u32::MAX);
        let left = patience.clamp(LONGEST, MOST).checked_sub(now - since);
        let left = left.filter(|left| !left.is_zero())?;
        let text = serde_json::to_string(status);
        let text = text.inspect_err(|error| tracing::error!(%error, "a status cannot be put off"));
        if let Some(it) = crowd.moving.get_mut(workspace) {
            it.unsaid = Some(text.ok()?.into());
        }
        Some(left)
    }

    /// Whether so many are on their way that statuses are put off.
    pub fn is_crowded(&self) -> bool {
        let mut crowd = self.lock();
        crowd.age(Instant::now());
        crowd.recent >= MANY
    }

    /// The status that was put off: what we would say of this workspace.
    pub fn status(&self, workspace: &str, uid: &str) -> Option<WorkspaceStatus> {
        let crowd = self.lock();
        let read = |text: &str| serde_json::from_str(text);
        let status = crowd.unsaid(workspace, uid).map(read)?;
        status
            .inspect_err(|error| tracing::error!(%error, "a status that was put off cannot be read"))
            .ok()
    }

    /// Whether one was put off.
    pub fn has_put_off(&self, workspace: &str, uid: &str) -> bool {
        self.lock().unsaid(workspace, uid).is_some()
    }

    /// The workspace has arrived, or is gone.
    pub fn forget(&self, workspace: &str) {
        self.lock().leave(workspace);
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
        assert!(!put_off.is_crowded());
        assert_eq!(put_off.put_off("team/a", "u", &status("1")), Some(LONGEST));
        tokio::time::advance(LONGEST / 2).await;
        assert_eq!(put_off.put_off("team/a", "u", &status("2")), Some(LONGEST / 2));
        assert_eq!(put_off.status("team/a", "u"), Some(status("2")));
        assert_eq!(put_off.status("team/a", "another"), None);
        assert!(put_off.is_crowded());
        tokio::time::advance(LONGEST / 2).await;
        assert_eq!(put_off.put_off("team/a", "u", &status("3")), None);
        assert_eq!(put_off.status("team/a", "u"), None, "it is written");
        tokio::time::advance(MOST).await;
        assert!(!put_off.is_crowded());
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

    #[tokio::test(start_paused = true)]
    async fn one_that_sets_out_again_or_is_made_anew_counts_once() {
        let put_off = PutOff::default();
        for turn in 0..2 * MANY {
            put_off.put_off("team/a", &format!("u{turn}"), &status("1"));
            put_off.forget("team/b");
            put_off.put_off("team/b", "u", &status("1"));
        }
        assert_eq!(put_off.lock().recent, 2);
        tokio::time::advance(MOST).await;
        put_off.put_off("team/c", "u", &status("1"));
        put_off.forget("team/a");
        let crowd = put_off.lock();
        assert_eq!((crowd.recent, crowd.setting_out.len()), (1, 1));
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
