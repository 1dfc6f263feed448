//! Triggers by children -> fewer triggers under load (in memory).
//!
//! One start changes a dozen objects within a few seconds, and most of these changes need no reconcile. When few workspaces are
//! starting, each step triggers a reconcile at once. When many are starting, statuses do not report steps (see
//! [`crate::status::debounce`]). Then all triggers within a short time are merged into one reconcile.

use std::{
    collections::{HashSet, VecDeque},
    hash::Hash,
    time::Duration,
};

use futures::{Stream, StreamExt as _, stream};
use tokio::time::{Instant, sleep_until};

/// How long a trigger is delayed under load. A start takes seconds anyway.
pub const HOLD: Duration = Duration::from_millis(250);

/// The same triggers. While `is_crowded`, triggers that may wait are delayed by at most [`HOLD`] and merged if they repeat meanwhile.
pub fn debounced<T>(
    triggers: impl Stream<Item = (T, bool)> + Send + Unpin,
    is_crowded: impl Fn() -> bool + Send,
) -> impl Stream<Item = T> + Send
where
    T: Clone + Eq + Hash + Send,
{
    let held = Debounced {
        queue: VecDeque::new(),
        untold: HashSet::new(),
    };
    stream::unfold(
        (triggers.fuse(), held, is_crowded),
        |(mut triggers, mut held, is_crowded)| async move {
            let trigger = loop {
                tokio::select! {
                    biased;
                    Some(trigger) = held.next() => break trigger,
                    Some((trigger, may_wait)) = triggers.next() => {
                        if may_wait && is_crowded() {
                            held.take(trigger);
                        } else {
                            // The delayed trigger is delivered with this one.
                            held.untold.remove(&trigger);
                            break trigger;
                        }
                    }
                    else => return None,
                }
            };
            Some((trigger, (triggers, held, is_crowded)))
        },
    )
}

/// Delayed triggers.
struct Debounced<T> {
    /// Triggers and when each is due, the earliest first.
    queue: VecDeque<(Instant, T)>,
    /// Triggers of the queue that are still to be delivered.
    untold: HashSet<T>,
}

impl<T: Clone + Eq + Hash> Debounced<T> {
    fn take(&mut self, trigger: T) {
        if self.untold.insert(trigger.clone()) {
            self.queue.push_back((Instant::now() + HOLD, trigger));
        }
    }

    /// The next trigger, once it is due; `None` if there is none. A call that is dropped before that takes nothing.
    async fn next(&mut self) -> Option<T> {
        loop {
            sleep_until(self.queue.front()?.0).await;
            let (_, trigger) = self.queue.pop_front()?;
            if self.untold.remove(&trigger) {
                return Some(trigger);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use futures::channel::mpsc;

    use super::*;

    /// Delivery times of triggers that arrive at the given times, in milliseconds. With `!` a trigger may not wait. Load ends at `crowd`.
    async fn told(comes: &[(u64, &'static str)], crowd: u64) -> Vec<(u64, &'static str)> {
        let begin = Instant::now();
        let (sender, triggers) = mpsc::unbounded();
        let is_crowded = AtomicBool::new(true);
        let send = async {
            for (at, trigger) in comes {
                sleep_until(begin + Duration::from_millis(*at)).await;
                is_crowded.store(*at < crowd, Ordering::Relaxed);
                let item = (trigger.trim_end_matches('!'), !trigger.ends_with('!'));
                sender.unbounded_send(item).unwrap();
            }
            drop(sender);
        };
        let gathered = debounced(triggers, || is_crowded.load(Ordering::Relaxed));
        let told = gathered.map(|trigger| (u64::try_from(begin.elapsed().as_millis()).unwrap(), trigger));
        futures::join!(told.collect(), send).0
    }

    #[tokio::test(start_paused = true)]
    async fn where_few_are_on_their_way_every_wake_is_told_at_once() {
        let comes = [(0, "a"), (10, "a"), (10, "b"), (20, "a")];
        assert_eq!(told(&comes, 0).await, comes);
    }

    #[tokio::test(start_paused = true)]
    async fn where_many_are_wakes_of_one_within_a_moment_are_told_once_and_what_may_not_wait_at_once() {
        let comes = [
            (0, "a"),
            (100, "b"),
            (200, "a"),
            (210, "c!"),
            (300, "a"),
            (900, "b"),
        ];
        let expected = [(210, "c"), (250, "a"), (350, "b"), (550, "a"), (1150, "b")];
        assert_eq!(told(&comes, u64::MAX).await, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_of_many_is_told_at_once_and_not_again_for_what_was_held_back() {
        let comes = [(0, "a"), (10, "b"), (100, "a")];
        assert_eq!(told(&comes, 100).await, [(100, "a"), (260, "b")]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_told_at_once_and_comes_again_is_told_again() {
        let comes = [(0, "a"), (50, "a!"), (100, "a"), (400, "a")];
        assert_eq!(told(&comes, u64::MAX).await, [(50, "a"), (250, "a"), (650, "a")]);
    }
}
