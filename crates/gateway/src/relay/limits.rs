//! user and workspace -> a place for a websocket, within the limits of both (in memory).
//!
//! A workspace has so many places. Guests get three quarters of them, and one guest a quarter, so neither one guest nor all together keep
//! the owner out. A user has a share of the free places of this replica, over all workspaces.

use kit::limit::{ConcurrencyLimit, Permit};

/// Who opens a websocket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Holder<'a> {
    /// The user's name in Kubernetes.
    pub(super) user: &'a str,
    /// Whether the user owns the workspace.
    pub(super) is_owner: bool,
}

/// Places of websockets, or of their handshakes.
#[derive(Debug)]
pub(super) struct Places {
    workspace: ConcurrencyLimit<String>,
    user: ConcurrencyLimit<String>,
    guests: ConcurrencyLimit<String>,
    guest: ConcurrencyLimit<(String, String)>,
}

/// One place, taken until it is dropped.
pub(super) type Place = (
    Permit<String>,
    Permit<String>,
    Option<(Permit<String>, Permit<(String, String)>)>,
);

impl Places {
    /// `of_one`: those of one workspace; `of_all`: those of all together.
    pub(super) fn new(of_one: usize, of_all: usize) -> Self {
        Self {
            // A replica that is nearly full has less for each user, and as much for the owner as for guests.
            workspace: ConcurrencyLimit::new(of_one, of_all).sharing(1),
            user: ConcurrencyLimit::new(of_all, of_all),
            guests: ConcurrencyLimit::new(of_one / 4 * 3, of_all).sharing(1),
            guest: ConcurrencyLimit::new(of_one / 4, of_all).sharing(1),
        }
    }

    /// A place at the workspace `uid`; `None` when all are taken that the user may have.
    pub(super) fn take(&self, uid: &str, holder: Holder<'_>) -> Option<Place> {
        let guest = if holder.is_owner {
            None
        } else {
            let of_guest = self.guest.take((uid.to_owned(), holder.user.to_owned()))?;
            Some((self.guests.take(uid.to_owned())?, of_guest))
        };
        let of_user = self.user.take(holder.user.to_owned())?;
        Some((self.workspace.take(uid.to_owned())?, of_user, guest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::{MAX_DIALS, MAX_DIALS_OF_ONE, MAX_SOCKETS, MAX_SOCKETS_OF_ONE};

    /// As many places as this user gets.
    fn all_of(places: &Places, uid: &str, user: &str, is_owner: bool) -> Vec<Place> {
        std::iter::from_fn(|| places.take(uid, Holder { user, is_owner })).collect()
    }

    #[test]
    fn a_guest_has_a_share_of_a_workspace_and_all_together_leave_places_for_the_owner() {
        for (of_one, of_all) in [(MAX_SOCKETS_OF_ONE, MAX_SOCKETS), (MAX_DIALS_OF_ONE, MAX_DIALS)] {
            let places = Places::new(of_one, of_all);
            let greedy = all_of(&places, "lab", "guest-0", false);
            assert_eq!(greedy.len(), of_one / 4);
            // The control: another guest has as many.
            let other = all_of(&places, "lab", "guest-1", false);
            assert_eq!(other.len(), of_one / 4);
            let further: Vec<_> = (2..20)
                .flat_map(|number| all_of(&places, "lab", &format!("guest-{number}"), false))
                .collect();
            assert_eq!(greedy.len() + other.len() + further.len(), of_one / 4 * 3);
            let owned = all_of(&places, "lab", "alice", true);
            assert_eq!(owned.len(), of_one / 4);
            drop((greedy, other, further));
            assert_eq!(all_of(&places, "lab", "guest-0", false).len(), of_one / 4);
        }
    }

    #[test]
    fn a_user_has_a_share_of_a_replica_over_all_workspaces() {
        let places = Places::new(MAX_SOCKETS_OF_ONE, MAX_SOCKETS);
        let greedy: Vec<_> = (0..100)
            .flat_map(|number| all_of(&places, &format!("lab-{number}"), "mallory", true))
            .collect();
        assert!(greedy.len() <= MAX_SOCKETS / 8, "{}", greedy.len());
        // The control: another owner has all of a workspace's.
        assert_eq!(
            all_of(&places, "alice-lab", "alice", true).len(),
            MAX_SOCKETS_OF_ONE
        );
    }

    #[test]
    fn guests_of_a_full_replica_leave_places_for_the_owner() {
        let places = Places::new(MAX_SOCKETS_OF_ONE, MAX_SOCKETS);
        let _others: Vec<_> = (0..2000)
            .filter_map(|number| {
                places.take(
                    &format!("lab-{number}"),
                    Holder {
                        user: &format!("user-{number}"),
                        is_owner: true,
                    },
                )
            })
            .collect();
        let guests: Vec<_> = (0..20)
            .flat_map(|number| all_of(&places, "lab", &format!("guest-{number}"), false))
            .collect();
        assert_eq!(guests.len(), MAX_SOCKETS_OF_ONE / 4 * 3);
        assert!(!all_of(&places, "lab", "alice", true).is_empty());
    }

    #[test]
    fn a_refusal_takes_nothing() {
        let places = Places::new(4, 100);
        let held = all_of(&places, "lab", "bob", false);
        assert_eq!(held.len(), 1);
        assert!(all_of(&places, "lab", "bob", false).is_empty());
        // Three of guests and one of the owner: all of them are free but one.
        let others: Vec<_> = ["carol", "dave", "erin"]
            .iter()
            .flat_map(|user| all_of(&places, "lab", user, false))
            .collect();
        assert_eq!(others.len(), 2);
        assert_eq!(all_of(&places, "lab", "alice", true).len(), 1);
    }
}
