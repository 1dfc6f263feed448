//! Caller -> a place among a workspace's ssh connections (in memory).
//!
//! A guest takes at most half of what is left for guests. So one guest keeps no other out, and all together do not keep the owner out.
//! A client whose network went leaves a connection that is silent. So where a person would get no place, their oldest silent one ends.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::caller::Caller;

/// Largest number of connections. Editors open two or three.
const ALL: usize = 32;
/// Those that guests may have together.
const OF_GUESTS: usize = 24;
/// Time without a byte after which a connection gives way to another one of its person. Editors send more often.
const SILENT: Duration = Duration::from_mins(1);

/// Connections that are open.
#[derive(Debug, Default)]
pub(super) struct Places(Arc<Mutex<Vec<Arc<Connection>>>>);

/// One of them.
#[derive(Debug)]
struct Connection {
    /// `None`: nobody knows whose it is.
    name: Option<String>,
    is_guest: bool,
    used: Mutex<Instant>,
    given_up: Notify,
}

/// A place, taken until it is dropped or given up.
#[derive(Debug)]
pub(super) struct Place {
    all: Arc<Mutex<Vec<Arc<Connection>>>>,
    own: Arc<Connection>,
}

/// Why there is no place.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoPlace {
    #[error("{} ssh connections are open, the most there may be", ALL)]
    OfAll,
    #[error("guests have as many ssh connections as they may have")]
    OfGuests,
}

impl Places {
    /// A place for this caller. Without assertions nobody knows who is a guest.
    pub(super) fn take(&self, caller: &Caller) -> Result<Place, NoPlace> {
        let (name, is_guest) = match caller {
            Caller::User { name, is_owner } => (Some(name.clone()), !is_owner),
            _ => (None, false),
        };
        let mut open = self.0.lock();
        let is_own = |other: &Connection| name.is_some() && other.name == name;
        let guests = open.iter().filter(|other| other.is_guest);
        let free = OF_GUESTS.saturating_sub(guests.count());
        let own = open.iter().filter(|other| is_own(other)).count();
        let refused = match () {
            () if open.len() >= ALL => Some(NoPlace::OfAll),
            () if is_guest && (free == 0 || own >= (free / 2).max(1)) => Some(NoPlace::OfGuests),
            () => None,
        };
        if let Some(refused) = refused {
            let used = |index: &usize| *open[*index].used.lock();
            let own = (0..open.len()).filter(|index| is_own(&open[*index]));
            let silent = own.filter(|index| used(index).elapsed() >= SILENT);
            let oldest = silent.min_by_key(used).ok_or(refused)?;
            open.swap_remove(oldest).given_up.notify_one();
        }
        let own = Arc::new(Connection {
            name,
            is_guest,
            used: Mutex::new(Instant::now()),
            given_up: Notify::new(),
        });
        open.push(Arc::clone(&own));
        let all = Arc::clone(&self.0);
        Ok(Place { all, own })
    }
}

impl Place {
    /// Bytes went by.
    pub(super) fn used(&self) {
        *self.own.used.lock() = Instant::now();
    }

    /// Ends when another connection of the person needs the place.
    pub(super) async fn given_up(&self) {
        self.own.given_up.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.all.lock().retain(|other| !Arc::ptr_eq(other, &self.own));
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use tokio::time::advance;

    use super::*;

    fn all_of(places: &Places, name: &str, is_owner: bool) -> Vec<Place> {
        let caller = Caller::User {
            name: name.to_owned(),
            is_owner,
        };
        std::iter::from_fn(|| places.take(&caller).ok()).collect()
    }

    #[test]
    fn one_guest_keeps_neither_another_nor_the_owner_out() {
        let places = Places::default();
        let first = all_of(&places, "bob", false);
        assert_eq!(first.len(), 8);
        assert!(all_of(&places, "carol", false).len() >= 4);
        assert_eq!(all_of(&places, "alice", true).len(), ALL - 8);
        drop(first);
        assert!(places.0.lock().is_empty());
        // The control: the owner alone has all.
        let owned = all_of(&places, "alice", true);
        assert_eq!(owned.len(), ALL);
        assert_eq!(places.take(&Caller::Anyone).unwrap_err(), NoPlace::OfAll);
    }

    #[test]
    fn all_guests_together_leave_the_owner_several() {
        let places = Places::default();
        let held: Vec<_> = (0..100)
            .flat_map(|number| all_of(&places, &format!("guest-{number}"), false))
            .collect();
        assert_eq!(held.len(), OF_GUESTS);
        let guest = Caller::User {
            name: "late".to_owned(),
            is_owner: false,
        };
        assert_eq!(places.take(&guest).unwrap_err(), NoPlace::OfGuests);
        assert_eq!(all_of(&places, "alice", true).len(), ALL - OF_GUESTS);
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_silent_connection_of_the_same_person_gives_way() {
        let places = Places::default();
        let user = |name: &str, is_owner| Caller::User {
            name: name.to_owned(),
            is_owner,
        };
        let given_up = |place: &Place| place.given_up().now_or_never().is_some();
        let _other = places.take(&user("carol", false)).unwrap();
        let mut own = Vec::new();
        while let Ok(place) = places.take(&user("bob", false)) {
            own.push(place);
            advance(Duration::from_secs(1)).await;
        }
        // The control: none is silent for long, so none gives way.
        assert!(!own.iter().any(given_up));
        advance(SILENT).await;
        own[0].used();
        // The control: those of others are none of the person's.
        let late = places.take(&user("dave", false)).unwrap();
        assert!(!own.iter().any(given_up));
        let new = places.take(&user("bob", false)).unwrap();
        let ended: Vec<_> = own.iter().map(given_up).collect();
        assert_eq!(ended.iter().position(|ended| *ended), Some(1), "{ended:?}");
        assert_eq!(ended.iter().filter(|ended| **ended).count(), 1);
        // It takes its place with it once.
        let before = places.0.lock().len();
        drop(own.remove(1));
        assert_eq!(places.0.lock().len(), before);
        drop((new, late, own));
        assert_eq!(places.0.lock().len(), 1);
        // The owner's, where all are taken; and nobody's, where nobody knows whose they are.
        let owned = all_of(&places, "alice", true);
        advance(SILENT).await;
        assert_eq!(places.take(&Caller::Anyone).unwrap_err(), NoPlace::OfAll);
        assert!(places.take(&user("alice", true)).is_ok());
        assert!(given_up(&owned[0]));
    }
}
