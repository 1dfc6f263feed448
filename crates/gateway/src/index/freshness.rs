//! heartbeats and broken watches -> age of the index (pure but for reading the clock).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// An older index is too old to issue anything on.
pub(super) const LATE: Duration = Duration::from_secs(3);
/// From this age on no watch is believed: its connection may be as dead as that of the heartbeats, and nobody may have said so.
const DOUBTFUL: Duration = Duration::from_secs(10);
/// How often whoever holds something open looks whether it may stay.
pub(crate) const CHECK_INTERVAL: Duration = Duration::from_millis(750);
/// Most heartbeats that are remembered on their way.
const UNSEEN: usize = 64;
/// No heartbeat was sent yet, and no watch is broken.
const NONE: u64 = u64::MAX;

/// Up to when everything that happened is known to have been heard of: the sending of the last heartbeat that came back, or the
/// moment up to which the watch told all that is broken the longest.
#[derive(Debug)]
pub struct Freshness {
    start: Instant,
    most: Duration,
    state: Mutex<State>,
    /// That moment, in milliseconds since `start`.
    known: AtomicU64,
    /// Counts how often all watches were told to begin anew.
    renewals: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    /// Heartbeats by number and when they were sent.
    unseen: VecDeque<(u64, u64)>,
    /// When the last that came back was sent, and until one has, the first.
    back: Option<u64>,
    /// Since when each watch is broken.
    broken: Vec<Option<u64>>,
    renewed: Option<u64>,
}

/// One watch, as freshness knows it. It is broken until it is called whole.
#[derive(Debug)]
pub struct Watched {
    freshness: Arc<Freshness>,
    at: usize,
}

/// What may be done on the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Age {
    /// Everything.
    Fresh,
    /// Everything but issue tickets.
    Late,
    /// Nothing new: what a user may do is not known any more.
    Stale,
    /// Not even carry open sockets on: before anybody looks again it would be older than they may be held.
    Lost,
}

impl Freshness {
    /// `most`: the age from which on nothing is decided; sockets stay until twice that.
    pub fn new(most: Duration) -> Self {
        Self {
            start: Instant::now(),
            most,
            state: Mutex::default(),
            known: AtomicU64::new(NONE),
            renewals: watch::Sender::new(0),
        }
    }

    /// Time that sockets stay open while nobody answers.
    pub fn grace(&self) -> Duration {
        self.most * 2
    }

    /// One more watch that counts.
    pub fn watch(self: &Arc<Self>) -> Watched {
        let mut state = self.lock();
        state.broken.push(Some(self.now()));
        self.note(&state);
        Watched {
            freshness: Arc::clone(self),
            at: state.broken.len() - 1,
        }
    }

    /// Changes whenever all watches are to begin anew.
    pub(crate) fn renewals(&self) -> watch::Receiver<u64> {
        self.renewals.subscribe()
    }

    /// Heartbeat `number` is on its way; each has a greater number than the one before.
    pub fn sent(&self, number: u64) {
        let now = self.now();
        let mut state = self.lock();
        // What is listed at the start is listed at about this time.
        state.back.get_or_insert(now);
        let is_full = state.unseen.len() >= UNSEEN;
        match state.unseen.back_mut() {
            // Several become one: as old as the first of them, and back with the last.
            Some(last) if is_full => last.0 = number,
            _ => state.unseen.push_back((number, now)),
        }
        self.note(&state);
    }

    /// The API server took a heartbeat: it is there, so if none comes back, the fault is with the watches.
    pub fn taken(&self) {
        self.doubt_watches(&mut self.lock());
    }

    /// Heartbeat `number` came back, and so is everything seen that happened before it was sent. Or the API server refused it
    /// and it never will: then what watches say of themselves is all that is known.
    pub fn seen(&self, number: u64) {
        let mut state = self.lock();
        self.doubt_watches(&mut state);
        while let Some((_, at)) = state.unseen.pop_front_if(|(sent, _)| *sent <= number) {
            state.back = Some(at);
        }
        self.note(&state);
    }

    /// After a long silence every watch begins anew, and counts as broken since the silence began until it has.
    fn doubt_watches(&self, state: &mut State) {
        let now = self.now();
        let long = |since: u64| Duration::from_millis(now.saturating_sub(since)) >= DOUBTFUL;
        let Some(since) = state.back.filter(|at| long(*at)) else {
            return;
        };
        if state.renewed.is_some_and(|at| !long(at)) {
            return;
        }
        state.renewed = Some(now);
        for broken in &mut state.broken {
            *broken = Some(broken.map_or(since, |at| at.min(since)));
        }
        self.note(state);
        self.renewals.send_modify(|count| *count += 1);
    }

    fn note(&self, state: &State) {
        let known = state.broken.iter().copied().flatten().chain(state.back).min();
        self.known.store(known.unwrap_or(NONE), Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(NONE)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How old the index may be; zero as long as nothing measures it.
    pub fn lag(&self) -> Duration {
        match self.known.load(Ordering::Relaxed) {
            NONE => Duration::ZERO,
            at => self.start.elapsed().saturating_sub(Duration::from_millis(at)),
        }
    }

    /// What may be done now.
    pub fn age(&self) -> Age {
        match self.lag() {
            lag if lag + CHECK_INTERVAL >= self.grace() => Age::Lost,
            lag if lag >= self.most => Age::Stale,
            lag if lag >= LATE => Age::Late,
            _ => Age::Fresh,
        }
    }
}

impl Watched {
    /// What it told so far may not be all: nobody knows more than that it was up to the last heartbeat that came back.
    pub fn is_broken(&self) {
        let now = self.freshness.now();
        self.set(|broken, back| broken.or_else(|| Some(back.map_or(now, |at| at.min(now)))));
    }

    /// It told everything, and the index holds it.
    pub fn is_whole(&self) {
        self.set(|_, _| None);
    }

    /// `change`: since when it is broken, and when the last heartbeat that came back was sent, to since when it is.
    fn set(&self, change: impl FnOnce(Option<u64>, Option<u64>) -> Option<u64>) {
        let mut state = self.freshness.lock();
        let back = state.back;
        let broken = &mut state.broken[self.at];
        *broken = change(*broken, back);
        self.freshness.note(&state);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[tokio::test(start_paused = true)]
    async fn the_sending_of_the_last_heartbeat_that_came_back_says_the_age() {
        let freshness = Freshness::new(seconds(60));
        advance(seconds(1000)).await;
        assert_eq!((freshness.age(), freshness.lag()), (Age::Fresh, Duration::ZERO));
        freshness.sent(1);
        advance(seconds(1)).await;
        freshness.seen(1);
        // Nothing is known of what happened since, although nothing is under way.
        assert_eq!(freshness.lag(), seconds(1));
        advance(seconds(2)).await;
        assert_eq!((freshness.age(), freshness.lag()), (Age::Late, seconds(3)));
        freshness.sent(2);
        freshness.sent(3);
        advance(seconds(2)).await;
        freshness.seen(2);
        assert_eq!((freshness.age(), freshness.lag()), (Age::Fresh, seconds(2)));
        // An older one, and the same again, tell nothing new.
        freshness.seen(1);
        freshness.seen(2);
        assert_eq!(freshness.lag(), seconds(2));
        freshness.seen(3);
        for (after, expected) in [
            (2999, Age::Fresh),
            (3000, Age::Late),
            (59_999, Age::Late),
            (60_000, Age::Stale),
            (119_249, Age::Stale),
            (119_250, Age::Lost),
        ] {
            let lag = Duration::from_millis(after);
            advance(lag.saturating_sub(freshness.lag())).await;
            assert_eq!((freshness.age(), freshness.lag()), (expected, lag));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn of_more_heartbeats_than_are_remembered_the_last_are_as_old_as_the_first_of_them() {
        let freshness = Freshness::new(seconds(60));
        for number in 1..=100 {
            freshness.sent(number);
            advance(seconds(3)).await;
            assert_eq!(freshness.lag(), seconds(number * 3));
        }
        freshness.seen(99);
        assert_eq!(freshness.lag(), seconds(300 - 62 * 3));
        freshness.seen(100);
        assert_eq!(freshness.lag(), seconds(300 - 63 * 3));
        freshness.sent(101);
        freshness.seen(101);
        assert_eq!((freshness.age(), freshness.lag()), (Age::Fresh, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn the_watch_that_is_broken_the_longest_says_the_age_whatever_heartbeats_say() {
        let freshness = Arc::new(Freshness::new(seconds(60)));
        let (one, two) = (freshness.watch(), freshness.watch());
        one.is_whole();
        two.is_whole();
        assert_eq!(freshness.age(), Age::Fresh);
        one.is_broken();
        for number in 1..=30 {
            freshness.sent(number);
            advance(seconds(2)).await;
            freshness.seen(number);
        }
        two.is_broken();
        one.is_broken();
        assert_eq!((freshness.age(), freshness.lag()), (Age::Stale, seconds(60)));
        one.is_whole();
        // Nothing is known of the other since the last heartbeat that came back was sent, before it broke.
        assert_eq!((freshness.age(), freshness.lag()), (Age::Fresh, seconds(2)));
        advance(seconds(1)).await;
        freshness.sent(31);
        freshness.seen(31);
        assert_eq!((freshness.age(), freshness.lag()), (Age::Late, seconds(3)));
        two.is_whole();
        assert_eq!(freshness.age(), Age::Fresh);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_long_silence_every_watch_begins_anew_and_is_broken_until_it_has() {
        let freshness = Arc::new(Freshness::new(seconds(60)));
        let watched = freshness.watch();
        watched.is_whole();
        let renewals = freshness.renewals();
        let count = || *renewals.borrow();
        freshness.sent(1);
        advance(seconds(9)).await;
        freshness.taken();
        freshness.sent(2);
        freshness.seen(2);
        assert_eq!((count(), freshness.age()), (0, Age::Fresh));
        // Whether they were not sent (the process stood still), or did not come back.
        advance(seconds(70)).await;
        freshness.sent(3);
        freshness.taken();
        freshness.taken();
        freshness.seen(3);
        assert_eq!((count(), freshness.lag()), (1, seconds(70)));
        watched.is_whole();
        assert_eq!(freshness.age(), Age::Fresh);
        // Not again and again while that is under way.
        freshness.sent(4);
        advance(seconds(10)).await;
        freshness.taken();
        advance(seconds(9)).await;
        freshness.taken();
        assert_eq!(count(), 2);
    }
}
