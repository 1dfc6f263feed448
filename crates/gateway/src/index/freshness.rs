//! heartbeats and broken watches -> age of the index (pure but for reading the clock).

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

/// Age from which on no tickets are issued.
pub(super) const LAG_LIMIT: Duration = Duration::from_secs(3);
/// Age from which on no watch is trusted. Its connection may be as dead as that of the heartbeats, without an error.
const STALE: Duration = Duration::from_secs(10);
/// How often the holder of an open stream checks whether it may stay open.
pub(crate) const CHECK_INTERVAL: Duration = Duration::from_millis(750);
/// Maximum number of remembered heartbeats in flight.
const NEVER: usize = 64;
/// No heartbeat was sent yet, or no watch is broken.
const NONE: u64 = u64::MAX;

/// The time up to which every event is known to have arrived. This is when the last returned heartbeat was sent, or the time up to
/// which the longest broken watch was complete.
#[derive(Debug)]
pub struct Freshness {
    start: Instant,
    most: Duration,
    state: Mutex<Heartbeats>,
    /// That time, in milliseconds since `start`.
    known: AtomicU64,
    /// Counts the restarts of all watches.
    renewals: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Heartbeats {
    /// Numbers of heartbeats in flight and when they were sent.
    unseen: VecDeque<(u64, u64)>,
    /// When the last returned heartbeat was sent; before the first return, when the first one was sent.
    back: Option<u64>,
    /// Since when each watch is broken.
    broken: Vec<Option<u64>>,
    renewed: Option<u64>,
}

/// The state of one watch. It is broken until it is marked as complete.
#[derive(Debug)]
pub struct Watched {
    freshness: Arc<Freshness>,
    at: usize,
}

/// What the index's age allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Age {
    /// Everything.
    Fresh,
    /// Everything but issuing tickets.
    Late,
    /// No new decisions: what users may do is not known any more.
    Stale,
    /// Open sockets must close as well. Before the next check the index would exceed the maximum age for them.
    Lost,
}

impl Freshness {
    /// `most`: the age from which on no decisions are made; sockets stay open until twice that.
    pub fn new(most: Duration) -> Self {
        Self {
            start: Instant::now(),
            most,
            state: Mutex::default(),
            known: AtomicU64::new(NONE),
            renewals: watch::Sender::new(0),
        }
    }

    /// How long sockets stay open while the API server does not answer.
    pub fn grace(&self) -> Duration {
        self.most * 2
    }

    /// Adds a watch whose state affects the age.
    pub fn watch(self: &Arc<Self>) -> Watched {
        let mut state = self.state.lock();
        state.broken.push(Some(self.now()));
        self.note(&state);
        Watched {
            freshness: Arc::clone(self),
            at: state.broken.len() - 1,
        }
    }

    /// Changes whenever all watches must restart.
    pub(crate) fn renewals(&self) -> watch::Receiver<u64> {
        self.renewals.subscribe()
    }

    /// Records that heartbeat `number` was sent; numbers increase.
    pub fn sent(&self, number: u64) {
        let now = self.now();
        let mut state = self.state.lock();
        // The first lists are from about this time.
        state.back.get_or_insert(now);
        let is_full = state.unseen.len() >= NEVER;
        match state.unseen.back_mut() {
            // Several become one, with the time of the first and the number of the last.
            Some(last) if is_full => last.0 = number,
            _ => state.unseen.push_back((number, now)),
        }
        self.note(&state);
    }

    /// The API server accepted a heartbeat. So it is up, and if no heartbeat returns, the watches are at fault.
    pub fn taken(&self) {
        self.doubt_watches(&mut self.state.lock());
    }

    /// Heartbeat `number` returned, so everything before its sending has arrived. Or the API server refused it and it will never
    /// return: then only the states of the watches are known.
    pub fn seen(&self, number: u64) {
        let mut state = self.state.lock();
        self.doubt_watches(&mut state);
        while let Some((_, at)) = state.unseen.pop_front_if(|(sent, _)| *sent <= number) {
            state.back = Some(at);
        }
        self.note(&state);
    }

    /// After a long silence every watch restarts. Until then it counts as broken since the silence began.
    fn doubt_watches(&self, state: &mut Heartbeats) {
        let now = self.now();
        let long = |since: u64| Duration::from_millis(now.saturating_sub(since)) >= STALE;
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

    fn note(&self, state: &Heartbeats) {
        let known = state.broken.iter().copied().flatten().chain(state.back).min();
        self.known.store(known.unwrap_or(NONE), Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(NONE)
    }

    /// Age of the index; zero while nothing measures it.
    pub fn lag(&self) -> Duration {
        match self.known.load(Ordering::Relaxed) {
            NONE => Duration::ZERO,
            at => self.start.elapsed().saturating_sub(Duration::from_millis(at)),
        }
    }

    /// What the age allows now.
    pub fn age(&self) -> Age {
        match self.lag() {
            lag if lag + CHECK_INTERVAL >= self.grace() => Age::Lost,
            lag if lag >= self.most => Age::Stale,
            lag if lag >= LAG_LIMIT => Age::Late,
            _ => Age::Fresh,
        }
    }
}

impl Watched {
    /// The watch may have missed events. It is complete only up to the last heartbeat that returned.
    pub fn mark_broken(&self) {
        let now = self.freshness.now();
        self.set(|broken, back| broken.or_else(|| Some(back.map_or(now, |at| at.min(now)))));
    }

    /// The watch is complete, and the index contains its objects.
    pub fn mark_complete(&self) {
        self.set(|_, _| None);
    }

    /// `change`: maps the start of the failure and the sending time of the last returned heartbeat to the new start of the failure.
    fn set(&self, change: impl FnOnce(Option<u64>, Option<u64>) -> Option<u64>) {
        let mut state = self.freshness.state.lock();
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
    async fn the_age_is_counted_from_the_last_received_heartbeat() {
        let freshness = Freshness::new(seconds(60));
        advance(seconds(1000)).await;
        assert_eq!((freshness.age(), freshness.lag()), (Age::Fresh, Duration::ZERO));
        freshness.sent(1);
        advance(seconds(1)).await;
        freshness.seen(1);
        // Nothing is known of later events, although no heartbeat is in flight.
        assert_eq!(freshness.lag(), seconds(1));
        advance(seconds(2)).await;
        assert_eq!((freshness.age(), freshness.lag()), (Age::Late, seconds(3)));
        freshness.sent(2);
        freshness.sent(3);
        advance(seconds(2)).await;
        freshness.seen(2);
        assert_eq!((freshness.age(), freshness.lag()), (Age::Fresh, seconds(2)));
        // An older heartbeat, and a repeated one, have no effect.
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
    async fn heartbeats_beyond_the_limit_have_the_age_of_the_oldest() {
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
    async fn the_longest_broken_watch_determines_the_age() {
        let freshness = Arc::new(Freshness::new(seconds(60)));
        let (one, two) = (freshness.watch(), freshness.watch());
        one.mark_complete();
        two.mark_complete();
        assert_eq!(freshness.age(), Age::Fresh);
        one.mark_broken();
        for number in 1..=30 {
            freshness.sent(number);
            advance(seconds(2)).await;
            freshness.seen(number);
        }
        two.mark_broken();
        one.mark_broken();
        assert_eq!((freshness.age(), freshness.lag()), (Age::Stale, seconds(60)));
        one.mark_complete();
        // The other watch is known only up to the sending of the last returned heartbeat, before it broke.
        assert_eq!((freshness.age(), freshness.lag()), (Age::Fresh, seconds(2)));
        advance(seconds(1)).await;
        freshness.sent(31);
        freshness.seen(31);
        assert_eq!((freshness.age(), freshness.lag()), (Age::Late, seconds(3)));
        two.mark_complete();
        assert_eq!(freshness.age(), Age::Fresh);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_long_silence_every_watch_is_restarted() {
        let freshness = Arc::new(Freshness::new(seconds(60)));
        let watched = freshness.watch();
        watched.mark_complete();
        let renewals = freshness.renewals();
        let count = || *renewals.borrow();
        freshness.sent(1);
        advance(seconds(9)).await;
        freshness.taken();
        freshness.sent(2);
        freshness.seen(2);
        assert_eq!((count(), freshness.age()), (0, Age::Fresh));
        // Whether they were not sent (the process was suspended), or did not return.
        advance(seconds(70)).await;
        freshness.sent(3);
        freshness.taken();
        freshness.taken();
        freshness.seen(3);
        assert_eq!((count(), freshness.lag()), (1, seconds(70)));
        watched.mark_complete();
        assert_eq!(freshness.age(), Age::Fresh);
        // Not repeated while a restart is in progress.
        freshness.sent(4);
        advance(seconds(10)).await;
        freshness.taken();
        advance(seconds(9)).await;
        freshness.taken();
        assert_eq!(count(), 2);
    }
}
