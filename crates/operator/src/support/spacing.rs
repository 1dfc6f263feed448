//! Batches of triggers -> single triggers, those of a batch spaced out (in memory).
//!
//! A manager or a storage class triggers every workspace of the cluster. These triggers must not delay the trigger of a single workspace
//! that a user is starting.

use std::{hash::Hash, time::Duration};

use futures::{Stream, StreamExt as _, stream};
use kube::runtime::scheduler::{ScheduleRequest, scheduler};
use tokio::time::Instant;

/// Gap between two triggers of a batch.
const GAP: Duration = Duration::from_millis(5);

/// The same triggers. The first of each batch comes at once, the others later by one [`GAP`] each. A trigger that repeats before it is
/// due is merged into the earlier of the two.
pub(crate) fn space_out<T>(batches: impl Stream<Item = Vec<T>> + Send) -> impl Stream<Item = T> + Send
where
    T: Clone + Eq + Hash + Send,
{
    scheduler(batches.flat_map(|triggers| {
        let begin = Instant::now();
        let requests = triggers.into_iter().zip(0_u32..);
        stream::iter(requests.map(move |(message, number)| ScheduleRequest {
            message,
            run_at: begin + GAP * number,
        }))
    }))
}

#[cfg(test)]
mod tests {
    use futures::channel::mpsc;
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_batch_delays_no_single_trigger_and_is_delivered_once() {
        let (sender, batches) = mpsc::unbounded();
        let begin = Instant::now();
        let delivered = space_out(batches).map(move |one: u32| (begin.elapsed(), one));
        let send = async {
            let send = |all: Vec<u32>| sender.unbounded_send(all).unwrap();
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
    async fn every_single_trigger_is_delivered_at_once() {
        let (sender, batches) = mpsc::unbounded();
        let begin = Instant::now();
        let delivered = space_out(batches).map(move |one: &str| (begin.elapsed(), one));
        let comes =
            [(0, "a"), (10, "a"), (11, "b"), (20, "a")].map(|(at, one)| (Duration::from_millis(at), one));
        let send = async {
            for (at, one) in comes {
                tokio::time::sleep_until(begin + at).await;
                sender.unbounded_send(vec![one]).unwrap();
            }
            // The stream drops pending triggers when its source ends, which watches never do.
            sleep(GAP).await;
            drop(sender);
        };
        let (delivered, ()) = futures::join!(delivered.collect::<Vec<_>>(), send);
        assert_eq!(delivered, comes);
    }
}
