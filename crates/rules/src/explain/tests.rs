//! Workspaces and their objects -> explanations (tests).

use api::condition::reason;
use serde_json::{Value, json};

use super::access::{AccessEvidence, explain};
use super::*;
use crate::access::Requester;

const NOW: &str = "2026-01-01T12:00:00Z";

fn from<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn condition(type_: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({
        "type": type_, "status": status, "reason": reason, "message": message, "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T11:50:00Z",
    })
}

fn workspace_with(spec: Value, status: Value) -> Workspace {
    let mut spec = spec;
    spec["displayName"] = json!("d");
    let mut status = status;
    status["observedGeneration"] = json!(1);
    from(json!({
        "metadata": {"name": "demo", "namespace": "team", "generation": 1, "annotations": {
            "workspaces.jupyter.org/created-by": "alice", "workspaces.jupyter.org/last-updated-by": "alice",
        }},
        "spec": spec, "status": status,
    }))
}

fn evidence(workspace: &Workspace) -> Evidence<'_> {
    Evidence {
        workspace,
        events: Read::Known(Vec::new()),
        pods: Read::Known(Vec::new()),
        claim: Read::Known(None),
        quotas: Read::Known(Vec::new()),
        now: NOW.parse().unwrap(),
    }
}

fn values(finding: &Finding) -> Vec<&str> {
    finding.because.iter().map(|cause| cause.value.as_str()).collect()
}

#[test]
fn a_failed_start_has_the_reason_the_remedy_and_what_the_pod_shows() {
    let message = "The image cannot be pulled.";
    let degraded = condition("Degraded", "True", reason::IMAGE_PULL_FAILED, message);
    let workspace = workspace_with(json!({}), json!({"phase": "Failed", "conditions": [degraded]}));
    let mut evidence = evidence(&workspace);
    evidence.pods = Read::Known(vec![from(json!({
        "metadata": {"name": "workspace-demo-1"},
        "status": {"containerStatuses": [{
            "name": "workspace", "ready": false, "restartCount": 0, "image": "", "imageID": "",
            "state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}},
        }]},
    }))]);
    evidence.events = Read::Known(vec![from(json!({
        "metadata": {}, "involvedObject": {}, "type": "Warning", "reason": "ImagePullFailed", "message": "of the Event",
        "lastTimestamp": "2026-01-01T11:55:00Z",
    }))]);
    let explanation = super::workspace(&evidence);
    assert!(!explanation.as_wanted);
    let finding = &explanation.findings[0];
    assert_eq!(finding.what, message);
    assert_eq!(finding.reason.as_deref(), Some(reason::IMAGE_PULL_FAILED));
    assert_eq!(
        values(finding),
        [
            "True, reason ImagePullFailed",
            "ErrImagePull: not found",
            "of the Event"
        ]
    );
    assert_eq!(finding.because[1].object, "Pod workspace-demo-1");
    assert_eq!(
        finding.because[1].field,
        "status.containerStatuses[workspace].state.waiting"
    );
    assert_eq!(finding.because[2].time.as_deref(), Some("2026-01-01T11:55:00Z"));
    let remedy = documented(reason::IMAGE_PULL_FAILED).unwrap().remedy;
    let [cure] = &*finding.cures else {
        panic!("{finding:?}")
    };
    assert_eq!((cure.who, cure.what.as_str()), (Who::Owner, remedy));
    let field = "spec.image".to_owned();
    assert_eq!(cure.steps[0].action, Action::Edit { field });
}

#[test]
fn what_may_not_be_read_is_named() {
    let workspace = workspace_with(
        json!({}),
        json!({"conditions": [condition("Available", "True", "Ready", "")]}),
    );
    let mut evidence = evidence(&workspace);
    evidence.pods = Read::Unread("pods is forbidden".to_owned());
    let explanation = super::workspace(&evidence);
    assert!(explanation.as_wanted);
    let unread = Unread {
        what: "pods".to_owned(),
        why: "pods is forbidden".to_owned(),
    };
    assert_eq!(explanation.unread, [unread]);
}

#[test]
fn a_full_quota_shows_its_amounts() {
    let message = "exceeded quota: team";
    let degraded = condition("Degraded", "True", reason::QUOTA_EXCEEDED, message);
    let workspace = workspace_with(json!({}), json!({"conditions": [degraded]}));
    let mut evidence = evidence(&workspace);
    let quota = |name: &str| {
        from(
            json!({"metadata": {"name": name}, "status": {"hard": {"limits.cpu": "4"}, "used": {"limits.cpu": "4"}}}),
        )
    };
    evidence.quotas = Read::Known(vec![quota("team"), quota("other")]);
    let finding = &super::workspace(&evidence).findings[0];
    assert_eq!(values(finding)[1..], ["4 of 4"]);
    assert_eq!(finding.because[1].object, "ResourceQuota team");
}

#[test]
fn a_slow_start_names_the_step_that_takes_long() {
    let progressing = condition("Progressing", "True", reason::STARTING, "Pulling image");
    let status =
        json!({"phase": "Starting", "startingSince": "2026-01-01T11:50:00Z", "conditions": [progressing]});
    let workspace = workspace_with(json!({}), status);
    let mut evidence = evidence(&workspace);
    evidence.pods = Read::Known(vec![from(json!({
        "metadata": {"name": "p"},
        "status": {"conditions": [
            {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-01T11:51:00Z"},
            {"type": "Ready", "status": "False", "lastTransitionTime": "2026-01-01T11:51:00Z"},
        ]},
    }))]);
    let explanation = super::workspace(&evidence);
    let finding = &explanation.findings[0];
    assert_eq!(finding.what, "It has been starting for 10 min: Pulling image");
    assert_eq!(values(finding)[1..], ["True, after 60 s", "False, for 9 min"]);
    assert!(!explanation.as_wanted);
}

#[test]
fn an_idle_stop_is_distinguished_from_a_user_s_stop() {
    let stopped = condition("Stopped", "True", reason::STOPPED, "");
    let spec = json!({"desiredStatus": "Stopped"});
    let mut status =
        json!({"phase": "Stopped", "conditions": [stopped], "resolved": {"idleTimeoutInMinutes": 60}});
    let of = |status: &Value| workspace(&evidence(&workspace_with(spec.clone(), status.clone())));
    let by_user = of(&status);
    assert!(by_user.as_wanted);
    assert!(by_user.findings[0].what.starts_with("A user stopped it"));
    assert_eq!(
        by_user.findings[0].cures[0].steps[0].command,
        "kubectl workspace start demo -n team"
    );
    status["stoppedBecause"] = json!({"rule": "Idle", "time": "2026-01-01T11:00:00Z"});
    let idle = of(&status);
    assert_eq!(
        idle.findings[0].what,
        "It was stopped 60 min ago, because it was idle."
    );
    assert_eq!(values(&idle.findings[0]), ["Idle", "60"]);
}

#[test]
fn a_running_workspace_says_when_it_stops_and_what_waits_for_a_restart() {
    let status = json!({
        "phase": "Running", "conditions": [condition("Available", "True", reason::READY, "")],
        "resolved": {"idleTimeoutInMinutes": 30}, "stopsAt": "2026-01-01T12:20:00Z", "pendingUpdate": ["spec.image"],
        "idle": {"signals": [{"name": "server", "lastActivity": "2026-01-01T11:50:00Z"}, {"name": "kernels", "error": "no answer"}]},
    });
    let workspace = workspace_with(json!({}), status);
    let explanation = super::workspace(&evidence(&workspace));
    assert!(explanation.as_wanted);
    let whats: Vec<_> = explanation.findings.iter().map(|it| it.what.as_str()).collect();
    assert_eq!(
        whats,
        [
            "It runs.",
            "It is not stopped as idle while its use cannot be found out.",
            "It is stopped after 30 min without use, not before the time in status.stopsAt.",
            "Changes wait for a restart.",
        ]
    );
    assert_eq!(values(&explanation.findings[3]), ["spec.image"]);
}

#[test]
fn a_new_disk_in_place_of_a_deleted_one_is_reported_while_it_runs_and_while_it_is_stopped() {
    let message = "It is ready. Its disk is a new, empty one.";
    let disk = json!({"claimUID": "b", "replacesDeleted": true, "replacedVolumeName": "pvc-1"});
    for (desired, type_) in [("Running", "Available"), ("Stopped", "Stopped")] {
        let conditions = [condition(type_, "True", reason::READY, message)];
        let status = json!({"phase": desired, "disk": disk, "conditions": conditions});
        let workspace = workspace_with(json!({"desiredStatus": desired}), status);
        let explanation = super::workspace(&evidence(&workspace));
        assert!(explanation.as_wanted, "{desired}");
        let is_its = |it: &&Finding| it.reason.as_deref() == Some(reason::VOLUME_REPLACED);
        let finding = explanation.findings.iter().find(is_its).unwrap();
        assert_eq!(finding.what, message, "{desired}");
        assert_eq!(values(finding), ["true", "pvc-1"], "{desired}");
        assert_eq!(finding.cures[0].who, Who::Administrator);
    }
}

#[test]
fn a_deletion_that_takes_long_names_what_holds_it() {
    let mut workspace = workspace_with(json!({}), json!({}));
    workspace.metadata.deletion_timestamp = from(json!("2026-01-01T11:30:00Z"));
    workspace.metadata.finalizers = Some(vec![api::names::CLEANUP_FINALIZER.to_owned()]);
    let mut evidence = evidence(&workspace);
    evidence.pods = Read::Known(vec![from(
        json!({"metadata": {"name": "p", "deletionTimestamp": "2026-01-01T11:31:00Z", "finalizers": ["example.org/hold"]}}),
    )]);
    let explanation = super::workspace(&evidence);
    let finding = &explanation.findings[0];
    assert_eq!(finding.what, "Deleting for 30 min. Still there: Pod p.");
    assert!(values(finding).contains(&"example.org/hold"));
    assert!(
        finding.cures[0]
            .what
            .starts_with("example.org/hold on pod p belongs to another product"),
        "{finding:?}"
    );
    workspace.metadata.finalizers = Some(vec!["example.org/own".to_owned()]);
    let cure = &super::workspace(&self::evidence(&workspace)).findings[0].cures[0];
    assert_eq!(cure.who, Who::Administrator);
}

#[test]
fn a_deletion_that_just_began_asks_for_nothing() {
    let mut workspace = workspace_with(json!({}), json!({}));
    workspace.metadata.deletion_timestamp = from(json!("2026-01-01T11:59:50Z"));
    workspace.metadata.finalizers = Some(vec![api::names::CLEANUP_FINALIZER.to_owned()]);
    let mut evidence = evidence(&workspace);
    evidence.claim = Read::Known(Some(from(
        json!({"metadata": {"name": "workspace-demo", "deletionTimestamp": "2026-01-01T11:59:51Z"}}),
    )));
    let finding = &super::workspace(&evidence).findings[0];
    assert_eq!(
        finding.what,
        "Deleting for 10 s. Still there: PersistentVolumeClaim workspace-demo."
    );
    assert_eq!(finding.cures, []);
}

#[test]
fn steps_of_a_restart_are_those_of_its_own_pod() {
    let progressing = condition("Progressing", "True", reason::STARTING, "Pulling image");
    let status = json!({"phase": "Starting", "runID": "two", "startingSince": "2026-01-01T11:50:00Z", "conditions": [progressing]});
    let workspace = workspace_with(json!({}), status);
    let pod = |name: &str, run: &str, leaving: bool, at: &str| -> Pod {
        let mut pod = json!({
            "metadata": {"name": name, "labels": {api::names::RUN_ID_LABEL: run}, "creationTimestamp": at},
            "status": {"conditions": [{"type": "PodScheduled", "status": "True", "lastTransitionTime": at}]},
        });
        if leaving {
            pod["metadata"]["deletionTimestamp"] = json!(at);
        }
        from(pod)
    };
    let time = "2026-01-01T11:51:00Z";
    let pods = vec![
        pod("earlier-run", "one", false, time),
        pod("leaving", "two", true, time),
        pod("evicted", "two", false, "2026-01-01T11:50:30Z"),
        pod("current", "two", false, time),
    ];
    let mut evidence = evidence(&workspace);
    evidence.pods = Read::Known(pods);
    let finding = &super::workspace(&evidence).findings[0];
    let of_pods = finding
        .because
        .iter()
        .filter(|cause| cause.field.contains("PodScheduled"));
    let objects: Vec<_> = of_pods.map(|cause| cause.object.as_str()).collect();
    assert_eq!(objects, ["Pod current"]);
    evidence.pods = Read::Known(vec![pod("earlier-run", "one", false, time)]);
    let finding = &super::workspace(&evidence).findings[0];
    assert!(
        finding
            .because
            .iter()
            .all(|cause| !cause.object.starts_with("Pod")),
        "{finding:?}"
    );
}

#[test]
fn a_change_of_the_last_seconds_is_being_applied_and_no_finding_of_a_slow_operator() {
    let mut workspace = workspace_with(
        json!({}),
        json!({"conditions": [condition("Available", "True", reason::READY, "")]}),
    );
    workspace.metadata.generation = Some(2);
    let mut changed = |time: &str, subresource: &str| {
        workspace.metadata.managed_fields = Some(from(json!([
            {"manager": "kubectl", "time": time, "subresource": subresource},
            {"manager": "operator", "time": NOW, "subresource": "status"},
        ])));
        let explanation = super::workspace(&evidence(&workspace));
        (
            is_applying(&workspace, NOW.parse().unwrap()),
            explanation.findings[0].clone(),
        )
    };
    let (is_applying, finding) = changed("2026-01-01T11:59:57Z", "");
    assert!(is_applying);
    assert_eq!(finding.what, "The operator is applying the last change.");
    assert!(finding.cures.is_empty() && finding.because.is_empty());
    let (is_applying, finding) = changed("2026-01-01T11:59:54Z", "");
    assert!(!is_applying);
    assert_eq!(values(&finding), ["2", "1"]);
    assert!(!changed(NOW, "status").0, "writes of the status change nothing");
}

#[test]
fn a_change_that_the_operator_has_not_seen_is_said() {
    let mut workspace = workspace_with(
        json!({}),
        json!({"conditions": [condition("Available", "True", reason::READY, "")]}),
    );
    workspace.metadata.generation = Some(2);
    let explanation = super::workspace(&evidence(&workspace));
    assert!(!explanation.as_wanted);
    assert_eq!(values(&explanation.findings[0]), ["2", "1"]);
}

fn share(name: &str, subject: Value, active: Option<(&str, &str)>) -> api::WorkspaceShare {
    let conditions: Vec<_> = active
        .into_iter()
        .map(|(status, reason)| condition("Active", status, reason, "why"))
        .collect();
    from(json!({
        "metadata": {"name": name, "annotations": {"workspaces.jupyter.org/created-by": "alice"}},
        "spec": {"workspaceRef": "demo", "subjects": [subject]}, "status": {"conditions": conditions},
    }))
}

#[test]
fn access_is_explained_rule_by_rule() {
    let workspace = workspace_with(json!({}), json!({}));
    let groups = ["ml".to_owned()];
    let manager = |spec: Value| {
        let mut all = json!({"routing": {"baseDomain": "example.org"}, "authentication": {"gateway": {}}});
        all["authorization"] = spec;
        from::<api::WorkspaceManager>(json!({"metadata": {"name": "m"}, "spec": all}))
    };
    let of = |user: &str, shares: Vec<api::WorkspaceShare>, authorization: Value, right: Read<bool>| {
        explain(&AccessEvidence {
            requester: Requester {
                user,
                groups: &groups,
            },
            workspace: &workspace,
            shares: Read::Known(shares),
            manager: Read::Known(manager(authorization)),
            right,
            now: NOW.parse().unwrap(),
        })
    };
    let granted = || Read::Known(true);
    assert_eq!(of("alice", vec![], json!({}), granted()).allowed, Some(true));
    let without_right = of("alice", vec![], json!({}), Read::Known(false));
    assert_eq!(without_right.allowed, Some(false));
    assert!(
        without_right.what.contains("workspaces/connect"),
        "{}",
        without_right.what
    );
    assert_eq!(without_right.cures[0].who, Who::Administrator);

    let unknown = of("alice", vec![], json!({}), Read::Unread("no right".to_owned()));
    assert_eq!((unknown.allowed, unknown.unread.len()), (None, 1));

    let user = json!({"kind": "User", "name": "bob"});
    let inactive = share("old", user.clone(), Some(("False", "OwnerChanged")));
    let denied = of("bob", vec![inactive], json!({}), granted());
    assert_eq!(denied.allowed, Some(false));
    let rule = denied.rules.iter().find(|rule| rule.rule == "share").unwrap();
    assert_eq!(rule.because[1].value, "OwnerChanged: why");
    let steps: Vec<_> = denied.cures.iter().flat_map(|cure| &cure.steps).collect();
    assert_eq!(
        steps[0].command,
        "kubectl workspace share demo -n team --user bob --for 8h"
    );

    let active = share("now", user, Some(("True", "Shared")));
    assert_eq!(of("bob", vec![active], json!({}), granted()).allowed, Some(true));
    let group = share(
        "group",
        json!({"kind": "Group", "name": "ml"}),
        Some(("True", "Shared")),
    );
    assert!(
        of("eve", vec![group], json!({}), granted())
            .what
            .contains("group")
    );
    let administrator = of("eve", vec![], json!({"adminGroups": ["ml"]}), granted());
    assert_eq!(administrator.what, "The user may connect, as an administrator.");
    let administrator = of("eve", vec![], json!({"adminUsers": ["eve"]}), granted());
    assert_eq!(administrator.what, "The user may connect, as an administrator.");
}

#[test]
fn access_is_not_guessed_without_the_manager() {
    let workspace = workspace_with(json!({"accessType": "Public"}), json!({}));
    let explanation = explain(&AccessEvidence {
        requester: Requester {
            user: "bob",
            groups: &[],
        },
        workspace: &workspace,
        shares: Read::Known(vec![]),
        manager: Read::Unread("no right".to_owned()),
        right: Read::Known(true),
        now: NOW.parse().unwrap(),
    });
    assert_eq!(explanation.allowed, None);
    assert_eq!(explanation.unread[0].what, "the WorkspaceManager");
}
