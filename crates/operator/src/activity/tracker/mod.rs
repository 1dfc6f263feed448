//! Subjects, answers -> the next pod to ask, known activity, workspaces to stop (in memory).

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use futures::{Stream, stream};
use jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;
use parking_lot::Mutex;
use rules::usage;
use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};

use super::{
    Subject,
    ask::{Answered, Unanswered},
    read::{self, Signal, is_of_door},
};
use crate::{
    cache::{observed::Identity, watch::Trigger},
    support::backoff::{jitter, part},
};

/// Failures in a row after which the status reports them.
const REPORTED_FAILURES: u32 = 3;
/// Idle readings in a row before a workspace is stopped: a single one may be a mistake.
const IDLE_READINGS: u32 = 2;
/// A pod that takes longer to answer is asked less often.
const SLOW: Duration = Duration::from_secs(2);
/// How often in a row a slow answer doubles the interval.
const MAX_DOUBLINGS: u32 = 2;
/// Shortest time between two status writes about the activity of one workspace.
const BETWEEN_WRITES: Duration = Duration::from_mins(1);

/// The known activity of every workspace that stops when idle.
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

#[derive(Debug)]
struct Entry {
    subject: Arc<Subject>,
    number: u64,
    last_activity: Timestamp,
    open_tab_until: Option<Timestamp>,
    signals: Vec<Signal>,
    out_of_memory: Option<Timestamp>,
    is_read: bool,
    /// Readings in a row that showed an expired idle timeout.
    idle_readings: u32,
    failures: u32,
    failing: Option<Unanswered>,
    /// Slow answers in a row.
    slow: u32,
    /// When its status was last written about activity.
    written: Option<Instant>,
    refusal_is_reported: bool,
    /// `None` while a request is in progress.
    due: Option<Instant>,
}

/// A workspace to ask.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) key: String,
    pub(crate) subject: Arc<Subject>,
    number: u64,
}

/// The known activity of one workspace.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ActivityReport {
    pub(crate) run_id: String,
    pub(crate) timeout: Duration,
    pub(crate) open_tab_minutes: i32,
    /// The latest known activity. It is never before the workspace became usable.
    pub(crate) last_activity: Timestamp,
    /// Until when an open page counts, if that is the last use.
    pub(crate) open_tab_until: Option<Timestamp>,
    pub(crate) signals: Vec<Signal>,
    /// When a process of it was last ended for memory.
    pub(crate) out_of_memory: Option<Timestamp>,
    /// Whether its pod has answered yet.
    pub(crate) is_read: bool,
    /// Why its pod has not answered for some time.
    pub(crate) failing: Option<Unanswered>,
    /// Whether the status was just written about activity. Then it may be slightly out of date until the next write.
    pub(crate) is_recent: bool,
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

impl Entry {
    fn new(subject: Subject, number: u64, now: Timestamp) -> Self {
        // A time of a clock that is ahead of ours counts as now.
        let since = subject.since.min(now);
        let known = subject.known.map_or(since, |known| known.min(now));
        Self {
            subject: Arc::new(subject),
            number,
            last_activity: since.max(known),
            open_tab_until: None,
            signals: Vec::new(),
            out_of_memory: None,
            is_read: false,
            idle_readings: 0,
            failures: 0,
            failing: None,
            slow: 0,
            written: None,
            refusal_is_reported: false,
            due: None,
        }
    }

    fn usage(&self) -> ActivityReport {
        ActivityReport {
            run_id: self.subject.run_id.clone(),
            timeout: self.subject.timeout,
            open_tab_minutes: self.subject.open_tab_minutes,
            last_activity: self.last_activity,
            open_tab_until: self.open_tab_until,
            signals: self.signals.clone(),
            out_of_memory: self.out_of_memory,
            is_read: self.is_read,
            failing: self.failing.clone(),
            is_recent: self
                .written
                .is_some_and(|written| written.elapsed() < BETWEEN_WRITES),
        }
    }

    /// The wait before the next request.
    fn interval(&self) -> Duration {
        self.subject.interval() * 2_u32.pow(self.slow.min(MAX_DOUBLINGS))
    }

    /// How long it may still be idle.
    fn left(&self, now: Timestamp) -> Duration {
        let unused = Duration::try_from(now.duration_since(self.last_activity)).unwrap_or_default();
        self.subject.timeout.saturating_sub(unused)
    }

    fn read(&mut self, answer: Answered, now: Timestamp) {
        let tells_of_door = match &answer {
            Ok(reading) => reading.signals.iter().any(|signal| is_of_door(signal.name)),
            Err(unanswered) => is_of_door(unanswered.name),
        };
        if tells_of_door && !self.subject.has_door {
            Arc::make_mut(&mut self.subject).has_door = true;
        }
        match answer {
            Ok(reading) => {
                // The time from which it is usable comes from the same clock.
                let since = read::shift(self.subject.since, reading.skew);
                let last = usage::last(
                    since,
                    &read::uses(&reading.signals),
                    self.subject.open_tab_minutes,
                );
                // Closing a terminal removes its last activity. The workspace was used all the same.
                self.last_activity = self.last_activity.max(last.at.min(now));
                self.open_tab_until = last.open_tab_until;
                self.signals = reading.signals;
                self.out_of_memory = reading.out_of_memory;
                self.is_read = true;
                let is_over = self.left(now).is_zero();
                self.idle_readings = if is_over {
                    self.idle_readings.saturating_add(1)
                } else {
                    0
                };
                self.failures = 0;
                self.failing = None;
            }
            Err(unanswered) => {
                self.idle_readings = 0;
                self.failures = self.failures.saturating_add(1);
                if self.failures >= REPORTED_FAILURES {
                    self.failing = Some(unanswered);
                }
            }
        }
    }
}

impl ActivityTracker {
    /// Starts or stops asking a workspace. Returns its known activity.
    pub(crate) fn follow(
        &self,
        key: &str,
        subject: Option<Subject>,
        now: Timestamp,
    ) -> Option<ActivityReport> {
        let mut state = self.state.lock();
        let Some(mut subject) = subject else {
            state.leave(key);
            return None;
        };
        if let Some(entry) = state.entries.get_mut(key).filter(|it| it.subject.is_as(&subject)) {
            subject.has_door |= entry.subject.has_door;
            entry.subject = Arc::new(subject);
            return Some(entry.usage());
        }
        let earlier = state.leave(key).filter(|it| it.subject.run_id == subject.run_id);
        subject.has_door |= earlier.as_ref().is_some_and(|it| it.subject.has_door);
        state.count += 1;
        let wait = subject.interval();
        let mut entry = Entry::new(subject, state.count, now);
        if let Some(earlier) = earlier {
            entry.last_activity = entry.last_activity.max(earlier.last_activity);
        }
        let usage = entry.usage();
        state.entries.insert(key.to_owned(), entry);
        // A random time in the first interval, so that a new leader does not ask all pods at once.
        state.set_due(key, Instant::now() + part(wait));
        drop(state);
        self.changed.notify_one();
        Some(usage)
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

    /// The next due workspace, in a namespace that `has_room`.
    pub(crate) fn take(&self, now: Instant, has_room: impl Fn(&str) -> bool) -> Option<Job> {
        let mut state = self.state.lock();
        let mut due = state.due.iter().take_while(|(due, _)| *due <= now);
        let is_next = |key: &str| {
            let entry = state.entries.get(key);
            entry.is_none_or(|entry| has_room(&entry.subject.identity.namespace))
        };
        let key = due.find(|(_, key)| is_next(key))?.1.clone();
        state.unset_due(&key);
        let entry = state.entries.get(&key)?;
        Some(Job {
            subject: entry.subject.clone(),
            number: entry.number,
            key,
        })
    }

    /// Records an answer and its duration, and schedules the next request. Returns the known activity and whether to stop the workspace.
    /// `None`: the workspace has a new subject.
    pub(crate) fn record_answer(
        &self,
        job: &Job,
        answer: Answered,
        took: Duration,
        now: Timestamp,
    ) -> Option<(ActivityReport, bool)> {
        let mut state = self.state.lock();
        let entry = state
            .entries
            .get_mut(&job.key)
            .filter(|it| it.number == job.number)?;
        entry.slow = if took > SLOW {
            entry.slow.saturating_add(1)
        } else {
            0
        };
        entry.read(answer, now);
        let left = entry.left(now);
        let unused = left.is_zero();
        let interval = jitter(entry.interval());
        let wait = if unused {
            interval
        } else {
            interval.min(left.max(Duration::from_secs(1)))
        };
        let found = (entry.usage(), unused && entry.idle_readings >= IDLE_READINGS);
        state.set_due(&job.key, Instant::now() + wait);
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
