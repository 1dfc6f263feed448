//! traffic of each side of a socket -> pings, and an end without answer (pure but for the clock).
//!
//! A side can vanish without a close frame: a closed laptop, a network that dropped the connection. Without pings it would keep its
//! permit here and its socket at the pod. Load balancers drop a connection that is silent for a minute.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use crate::relay::pipe::Cut;

/// Time without a word after which a side is asked for one. Load balancers commonly forget a connection after 60 s.
pub(super) const SILENCE: Duration = Duration::from_secs(20);
/// How many times that a side is waited for. Longer than a browser stops reading for a debugger's user who thinks for a moment.
const MISSED_PINGS: u32 = 4;

/// One side of a socket: the client, or the pod.
#[derive(Debug)]
pub(super) struct Side {
    state: Mutex<State>,
    due: Notify,
}

#[derive(Debug)]
struct State {
    /// When it last said something, or was listened to again.
    heard: Instant,
    ask: Ask,
    /// Whether the end of one of its frames is still to come.
    under_way: bool,
    /// Since when bytes wait for it to take them.
    offered: Option<Instant>,
}

/// What became of the question whether it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    No,
    /// To be asked where a frame ends.
    Due,
    /// Asked, and silent since.
    Open,
}

impl Side {
    /// A side that has just come to life.
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                heard: Instant::now(),
                ask: Ask::No,
                under_way: false,
                offered: None,
            }),
            due: Notify::new(),
        }
    }

    /// It said something.
    pub(super) fn speaks(&self) {
        let mut state = self.lock();
        state.heard = Instant::now();
        state.ask = Ask::No;
    }

    /// What it said is passed on, and it is listened to again. `under_way`: the end of a frame is still to come.
    pub(super) fn is_listened_to(&self, under_way: bool) {
        let mut state = self.lock();
        state.heard = Instant::now();
        state.under_way = under_way;
    }

    /// Bytes wait for it.
    pub(super) fn is_offered(&self) {
        self.lock().offered = Some(Instant::now());
    }

    /// It took them.
    pub(super) fn takes(&self) {
        self.lock().offered = None;
    }

    /// Whether it is to be asked.
    pub(super) fn is_due(&self) -> bool {
        self.lock().ask == Ask::Due
    }

    /// Waits until it is to be asked.
    pub(super) async fn due(&self) {
        while !self.is_due() {
            self.due.notified().await;
        }
    }

    /// It was asked.
    pub(super) fn was_asked(&self) {
        self.lock().ask = Ask::Open;
    }

    fn takes_nothing(&self) -> bool {
        self.lock().offered.is_some()
    }

    /// Whether it gave no sign of life though it owes one: an answer, the rest of a frame, or to take what it is offered. Notes when
    /// it is time to ask. `is_heard`: it is listened to, which it is not while the other side takes nothing.
    fn is_lifeless(&self, is_heard: bool, silence: Duration) -> bool {
        let mut state = self.lock();
        let limit = silence * MISSED_PINGS;
        let silent = state.heard.elapsed();
        let owes = is_heard && (state.under_way || state.ask == Ask::Open);
        let stuck = state.offered.is_some_and(|since| since.elapsed() >= limit);
        if silent >= limit && (owes || stuck) {
            return true;
        }
        if is_heard && silent >= silence && state.ask == Ask::No {
            state.ask = Ask::Due;
            self.due.notify_one();
        }
        false
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends when a side lives no longer.
pub(super) async fn lifeless(client: &Side, pod: &Side, silence: Duration) -> Cut {
    loop {
        sleep(silence / 2).await;
        if client.is_lifeless(!pod.takes_nothing(), silence) {
            return Cut::ClientGone;
        }
        if pod.is_lifeless(!client.takes_nothing(), silence) {
            return Cut::PodGone;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(80);

    async fn after(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_speaks_is_not_asked_and_who_answers_lives() {
        let side = Side::new();
        for _ in 0..10 {
            after(19).await;
            side.speaks();
            assert!(!side.is_lifeless(true, SILENCE) && !side.is_due());
        }
        for _ in 0..10 {
            after(20).await;
            assert!(!side.is_lifeless(true, SILENCE) && side.is_due());
            side.was_asked();
            after(59).await;
            assert!(!side.is_lifeless(true, SILENCE) && !side.is_due());
            side.speaks();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_who_owes_a_word_is_given_up() {
        // Asked, and silent.
        let side = Side::new();
        side.was_asked();
        after(80).await;
        assert!(side.is_lifeless(true, SILENCE));
        // Not listened to: its word may wait to be read.
        assert!(!side.is_lifeless(false, SILENCE));
        side.is_listened_to(false);
        assert!(!side.is_lifeless(true, SILENCE));
        // Could not be asked, since the other side is in the middle of a frame.
        let side = Side::new();
        after(3_600).await;
        assert!(!side.is_lifeless(true, SILENCE));
        // In the middle of a frame itself.
        let side = Side::new();
        side.is_listened_to(true);
        after(80).await;
        assert!(side.is_lifeless(true, SILENCE));
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_given_up_unless_it_speaks() {
        let side = Side::new();
        side.is_offered();
        after(79).await;
        assert!(!side.is_lifeless(false, SILENCE));
        side.speaks();
        after(2).await;
        assert!(!side.is_lifeless(false, SILENCE));
        tokio::time::advance(LIMIT).await;
        assert!(side.is_lifeless(false, SILENCE));
        side.takes();
        assert!(!side.is_lifeless(false, SILENCE));
    }
}
