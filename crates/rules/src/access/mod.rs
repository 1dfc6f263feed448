//! User, workspace, its shares, its manager's policy -> decision to connect, and its rule (pure).
//!
//! - `shares`: whether a share is active
//! - `subjects`: the subjects of a workspace's shares. A decision costs the same for one share and for a thousand.

pub mod shares;
mod subjects;

use std::collections::HashSet;

use api::manager::{Rbac, Ssh, Start};
use api::workspace::AccessType;
use api::{Workspace, WorkspaceManager};

pub use self::subjects::Shared;

/// Maximum number of groups of a user who signs in.
pub const MAX_GROUPS: usize = 1000;

/// The user who wants to connect, with the Kubernetes name and groups.
#[derive(Debug, Clone, Copy)]
pub struct Requester<'a> {
    /// User name; empty for an anonymous request.
    pub user: &'a str,
    /// Groups of the user.
    pub groups: &'a [String],
}

/// The properties of a workspace that access depends on.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Value of the created-by annotation; empty if there is none.
    pub owner: &'a str,
    /// The effective access type.
    pub access: AccessType,
    /// The subjects of its shares.
    pub shared: &'a Shared,
}

/// A manager's access policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// Whether the cluster's RBAC is consulted.
    pub rbac: Rbac,
    /// Users who may connect to every workspace.
    pub admin_users: HashSet<String>,
    /// Groups that may connect to every workspace.
    pub admin_groups: HashSet<String>,
    /// Which users may start stopped workspaces in the browser.
    pub start: Start,
    /// Whether users who may connect may do so by ssh.
    pub ssh: Ssh,
    /// Whether `Public` access and shares are ignored.
    /// This is so when all workspaces have one web origin and no administrator accepted the consequences.
    pub disables_sharing: bool,
}

/// A user's permission to `create` `workspaces/connect` on a workspace, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// The user has the permission.
    Granted,
    /// The user lacks the permission.
    Missing,
    /// The permission was not requested yet.
    Unknown,
    /// The API server did not answer the request.
    Unanswered,
}

/// Whether a user may connect, with the reason for logs. A refused user gets no reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The request is allowed.
    Allow(Allowed),
    /// The request is denied.
    Deny(Denied),
    /// The decision depends on a permission that the caller must request first.
    Ask,
}

/// What an admitted user may see and do while a workspace does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Owner and administrators, who may read the workspace's status anyway. They see reason and message, and may start it.
    OwnerOrAdmin,
    /// Users who may connect and start it. They see that it is blocked.
    Starter,
    /// Users who may connect and not start it.
    Viewer,
}

impl Audience {
    /// Whether these users may start the workspace, if they may use its template.
    pub fn may_start(self) -> bool {
        self != Self::Viewer
    }
}

/// Whom a workspace admits: no more than the operator found for what runs, which in recovery is its owner's alone. A narrower spec counts at
/// once. What a template grants counts while the operator has evaluated the spec as it is. Where the operator found nothing and nothing runs,
/// there is only a page that says why, and the spec counts.
pub fn access_type(workspace: &Workspace) -> AccessType {
    let (spec, status) = (workspace.spec.access_type, workspace.status.as_ref());
    let generation = status.and_then(|status| status.observed_generation);
    let is_evaluated = generation == workspace.metadata.generation;
    let runs = status.is_some_and(|status| status.endpoint.is_some());
    let found = status.and_then(|status| status.resolved.as_ref()?.access_type);
    let access = match (found, spec) {
        (Some(found), Some(spec)) => spec.admits_everyone().then_some(found),
        (Some(found), None) => is_evaluated.then_some(found),
        (None, spec) => spec.filter(|_| !runs),
    };
    access.unwrap_or_default()
}

/// What to tell of access: where the manager ignores public access and shares, what the spec asks for; else whom the workspace admits.
pub fn requested_access_type(workspace: &Workspace, manager: Option<&WorkspaceManager>) -> AccessType {
    let ignores = manager.is_some_and(|manager| manager.spec.routing.disables_sharing());
    let asked = workspace.spec.access_type.filter(|_| ignores);
    asked.unwrap_or_else(|| access_type(workspace))
}

/// Why a user may connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Allowed {
    /// The user owns the workspace.
    Owner,
    /// The workspace is open to every user who is signed in and has the permission to connect.
    Public,
    /// A share names the user or service account.
    Share,
    /// A share names a group of the user.
    GroupShare,
    /// The user is one of the manager's administrators, by name or by a group.
    Administrator,
}

/// Why a user may not connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Denied {
    /// The request is anonymous.
    Anonymous,
    /// Another user owns the workspace. It is neither public nor shared with this user.
    NotOwner,
    /// The workspace is public or shared with the user, but routing mode Path ignores that (`routing.pathModeSharing`). The gateway says it
    /// only before the operator narrows the workspace's access type; shares that do not count are unknown to it.
    OneOrigin,
    /// The user owns the workspace or it is public, but RBAC does not allow the user to connect.
    NoRight,
    /// The user owns the workspace or it is public, but the API server did not answer whether RBAC allows it.
    Unanswered,
}

impl Allowed {
    /// All variants.
    pub const ALL: [Self; 5] = [
        Self::Owner,
        Self::Public,
        Self::Share,
        Self::GroupShare,
        Self::Administrator,
    ];

    /// A stable label for logs and metrics.
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
    /// All variants.
    pub const ALL: [Self; 5] = [
        Self::Anonymous,
        Self::NotOwner,
        Self::OneOrigin,
        Self::NoRight,
        Self::Unanswered,
    ];

    /// A stable label for logs and metrics.
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
    pub fn from_manager(manager: &WorkspaceManager) -> Self {
        let authorization = manager.spec.authorization.clone().unwrap_or_default();
        Self {
            rbac: authorization.rbac,
            admin_users: authorization.admin_users.into_iter().collect(),
            admin_groups: authorization.admin_groups.into_iter().collect(),
            start: authorization.start,
            ssh: manager.spec.remote_access.unwrap_or_default().ssh,
            disables_sharing: manager.spec.routing.disables_sharing(),
        }
    }

    /// What an admitted user may see and do with the workspace of `owner` while it does not run.
    pub fn audience(&self, requester: Requester<'_>, owner: &str) -> Audience {
        let is_owner = !requester.user.is_empty() && requester.user == owner;
        if is_owner || self.is_administrator(requester) {
            Audience::OwnerOrAdmin
        } else if self.start == Start::Connectors {
            Audience::Starter
        } else {
            Audience::Viewer
        }
    }

    /// Whether the user is an administrator, by name or by a group.
    pub fn is_administrator(&self, requester: Requester<'_>) -> bool {
        self.admin_users.contains(requester.user)
            || (!self.admin_groups.is_empty()
                && requester
                    .groups
                    .iter()
                    .any(|group| self.admin_groups.contains(group)))
    }
}

/// Decides at `now` (Unix seconds). `right` is called only where the decision depends on it.
/// If it returns [`Right::Unknown`] and no share gives access, the decision is [`Decision::Ask`].
/// A share needs no permission, because a user with the permission to share created it.
/// Administrator access is checked last. So access that any other user would have too is not logged as administrator access.
pub fn connect(
    requester: Requester<'_>,
    facts: Facts<'_>,
    policy: &Policy,
    right: impl FnOnce() -> Right,
    now: i64,
) -> Decision {
    if requester.user.is_empty() {
        return Decision::Deny(Denied::Anonymous);
    }
    let is_public = facts.access.admits_everyone();
    let sharing_allowed = !policy.disables_sharing;
    // Like Kubernetes, this compares names byte by byte.
    let own = match requester.user {
        user if user == facts.owner => Some(Allowed::Owner),
        _ => (is_public && sharing_allowed).then_some(Allowed::Public),
    };
    let right = match (own, policy.rbac) {
        (None, _) => Right::Missing,
        (Some(_), Rbac::Ignored) => Right::Granted,
        (Some(_), Rbac::Required) => right(),
    };
    if let (Some(own), Right::Granted) = (own, right) {
        return Decision::Allow(own);
    }
    let share = facts.shared.with(requester, now);
    if let Some(allowed) = share.filter(|_| sharing_allowed) {
        return Decision::Allow(allowed);
    }
    if right == Right::Unknown {
        return Decision::Ask;
    }
    if policy.is_administrator(requester) {
        return Decision::Allow(Allowed::Administrator);
    }
    Decision::Deny(match (own, right) {
        (None, _) if !sharing_allowed && (is_public || share.is_some()) => Denied::OneOrigin,
        (None, _) => Denied::NotOwner,
        (Some(_), Right::Unanswered) => Denied::Unanswered,
        (Some(_), _) => Denied::NoRight,
    })
}

#[cfg(test)]
mod tests;
