//! Share, its workspace and manager, the time -> the next write (pure).

use std::time::Duration;

use api::{
    Workspace, WorkspaceManager, WorkspaceShare,
    condition::{self, ACTIVE, reason},
    share::WorkspaceShareStatus,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{
    Resource as _, ResourceExt as _,
    runtime::events::{Event, EventType},
};
use rules::shares;

use crate::status::{assess::condition_list::Conditions, transitions};

/// How long a share is kept after its end, so that users see why it ended.
const KEPT: SignedDuration = SignedDuration::from_hours(1);

/// The input of the decision.
pub(super) struct ShareFacts<'a> {
    pub(super) share: &'a WorkspaceShare,
    /// The workspace with the name in the share.
    pub(super) workspace: Option<&'a Workspace>,
    /// The UID of the workspace of that name, if it cannot be parsed.
    pub(super) unreadable: Option<&'a str>,
    /// The manager that routes to that workspace.
    pub(super) manager: Option<&'a WorkspaceManager>,
    /// Whether a webhook attests the creators of shares and the owners of workspaces.
    pub(super) is_attested: bool,
    pub(super) now: Timestamp,
}

/// The next write for one share.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ShareWrite {
    /// Delete it: it ended long enough ago.
    Remove,
    /// Delete it: its workspace is gone, as an owner reference would do. The caller has to confirm that first.
    Collect,
    /// Set this status. With an owner, also set the owner reference, so that the share is deleted with its workspace.
    Keep {
        status: WorkspaceShareStatus,
        owner: Option<OwnerReference>,
        /// When time alone changes something.
        again: Option<Duration>,
    },
}

/// The next write.
pub(super) fn due(facts: &ShareFacts<'_>) -> ShareWrite {
    let ShareFacts {
        share,
        workspace,
        unreadable,
        manager,
        is_attested,
        now,
    } = *facts;
    let end = shares::end(share);
    let removal = end.and_then(|end| end.checked_add(KEPT).ok());
    if removal.is_some_and(|removal| now >= removal) {
        return ShareWrite::Remove;
    }
    let uid = |workspace: &Workspace| workspace.metadata.uid.clone();
    if let Some(bound) = shares::bound(share)
        && workspace.and_then(uid).as_deref().or(unreadable) != Some(bound)
    {
        return ShareWrite::Collect;
    }
    let validation = shares::live(share, workspace, manager, now);
    let before = share.status.clone().unwrap_or_default();
    let mut conditions = Conditions::new(&before.conditions, share.metadata.generation, now);
    match validation {
        Ok(()) if !is_attested => conditions.set(
            ACTIVE,
            false,
            reason::UNVOUCHED,
            "The share's creator was not verified: the installation has neither the admission webhook nor the admission policies.",
        ),
        Ok(()) => conditions.set(
            ACTIVE,
            true,
            reason::SHARED,
            "The subjects may connect to the workspace.",
        ),
        Err(inactive) => conditions.set(ACTIVE, false, inactive.reason(), &inactive.to_string()),
    }
    let binding = shares::binding(share, workspace.filter(|_| is_attested));
    let next = [end, removal]
        .into_iter()
        .flatten()
        .filter(|time| *time > now)
        .min();
    ShareWrite::Keep {
        owner: workspace
            .filter(|workspace| binding.is_some() && binding == workspace.metadata.uid.as_deref())
            .filter(|workspace| !is_owned_by(share, workspace))
            .and_then(|workspace| workspace.owner_ref(&())),
        status: WorkspaceShareStatus {
            observed_generation: share.metadata.generation,
            workspace_uid: binding.map(str::to_owned),
            conditions: conditions.finish(),
        },
        again: next.and_then(|time| Duration::try_from(time.duration_since(now)).ok()),
    }
}

/// The Event for the change from one status to the next, if any.
pub(super) fn event(before: Option<&WorkspaceShareStatus>, after: &WorkspaceShareStatus) -> Option<Event> {
    let now = condition::find(&after.conditions, ACTIVE)?;
    let then = before.and_then(|before| condition::find(&before.conditions, ACTIVE));
    if then.is_some_and(|then| (&then.status, &then.reason) == (&now.status, &now.reason)) {
        return None;
    }
    let is_usual = [reason::SHARED, reason::EXPIRED].contains(&now.reason.as_str());
    let type_ = if is_usual {
        EventType::Normal
    } else {
        EventType::Warning
    };
    Some(transitions::event(type_, "Share", &now.reason, &now.message))
}

fn is_owned_by(share: &WorkspaceShare, workspace: &Workspace) -> bool {
    let uid = workspace.metadata.uid.as_ref();
    let mut owners = share.owner_references().iter();
    owners.any(|owner| Some(&owner.uid) == uid)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use testkit::objects;

    use super::*;

    #[test]
    fn a_workspace_that_cannot_be_read_is_there_all_the_same() {
        let bound: WorkspaceShare = serde_json::from_value(json!({
            "metadata": {"name": "s", "namespace": objects::NAMESPACE, "generation": 1},
            "spec": {"workspaceRef": "demo", "workspaceUID": "uid-of-another", "subjects": [{"kind": "User", "name": "bob"}]},
        }))
        .unwrap();
        let demo = objects::workspace("demo");
        let due_with = |workspace: Option<&Workspace>, unreadable: Option<&str>| {
            due(&ShareFacts {
                share: &bound,
                workspace,
                unreadable,
                manager: None,
                is_attested: true,
                now: Timestamp::UNIX_EPOCH,
            })
        };
        let ShareWrite::Keep { status, .. } = due_with(None, Some("uid-of-another")) else {
            panic!("it is kept");
        };
        assert!(!condition::holds(&status.conditions, ACTIVE));
        assert_eq!(due_with(None, Some("uid-of-demo")), ShareWrite::Collect);
        assert_eq!(due_with(Some(&demo), None), ShareWrite::Collect);
        assert_eq!(due_with(None, None), ShareWrite::Collect);
    }
}
