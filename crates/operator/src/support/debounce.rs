//! Batches of triggers -> single triggers, fewer under load (in memory).
//!
//! One start changes a dozen objects within a few seconds, and most of these changes need no reconcile. When few workspaces are
//! starting, each step triggers a reconcile at once. When many are starting, statuses do not report steps (see
//! [`crate::status::debounce`]). Then all triggers within a short time are merged into one reconcile.
//!
//! A manager or a storage class triggers every workspace of the cluster. These triggers are spaced out. They must not delay the
//! trigger of a single workspace that a user is starting.

use std::{hash::Hash, time::Duration};

use futures::{Stream, StreamExt as _, stream};
use kube::runtime::scheduler::{ScheduleRequest, scheduler};
use tokio::time::Instant;

/// How long a trigger is delayed under load. A start takes seconds anyway.
pub const DELAY: Duration = Duration::from_millis(250);

/// Gap between two triggers of a batch.
const GAP: Duration = Duration::from_millis(5);

/// The same triggers. While `is_loaded`, batches that may wait are delayed by [`DELAY`]. A trigger that repeats meanwhile is merged into
/// the earlier of the two.
pub fn debounced<T>(
    batches: impl Stream<Item = (Vec<T>, bool)> + Send,
    is_loaded: impl Fn() -> bool + Send,
) -> impl Stream<Item = T> + Send
where
    T: Clone + Eq + Hash + Send,
{
    scheduler(batches.flat_map(move |(triggers, may_wait)| {
        let delay = if may_wait && is_loaded() {
            DELAY
        } else {
            Duration::ZERO
        };
        let begin = Instant::now() + delay;
        let requests = triggers.into_iter().zip(0_u32..);
        stream::iter(requests.map(move |(message, number)| ScheduleRequest {
            message,
            run_at: begin + GAP * number,
        }))
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
                let item = (vec![trigger.trim_end_matches('!')], !trigger.ends_with('!'));
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
    async fn a_batch_delays_no_single_trigger_and_is_delivered_once() {
        let (sender, batches) = mpsc::unbounded();
        let begin = Instant::now();
        let delivered = debounced(batches, || false).map(move |one: u32| (begin.elapsed(), one));
        let send = async {
            let send = |all: Vec<u32>| sender.unbounded_send((all, false)).unwrap();
            send((0..1000).collect());
            send((0..1000).collect());
            sleep(Duration::from_millis(101)).await;
            send(vec![5000]);
            send(vec![900]);
            sleep(GAP * 1001).await;
            drop(sender);
        };
        let (delivered, ()) = futures::join!(delivered.collect::<Vec<_>>(), send);
        let at = |wanted: u32| {
            let mut found = delivered.iter().filter(|(_, one)| *one == wanted);
            (found.next().unwrap().0, found.next())
        };
        let soon = Duration::from_millis(101);
        assert_eq!((at(0), at(1)), ((Duration::ZERO, None), (GAP, None)));
        assert_eq!((at(5000), at(900)), ((soon, None), (soon, None)));
        assert_eq!(delivered.len(), 1001);
        assert!(delivered.last().unwrap().0 >= GAP * 990);
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
