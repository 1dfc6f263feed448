//! Client address -> permit for a connection (in memory).
//!
//! At the limit, the address with most connections loses one to an address that has fewer. A new connection of its own replaces an idle one.
//! The limit is hand-written because the layers of tower see requests, not connections.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
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
    /// At the limit it evicts a connection of the address with most connections: idle ones first, and of these the one that was used longest
    /// ago. If `peer` itself would then have most, its own idle one is evicted. Returns `None` if it has none.
    pub(super) fn acquire(&self, peer: IpAddr) -> Option<Permit> {
        let mut open = self.open.lock();
        if open.by_id.len() >= self.limit {
            let mut counts = HashMap::<_, usize>::new();
            for it in open.by_id.values() {
                *counts.entry(it.peer).or_default() += 1;
            }
            let (&largest, &has) = counts.iter().max_by_key(|(_, has)| **has)?;
            let own = counts.get(&peer).copied().unwrap_or(0);
            let loser = if own + 1 >= has { peer } else { largest };
            let its = open.by_id.iter().filter(|(_, it)| it.peer == loser);
            let (&id, it) = its.min_by_key(|(_, it)| (it.activity.is_busy(), it.activity.last()))?;
            if loser == peer && it.activity.is_busy() {
                return None;
            }
            if let Some(connection) = open.by_id.remove(&id) {
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
        Some(Permit {
            id,
            limit: self.clone(),
            evicted,
            activity,
        })
    }
}

impl Permit {
    /// Returns when another address has taken this permit.
    pub(super) async fn wait_for_eviction(&self) {
        self.evicted.cancelled().await;
    }

    pub(super) fn activity(&self) -> Arc<Activity> {
        self.activity.clone()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.limit.open.lock().by_id.remove(&self.id);
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

    /// The beginning of the connection, or of its last answer.
    fn last(&self) -> Instant {
        *self.last.lock()
    }

    /// Counts a request until the returned guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> UnderWay {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay(self.clone())
    }

    /// Returns once the connection was idle for `limit`.
    pub(super) async fn idle(&self, limit: Duration) {
        loop {
            let quiet = self.last().elapsed();
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
        *self.0.last.lock() = Instant::now();
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
        let _busy = greedy[0].activity().begin();
        let others: Vec<_> = (0..3).map(|_| limit.acquire(peer(2)).unwrap()).collect();
        let evicted: Vec<_> = greedy.iter().map(is_evicted).collect();
        assert_eq!(evicted, [false, true, true, true, false, false], "busy ones last");
        assert!(others.iter().all(|permit| !is_evicted(permit)));
        // Dropping an evicted permit frees nothing.
        greedy.drain(1..4);
        let _all_busy: Vec<_> = others.iter().map(|permit| permit.activity().begin()).collect();
        assert!(limit.acquire(peer(2)).is_none());
        drop(greedy);
        let more: Vec<_> = (0..3).map(|_| limit.acquire(peer(2)).unwrap()).collect();
        assert!(others.iter().chain(&more).all(|permit| !is_evicted(permit)));
        drop((others, more));
        assert!(limit.open.lock().by_id.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_replaces_the_one_of_its_address_that_was_used_longest_ago() {
        let limit = ConnectionLimit::new(4);
        let open: Vec<_> = (0..4).map(|_| limit.acquire(peer(1)).unwrap()).collect();
        let busy = open[1].activity().begin();
        for used in [3, 0, 2] {
            tokio::time::advance(Duration::from_secs(1)).await;
            drop(open[used].activity().begin());
        }
        let mut new = Vec::new();
        for replaced in [3, 0, 2] {
            assert!(!is_evicted(&open[replaced]));
            tokio::time::advance(Duration::from_secs(1)).await;
            new.push(limit.acquire(peer(1)).unwrap());
            assert!(is_evicted(&open[replaced]));
        }
        let _all_busy: Vec<_> = new.iter().map(|permit| permit.activity().begin()).collect();
        assert!(limit.acquire(peer(1)).is_none(), "no idle one is left");
        drop(busy);
        assert!(limit.acquire(peer(1)).is_some());
        assert!(is_evicted(&open[1]) && !new.iter().any(is_evicted));
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
