//! Client address -> permit for a connection (in memory).
//!
//! At the limit, the address with most connections loses one to an address that has fewer.
//! The limit is hand-written because the layers of tower see requests, not connections.

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

/// A limited number of permits. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct ConnectionLimit {
    limit: usize,
    open: Arc<Mutex<Connections>>,
}

#[derive(Debug, Default)]
struct Connections {
    next: u64,
    /// Connections by age: a higher number is a newer connection.
    by_id: BTreeMap<u64, Connection>,
    count: HashMap<IpAddr, usize>,
}

#[derive(Debug)]
struct Connection {
    peer: IpAddr,
    evicted: CancellationToken,
    activity: Arc<Activity>,
}

/// Permit of one connection. It lasts until it is dropped or evicted.
#[derive(Debug)]
pub(super) struct Permit {
    id: u64,
    limit: ConnectionLimit,
    evicted: CancellationToken,
    activity: Arc<Activity>,
}

/// Number of requests in flight on a connection, and the time of the last change.
#[derive(Debug)]
pub(super) struct Activity {
    under_way: AtomicUsize,
    last: Mutex<Instant>,
}

/// One request in flight.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<Activity>);

impl ConnectionLimit {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            open: Arc::default(),
        }
    }

    /// Returns a permit for a connection from `peer`.
    /// At the limit it evicts a connection of the address with most connections, idle ones first.
    /// Returns `None` if `peer` itself would then have most connections.
    pub(super) fn acquire(&self, peer: IpAddr) -> Option<Permit> {
        let mut open = self.lock();
        if open.by_id.len() >= self.limit {
            let (&largest, &has) = open.count.iter().max_by_key(|(_, has)| **has)?;
            if open.count.get(&peer).copied().unwrap_or(0) + 1 >= has {
                return None;
            }
            let its = open.by_id.iter().filter(|(_, it)| it.peer == largest);
            let (&id, _) = its.min_by_key(|(id, it)| (it.activity.is_busy(), **id))?;
            if let Some(connection) = open.remove(id) {
                connection.evicted.cancel();
            }
        }
        let id = open.next;
        open.next += 1;
        let (evicted, activity) = (CancellationToken::new(), Arc::new(Activity::new()));
        let connection = Connection {
            peer,
            evicted: evicted.clone(),
            activity: activity.clone(),
        };
        open.by_id.insert(id, connection);
        *open.count.entry(peer).or_default() += 1;
        Some(Permit {
            id,
            limit: self.clone(),
            evicted,
            activity,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Connections> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connections {
    fn remove(&mut self, id: u64) -> Option<Connection> {
        let connection = self.by_id.remove(&id)?;
        if let Some(has) = self.count.get_mut(&connection.peer) {
            *has -= 1;
            if *has == 0 {
                self.count.remove(&connection.peer);
            }
        }
        Some(connection)
    }
}

impl Permit {
    /// Returns when another address has taken this permit.
    pub(super) async fn evicted(&self) {
        self.evicted.cancelled().await;
    }

    pub(super) fn activity(&self) -> Arc<Activity> {
        self.activity.clone()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.limit.lock().remove(self.id);
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

    /// Counts a request until the returned guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> UnderWay {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay(self.clone())
    }

    /// Returns once the connection was idle for `limit`.
    pub(super) async fn idle(&self, limit: Duration) {
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

    fn is_evicted(permit: &Permit) -> bool {
        permit.evicted.is_cancelled()
    }

    #[test]
    fn the_address_with_the_most_connections_is_evicted_first() {
        let limit = ConnectionLimit::new(6);
        let mut greedy: Vec<_> = (0..6).map(|_| limit.acquire(peer(1)).unwrap()).collect();
        assert!(limit.acquire(peer(1)).is_none());
        let _busy = greedy[0].activity().begin();
        let others: Vec<_> = std::iter::from_fn(|| limit.acquire(peer(2))).collect();
        assert_eq!(others.len(), 3);
        let evicted: Vec<_> = greedy.iter().map(is_evicted).collect();
        assert_eq!(evicted, [false, true, true, true, false, false], "busy ones last");
        assert!(others.iter().all(|permit| !is_evicted(permit)));
        // Dropping an evicted permit frees nothing.
        greedy.drain(1..4);
        assert!(limit.acquire(peer(2)).is_none());
        drop(greedy);
        let more: Vec<_> = std::iter::from_fn(|| limit.acquire(peer(2))).collect();
        assert_eq!(more.len(), 3);
        drop((others, more));
        assert!(limit.lock().by_id.is_empty() && limit.lock().count.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_requests_for_the_limit_is_idle() {
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
