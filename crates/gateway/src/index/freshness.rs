//! heartbeats sent and seen -> how far the index may lag behind the API server (pure).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A heartbeat that takes longer to come back makes the index too old to issue anything on.
const LATE: Duration = Duration::from_secs(3);
/// Most heartbeats that are remembered on their way; the oldest counts.
const UNSEEN: usize = 64;
/// All heartbeats came back.
const NONE: u64 = u64::MAX;

/// How long the oldest heartbeat that has not come back is under way. Until the first is sent, nothing lags.
#[derive(Debug)]
pub struct Freshness {
    start: Instant,
    most: Duration,
    unseen: Mutex<VecDeque<(u64, u64)>>,
    /// When the oldest of `unseen` was sent, in milliseconds since `start`.
    oldest: AtomicU64,
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
            unseen: Mutex::default(),
            oldest: AtomicU64::new(NONE),
        }
    }

    /// Time that sockets stay open while nobody answers.
    pub fn grace(&self) -> Duration {
        self.most * 2
    }

    /// Heartbeat `number` is on its way; each has a greater number than the one before.
    pub fn sent(&self, number: u64) {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(NONE);
        let mut unseen = self.unseen.lock().unwrap_or_else(PoisonError::into_inner);
        if unseen.len() < UNSEEN {
            unseen.push_back((number, now));
        }
        self.note(&unseen);
    }

    /// Heartbeat `number` came back, and so is everything seen that happened before it was sent.
    pub fn seen(&self, number: u64) {
        let mut unseen = self.unseen.lock().unwrap_or_else(PoisonError::into_inner);
        while unseen.front().is_some_and(|(sent, _)| *sent <= number) {
            unseen.pop_front();
        }
        self.note(&unseen);
    }

    fn note(&self, unseen: &VecDeque<(u64, u64)>) {
        let oldest = unseen.front().map_or(NONE, |(_, at)| *at);
        self.oldest.store(oldest, Ordering::Relaxed);
    }

    /// How long the oldest heartbeat that has not come back is under way; zero when all did.
    pub fn lag(&self) -> Duration {
        match self.oldest.load(Ordering::Relaxed) {
            NONE => Duration::ZERO,
            at => self.start.elapsed().saturating_sub(Duration::from_millis(at)),
        }
    }

    /// What may be done now.
    pub fn age(&self) -> Age {
        // Nearly always all heartbeats are back: one load.
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
        // More were sent than are remembered: those count as seen with the last that is.
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
}
