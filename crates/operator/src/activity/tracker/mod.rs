//! Subjects, answers -> the next pod to ask, known use, workspaces to stop (in memory).
//!
//! - `entry`: one subject, answers of its pod -> what is known of it.

mod entry;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use futures::{Stream, stream};
use jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};

use self::entry::Entry;
pub(crate) use self::entry::{ActivityReport, Report};
use super::{Subject, read::Answered};
use crate::{
    cache::{observed::Identity, watch::Trigger},
    support::backoff::{jitter, part},
};

/// Idle readings in a row before a workspace is stopped: a single one may be a mistake.
const IDLE_READINGS: u32 = 2;
/// Longest wait between two idle readings.
const BETWEEN_IDLE_READINGS: Duration = Duration::from_secs(10);
/// A pod that takes longer to answer is asked less often.
const SLOW: Duration = Duration::from_secs(2);

/// What is known of every workspace that stops when idle or at a maximum age, or has a disk of its own.
#[derive(Debug)]
pub struct ActivityTracker {
    state: Mutex<TrackerState>,
    changed: Notify,
    sender: mpsc::UnboundedSender<Trigger>,
    triggers: Mutex<Option<mpsc::UnboundedReceiver<Trigger>>>,
}

#[derive(Debug, Default)]
struct TrackerState {
    entries: HashMap<String, Entry>,
    due: BTreeSet<(Instant, String)>,
    /// Distinguishes one subject of a workspace from the next.
    count: u64,
}

/// A workspace to ask.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) key: String,
    pub(crate) subject: Arc<Subject>,
    /// Whether its pod last let the operator wait and gave no answer, or may do so at its first question.
    pub(crate) is_silent: bool,
    number: u64,
}

impl Default for ActivityTracker {
    fn default() -> Self {
        let (sender, triggers) = mpsc::unbounded_channel();
        Self {
            state: Mutex::default(),
            changed: Notify::new(),
            sender,
            triggers: Mutex::new(Some(triggers)),
        }
    }
}

impl ActivityTracker {
    /// Starts or stops asking a workspace. Returns what is known of it.
    pub(crate) fn follow(&self, key: &str, subject: Option<Subject>, now: Timestamp) -> Option<Report> {
        let mut state = self.state.lock();
        let Some(mut subject) = subject else {
            state.leave(key);
            return None;
        };
        if let Some(entry) = state.entries.get_mut(key).filter(|it| it.subject.is_as(&subject)) {
            subject.has_door |= entry.subject.has_door;
            entry.subject = Arc::new(subject);
            return Some(entry.report());
        }
        let earlier = state.leave(key).filter(|it| it.subject.run_id == subject.run_id);
        subject.has_door |= earlier.as_ref().is_some_and(|it| it.subject.has_door);
        state.count += 1;
        let wait = subject.interval();
        let mut entry = Entry::new(subject, state.count, now);
        if let Some(earlier) = earlier {
            entry.disk = earlier.disk;
            entry.is_silent |= earlier.is_silent;
            if earlier.subject.idle.is_some() {
                entry.last_activity = entry.last_activity.max(earlier.last_activity);
            }
        }
        let report = entry.report();
        state.entries.insert(key.to_owned(), entry);
        // A random time in the first interval, so that a new leader does not ask all pods at once.
        state.set_due(key, Instant::now() + part(wait));
        drop(state);
        self.changed.notify_one();
        Some(report)
    }

    /// Stops asking a workspace.
    pub fn forget(&self, key: &str) {
        self.state.lock().leave(key);
    }

    /// Stops asking all workspaces, because another replica leads.
    pub fn clear(&self) {
        let mut state = self.state.lock();
        state.entries.clear();
        state.due.clear();
    }

    /// When the next workspace that is not due at `now` is to be asked.
    pub(crate) fn next(&self, now: Instant) -> Option<Instant> {
        let state = self.state.lock();
        let mut due = state.due.iter().map(|(due, _)| *due);
        due.find(|due| *due > now)
    }

    /// Resolves when the result of [`ActivityTracker::next`] may have changed.
    pub(crate) async fn wait_for_change(&self) {
        self.changed.notified().await;
    }

    /// The next due workspace for which there is room, by its namespace and whether its pod is silent.
    pub(crate) fn take(&self, now: Instant, mut has_room: impl FnMut(&str, bool) -> bool) -> Option<Job> {
        let mut state = self.state.lock();
        let mut due = state.due.iter().take_while(|(due, _)| *due <= now);
        let mut is_next = |key: &str| {
            let entry = state.entries.get(key);
            entry.is_none_or(|entry| has_room(&entry.subject.identity.namespace, entry.is_silent))
        };
        let key = due.find(|(_, key)| is_next(key))?.1.clone();
        state.unset_due(&key);
        let entry = state.entries.get(&key)?;
        Some(Job {
            subject: entry.subject.clone(),
            is_silent: entry.is_silent,
            number: entry.number,
            key,
        })
    }

    /// Records an answer and its duration, and schedules the next request. Returns what is known and whether to stop the workspace as idle.
    /// `None`: the workspace has a new subject.
    pub(crate) fn record_answer(
        &self,
        job: &Job,
        answer: Answered,
        took: Duration,
        now: Timestamp,
    ) -> Option<(Report, bool)> {
        let mut state = self.state.lock();
        let entry = state
            .entries
            .get_mut(&job.key)
            .filter(|it| it.number == job.number)?;
        let is_slow = took > SLOW;
        entry.slow = if is_slow { entry.slow.saturating_add(1) } else { 0 };
        entry.is_silent = answer.is_err() && (is_slow || entry.is_silent);
        let is_without_door = entry.is_without_door(&answer);
        entry.read(answer, now);
        let unused = entry.is_unused(now);
        let interval = jitter(entry.interval());
        let wait = match entry.left(now) {
            _ if (1..IDLE_READINGS).contains(&entry.idle_readings) => interval.min(BETWEEN_IDLE_READINGS),
            Some(left) if !unused => interval.min(left.max(Duration::from_secs(1))),
            _ => interval,
        };
        let found = (entry.report(), unused && entry.idle_readings >= IDLE_READINGS);
        if !is_without_door {
            state.set_due(&job.key, Instant::now() + wait);
        }
        Some(found)
    }

    /// Records that the status of a workspace is being written with new activity.
    pub(crate) fn status_written(&self, key: &str) {
        if let Some(entry) = self.state.lock().entries.get_mut(key) {
            entry.written = Some(Instant::now());
        }
    }

    /// Whether this is the first time that the API server refuses the stop. True once.
    pub(crate) fn is_first_refusal(&self, job: &Job) -> bool {
        let mut state = self.state.lock();
        let entry = state.entries.get_mut(&job.key);
        let entry = entry.filter(|it| it.number == job.number);
        entry.is_some_and(|entry| !std::mem::replace(&mut entry.refusal_is_reported, true))
    }

    /// Triggers a reconcile of a workspace, so that its status is written.
    pub(crate) fn trigger(&self, identity: &Identity) {
        // There is no receiver when the process ends.
        let _ = self
            .sender
            .send(ObjectRef::new(&identity.name).within(&identity.namespace));
    }

    /// Triggers of workspaces to reconcile. It can be called once.
    pub fn triggers(&self) -> impl Stream<Item = Trigger> + Send + use<> {
        let triggers = self.triggers.lock().take();
        stream::unfold(triggers, |triggers| async {
            let mut triggers = triggers?;
            triggers.recv().await.map(|trigger| (trigger, Some(triggers)))
        })
    }
}

impl TrackerState {
    fn leave(&mut self, key: &str) -> Option<Entry> {
        self.unset_due(key);
        self.entries.remove(key)
    }

    fn set_due(&mut self, key: &str, due: Instant) {
        self.unset_due(key);
        if let Some(entry) = self.entries.get_mut(key) {
            entry.due = Some(due);
            self.due.insert((due, key.to_owned()));
        }
    }

    fn unset_due(&mut self, key: &str) {
        if let Some(due) = self.entries.get_mut(key).and_then(|entry| entry.due.take()) {
            self.due.remove(&(due, key.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests;
