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
pub(super) struct Facts<'a> {
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
pub(super) enum Due {
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
pub(super) fn due(facts: &Facts<'_>) -> Due {
    let Facts {
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
        return Due::Remove;
    }
    let uid = |workspace: &Workspace| workspace.metadata.uid.clone();
    if let Some(bound) = shares::bound(share)
        && workspace.and_then(uid).as_deref().or(unreadable) != Some(bound)
    {
        return Due::Collect;
    }
    let validation = shares::live(share, workspace, manager, now);
    let before = share.status.clone().unwrap_or_default();
    let mut conditions = Conditions::new(&before.conditions, share.metadata.generation, now);
    match validation {
        Ok(()) if !is_attested => conditions.set(
            ACTIVE,
            false,
            reason::UNVOUCHED,
            "No webhook attests who made the share (setting admission of the installation).",
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
    Due::Keep {
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
    use api::names::CREATED_BY;
    use serde_json::{Value, json};
    use testkit::objects;

    use super::*;

    fn share(spec: &Value) -> WorkspaceShare {
        let mut share = json!({
            "metadata": {
                "name": "s", "namespace": objects::NAMESPACE, "generation": 1,
                "creationTimestamp": "2026-01-01T00:00:00Z", "annotations": {CREATED_BY: objects::OWNER},
            },
            "spec": {"workspaceRef": "demo", "subjects": [{"kind": "User", "name": "bob"}]},
        });
        for (key, value) in spec.as_object().unwrap() {
            share["spec"][key] = value.clone();
        }
        serde_json::from_value(share).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn due_at(share: &WorkspaceShare, workspace: Option<&Workspace>, now: &str) -> Due {
        due(&Facts {
            share,
            workspace,
            unreadable: None,
            manager: Some(&objects::manager("main")),
            is_attested: true,
            now: at(now),
        })
    }

    #[test]
    fn a_workspace_that_cannot_be_read_is_there_all_the_same() {
        let bound = share(&json!({"workspaceUID": "uid-of-demo"}));
        let due_with = |unreadable: Option<&str>| {
            due(&Facts {
                share: &bound,
                workspace: None,
                unreadable,
                manager: None,
                is_attested: true,
                now: at("2026-01-01T01:00:00Z"),
            })
        };
        let (status, ..) = kept(due_with(Some("uid-of-demo")));
        assert!(!condition::holds(&status.conditions, ACTIVE));
        assert_eq!(due_with(Some("uid-of-another")), Due::Collect);
        assert_eq!(due_with(None), Due::Collect);
    }

    fn kept(due: Due) -> (WorkspaceShareStatus, Option<OwnerReference>, Option<Duration>) {
        match due {
            Due::Keep { status, owner, again } => (status, owner, again),
            other => panic!("{other:?}"),
        }
    }

    fn reason_of(status: &WorkspaceShareStatus) -> &str {
        &condition::find(&status.conditions, ACTIVE).unwrap().reason
    }

    #[test]
    fn an_early_share_is_bound_and_owned_when_its_workspace_appears() {
        let early = share(&json!({}));
        let (status, owner, again) = kept(due_at(&early, None, "2026-01-01T01:00:00Z"));
        assert_eq!(reason_of(&status), reason::WORKSPACE_NOT_FOUND);
        assert_eq!((status.workspace_uid, owner, again), (None, None, None));
        let demo = objects::workspace("demo");
        let (status, owner, _) = kept(due_at(&early, Some(&demo), "2026-01-01T01:00:00Z"));
        assert_eq!(reason_of(&status), reason::SHARED);
        assert_eq!(status.workspace_uid.as_deref(), Some("uid-of-demo"));
        assert_eq!(owner.unwrap().uid, "uid-of-demo");
    }

    #[test]
    fn it_ends_to_the_second_and_is_removed_an_hour_later() {
        let demo = objects::workspace("demo");
        let brief = share(&json!({"workspaceUID": "uid-of-demo", "expiresAt": "2026-01-01T02:00:00Z"}));
        let (status, _, again) = kept(due_at(&brief, Some(&demo), "2026-01-01T01:59:50Z"));
        assert_eq!(
            (reason_of(&status), again),
            (reason::SHARED, Some(Duration::from_secs(10)))
        );
        let (status, _, again) = kept(due_at(&brief, Some(&demo), "2026-01-01T02:00:00Z"));
        assert_eq!(
            (reason_of(&status), again),
            (reason::EXPIRED, Some(Duration::from_hours(1)))
        );
        assert_eq!(due_at(&brief, Some(&demo), "2026-01-01T03:00:00Z"), Due::Remove);
    }

    #[test]
    fn a_share_of_a_workspace_that_is_gone_goes_too() {
        let bound = share(&json!({"workspaceUID": "uid-of-an-earlier-one"}));
        let demo = objects::workspace("demo");
        for workspace in [None, Some(&demo)] {
            assert_eq!(due_at(&bound, workspace, "2026-01-01T01:00:00Z"), Due::Collect);
        }
    }

    #[test]
    fn no_share_is_active_where_no_webhook_attests_owners() {
        let (early, demo) = (share(&json!({})), objects::workspace("demo"));
        let (status, owner, _) = kept(due(&Facts {
            share: &early,
            workspace: Some(&demo),
            unreadable: None,
            manager: Some(&objects::manager("main")),
            is_attested: false,
            now: at("2026-01-01T01:00:00Z"),
        }));
        assert_eq!(reason_of(&status), reason::UNVOUCHED);
        assert_eq!((status.workspace_uid, owner), (None, None));
    }

    #[test]
    fn each_transition_has_one_event() {
        let demo = objects::workspace("demo");
        let mut plain = share(&json!({"workspaceUID": "uid-of-demo"}));
        let (active, ..) = kept(due_at(&plain, Some(&demo), "2026-01-01T01:00:00Z"));
        assert_eq!(event(None, &active).unwrap().reason, reason::SHARED);
        assert!(event(Some(&active), &active).is_none());
        plain.status = Some(active.clone());
        let mut handed_over = demo;
        let annotations = handed_over.metadata.annotations.as_mut().unwrap();
        annotations.insert(CREATED_BY.to_owned(), "carol".to_owned());
        let (ended, ..) = kept(due_at(&plain, Some(&handed_over), "2026-01-01T01:00:00Z"));
        let change = event(Some(&active), &ended).unwrap();
        assert_eq!(change.reason, reason::OWNER_CHANGED);
        assert!(matches!(change.type_, EventType::Warning));
    }
}
