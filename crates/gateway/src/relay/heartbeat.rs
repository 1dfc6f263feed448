//! traffic of each side of a socket -> pings, and an end without answer (pure but for the clock).
//!
//! A side can vanish without a close frame: a closed laptop, a network that dropped the connection. Without pings it would keep its
//! permit here and its socket at the pod. Load balancers drop a connection that is silent for a minute.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use crate::relay::frames::CloseReason;

/// Silence after which a side gets a ping. Load balancers commonly drop a connection after 60 s.
pub(super) const SILENCE: Duration = Duration::from_secs(20);
/// Silence after which a side that owes an answer counts as gone: a browser, or a pod. This is longer than a browser stops reading at a
/// debugger's breakpoint for a moment.
pub(super) const LIMIT: Duration = Duration::from_secs(80);
/// The same for a client of ssh, whose user loses a shell and what runs in it. A laptop sleeps for ten minutes, and its first packet may be
/// two minutes late. TCP itself gives up after a quarter of an hour.
pub(super) const SSH_LIMIT: Duration = Duration::from_mins(15);

/// One side of a socket: the client, or the pod.
#[derive(Debug)]
pub(super) struct Side {
    state: Mutex<State>,
    due: Notify,
}

#[derive(Debug)]
struct State {
    /// When bytes last came from this side, or reading from it last resumed.
    last_received: Instant,
    ask: Ask,
    /// Whether one of its frames is incomplete.
    under_way: bool,
    /// Since when bytes wait for this side to read them.
    offered: Option<Instant>,
}

/// State of the ping to a side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    No,
    /// A ping is due at the next end of a frame.
    Due,
    /// A ping was sent, without any bytes since.
    Open,
}

impl Side {
    /// A side that has just connected.
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                last_received: Instant::now(),
                ask: Ask::No,
                under_way: false,
                offered: None,
            }),
            due: Notify::new(),
        }
    }

    /// Bytes came from this side.
    pub(super) fn speaks(&self) {
        let mut state = self.state.lock();
        state.last_received = Instant::now();
        state.ask = Ask::No;
    }

    /// Its bytes were passed on, and reading resumes. `under_way`: a frame is incomplete.
    pub(super) fn is_heard_by_peer(&self, under_way: bool) {
        let mut state = self.state.lock();
        state.last_received = Instant::now();
        state.under_way = under_way;
    }

    /// Bytes wait for this side to read them.
    pub(super) fn is_offered(&self) {
        self.state.lock().offered = Some(Instant::now());
    }

    /// This side read them.
    pub(super) fn takes(&self) {
        self.state.lock().offered = None;
    }

    /// Whether a ping is due.
    pub(super) fn is_due(&self) -> bool {
        self.state.lock().ask == Ask::Due
    }

    /// Waits until a ping is due.
    pub(super) async fn due(&self) {
        while !self.is_due() {
            self.due.notified().await;
        }
    }

    /// A ping was sent.
    pub(super) fn was_asked(&self) {
        self.state.lock().ask = Ask::Open;
    }

    fn is_stuck(&self) -> bool {
        self.state.lock().offered.is_some()
    }

    /// Whether the side is silent although it owes something: a pong, the rest of a frame, or reading the bytes that wait for it.
    /// Also marks a ping as due. `is_heard`: the relay reads from this side, which it does not while the other side does not read.
    fn is_dead(&self, is_heard: bool, limit: Duration) -> bool {
        let mut state = self.state.lock();
        let silent = state.last_received.elapsed();
        let owes = is_heard && (state.under_way || state.ask == Ask::Open);
        let stuck = state.offered.is_some_and(|since| since.elapsed() >= limit);
        if silent >= limit && (owes || stuck) {
            return true;
        }
        if is_heard && silent >= SILENCE && state.ask == Ask::No {
            state.ask = Ask::Due;
            self.due.notify_one();
        }
        false
    }
}

/// Returns when a side is gone. `limit`: of the client.
pub(super) async fn dead(client: &Side, pod: &Side, limit: Duration) -> CloseReason {
    loop {
        sleep(SILENCE / 2).await;
        if client.is_dead(!pod.is_stuck(), limit) {
            return CloseReason::ClientGone;
        }
        if pod.is_dead(!client.is_stuck(), LIMIT) {
            return CloseReason::PodGone;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn after(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_peer_that_owes_a_pong_is_disconnected() {
        // A ping was sent, and the side is silent.
        let side = Side::new();
        side.was_asked();
        after(80).await;
        assert!(side.is_dead(true, LIMIT));
        // The relay does not read from it: its pong may wait in the buffer.
        assert!(!side.is_dead(false, LIMIT));
        side.is_heard_by_peer(false);
        assert!(!side.is_dead(true, LIMIT));
        // No ping could be sent, since the other side is in the middle of a frame.
        let side = Side::new();
        after(3_600).await;
        assert!(!side.is_dead(true, LIMIT));
        // This side is in the middle of a frame.
        let side = Side::new();
        side.is_heard_by_peer(true);
        after(80).await;
        assert!(side.is_dead(true, LIMIT));
    }
}
