//! Caller -> a place among a workspace's ssh connections (in memory).
//!
//! A guest takes at most half of what is left for guests. So one guest keeps no other out, and all together do not keep the owner out.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::caller::Caller;

/// Largest number of connections. Editors open two or three.
const ALL: usize = 32;
/// Those that guests may have together.
const OF_GUESTS: usize = 24;

/// Counts connections.
#[derive(Debug, Default)]
pub(super) struct Places(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_guest: HashMap<String, usize>,
}

/// A place, taken until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    taken: Arc<Mutex<Taken>>,
    guest: Option<String>,
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
        let guest = match caller {
            Caller::User {
                name,
                is_owner: false,
            } => Some(name.clone()),
            _ => None,
        };
        let mut taken = self.0.lock();
        if taken.all >= ALL {
            return Err(NoPlace::OfAll);
        }
        if let Some(guest) = &guest {
            let of_guests: usize = taken.by_guest.values().sum();
            let own = taken.by_guest.get(guest).copied().unwrap_or_default();
            let free = OF_GUESTS.saturating_sub(of_guests);
            if free == 0 || own >= (free / 2).max(1) {
                return Err(NoPlace::OfGuests);
            }
            taken.by_guest.insert(guest.clone(), own + 1);
        }
        taken.all += 1;
        Ok(Place {
            taken: Arc::clone(&self.0),
            guest,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock();
        taken.all -= 1;
        if let Some(guest) = &self.guest
            && let Some(own) = taken.by_guest.get_mut(guest)
        {
            *own -= 1;
            if *own == 0 {
                taken.by_guest.remove(guest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
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
        assert!(places.0.lock().by_guest.is_empty());
        assert_eq!(places.0.lock().all, 0);
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
}
