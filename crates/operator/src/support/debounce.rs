//! Triggers by children -> fewer triggers under load (in memory).
//!
//! One start changes a dozen objects within a few seconds, and most of these changes need no reconcile. When few workspaces are
//! starting, each step triggers a reconcile at once. When many are starting, statuses do not report steps (see
//! [`crate::status::debounce`]). Then all triggers within a short time are merged into one reconcile.

use std::{hash::Hash, time::Duration};

use futures::{Stream, StreamExt as _};
use kube::runtime::scheduler::{ScheduleRequest, scheduler};
use tokio::time::Instant;

/// How long a trigger is delayed under load. A start takes seconds anyway.
pub const DELAY: Duration = Duration::from_millis(250);

/// The same triggers. While `is_loaded`, triggers that may wait are delayed by [`DELAY`]. A trigger that repeats meanwhile is merged into
/// the earlier of the two.
pub fn debounced<T>(
    triggers: impl Stream<Item = (T, bool)> + Send,
    is_loaded: impl Fn() -> bool + Send,
) -> impl Stream<Item = T> + Send
where
    T: Clone + Eq + Hash + Send,
{
    scheduler(triggers.map(move |(message, may_wait)| {
        let delay = if may_wait && is_loaded() {
            DELAY
        } else {
            Duration::ZERO
        };
        ScheduleRequest {
            message,
            run_at: Instant::now() + delay,
        }
    }))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use futures::channel::mpsc;
    use tokio::time::{sleep, sleep_until};

    use super::*;

    /// Delivery times of triggers that arrive at the given times, in milliseconds. With `!` a trigger may not wait. Load ends at `end`.
    async fn delivered(comes: &[(u64, &'static str)], end: u64) -> Vec<(u64, &'static str)> {
        let begin = Instant::now();
        let (sender, triggers) = mpsc::unbounded();
        let is_loaded = AtomicBool::new(true);
        let send = async {
            for (at, trigger) in comes {
                sleep_until(begin + Duration::from_millis(*at)).await;
                is_loaded.store(*at < end, Ordering::Relaxed);
                let item = (trigger.trim_end_matches('!'), !trigger.ends_with('!'));
                sender.unbounded_send(item).unwrap();
            }
            // The stream drops delayed triggers when its source ends, which watches never do.
            sleep(2 * DELAY).await;
            drop(sender);
        };
        let debounced = debounced(triggers, || is_loaded.load(Ordering::Relaxed));
        let times = debounced.map(|trigger| (u64::try_from(begin.elapsed().as_millis()).unwrap(), trigger));
        futures::join!(times.collect(), send).0
    }

    #[tokio::test(start_paused = true)]
    async fn without_load_every_trigger_is_delivered_at_once() {
        let comes = [(0, "a"), (10, "a"), (11, "b"), (20, "a")];
        assert_eq!(delivered(&comes, 0).await, comes);
    }

    #[tokio::test(start_paused = true)]
    async fn under_load_triggers_are_merged_and_those_that_may_not_wait_are_delivered_at_once() {
        let comes = [
            (0, "a"),
            (100, "b"),
            (200, "a"),
            (210, "c!"),
            (300, "a"),
            (900, "b"),
        ];
        let expected = [(210, "c"), (250, "a"), (350, "b"), (550, "a"), (1150, "b")];
        assert_eq!(delivered(&comes, u64::MAX).await, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn when_load_ends_a_trigger_is_delivered_at_once_and_its_delayed_one_dropped() {
        let comes = [(0, "a"), (10, "b"), (100, "a")];
        assert_eq!(delivered(&comes, 100).await, [(100, "a"), (260, "b")]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_trigger_that_repeats_after_its_delivery_is_delivered_again() {
        let comes = [(0, "a"), (50, "a!"), (100, "a"), (400, "a")];
        assert_eq!(
            delivered(&comes, u64::MAX).await,
            [(50, "a"), (350, "a"), (650, "a")]
        );
    }
}
