//! Share, workspace, manager and time -> whether the share is active, and why not (pure).
//!
//! The webhook checks at admission which users may write a share.

use api::condition::reason;
use api::names::SHARED_FOR;
use api::share::{Subject, SubjectKind};
use api::{Workspace, WorkspaceManager, WorkspaceShare, names};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;

/// Why a share gives no access.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Inactive {
    /// The share has ended.
    #[error("The share ended at {0}; the object is removed an hour later.")]
    Expired(Timestamp),
    /// The workspace does not exist.
    #[error("Workspace {0:?} does not exist (yet): the share counts once its creator makes it.")]
    WorkspaceNotFound(String),
    /// The workspace is being deleted, or is another one with the same name.
    #[error("The workspace {0:?} for which the share was made was deleted or is being deleted.")]
    WorkspaceGone(String),
    /// The share was made neither by the owner nor on the owner's behalf.
    #[error(
        "The share was not made by or for the present owner of workspace {0:?}: have the owner create another one."
    )]
    OwnerChanged(String),
    /// The manager is unknown, and so are its bounds.
    #[error("The WorkspaceManager of workspace {0:?} is not known, so the limits for shares are not known.")]
    ManagerNotFound(String),
    /// The manager disables sharing.
    #[error("WorkspaceManager {0:?} disables sharing (authorization.sharing.enabled).")]
    SharingDisabled(String),
    /// All workspaces of the manager have one web origin, and no administrator accepted the consequences.
    #[error(
        "WorkspaceManager {0:?} has one web origin for all workspaces (routing.mode: Path). Code in a shared workspace could act as its \
         users in their own workspaces. Shares give no access unless routing.pathModeSharing is AcceptRisk."
    )]
    OneOrigin(String),
    /// The share exceeds the manager's bounds.
    #[error("WorkspaceManager {manager:?}: {what}.")]
    OutOfBounds {
        /// Name of the manager.
        manager: String,
        /// Which bound the share exceeds.
        what: String,
    },
}

impl Inactive {
    /// Reason for the condition `Active`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Expired(_) => reason::EXPIRED,
            Self::WorkspaceNotFound(_) | Self::WorkspaceGone(_) => reason::WORKSPACE_NOT_FOUND,
            Self::OwnerChanged(_) => reason::OWNER_CHANGED,
            Self::ManagerNotFound(_) => reason::MANAGER_NOT_FOUND,
            Self::SharingDisabled(_) | Self::OneOrigin(_) => reason::SHARING_DISABLED,
            Self::OutOfBounds { .. } => reason::SHARE_OUT_OF_BOUNDS,
        }
    }
}

/// Checks whether the share gives access at `now`. `workspace` has the name that the share refers to, and `manager` routes to it.
pub fn live(
    share: &WorkspaceShare,
    workspace: Option<&Workspace>,
    manager: Option<&WorkspaceManager>,
    now: Timestamp,
) -> Result<(), Inactive> {
    let name = || share.spec.workspace_ref.clone();
    if let Some(end) = end(share).filter(|end| now >= *end) {
        return Err(Inactive::Expired(end));
    }
    let Some(workspace) = workspace else {
        return Err(match bound(share) {
            None => Inactive::WorkspaceNotFound(name()),
            Some(_) => Inactive::WorkspaceGone(name()),
        });
    };
    let other = bound(share).is_some_and(|uid| workspace.metadata.uid.as_deref() != Some(uid));
    if other || workspace.metadata.deletion_timestamp.is_some() {
        return Err(Inactive::WorkspaceGone(name()));
    }
    if !is_for_owner(share, workspace) {
        return Err(Inactive::OwnerChanged(name()));
    }
    let manager = manager.ok_or_else(|| Inactive::ManagerNotFound(name()))?;
    within_bounds(share, manager)
}

/// UID of the workspace that a share is bound to: given, set at admission, or recorded when the workspace appeared.
pub fn bound(share: &WorkspaceShare) -> Option<&str> {
    let recorded = || share.status.as_ref()?.workspace_uid.as_deref();
    share.spec.workspace_uid.as_deref().or_else(recorded)
}

/// UID of the workspace that a share is bound to, or that it should be bound to now.
/// A share that is older than its workspace belongs to the first workspace of that name whose owner created the share.
pub fn binding<'a>(share: &'a WorkspaceShare, workspace: Option<&'a Workspace>) -> Option<&'a str> {
    let first = || {
        let workspace = workspace.filter(|workspace| is_for_owner(share, workspace))?;
        workspace.metadata.uid.as_deref()
    };
    bound(share).or_else(first)
}

/// When the share ends.
pub fn end(share: &WorkspaceShare) -> Option<Timestamp> {
    share.spec.expires_at.as_ref().map(|time| time.0)
}

/// Whether the workspace's owner made the share, or already owned the workspace when a user with the verb `share` made it.
/// So a change of the owner ends every earlier share.
fn is_for_owner(share: &WorkspaceShare, workspace: &Workspace) -> bool {
    let sponsor = sponsor(share);
    sponsor.is_some() && sponsor == names::owner(&workspace.metadata)
}

/// The owner on whose behalf the share was made. The share is active while this user owns the workspace.
pub fn sponsor(share: &WorkspaceShare) -> Option<&str> {
    let attested = share.annotations().get(SHARED_FOR).map(String::as_str);
    attested
        .filter(|name| !name.is_empty())
        .or_else(|| names::owner(&share.metadata))
}

/// Checks a share against the manager's bounds.
pub fn within_bounds(share: &WorkspaceShare, manager: &WorkspaceManager) -> Result<(), Inactive> {
    Extent::from_share(share).within(manager)
}

/// The properties of a share that managers bound.
#[derive(Debug, Clone, Copy)]
pub struct Extent<'a> {
    /// Subjects of the share.
    pub subjects: &'a [Subject],
    /// Creation time.
    pub begin: Option<Timestamp>,
    /// End; `None`: never.
    pub end: Option<Timestamp>,
}

impl<'a> Extent<'a> {
    /// The properties of a share.
    pub fn from_share(share: &'a WorkspaceShare) -> Self {
        Self {
            subjects: &share.spec.subjects,
            begin: share.metadata.creation_timestamp.as_ref().map(|time| time.0),
            end: end(share),
        }
    }

    /// Checks them against the manager's bounds.
    pub fn within(self, manager: &WorkspaceManager) -> Result<(), Inactive> {
        let authorization = manager.spec.authorization.clone().unwrap_or_default();
        let sharing = authorization.sharing.unwrap_or_default();
        if !sharing.enabled {
            return Err(Inactive::SharingDisabled(manager.name_any()));
        }
        if manager.spec.routing.disables_sharing() {
            return Err(Inactive::OneOrigin(manager.name_any()));
        }
        let beyond = |what: String| {
            Err(Inactive::OutOfBounds {
                manager: manager.name_any(),
                what,
            })
        };
        let is_group = |subject: &Subject| subject.kind == SubjectKind::Group;
        if !sharing.allow_groups && self.subjects.iter().any(is_group) {
            return beyond(
                "spec.subjects may not hold groups (authorization.sharing.allowGroups)".to_owned(),
            );
        }
        let Some(most) = sharing.max_duration_minutes else {
            return Ok(());
        };
        match (self.begin, self.end) {
            (Some(begin), Some(end)) if end.duration_since(begin) <= SignedDuration::from_mins(most) => {
                Ok(())
            }
            (_, Some(end)) => beyond(format!(
                "spec.expiresAt {end} is more than {most} minutes after the share was made"
            )),
            (_, None) => beyond(format!(
                "spec.expiresAt must be set, at most {most} minutes after the share was made"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOON: &str = "2026-01-01T12:00:00Z";

    fn share(change: Value) -> WorkspaceShare {
        let mut share = json!({
            "metadata": {
                "name": "s", "namespace": "team", "creationTimestamp": "2026-01-01T11:00:00Z",
                "annotations": {names::CREATED_BY: "alice"},
            },
            "spec": {
                "workspaceRef": "lab", "workspaceUID": "u-1", "subjects": [{"kind": "User", "name": "bob"}],
            },
        });
        merge(&mut share, change);
        serde_json::from_value(share).unwrap()
    }

    fn merge(into: &mut Value, change: Value) {
        match change {
            Value::Object(change) => {
                for (key, value) in change {
                    merge(&mut into[key], value);
                }
            }
            value => *into = value,
        }
    }

    fn workspace(owner: &str, uid: &str) -> Workspace {
        serde_json::from_value(json!({
            "metadata": {"name": "lab", "uid": uid, "annotations": {names::CREATED_BY: owner}},
            "spec": {"displayName": "Lab"},
        }))
        .unwrap()
    }

    fn manager(sharing: Value) -> WorkspaceManager {
        serde_json::from_value(json!({
            "metadata": {"name": "main"},
            "spec": {
                "routing": {"baseDomain": "b.org", "traefik": {}}, "authentication": {"gateway": {}},
                "authorization": {"sharing": sharing},
            },
        }))
        .unwrap()
    }

    fn reason_of(share: &WorkspaceShare, workspace: Option<&Workspace>, sharing: Value) -> &'static str {
        let now = NOON.parse().unwrap();
        match live(share, workspace, Some(&manager(sharing)), now) {
            Ok(()) => "",
            Err(inactive) => {
                assert!(!inactive.to_string().is_empty());
                inactive.reason()
            }
        }
    }

    #[test]
    fn the_owner_s_share_counts_until_the_very_second_of_its_end() {
        let lab = workspace("alice", "u-1");
        assert_eq!(reason_of(&share(json!({})), Some(&lab), json!({})), "");
        let ends = |at: &str| share(json!({"spec": {"expiresAt": at}}));
        assert_eq!(
            reason_of(&ends("2026-01-01T12:00:01Z"), Some(&lab), json!({})),
            ""
        );
        assert_eq!(reason_of(&ends(NOON), Some(&lab), json!({})), reason::EXPIRED);
    }

    #[test]
    fn shares_are_inactive_in_path_mode_unless_the_risk_is_accepted() {
        let lab = workspace("alice", "u-1");
        let reason_of = |path_mode_sharing| {
            let mut manager = manager(json!({}));
            manager.spec.routing.mode = api::manager::RoutingMode::Path;
            manager.spec.routing.path_mode_sharing = path_mode_sharing;
            live(
                &share(json!({})),
                Some(&lab),
                Some(&manager),
                NOON.parse().unwrap(),
            )
        };
        let refused = reason_of(api::manager::PathModeSharing::Refuse).unwrap_err();
        assert_eq!(refused.reason(), reason::SHARING_DISABLED);
        assert!(
            refused.to_string().contains("routing.pathModeSharing"),
            "{refused}"
        );
        assert_eq!(reason_of(api::manager::PathModeSharing::AcceptRisk), Ok(()));
    }

    #[test]
    fn a_recreated_workspace_of_the_same_name_is_not_shared() {
        let again = workspace("alice", "u-2");
        assert_eq!(
            reason_of(&share(json!({})), Some(&again), json!({})),
            reason::WORKSPACE_NOT_FOUND
        );
        assert_eq!(
            reason_of(&share(json!({})), None, json!({})),
            reason::WORKSPACE_NOT_FOUND
        );
        let mut leaving = workspace("alice", "u-1");
        leaving.metadata.deletion_timestamp = share(json!({})).metadata.creation_timestamp;
        assert_eq!(
            reason_of(&share(json!({})), Some(&leaving), json!({})),
            reason::WORKSPACE_NOT_FOUND
        );
    }

    #[test]
    fn a_change_of_owner_ends_the_shares_of_the_old_owner_and_those_made_for_them() {
        let handed_over = workspace("carol", "u-1");
        let by_alice = share(json!({}));
        assert_eq!(
            reason_of(&by_alice, Some(&handed_over), json!({})),
            reason::OWNER_CHANGED
        );
        let for_alice = |by: &str| {
            share(json!({"metadata": {"annotations": {names::CREATED_BY: by, SHARED_FOR: "alice"}}}))
        };
        let lab = workspace("alice", "u-1");
        assert_eq!(reason_of(&for_alice("admin"), Some(&lab), json!({})), "");
        for by in ["admin", "carol"] {
            assert_eq!(
                reason_of(&for_alice(by), Some(&handed_over), json!({})),
                reason::OWNER_CHANGED
            );
        }
    }

    #[test]
    fn a_share_without_creator_of_a_workspace_without_owner_is_inactive() {
        let ownerless = share(json!({"metadata": {"annotations": null}}));
        let mut lab = workspace("alice", "u-1");
        lab.metadata.annotations = None;
        assert_eq!(
            reason_of(&ownerless, Some(&lab), json!({})),
            reason::OWNER_CHANGED
        );
    }

    #[test]
    fn a_share_without_workspace_is_bound_to_the_first_workspace_that_its_creator_owns() {
        let unbound = share(json!({"spec": {"workspaceUID": null}}));
        assert_eq!(binding(&unbound, None), None);
        assert_eq!(binding(&unbound, Some(&workspace("mallory", "u-9"))), None);
        assert_eq!(binding(&unbound, Some(&workspace("alice", "u-1"))), Some("u-1"));
        assert_eq!(
            reason_of(&unbound, Some(&workspace("alice", "u-1")), json!({})),
            ""
        );
        assert_eq!(
            reason_of(&unbound, Some(&workspace("mallory", "u-9")), json!({})),
            reason::OWNER_CHANGED
        );
        let recorded = share(json!({"spec": {"workspaceUID": null}, "status": {"workspaceUID": "u-1"}}));
        assert_eq!(binding(&recorded, Some(&workspace("alice", "u-2"))), Some("u-1"));
    }

    #[test]
    fn the_manager_s_bounds_count_for_shares_that_exist_already() {
        let lab = workspace("alice", "u-1");
        let plain = share(json!({}));
        assert_eq!(
            reason_of(&plain, Some(&lab), json!({"enabled": false})),
            reason::SHARING_DISABLED
        );
        let bounded = json!({"maxDurationMinutes": 90});
        assert_eq!(
            reason_of(&plain, Some(&lab), bounded.clone()),
            reason::SHARE_OUT_OF_BOUNDS
        );
        let ends = |at: &str| share(json!({"spec": {"expiresAt": at}}));
        assert_eq!(
            reason_of(&ends("2026-01-01T12:30:00Z"), Some(&lab), bounded.clone()),
            ""
        );
        assert_eq!(
            reason_of(&ends("2026-01-01T12:30:01Z"), Some(&lab), bounded),
            reason::SHARE_OUT_OF_BOUNDS
        );
        let to_group = share(json!({"spec": {"subjects": [{"kind": "Group", "name": "g"}]}}));
        assert_eq!(
            reason_of(&to_group, Some(&lab), json!({"allowGroups": false})),
            reason::SHARE_OUT_OF_BOUNDS
        );
        let now = NOON.parse().unwrap();
        assert!(matches!(
            live(&plain, Some(&lab), None, now),
            Err(Inactive::ManagerNotFound(_))
        ));
    }
}
