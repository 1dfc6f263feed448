//! Subjects, answers -> who is asked next, what is known of each, and who is to be stopped (in memory).

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{Stream, stream};
use jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;
use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};

use super::{
    Subject,
    ask::{Answered, Unanswered},
    read::{self, Signal},
};
use crate::{
    cache::{observed::Identity, watch::Trigger},
    support::backoff::{jitter, part},
};

/// Failures in a row after which people are told.
const FAILURES_TOLD: u32 = 3;
/// Readings in a row, each of which shows that a workspace's time is over, that it takes to stop it: one may be a mistake.
const READINGS: u32 = 2;
/// A pod that takes longer to answer is asked less often.
const SLOW: Duration = Duration::from_secs(2);
/// How often in a row that doubles the time between two questions.
const MOST_DOUBLED: u32 = 2;
/// Time between two writes of a status for what is known of the use of one workspace.
const BETWEEN_WRITES: Duration = Duration::from_mins(1);

/// What is known of every workspace that is stopped when nobody uses it.
#[derive(Debug)]
pub struct Book {
    state: Mutex<State>,
    changed: Notify,
    sender: mpsc::UnboundedSender<Trigger>,
    triggers: Mutex<Option<mpsc::UnboundedReceiver<Trigger>>>,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<String, Entry>,
    due: BTreeSet<(Instant, String)>,
    /// Tells one subject of a workspace from the next one.
    count: u64,
}

#[derive(Debug)]
struct Entry {
    subject: Arc<Subject>,
    number: u64,
    last_activity: Timestamp,
    signals: Vec<Signal>,
    is_read: bool,
    /// How many in a row have shown that its time is over.
    idle_readings: u32,
    failures: u32,
    failing: Option<Unanswered>,
    /// How many answers in a row were slow.
    slow: u32,
    /// When its status was last written for this.
    told: Option<Instant>,
    refusal_is_told: bool,
    /// `None` while it is being asked.
    due: Option<Instant>,
}

/// A workspace to ask.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) key: String,
    pub(super) subject: Arc<Subject>,
    number: u64,
}

/// What is known of one workspace.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Usage {
    pub(super) run_id: String,
    pub(super) timeout: Duration,
    /// When it was used last, as far as is known; not before it could be.
    pub(super) last_activity: Timestamp,
    pub(super) signals: Vec<Signal>,
    /// Whether its pod has told anything yet.
    pub(super) is_read: bool,
    /// Why its pod has told nothing for some time.
    pub(super) failing: Option<Unanswered>,
    /// Whether the status was written for this just now: it may be a little behind before it is again.
    pub(super) is_told: bool,
}

impl Default for Book {
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
        // What a clock says that is ahead of ours has happened by now.
        let since = subject.since.min(now);
        let known = subject.known.map_or(since, |known| known.min(now));
        Self {
            subject: Arc::new(subject),
            number,
            last_activity: since.max(known),
            signals: Vec::new(),
            is_read: false,
            idle_readings: 0,
            failures: 0,
            failing: None,
            slow: 0,
            told: None,
            refusal_is_told: false,
            due: None,
        }
    }

    fn usage(&self) -> Usage {
        Usage {
            run_id: self.subject.run_id.clone(),
            timeout: self.subject.timeout,
            last_activity: self.last_activity,
            signals: self.signals.clone(),
            is_read: self.is_read,
            failing: self.failing.clone(),
            is_told: self.told.is_some_and(|told| told.elapsed() < BETWEEN_WRITES),
        }
    }

    /// How long to wait until it is asked again.
    fn interval(&self) -> Duration {
        self.subject.interval() * 2_u32.pow(self.slow.min(MOST_DOUBLED))
    }

    /// How long it may still be unused.
    fn left(&self, now: Timestamp) -> Duration {
        let unused = Duration::try_from(now.duration_since(self.last_activity)).unwrap_or_default();
        self.subject.timeout.saturating_sub(unused)
    }

    fn read(&mut self, answer: Answered, now: Timestamp) {
        match answer {
            Ok(reading) => {
                let latest = reading
                    .signals
                    .iter()
                    .filter_map(|signal| signal.last_activity)
                    .max();
                // When it could be used first is told by the same clock.
                let since = read::moved(self.subject.since, reading.skew);
                // Closing a terminal takes its past away, not that it was used.
                self.last_activity = [Some(since), latest]
                    .into_iter()
                    .flatten()
                    .map(|time| time.min(now))
                    .fold(self.last_activity, Ord::max);
                self.signals = reading.signals;
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
                if self.failures >= FAILURES_TOLD {
                    self.failing = Some(unanswered);
                }
            }
        }
    }
}

impl Book {
    /// From now on a workspace is to be asked, or no more. What is known of it.
    pub(super) fn follow(&self, key: &str, subject: Option<Subject>, now: Timestamp) -> Option<Usage> {
        let mut state = self.lock();
        let Some(subject) = subject else {
            state.leave(key);
            return None;
        };
        if let Some(entry) = state.entries.get_mut(key).filter(|it| it.subject.is_as(&subject)) {
            entry.subject = Arc::new(subject);
            return Some(entry.usage());
        }
        let earlier = state.leave(key).filter(|it| it.subject.run_id == subject.run_id);
        state.count += 1;
        let wait = subject.interval();
        let mut entry = Entry::new(subject, state.count, now);
        if let Some(earlier) = earlier {
            entry.last_activity = entry.last_activity.max(earlier.last_activity);
        }
        let usage = entry.usage();
        state.entries.insert(key.to_owned(), entry);
        // Somewhere in the first interval, so that a new leader does not ask everybody at once.
        state.set_due(key, Instant::now() + part(wait));
        drop(state);
        self.changed.notify_one();
        Some(usage)
    }

    /// A workspace is not asked any more.
    pub fn forget(&self, key: &str) {
        self.lock().leave(key);
    }

    /// Nobody is asked any more: another leads.
    pub fn clear(&self) {
        let mut state = self.lock();
        state.entries.clear();
        state.due.clear();
    }

    /// When somebody is to be asked next for whom it is not time at `now`.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        let state = self.lock();
        let mut due = state.due.iter().map(|(due, _)| *due);
        due.find(|due| *due > now)
    }

    /// Resolves when [`Book::next`] may be another.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The next workspace to ask whose time has come, in a namespace that `has_room`.
    pub(super) fn take(&self, now: Instant, has_room: impl Fn(&str) -> bool) -> Option<Job> {
        let mut state = self.lock();
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

    /// Enters an answer, how long it took, and when to ask again. What is known now, and whether to stop the workspace; `None`: it
    /// is another by now.
    pub(super) fn answered(
        &self,
        job: &Job,
        answer: Answered,
        took: Duration,
        now: Timestamp,
    ) -> Option<(Usage, bool)> {
        let mut state = self.lock();
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
        let found = (entry.usage(), unused && entry.idle_readings >= READINGS);
        state.set_due(&job.key, Instant::now() + wait);
        Some(found)
    }

    /// The status of a workspace is being written with something new of its use.
    pub(super) fn told(&self, key: &str) {
        if let Some(entry) = self.lock().entries.get_mut(key) {
            entry.told = Some(Instant::now());
        }
    }

    /// Whether that the API server refuses the stop is news. Once.
    pub(super) fn is_first_refusal(&self, job: &Job) -> bool {
        self.change(job, |entry| !std::mem::replace(&mut entry.refusal_is_told, true))
    }

    fn change(&self, job: &Job, change: impl FnOnce(&mut Entry) -> bool) -> bool {
        let mut state = self.lock();
        let entry = state.entries.get_mut(&job.key);
        entry.filter(|it| it.number == job.number).is_some_and(change)
    }

    /// Has a workspace looked at, so that its status is written.
    pub(super) fn trigger(&self, identity: &Identity) {
        // Nobody listens when the process ends.
        let _ = self
            .sender
            .send(ObjectRef::new(&identity.name).within(&identity.namespace));
    }

    /// The workspaces that are to be looked at. Once.
    pub fn triggers(&self) -> impl Stream<Item = Trigger> + Send + use<> {
        let triggers = self
            .triggers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        stream::unfold(triggers, |triggers| async {
            let mut triggers = triggers?;
            triggers.recv().await.map(|trigger| (trigger, Some(triggers)))
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
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
