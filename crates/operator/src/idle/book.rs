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
    read::Signal,
};
use crate::{
    backoff::{part, spread},
    watch::Wake,
    world::Identity,
};

/// Failures in a row after which people are told.
const FAILURES_TOLD: u32 = 3;
/// Readings in a row, each of which shows that nobody uses a workspace, that it takes to stop it: one may be a mistake.
const READINGS: u32 = 2;

/// What is known of every workspace that is stopped when nobody uses it.
#[derive(Debug)]
pub struct Book {
    state: Mutex<State>,
    changed: Notify,
    sender: mpsc::UnboundedSender<Wake>,
    wakes: Mutex<Option<mpsc::UnboundedReceiver<Wake>>>,
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
    readings: u32,
    failures: u32,
    failing: Option<Unanswered>,
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
pub(super) struct Standing {
    pub(super) run_id: String,
    pub(super) timeout: Duration,
    /// When it was used last, as far as is known; not before it could be.
    pub(super) last_activity: Timestamp,
    pub(super) signals: Vec<Signal>,
    /// Whether its pod has told anything yet.
    pub(super) is_read: bool,
    /// Why its pod has told nothing for some time.
    pub(super) failing: Option<Unanswered>,
}

impl Default for Book {
    fn default() -> Self {
        let (sender, wakes) = mpsc::unbounded_channel();
        Self {
            state: Mutex::default(),
            changed: Notify::new(),
            sender,
            wakes: Mutex::new(Some(wakes)),
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
            readings: 0,
            failures: 0,
            failing: None,
            due: None,
        }
    }

    fn standing(&self) -> Standing {
        Standing {
            run_id: self.subject.run_id.clone(),
            timeout: self.subject.timeout,
            last_activity: self.last_activity,
            signals: self.signals.clone(),
            is_read: self.is_read,
            failing: self.failing.clone(),
        }
    }

    /// How long it may still be unused.
    fn left(&self, now: Timestamp) -> Duration {
        let unused = Duration::try_from(now.duration_since(self.last_activity)).unwrap_or_default();
        self.subject.timeout.saturating_sub(unused)
    }

    fn read(&mut self, answer: Answered, now: Timestamp) {
        match answer {
            Ok(signals) => {
                let latest = signals.iter().filter_map(|signal| signal.last_activity).max();
                // Closing a terminal takes its past away, not that it was used.
                self.last_activity = self
                    .last_activity
                    .max(latest.map_or(self.last_activity, |it| it.min(now)));
                self.signals = signals;
                self.is_read = true;
                self.readings = self.readings.saturating_add(1);
                self.failures = 0;
                self.failing = None;
            }
            Err(unanswered) => {
                self.readings = 0;
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
    pub(super) fn follow(&self, key: &str, subject: Option<Subject>, now: Timestamp) -> Option<Standing> {
        let mut state = self.lock();
        let Some(subject) = subject else {
            state.leave(key);
            return None;
        };
        if let Some(entry) = state.entries.get_mut(key).filter(|it| it.subject.is_as(&subject)) {
            entry.subject = Arc::new(subject);
            return Some(entry.standing());
        }
        let earlier = state.leave(key).filter(|it| it.subject.run_id == subject.run_id);
        state.count += 1;
        let wait = subject.interval();
        let mut entry = Entry::new(subject, state.count, now);
        if let Some(earlier) = earlier {
            entry.last_activity = entry.last_activity.max(earlier.last_activity);
        }
        let standing = entry.standing();
        state.entries.insert(key.to_owned(), entry);
        // Somewhere in the first interval, so that a new leader does not ask everybody at once.
        state.set_due(key, Instant::now() + part(wait));
        drop(state);
        self.changed.notify_one();
        Some(standing)
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

    /// When somebody is to be asked next.
    pub(super) fn next(&self) -> Option<Instant> {
        self.lock().due.first().map(|(due, _)| *due)
    }

    /// Resolves when [`Book::next`] may be another.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The next workspace to ask, if its time has come.
    pub(super) fn take(&self, now: Instant) -> Option<Job> {
        let mut state = self.lock();
        let key = state.due.first().filter(|(due, _)| *due <= now)?.1.clone();
        state.unset_due(&key);
        let entry = state.entries.get(&key)?;
        Some(Job {
            subject: entry.subject.clone(),
            number: entry.number,
            key,
        })
    }

    /// Enters an answer and when to ask again. What is known now, and whether to stop the workspace; `None`: it is another by now.
    pub(super) fn answered(&self, job: &Job, answer: Answered, now: Timestamp) -> Option<(Standing, bool)> {
        let mut state = self.lock();
        let entry = state
            .entries
            .get_mut(&job.key)
            .filter(|it| it.number == job.number)?;
        entry.read(answer, now);
        let left = entry.left(now);
        let unused = left.is_zero();
        let interval = spread(entry.subject.interval());
        let wait = if unused {
            interval
        } else {
            interval.min(left.max(Duration::from_secs(1)))
        };
        let found = (entry.standing(), unused && entry.readings >= READINGS);
        state.set_due(&job.key, Instant::now() + wait);
        Some(found)
    }

    /// Has a workspace looked at, so that its status is written.
    pub(super) fn wake(&self, identity: &Identity) {
        // Nobody listens when the process ends.
        let _ = self
            .sender
            .send(ObjectRef::new(&identity.name).within(&identity.namespace));
    }

    /// The workspaces that are to be looked at. Once.
    pub fn wakes(&self) -> impl Stream<Item = Wake> + Send + use<> {
        let wakes = self.wakes.lock().unwrap_or_else(PoisonError::into_inner).take();
        stream::unfold(wakes, |wakes| async {
            let mut wakes = wakes?;
            wakes.recv().await.map(|wake| (wake, Some(wakes)))
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
mod tests {
    use super::*;
    use crate::idle::subject::tests::subject;

    const KEY: &str = "team-demo/demo";

    fn at(second: i64) -> Timestamp {
        subject().since + jiff::SignedDuration::from_secs(second)
    }

    #[expect(clippy::unnecessary_wraps, reason = "an answer beside those that fail")]
    fn used(time: Timestamp) -> Answered {
        Ok(vec![Signal {
            name: "server",
            last_activity: Some(time),
        }])
    }

    fn nothing() -> Answered {
        Err(Unanswered {
            name: "server",
            why: "no answer".to_owned(),
        })
    }

    /// Asks once, whenever that is due, at a time of day.
    fn ask(book: &Book, answer: Answered, now: Timestamp) -> (Standing, bool) {
        let job = book.take(book.next().unwrap()).unwrap();
        book.answered(&job, answer, now).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn it_takes_a_whole_timeout_and_two_readings() {
        let book = Book::default();
        book.follow(KEY, Some(subject()), at(0));
        assert!(!ask(&book, used(at(0)), at(299)).1, "the timeout is not over");
        assert!(ask(&book, used(at(0)), at(300)).1);
        let book = Book::default();
        book.follow(KEY, Some(subject()), at(9000));
        assert!(
            !ask(&book, used(at(0)), at(9000)).1,
            "one reading may be a mistake"
        );
        assert!(ask(&book, used(at(0)), at(9030)).1);
    }

    #[tokio::test(start_paused = true)]
    async fn who_just_started_has_a_whole_timeout_whatever_the_pod_says() {
        let book = Book::default();
        book.follow(KEY, Some(subject()), at(0));
        for second in [10, 100, 290] {
            let (standing, stop) = ask(&book, used(at(-90_000)), at(second));
            assert!(!stop);
            assert_eq!(standing.last_activity, at(0));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_not_idleness_and_a_reading_before_it_does_not_count() {
        let book = Book::default();
        book.follow(KEY, Some(subject()), at(0));
        ask(&book, used(at(0)), at(30));
        for round in 0..100 {
            let (standing, stop) = ask(&book, nothing(), at(1000 + round));
            assert!(!stop);
            assert_eq!(standing.failing.is_some(), round >= 2, "{round}");
        }
        assert!(!ask(&book, used(at(0)), at(2000)).1);
        let (standing, stop) = ask(&book, used(at(0)), at(2030));
        assert!(stop && standing.failing.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn activity_that_a_pod_forgets_still_happened() {
        let book = Book::default();
        book.follow(KEY, Some(subject()), at(0));
        ask(&book, used(at(200)), at(200));
        let (standing, stop) = ask(&book, used(at(100)), at(310));
        assert_eq!((standing.last_activity, stop), (at(200), false));
    }

    #[tokio::test(start_paused = true)]
    async fn a_time_that_has_not_come_is_now() {
        let book = Book::default();
        book.follow(KEY, Some(subject()), at(0));
        assert_eq!(ask(&book, used(at(99_999)), at(100)).0.last_activity, at(100));
        let ahead = Subject {
            since: at(5000),
            known: Some(at(9000)),
            ..subject()
        };
        let standing = book.follow(KEY, Some(ahead), at(200)).unwrap();
        assert_eq!(standing.last_activity, at(200));
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_leader_goes_on_from_what_the_status_tells() {
        let book = Book::default();
        let known = Subject {
            known: Some(at(400)),
            ..subject()
        };
        book.follow(KEY, Some(known), at(500));
        ask(&book, used(at(0)), at(510));
        assert!(!ask(&book, used(at(0)), at(690)).1);
        assert!(ask(&book, used(at(0)), at(700)).1);
    }

    #[tokio::test(start_paused = true)]
    async fn another_timeout_counts_at_once_and_another_run_anew() {
        let book = Book::default();
        book.follow(KEY, Some(subject()), at(0));
        ask(&book, used(at(100)), at(100));
        let shorter = Subject {
            timeout: Duration::from_mins(1),
            ..subject()
        };
        assert_eq!(
            book.follow(KEY, Some(shorter.clone()), at(170))
                .unwrap()
                .last_activity,
            at(100)
        );
        assert!(
            !ask(&book, used(at(100)), at(170)).1,
            "the first reading under this rule"
        );
        assert!(ask(&book, used(at(100)), at(176)).1);
        let run = Subject {
            run_id: "run2".to_owned(),
            since: at(200),
            ..shorter
        };
        assert_eq!(
            book.follow(KEY, Some(run), at(205)).unwrap().last_activity,
            at(200)
        );
        assert!(!ask(&book, used(at(100)), at(240)).1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_of_what_is_not_followed_any_more_says_nothing() {
        let book = Book::default();
        book.follow(KEY, Some(subject()), at(0));
        let job = book.take(book.next().unwrap()).unwrap();
        assert_eq!(book.next(), None, "nobody is asked twice at a time");
        book.follow(KEY, None, at(0));
        assert_eq!(book.answered(&job, used(at(0)), at(900)), None);
        book.follow(KEY, Some(subject()), at(0));
        assert_eq!(
            book.answered(&job, used(at(0)), at(900)),
            None,
            "asked before it stopped and started"
        );
        book.clear();
        assert_eq!(book.next(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_question_comes_when_the_timeout_ends_if_that_is_sooner() {
        let book = Book::default();
        book.follow(KEY, Some(subject()), at(0));
        let wait = |book: &Book| book.next().unwrap() - Instant::now();
        assert!(wait(&book) <= Duration::from_secs(30));
        ask(&book, used(at(0)), at(10));
        assert!((27..=33).contains(&wait(&book).as_secs()));
        ask(&book, used(at(0)), at(290));
        assert_eq!(wait(&book), Duration::from_secs(10));
        ask(&book, nothing(), at(310));
        assert!((27..=33).contains(&wait(&book).as_secs()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pass_in_which_nothing_is_new_asks_nobody_sooner() {
        let book = Book::default();
        book.follow(KEY, Some(subject()), at(0));
        let next = book.next();
        let later = Subject {
            known: Some(at(50)),
            generation: Some(7),
            ..subject()
        };
        book.follow(KEY, Some(later), at(100));
        assert_eq!(book.next(), next);
        let job = book.take(next.unwrap()).unwrap();
        assert_eq!(job.subject.generation, Some(7));
    }
}
