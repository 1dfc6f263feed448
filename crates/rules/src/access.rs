//! Person, workspace, its shares and its manager's policy -> may they connect, and by which rule (pure).
//!
//! `shared` holds with whom a workspace is shared, so that a decision costs the same for one share and for a thousand.

mod shared;

use std::collections::HashSet;

use api::WorkspaceManager;
use api::manager::{Rbac, Start};
use api::workspace::AccessType;

pub use self::shared::Shared;

/// Somebody who wants to connect, as Kubernetes knows them.
#[derive(Debug, Clone, Copy)]
pub struct Person<'a> {
    /// User name; empty for nobody.
    pub user: &'a str,
    /// Groups.
    pub groups: &'a [String],
}

/// What of a workspace access depends on.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Value of the created-by annotation; empty if there is none.
    pub owner: &'a str,
    /// The effective access type.
    pub access: AccessType,
    /// With whom it is shared.
    pub shared: &'a Shared,
}

/// What a manager says about who connects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// Whether the cluster's roles are asked.
    pub rbac: Rbac,
    /// Groups that connect everywhere.
    pub admin_groups: HashSet<String>,
    /// Who starts stopped workspaces in the browser.
    pub start: Start,
    /// Whether neither `Public` nor shares count: all workspaces are of one web origin, and nobody accepted what that means.
    pub refuses_guests: bool,
}

/// What is known of a person's right to `create` `workspaces/connect` on a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// They hold it.
    Granted,
    /// They do not.
    Missing,
    /// Nobody was asked yet.
    Unknown,
    /// The API server could not be asked.
    Unanswered,
}

/// Whether a person may connect, with the reason for logs. A refused person is told no reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The request may pass.
    Allow(Allowed),
    /// The request must not pass.
    Deny(Denied),
    /// That depends on a right that is to be asked for first.
    Ask,
}

/// Why somebody may connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Allowed {
    /// The person owns the workspace.
    Owner,
    /// The workspace is open to everybody who is signed in and has the right to connect.
    Public,
    /// A share names the person, or the service account that they are.
    Share,
    /// A share names a group of theirs.
    GroupShare,
    /// They are in one of the manager's groups of administrators.
    Administrator,
}

/// Why somebody may not connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Denied {
    /// Nobody is signed in.
    Anonymous,
    /// The workspace is somebody else's, not public, and not shared with them.
    NotOwner,
    /// It is public or shared with them, which does not count in routing mode Path (`routing.pathModeSharing`).
    OneOrigin,
    /// They own it or it is public, but their roles do not let them connect.
    NoRight,
    /// They own it or it is public, and nobody could say whether their roles let them connect.
    Unanswered,
}

impl Allowed {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Owner,
        Self::Public,
        Self::Share,
        Self::GroupShare,
        Self::Administrator,
    ];

    /// One stable word for logs and metrics.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Public => "public",
            Self::Share => "share",
            Self::GroupShare => "group_share",
            Self::Administrator => "administrator",
        }
    }
}

impl Denied {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Anonymous,
        Self::NotOwner,
        Self::OneOrigin,
        Self::NoRight,
        Self::Unanswered,
    ];

    /// One stable word for logs and metrics.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::NotOwner => "not_owner",
            Self::OneOrigin => "one_origin",
            Self::NoRight => "no_right",
            Self::Unanswered => "unanswered",
        }
    }
}

impl Policy {
    /// The policy of a manager.
    pub fn of(manager: &WorkspaceManager) -> Self {
        let authorization = manager.spec.authorization.clone().unwrap_or_default();
        Self {
            rbac: authorization.rbac,
            admin_groups: authorization.admin_groups.into_iter().collect(),
            start: authorization.start,
            refuses_guests: manager.spec.routing.refuses_guests(),
        }
    }

    /// Whether a person owns or administers the workspace of `owner`.
    pub fn keeps(&self, person: Person<'_>, owner: &str) -> bool {
        !person.user.is_empty() && person.user == owner || self.is_administrator(person)
    }

    fn is_administrator(&self, person: Person<'_>) -> bool {
        !self.admin_groups.is_empty()
            && person
                .groups
                .iter()
                .any(|group| self.admin_groups.contains(group))
    }
}

/// Decides at `now` (Unix seconds). `right` is looked up only where the decision depends on it; what it does not know yet is
/// [`Decision::Ask`]. A share needs no right, for somebody who may give it gave it; administrators count last, so that
/// what they may do as anybody else is not told as an administrator's access.
pub fn connect(
    person: Person<'_>,
    facts: Facts<'_>,
    policy: &Policy,
    right: impl FnOnce() -> Right,
    now: i64,
) -> Decision {
    if person.user.is_empty() {
        return Decision::Deny(Denied::Anonymous);
    }
    let is_public = facts.access == AccessType::Public;
    let guests = !policy.refuses_guests;
    // Names are compared byte by byte, as Kubernetes does.
    let own = match person.user {
        user if user == facts.owner => Some(Allowed::Owner),
        _ => (is_public && guests).then_some(Allowed::Public),
    };
    let right = match (own, policy.rbac) {
        (None, _) => Right::Missing,
        (Some(_), Rbac::Ignored) => Right::Granted,
        (Some(_), Rbac::Required) => right(),
    };
    if let (Some(own), Right::Granted) = (own, right) {
        return Decision::Allow(own);
    }
    let share = facts.shared.with(person, now);
    if let Some(allowed) = share.filter(|_| guests) {
        return Decision::Allow(allowed);
    }
    if right == Right::Unknown {
        return Decision::Ask;
    }
    if policy.is_administrator(person) {
        return Decision::Allow(Allowed::Administrator);
    }
    Decision::Deny(match (own, right) {
        (None, _) if !guests && (is_public || share.is_some()) => Denied::OneOrigin,
        (None, _) => Denied::NotOwner,
        (Some(_), Right::Unanswered) => Denied::Unanswered,
        (Some(_), _) => Denied::NoRight,
    })
}

#[cfg(test)]
mod tests;
