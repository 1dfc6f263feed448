//! Batches of triggers -> single triggers with gaps; a trigger that came alone goes first (in memory).
//!
//! A manager or a storage class triggers every workspace of the cluster. These triggers are spaced out. They must not delay the
//! trigger of a single workspace that a user is starting.

use std::{
    collections::{HashSet, VecDeque},
    hash::Hash,
    time::Duration,
};

use futures::{Stream, StreamExt as _, stream};
use tokio::time::{Instant, sleep_until};

/// Gap between two triggers of a batch.
const GAP: Duration = Duration::from_millis(5);

/// The same triggers. A queued trigger that arrives again, alone or in another batch, is delivered once.
pub(crate) fn paced<T>(triggers: impl Stream<Item = Vec<T>> + Send + Unpin) -> impl Stream<Item = T> + Send
where
    T: Clone + Eq + Hash + Send,
{
    let waiting = Waiting {
        queue: VecDeque::new(),
        known: HashSet::new(),
        next: Instant::now(),
    };
    stream::unfold(
        (triggers.fuse(), waiting),
        |(mut triggers, mut waiting)| async move {
            let trigger = loop {
                tokio::select! {
                    biased;
                    Some(mut all) = triggers.next() => match all.len() {
                        0 => {}
                        1 => {
                            let one = all.remove(0);
                            waiting.known.remove(&one);
                            break one;
                        }
                        _ => waiting.take(all),
                    },
                    Some(trigger) = waiting.next() => break trigger,
                    else => return None,
                }
            };
            Some((trigger, (triggers, waiting)))
        },
    )
}

struct Waiting<T> {
    queue: VecDeque<T>,
    /// Triggers of the queue that are still to be delivered.
    known: HashSet<T>,
    /// When the next trigger is due.
    next: Instant,
}

impl<T: Clone + Eq + Hash> Waiting<T> {
    fn take(&mut self, all: Vec<T>) {
        for one in all {
            if self.known.insert(one.clone()) {
                self.queue.push_back(one);
            }
        }
    }

    /// The next trigger, once it is due; `None` if there is none. A call that is dropped before that takes nothing.
    async fn next(&mut self) -> Option<T> {
        while let Some(one) = self.queue.front() {
            if !self.known.contains(one) {
                self.queue.pop_front();
                continue;
            }
            sleep_until(self.next).await;
            self.next = Instant::now() + GAP;
            let one = self.queue.pop_front()?;
            self.known.remove(&one);
            return Some(one);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use futures::channel::mpsc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_batch_delays_no_single_trigger_and_is_delivered_once() {
        let (sender, triggers) = mpsc::unbounded();
        let begin = Instant::now();
        let delivered = paced(triggers).map(move |one: u32| (begin.elapsed(), one));
        let send = async {
            let send = |all: Vec<u32>| sender.unbounded_send(all).unwrap();
            send((0..1000).collect());
            send((0..1000).collect());
            tokio::time::sleep(Duration::from_millis(101)).await;
            send(vec![5000]);
            send(vec![900]);
            drop(sender);
        };
        let (delivered, ()) = futures::join!(delivered.collect::<Vec<_>>(), send);
        let at = |wanted: u32| {
            let mut found = delivered
                .iter()
                .filter(|(_, one)| *one == wanted)
                .map(|(at, _)| *at);
            (found.next().unwrap(), found.next())
        };
        let soon = Duration::from_millis(101);
        assert_eq!((at(0), at(1).0), ((Duration::ZERO, None), GAP));
        assert_eq!((at(5000), at(900)), ((soon, None), (soon, None)));
        assert_eq!(delivered.len(), 1001);
        assert!(delivered.last().unwrap().0 >= GAP * 990);
    }
}
