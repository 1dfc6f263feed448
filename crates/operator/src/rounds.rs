//! Pulse -> one round after the other over everything of a kind (in memory): at once, whenever something changed, and when time alone
//! makes something due.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::stores::Pulse;

/// Changes that follow each other within this time are looked at together.
pub const BREATH: Duration = Duration::from_millis(200);
/// A round that took long is followed by a rest so many times as long: it looks at everything, and where much goes on at a time
/// something always has changed.
const REST: u32 = 100;
/// Longest rest: that a share begins, or that something may be deleted, is waited for.
const LONGEST_REST: Duration = Duration::from_secs(1);
/// Longest wait for a time of day: clocks are set now and then. A round in which nothing is due costs no call.
const NAP: Duration = Duration::from_mins(10);

/// Makes rounds until shutdown. A round says after which time something is due although nothing changes.
pub async fn make(
    pulse: &Pulse,
    shutdown: &CancellationToken,
    mut round: impl AsyncFnMut() -> Option<Duration>,
) {
    let mut beats = pulse.subscribe();
    loop {
        beats.mark_unchanged();
        let begin = Instant::now();
        let again = round().await;
        let rested = Instant::now() + (begin.elapsed() * REST).min(LONGEST_REST);
        let later = async {
            match again {
                Some(after) => tokio::time::sleep(after.min(NAP)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = later => {}
            changed = beats.changed() => match changed {
                Ok(()) => tokio::time::sleep_until(rested.max(Instant::now() + BREATH)).await,
                Err(_) => return,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn beats_that_come_together_are_one_round_and_silence_is_none() {
        let (pulse, shutdown, rounds) = (Pulse::default(), CancellationToken::new(), AtomicUsize::new(0));
        let count = || rounds.load(Ordering::Relaxed);
        let making = make(&pulse, &shutdown, async || {
            rounds.fetch_add(1, Ordering::Relaxed);
            None
        });
        let told = async {
            tokio::time::sleep(Duration::from_hours(1)).await;
            assert_eq!(count(), 1);
            for _ in 0..5 {
                pulse.beat();
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            tokio::time::sleep(Duration::from_hours(1)).await;
            assert_eq!(count(), 2);
            shutdown.cancel();
        };
        tokio::join!(making, told);
    }

    #[tokio::test(start_paused = true)]
    async fn a_round_that_takes_long_is_followed_by_a_rest() {
        let (pulse, shutdown) = (Pulse::default(), CancellationToken::new());
        let mut begun = Vec::new();
        make(&pulse, &shutdown, async || {
            begun.push(Instant::now());
            if begun.len() == 3 {
                shutdown.cancel();
            }
            let took = if begun.len() == 1 { 5 } else { 500 };
            tokio::time::sleep(Duration::from_millis(took)).await;
            pulse.beat();
            None
        })
        .await;
        assert_eq!(begun[1] - begun[0], Duration::from_millis(5 + 500));
        assert_eq!(begun[2] - begun[1], Duration::from_millis(500) + LONGEST_REST);
    }

    #[tokio::test(start_paused = true)]
    async fn what_time_makes_due_is_looked_at_in_time() {
        let (pulse, shutdown) = (Pulse::default(), CancellationToken::new());
        let begin = Instant::now();
        let mut due = Some(Duration::from_secs(5));
        make(&pulse, &shutdown, async || {
            let next = due.take();
            if next.is_none() {
                assert_eq!(begin.elapsed().as_secs(), 5);
                shutdown.cancel();
            }
            next
        })
        .await;
    }
}
