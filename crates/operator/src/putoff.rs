//! Statuses that will soon be followed by another -> whether to write them now (in memory).
//!
//! A status costs the API server more than any other write of ours. Where many workspaces are on their way at a time, what makes
//! them get on goes first: that one is starting, stopping or leaving is said once that has lasted, and not at all where it
//! ends before.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use api::WorkspaceStatus;
use tokio::time::Instant;

/// How long a status may be put off.
pub const LONGEST: Duration = Duration::from_secs(5);
/// Passes under way from which on statuses are put off.
const MANY: usize = 16;

/// What is put off, by workspace, and how much is going on.
#[derive(Debug, Default)]
pub struct PutOff {
    passes: AtomicUsize,
    waiting: Mutex<HashMap<String, Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    uid: String,
    since: Instant,
    status: WorkspaceStatus,
}

/// A pass that is under way.
#[derive(Debug)]
pub struct UnderWay<'a>(&'a AtomicUsize);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl PutOff {
    /// Counts a pass until the answer is dropped.
    pub fn under_way(&self) -> UnderWay<'_> {
        self.passes.fetch_add(1, Ordering::Relaxed);
        UnderWay(&self.passes)
    }

    /// Puts the status off, and says until when at the latest; `None`: it is to be written now.
    pub fn put_off(&self, workspace: &str, uid: &str, status: &WorkspaceStatus) -> Option<Duration> {
        if self.passes.load(Ordering::Relaxed) < MANY {
            return None;
        }
        let mut waiting = self.lock();
        let since = waiting
            .get(workspace)
            .filter(|it| it.uid == uid)
            .map(|it| it.since);
        let since = since.unwrap_or_else(Instant::now);
        let left = LONGEST
            .checked_sub(since.elapsed())
            .filter(|left| !left.is_zero())?;
        let status = status.clone();
        let uid = uid.to_owned();
        waiting.insert(workspace.to_owned(), Waiting { uid, since, status });
        Some(left)
    }

    /// The status that was put off: what we would say of this workspace.
    pub fn status(&self, workspace: &str, uid: &str) -> Option<WorkspaceStatus> {
        let waiting = self.lock();
        let found = waiting.get(workspace).filter(|it| it.uid == uid)?;
        Some(found.status.clone())
    }

    /// The status was written, or the workspace is gone.
    pub fn forget(&self, workspace: &str) {
        self.lock().remove(workspace);
    }

    /// Forgets everything: another leads.
    pub fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
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
    async fn a_status_is_put_off_while_much_goes_on_and_not_for_long() {
        let put_off = PutOff::default();
        assert_eq!(
            put_off.put_off("team/a", "u", &status("1")),
            None,
            "nothing else goes on"
        );
        let passes: Vec<_> = (0..MANY).map(|_| put_off.under_way()).collect();
        assert_eq!(put_off.put_off("team/a", "u", &status("1")), Some(LONGEST));
        tokio::time::advance(LONGEST / 2).await;
        assert_eq!(put_off.put_off("team/a", "u", &status("2")), Some(LONGEST / 2));
        assert_eq!(put_off.status("team/a", "u"), Some(status("2")));
        assert_eq!(put_off.status("team/a", "another"), None);
        tokio::time::advance(LONGEST / 2).await;
        assert_eq!(put_off.put_off("team/a", "u", &status("3")), None);
        put_off.forget("team/a");
        assert_eq!(put_off.status("team/a", "u"), None);
        drop(passes);
        assert_eq!(put_off.put_off("team/b", "u", &status("1")), None);
    }
}
