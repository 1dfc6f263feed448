//! heartbeats sent and seen, and watches that broke off -> how far the index may lag behind the API server (pure).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// A heartbeat that takes longer to come back makes the index too old to issue anything on.
const LATE: Duration = Duration::from_secs(3);
/// From this lag on no watch is believed: its connection may be as dead as that of the heartbeats, and nobody may have said so.
const DOUBTFUL: Duration = Duration::from_secs(10);
/// Most heartbeats that are remembered on their way; the oldest counts.
const UNSEEN: usize = 64;
/// Nothing lags.
const NONE: u64 = u64::MAX;

/// Since when it is not certain that everything that happened was heard of: the oldest heartbeat that has not come back, or the
/// watch that is broken the longest.
#[derive(Debug)]
pub struct Freshness {
    start: Instant,
    most: Duration,
    state: Mutex<State>,
    /// That moment, in milliseconds since `start`.
    oldest: AtomicU64,
    /// Counts how often all watches were told to begin anew.
    renewals: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    /// Heartbeats by number and when they were sent.
    unseen: VecDeque<(u64, u64)>,
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
    /// Nothing new: what a person may do is not known any more.
    Stale,
    /// Not even carry open sockets on.
    Lost,
}

impl Freshness {
    /// `most`: the lag from which on nothing is decided; sockets stay until twice that.
    pub fn new(most: Duration) -> Self {
        Self {
            start: Instant::now(),
            most,
            state: Mutex::default(),
            oldest: AtomicU64::new(NONE),
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
        let mut state = self.lock();
        let is_full = state.unseen.len() >= UNSEEN;
        match state.unseen.back_mut() {
            // Several become one: as old as the first of them, and back with the last.
            Some(last) if is_full => last.0 = number,
            _ => state.unseen.push_back((number, self.now())),
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
        while state.unseen.front().is_some_and(|(sent, _)| *sent <= number) {
            state.unseen.pop_front();
        }
        self.note(&state);
    }

    /// After a long silence every watch begins anew, and counts as broken since the silence began until it has.
    fn doubt_watches(&self, state: &mut State) {
        let now = self.now();
        let long = |since: u64| Duration::from_millis(now.saturating_sub(since)) >= DOUBTFUL;
        let Some(since) = state.unseen.front().map(|(_, at)| *at).filter(|at| long(*at)) else {
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
        let unseen = state.unseen.front().map(|(_, at)| *at);
        let oldest = state.broken.iter().copied().flatten().chain(unseen).min();
        self.oldest.store(oldest.unwrap_or(NONE), Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(NONE)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long the index may lag behind; zero when everything was heard of.
    pub fn lag(&self) -> Duration {
        match self.oldest.load(Ordering::Relaxed) {
            NONE => Duration::ZERO,
            at => self.start.elapsed().saturating_sub(Duration::from_millis(at)),
        }
    }

    /// What may be done now.
    pub fn age(&self) -> Age {
        // Nearly always nothing lags: one load.
        if self.oldest.load(Ordering::Relaxed) == NONE {
            return Age::Fresh;
        }
        match self.lag() {
            lag if lag >= self.grace() => Age::Lost,
            lag if lag >= self.most => Age::Stale,
            lag if lag >= LATE => Age::Late,
            _ => Age::Fresh,
        }
    }
}

impl Watched {
    /// What it told so far may not be all.
    pub fn is_broken(&self) {
        let now = self.freshness.now();
        self.set(|broken| Some(broken.unwrap_or(now)));
    }

    /// It told everything, and the index holds it.
    pub fn is_whole(&self) {
        self.set(|_| None);
    }

    fn set(&self, change: impl FnOnce(Option<u64>) -> Option<u64>) {
        let mut state = self.freshness.lock();
        let broken = &mut state.broken[self.at];
        *broken = change(*broken);
        self.freshness.note(&state);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_oldest_heartbeat_that_is_under_way_says_the_age() {
        let freshness = Freshness::new(Duration::from_mins(1));
        advance(Duration::from_secs(1000)).await;
        assert_eq!((freshness.age(), freshness.lag()), (Age::Fresh, Duration::ZERO));
        for number in 1..=100 {
            freshness.sent(number);
            advance(Duration::from_secs(3)).await;
            let expected = match number * 3 {
                lag if lag >= 120 => Age::Lost,
                lag if lag >= 60 => Age::Stale,
                _ => Age::Late,
            };
            assert_eq!(freshness.age(), expected, "after {} s", number * 3);
        }
        freshness.seen(99);
        // More were sent than are remembered: those are back with the last of them.
        assert_eq!(freshness.age(), Age::Stale);
        freshness.seen(100);
        assert_eq!(freshness.age(), Age::Fresh);
        freshness.sent(101);
        freshness.sent(102);
        advance(Duration::from_secs(2)).await;
        assert_eq!(freshness.age(), Age::Fresh);
        freshness.seen(101);
        advance(Duration::from_secs(1)).await;
        assert_eq!(
            (freshness.age(), freshness.lag()),
            (Age::Late, Duration::from_secs(3))
        );
        freshness.seen(102);
        assert_eq!(freshness.age(), Age::Fresh);
    }
    #[tokio::test(start_paused = true)]
    async fn the_watch_that_is_broken_the_longest_says_the_age_whatever_heartbeats_say() {
        let freshness = Arc::new(Freshness::new(Duration::from_mins(1)));
        let (one, two) = (freshness.watch(), freshness.watch());
        one.is_whole();
        two.is_whole();
        assert_eq!(freshness.age(), Age::Fresh);
        one.is_broken();
        for number in 1..=30 {
            freshness.sent(number);
            advance(Duration::from_secs(2)).await;
            freshness.seen(number);
        }
        two.is_broken();
        one.is_broken();
        assert_eq!(freshness.age(), Age::Stale);
        one.is_whole();
        assert_eq!(freshness.age(), Age::Fresh);
        advance(Duration::from_secs(3)).await;
        assert_eq!(freshness.age(), Age::Late);
        two.is_whole();
        assert_eq!(freshness.age(), Age::Fresh);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_long_silence_every_watch_begins_anew_and_is_broken_until_it_has() {
        let freshness = Arc::new(Freshness::new(Duration::from_mins(1)));
        let watched = freshness.watch();
        watched.is_whole();
        let renewals = freshness.renewals();
        let count = || *renewals.borrow();
        freshness.sent(1);
        advance(Duration::from_secs(9)).await;
        freshness.taken();
        freshness.seen(1);
        assert_eq!((count(), freshness.age()), (0, Age::Fresh));
        freshness.sent(2);
        advance(Duration::from_secs(70)).await;
        freshness.taken();
        freshness.taken();
        freshness.seen(2);
        assert_eq!((count(), freshness.age()), (1, Age::Stale));
        watched.is_whole();
        assert_eq!(freshness.age(), Age::Fresh);
        // Not again and again while that is under way.
        freshness.sent(3);
        advance(Duration::from_secs(10)).await;
        freshness.taken();
        advance(Duration::from_secs(9)).await;
        freshness.taken();
        assert_eq!(count(), 2);
    }
}
