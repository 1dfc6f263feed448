//! Connections at once, shared fairly among addresses (in memory): while there is room everybody gets in, and where there is none the
//! address that has most makes room for one that has fewer.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Room for a number of connections. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    most: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    /// In the order in which they came.
    connections: BTreeMap<u64, Connection>,
    of: HashMap<IpAddr, usize>,
}

#[derive(Debug)]
struct Connection {
    peer: IpAddr,
    lost: CancellationToken,
    busy: Arc<Activity>,
}

/// Room for one connection, until it is dropped or lost.
#[derive(Debug)]
pub(crate) struct Place {
    id: u64,
    places: Places,
    lost: CancellationToken,
    busy: Arc<Activity>,
}

/// Requests under way on a connection.
#[derive(Debug)]
pub(crate) struct Activity {
    under_way: AtomicUsize,
    last: Mutex<Instant>,
}

/// A request that is under way.
#[derive(Debug)]
pub(crate) struct UnderWay(Arc<Activity>);

impl Places {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            taken: Arc::default(),
        }
    }

    /// A place for a connection of `peer`, if need be that of one of the address that has most, one without requests before others.
    /// None where `peer` itself would then have most.
    pub(crate) fn take(&self, peer: IpAddr) -> Option<Place> {
        let mut taken = self.lock();
        if taken.connections.len() >= self.most {
            let (&greedy, &has) = taken.of.iter().max_by_key(|(_, has)| **has)?;
            if taken.of.get(&peer).copied().unwrap_or(0) + 1 >= has {
                return None;
            }
            let its = taken.connections.iter().filter(|(_, it)| it.peer == greedy);
            let (&id, _) = its.min_by_key(|(id, it)| (it.busy.is_busy(), **id))?;
            if let Some(lost) = taken.remove(id) {
                lost.lost.cancel();
            }
        }
        let id = taken.next;
        taken.next += 1;
        let (lost, busy) = (CancellationToken::new(), Arc::new(Activity::new()));
        let connection = Connection {
            peer,
            lost: lost.clone(),
            busy: busy.clone(),
        };
        taken.connections.insert(id, connection);
        *taken.of.entry(peer).or_default() += 1;
        Some(Place {
            id,
            places: self.clone(),
            lost,
            busy,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn remove(&mut self, id: u64) -> Option<Connection> {
        let connection = self.connections.remove(&id)?;
        if let Some(has) = self.of.get_mut(&connection.peer) {
            *has -= 1;
            if *has == 0 {
                self.of.remove(&connection.peer);
            }
        }
        Some(connection)
    }
}

impl Place {
    /// Returns once another address has got this place.
    pub(crate) async fn lost(&self) {
        self.lost.cancelled().await;
    }

    pub(crate) fn activity(&self) -> Arc<Activity> {
        self.busy.clone()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().remove(self.id);
    }
}

impl Activity {
    fn new() -> Self {
        Self {
            under_way: AtomicUsize::new(0),
            last: Mutex::new(Instant::now()),
        }
    }

    fn is_busy(&self) -> bool {
        self.under_way.load(Ordering::Relaxed) > 0
    }

    /// A request that lasts until what is returned is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> UnderWay {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay(self.clone())
    }

    /// Returns once nothing was under way for so long.
    pub(crate) async fn idle(&self, limit: Duration) {
        loop {
            let quiet = self.last.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
            match limit.checked_sub(quiet) {
                _ if self.is_busy() => tokio::time::sleep(limit).await,
                Some(left) if !left.is_zero() => tokio::time::sleep(left).await,
                _ => return,
            }
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        *self.0.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn peer(last: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, last).into()
    }

    fn is_lost(place: &Place) -> bool {
        place.lost.is_cancelled()
    }

    #[test]
    fn who_has_most_makes_room_until_all_have_as_many() {
        let places = Places::new(6);
        let mut greedy: Vec<_> = (0..6).map(|_| places.take(peer(1)).unwrap()).collect();
        assert!(places.take(peer(1)).is_none());
        let _busy = greedy[0].activity().begin();
        let others: Vec<_> = std::iter::from_fn(|| places.take(peer(2))).collect();
        assert_eq!(others.len(), 3);
        let lost: Vec<_> = greedy.iter().map(is_lost).collect();
        assert_eq!(lost, [false, true, true, true, false, false], "busy ones last");
        assert!(others.iter().all(|place| !is_lost(place)));
        // What is lost already frees nothing when it is dropped, and the rest does.
        greedy.drain(1..4);
        assert!(places.take(peer(2)).is_none());
        drop(greedy);
        let more: Vec<_> = std::iter::from_fn(|| places.take(peer(2))).collect();
        assert_eq!(more.len(), 3);
        drop((others, more));
        assert!(places.lock().connections.is_empty() && places.lock().of.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn idle_is_what_nothing_was_under_way_on_for_so_long() {
        let limit = Duration::from_mins(1);
        let activity = Arc::new(Activity::new());
        let begin = Instant::now();
        let request = activity.begin();
        let work = async {
            tokio::time::sleep(Duration::from_secs(90)).await;
            drop(request);
        };
        tokio::join!(work, activity.idle(limit));
        assert_eq!(begin.elapsed().as_secs(), 150);
    }
}
