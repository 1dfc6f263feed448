//! user and index -> the workspaces that the user may open, from memory alone (pure).

use api::manager::Rbac;
use rules::access::{self, Allowed, Decision, Facts, Requester, Right};

use crate::index::{Snapshot, Target};
use crate::oidc::claims::Identity;
use crate::pages::{self, Shelf};

/// Maximum number of workspaces on one page.
pub(super) const MAX: usize = 200;

const HEADINGS: [&str; 4] = [
    "Your workspaces",
    pages::SHARED,
    "Open to everybody",
    "Others that you may open as an administrator",
];

/// At most `most` workspaces, the user's own first, each group by name.
pub(super) fn shelf<'a>(index: &'a Snapshot, identity: &Identity, now: i64, most: usize) -> Shelf<'a> {
    let mut found: Vec<(usize, &Target)> = index
        .targets()
        .filter_map(|target| Some((heading(index, target, identity, now)?, &**target)))
        .collect();
    found.sort_by(|(a, one), (b, other)| {
        (a, &one.name, &one.namespace).cmp(&(b, &other.name, &other.namespace))
    });
    let left_out = found.len().saturating_sub(most);
    found.truncate(most);
    let groups = found.chunk_by(|(a, _), (b, _)| a == b).map(|group| {
        let targets = group.iter().map(|(_, target)| *target).collect();
        (HEADINGS[group[0].0], targets)
    });
    let policy = index.policy();
    Shelf {
        groups: groups.collect(),
        left_out,
        without_public: policy.rbac == Rbac::Required && !policy.disables_sharing,
    }
}

/// The heading of a workspace for this user. Roles are not evaluated here: it would take one access review per row. Listing what
/// roles may forbid would reveal its name. An owner already knows their own workspaces.
fn heading(index: &Snapshot, target: &Target, identity: &Identity, now: i64) -> Option<usize> {
    let requester = Requester {
        user: &identity.user_name,
        groups: &identity.groups,
    };
    if !requester.user.is_empty() && requester.user == target.owner {
        return Some(0);
    }
    let facts = Facts {
        owner: &target.owner,
        access: target.access_type,
        shared: &target.shared,
    };
    match access::connect(requester, facts, index.policy(), || Right::Missing, now) {
        Decision::Allow(Allowed::Owner) => Some(0),
        Decision::Allow(Allowed::Share | Allowed::GroupShare) => Some(1),
        Decision::Allow(Allowed::Public) => Some(2),
        Decision::Allow(Allowed::Administrator) => Some(3),
        Decision::Deny(_) | Decision::Ask => None,
    }
}

#[cfg(test)]
#[path = "listing_tests.rs"]
mod tests;
