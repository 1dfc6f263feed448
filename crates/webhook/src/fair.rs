//! Requests at once, shared fairly among addresses (in memory): a place that becomes free is given to the address that has fewest, so that
//! whoever asks much or slowly waits for itself.

use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

/// Room for a number of requests. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    free: usize,
    /// Addresses that have places or wait for some.
    peers: BTreeMap<IpAddr, Share>,
}

#[derive(Debug, Default)]
struct Share {
    has: usize,
    waiting: VecDeque<oneshot::Sender<Place>>,
}

/// Room for one request, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    room: Option<Room>,
    peer: IpAddr,
}

impl Room {
    pub(crate) fn new(places: usize) -> Self {
        let state = State {
            free: places,
            peers: BTreeMap::new(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Waits for a place.
    pub(crate) async fn place(&self, peer: IpAddr) -> Place {
        let waiting = {
            let mut state = self.lock();
            if state.free > 0 {
                return self.give(&mut state, peer);
            }
            let (sender, receiver) = oneshot::channel();
            state.peers.entry(peer).or_default().waiting.push_back(sender);
            receiver
        };
        match waiting.await {
            Ok(place) => place,
            // Never dropped unsent while this waits; a place of nobody's frees none.
            Err(_) => Place { room: None, peer },
        }
    }

    fn give(&self, state: &mut State, peer: IpAddr) -> Place {
        state.free -= 1;
        state.peers.entry(peer).or_default().has += 1;
        Place {
            room: Some(self.clone()),
            peer,
        }
    }

    /// Takes a place back, and gives what is free to those who wait.
    fn take_back(&self, peer: IpAddr) {
        let mut state = self.lock();
        state.release(peer);
        while state.free > 0 {
            let Some((next, waiting)) = state.next() else {
                return;
            };
            // Who stopped waiting just now hands it back.
            if let Err(mut place) = waiting.send(self.give(&mut state, next)) {
                place.room = None;
                state.release(next);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn release(&mut self, peer: IpAddr) {
        self.free += 1;
        if let Some(share) = self.peers.get_mut(&peer) {
            share.has -= 1;
            if share.has == 0 && share.waiting.is_empty() {
                self.peers.remove(&peer);
            }
        }
    }

    /// Who has waited longest of the address that has fewest.
    fn next(&mut self) -> Option<(IpAddr, oneshot::Sender<Place>)> {
        loop {
            let waits = self.peers.iter().filter(|(_, share)| !share.waiting.is_empty());
            let peer = waits.min_by_key(|(_, share)| share.has).map(|(peer, _)| *peer)?;
            let share = self.peers.get_mut(&peer)?;
            let waiting = share.waiting.pop_front()?;
            if !waiting.is_closed() {
                return Some((peer, waiting));
            }
            if share.has == 0 && share.waiting.is_empty() {
                self.peers.remove(&peer);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(room) = self.room.take() {
            room.take_back(self.peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, time::Duration};

    use futures::FutureExt as _;

    use super::*;

    type Waits = futures::future::BoxFuture<'static, Place>;

    fn peer(last: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, last).into()
    }

    #[tokio::test]
    async fn a_place_that_becomes_free_goes_to_the_address_that_has_fewest() {
        let room = Room::new(4);
        let mut greedy = Vec::new();
        for _ in 0..4 {
            greedy.push(room.place(peer(1)).await);
        }
        let polled = |waits: &mut Vec<Waits>| {
            let before = waits.len();
            let mut have = Vec::new();
            waits.retain_mut(|one| match one.now_or_never() {
                Some(place) => {
                    have.push(place);
                    false
                }
                None => true,
            });
            assert_eq!(have.len() + waits.len(), before);
            have
        };
        let waits = |last, count: usize| -> Vec<Waits> {
            (0..count)
                .map(|_| {
                    let room = room.clone();
                    async move { room.place(peer(last)).await }.boxed()
                })
                .collect()
        };
        let (mut again, mut other) = (waits(1, 8), waits(2, 8));
        assert!(polled(&mut again).is_empty() && polled(&mut other).is_empty());
        greedy.truncate(2);
        let others = polled(&mut other);
        assert_eq!(
            (others.len(), polled(&mut again).len()),
            (2, 0),
            "until both have as many"
        );
        greedy.pop();
        assert_eq!(polled(&mut again).len(), 1, "who has one less is next");
        drop(others);
    }

    #[tokio::test]
    async fn who_stops_waiting_takes_no_place_and_all_come_back() {
        let room = Room::new(1);
        let first = room.place(peer(1)).await;
        assert!(
            tokio::time::timeout(Duration::from_millis(1), room.place(peer(2)))
                .await
                .is_err()
        );
        let mut unread = Box::pin(room.place(peer(3)));
        assert!((&mut unread).now_or_never().is_none());
        drop(first);
        // It was given a place, and went before it looked.
        drop(unread);
        drop(room.place(peer(4)).now_or_never().unwrap());
        let state = room.lock();
        assert_eq!((state.free, state.peers.len()), (1, 0));
    }
}
