//! Triggers of one workspace or of many -> the same, one by one (in memory): those of many come at a pace, behind those of one.
//!
//! A manager or a storage class concerns every workspace of the cluster. Their reconciles are not to stand before that of somebody who waits
//! for a start.

use std::{
    collections::{HashSet, VecDeque},
    hash::Hash,
    time::Duration,
};

use futures::{Stream, StreamExt as _, stream};
use tokio::time::{Instant, sleep_until};

/// Between two triggers of many.
const GAP: Duration = Duration::from_millis(5);

/// The same triggers. One of many that is triggered alone meanwhile, or by another trigger of many, comes once.
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
    /// Those of the queue that are still to come.
    known: HashSet<T>,
    /// When the next one comes.
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

    /// The next one, once its time has come; `None` where there is none. Dropped before that, it has taken nothing.
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
    async fn a_trigger_of_many_keeps_no_other_waiting_and_comes_once_for_each() {
        let (sender, triggers) = mpsc::unbounded();
        let begin = Instant::now();
        let told = paced(triggers).map(move |one: u32| (begin.elapsed(), one));
        let send = async {
            let send = |all: Vec<u32>| sender.unbounded_send(all).unwrap();
            send((0..1000).collect());
            send((0..1000).collect());
            tokio::time::sleep(Duration::from_millis(101)).await;
            send(vec![5000]);
            send(vec![900]);
            drop(sender);
        };
        let (told, ()) = futures::join!(told.collect::<Vec<_>>(), send);
        let at = |wanted: u32| {
            let mut found = told.iter().filter(|(_, one)| *one == wanted).map(|(at, _)| *at);
            (found.next().unwrap(), found.next())
        };
        let soon = Duration::from_millis(101);
        assert_eq!((at(0), at(1).0), ((Duration::ZERO, None), GAP));
        assert_eq!((at(5000), at(900)), ((soon, None), (soon, None)));
        assert_eq!(told.len(), 1001);
        assert!(told.last().unwrap().0 >= GAP * 990);
    }
}
