//! Workspaces and their objects -> explanations (tests).

use api::WorkspaceTemplate;
use api::condition::reason;
use serde_json::{Value, json};

use super::access::{AccessEvidence, explain};
use super::*;
use rules::access::Requester;

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

impl<'a> Evidence<'a> {
    /// All is read, and there is nothing beside the workspace.
    pub(super) fn of(workspace: &'a Workspace) -> Self {
        Self {
            workspace,
            events: Read::Known(Vec::new()),
            pods: Read::Known(Vec::new()),
            claim: Read::Known(None),
            quotas: Read::Known(Vec::new()),
            template: None,
            pod_events: &[],
            reads_logs: false,
            now: NOW.parse().unwrap(),
        }
    }
}

#[test]
fn a_start_says_whether_its_node_had_the_image_in_advance() {
    let status = json!({
        "phase": "Starting", "runID": "r", "conditions": [condition("Progressing", "True", reason::STARTING, "It starts.")],
    });
    let workspace = workspace_with(json!({"templateRef": "lab"}), status);
    let pod: Pod = from(json!({
        "metadata": {"name": "workspace-demo", "uid": "p", "labels": {"workspaces.jupyter.org/run-id": "r"}},
        "spec": {"containers": [], "nodeName": "n1"},
    }));
    let event = |container: &str, reason: &str, message: &str| {
        let object = json!({"uid": "p", "fieldPath": format!("spec.{container}")});
        from::<Event>(json!({"metadata": {}, "involvedObject": object, "reason": reason, "message": message}))
    };
    let own = |reason: &str, message: &str| event("containers{workspace}", reason, message);
    let there = "Container image \"lab:1\" already present on machine";
    let told = |labels: Value, events: &[Event]| {
        let template: WorkspaceTemplate = from(json!({
            "metadata": {"name": "lab", "labels": labels}, "spec": {"displayName": "Lab", "defaultImage": "lab:1"}, "status": {"pulled": "7/8"},
        }));
        let evidence = Evidence {
            pods: Read::Known(vec![pod.clone()]),
            template: Some(&template),
            pod_events: events,
            ..Evidence::of(&workspace)
        };
        let finding = super::workspace(&evidence).findings.remove(0);
        let of_template = finding
            .because
            .into_iter()
            .find(|cause| cause.object == "WorkspaceTemplate lab");
        of_template.map(|cause| format!("{}: {}", cause.field, cause.value))
    };
    let in_advance = || json!({"workspaces.jupyter.org/pre-pull": "true"});
    let had = Some("status.pulled: 7/8; node n1 had the image in advance".to_owned());
    let lacked = Some("status.pulled: 7/8; node n1 did not have the image in advance".to_owned());
    let pulled = own("Pulled", "Successfully pulled image \"lab:1\" in 40s");
    assert_eq!(
        told(in_advance(), &[own("Pulling", "Pulling image \"lab:1\"")]),
        lacked
    );
    assert_eq!(told(in_advance(), &[own("Pulling", ""), pulled.clone()]), lacked);
    assert_eq!(
        told(
            in_advance(),
            &[event("initContainers{seed}", "Pulling", ""), own("Pulled", there)]
        ),
        had
    );
    assert_eq!(told(in_advance(), &[]), None, "nothing tells");
    assert_eq!(
        told(json!({}), &[pulled]),
        None,
        "the template does not ask for it"
    );
}

fn values(finding: &Finding) -> Vec<&str> {
    finding.because.iter().map(|cause| cause.value.as_str()).collect()
}

#[test]
fn a_running_workspace_says_when_it_stops_and_what_waits_for_a_restart() {
    let status = json!({
        "phase": "Running", "conditions": [condition("Available", "True", reason::READY, "")],
        "resolved": {"idleTimeoutInMinutes": 30}, "stopsAt": "2026-01-01T12:20:00Z", "pendingUpdate": ["spec.image"],
        "idle": {"signals": [{"name": "server", "lastActivity": "2026-01-01T11:50:00Z"}, {"name": "kernels", "error": "no answer"}]},
    });
    let workspace = workspace_with(json!({}), status);
    let explanation = super::workspace(&Evidence::of(&workspace));
    assert!(explanation.as_wanted);
    let whats: Vec<_> = explanation.findings.iter().map(|it| it.what.as_str()).collect();
    assert_eq!(
        whats,
        [
            "It runs.",
            "It is not stopped as idle while its use cannot be found out.",
            "Once its use can be found out again, it is stopped after 30 min without use.",
            "Changes wait for a restart.",
        ]
    );
    assert_eq!(values(&explanation.findings[3]), ["spec.image"]);
}

#[test]
fn a_stopped_workspace_says_that_the_files_of_its_home_are_gone() {
    for because in [
        Value::Null,
        json!({"rule": "Idle", "time": "2026-01-01T11:50:00Z"}),
    ] {
        for lost in [true, false] {
            let status = json!({
                "phase": "Stopped", "conditions": [condition("Stopped", "True", reason::STOPPED, "")],
                "stoppedBecause": because, "filesLost": lost,
            });
            let workspace = workspace_with(json!({"desiredStatus": "Stopped"}), status);
            let what = super::workspace(&Evidence::of(&workspace))
                .findings
                .remove(0)
                .what;
            assert_eq!(what.contains("The files in its home are gone"), lost, "{what}");
        }
    }
}

#[test]
fn events_of_an_earlier_workspace_of_the_name_are_left_out() {
    let mut workspace = workspace_with(
        json!({}),
        json!({"phase": "Starting", "conditions": [condition("Progressing", "True", reason::STARTING, "")]}),
    );
    workspace.metadata.uid = Some("new".to_owned());
    workspace.metadata.creation_timestamp = from(json!("2026-01-01T11:00:00Z"));
    let event = |kind: &str, name: &str, uid: &str, hour: u8| -> Event {
        let object = json!({"kind": kind, "name": name, "uid": uid});
        let time = format!("2026-01-01T{hour}:30:00Z");
        from(
            json!({"metadata": {}, "involvedObject": object, "type": "Warning", "message": uid, "lastTimestamp": time}),
        )
    };
    let of_workspace = |uid| event("Workspace", "demo", uid, 11);
    let evidence = Evidence {
        events: Read::Known(vec![of_workspace("old"), of_workspace("new")]),
        ..Evidence::of(&workspace)
    };
    let finding = super::workspace(&evidence).findings.remove(0);
    let of_events = finding.because.iter().filter(|cause| cause.object == "Event");
    let shown: Vec<_> = of_events.map(|cause| cause.value.as_str()).collect();
    assert_eq!(shown, ["new"]);
    for (event, is_its) in [
        (of_workspace("new"), true),
        (of_workspace("old"), false),
        (event("Pod", "workspace-demo", "p", 11), true),
        (event("Pod", "workspace-demo", "p", 10), false),
        (event("PersistentVolumeClaim", "workspace-demo", "c", 11), true),
        (event("PersistentVolumeClaim", "workspace-demo", "c", 10), false),
        (event("Pod", "workspace-other", "p", 11), false),
        (event("ReplicaSet", "workspace-demo", "r", 11), false),
    ] {
        assert_eq!(concerns(&event, &workspace), is_its, "{event:?}");
    }
}

#[test]
fn a_stopped_workspace_says_when_it_is_deleted_and_what_prevents_it() {
    let of = |deletes_at: Value| {
        let status = json!({
            "phase": "Stopped", "conditions": [condition("Stopped", "True", reason::STOPPED, "")], "deletesAt": deletes_at,
            "resolved": {"stoppedRetentionDays": 30, "storage": {"mountPath": "/h", "retain": "Retain"}},
            "disk": {"claimUID": "c", "size": "1Gi"},
        });
        let workspace = workspace_with(json!({"desiredStatus": "Stopped"}), status);
        let mut findings = super::workspace(&Evidence::of(&workspace)).findings.into_iter();
        findings.find(|finding| finding.what.starts_with("It is deleted"))
    };
    assert!(of(json!(null)).is_none());
    let found = of(json!("2026-01-31T00:00:00Z")).unwrap();
    assert!(
        found.what.starts_with(
            "It is deleted after 30 days without a start (spec.limits.stoppedRetentionDays), at the time in status.deletesAt; its disk"
        ),
        "{}",
        found.what
    );
    assert_eq!(values(&found), ["set", "30"]);
    assert_eq!(found.reason.as_deref(), Some(reason::DELETION_ANNOUNCED));
    assert!(!found.remedies.is_empty());
}

#[test]
fn a_kept_workspace_says_until_when_and_that_files_without_a_disk_are_lost_then() {
    for (until, storage, said) in [
        (
            "2026-01-01T18:00:00Z",
            json!({"mountPath": "/h"}),
            "It is stopped after 30 min without use, but kept until 2026-01-01T18:00:00Z, not before the time in status.stopsAt.",
        ),
        (
            "2026-01-01T11:59:00Z",
            json!({"mountPath": "/h", "ephemeral": true}),
            "It is stopped after 30 min without use, not before the time in status.stopsAt. The files in its home are deleted, because the home has no disk.",
        ),
    ] {
        let status = json!({
            "phase": "Running", "conditions": [condition("Available", "True", reason::READY, "")],
            "resolved": {"idleTimeoutInMinutes": 30, "storage": storage}, "stopsAt": until, "stopsBecause": "Idle",
            "kept": {"until": until, "annotation": until},
        });
        let workspace = workspace_with(json!({}), status);
        let explanation = super::workspace(&Evidence::of(&workspace));
        assert_eq!(explanation.findings[1].what, said);
    }
}

#[test]
fn an_open_page_that_is_the_last_use_is_told_with_its_end_and_the_field_that_moves_it() {
    let findings = |idle: Value| {
        let status = json!({
            "phase": "Running", "conditions": [condition("Available", "True", reason::READY, "")], "idle": idle,
            "resolved": {"idleTimeoutInMinutes": 30, "openTabMinutes": 240}, "stopsAt": "2026-01-01T12:20:00Z",
        });
        let workspace = workspace_with(json!({}), status);
        super::workspace(&Evidence::of(&workspace)).findings
    };
    let found = findings(json!({"openTabUntil": "2026-01-01T14:00:00Z"}));
    assert_eq!(
        found[1].what,
        "Its last use is an open page. That counts for 240 min after a user's last act: until the time in status.idle.openTabUntil."
    );
    assert_eq!(found[1].because[0].time.as_deref(), Some("2026-01-01T14:00:00Z"));
    assert!(
        found[1].remedies[0]
            .what
            .contains("spec.idleShutdown.openTabMinutes")
    );
    let other = findings(json!({"lastActivity": "2026-01-01T11:50:00Z"}));
    assert!(other.iter().all(|it| !it.what.contains("open page")), "{other:?}");
}

#[test]
fn a_run_that_the_cluster_ended_is_told_of_the_next_one_while_its_event_is_there() {
    let workspace = |started: &str| {
        let available = condition("Available", "True", reason::READY, "");
        let status = json!({"phase": "Running", "conditions": [available], "startedAt": started});
        workspace_with(json!({}), status)
    };
    let event = |reason: &str| -> Event {
        from(json!({
            "metadata": {}, "involvedObject": {}, "type": "Warning", "reason": reason, "message": "The node was low on memory.",
            "lastTimestamp": "2026-01-01T11:30:00Z",
        }))
    };
    for (reason, started, told) in [
        (reason::EVICTED, 31, true),
        (reason::NODE_LOST, 31, true),
        // The node was back, with the same pod.
        (reason::NODE_LOST, 29, false),
        (reason::POD_LOST, 31, true),
        (reason::OOM_KILLED, 31, false),
    ] {
        let workspace = workspace(&format!("2026-01-01T11:{started}:00Z"));
        let evidence = Evidence {
            events: Read::Known(vec![event(reason)]),
            ..Evidence::of(&workspace)
        };
        let explanation = super::workspace(&evidence);
        assert!(explanation.as_wanted);
        let found = explanation
            .findings
            .iter()
            .find(|it| it.reason.as_deref() == Some(reason::POD_LOST));
        let found = found.map(|it| (it.what.as_str(), values(it)));
        let what = "Its run before ended 30 min ago, and no user ended it.";
        let expected = told.then(|| (what, vec!["The node was low on memory."]));
        assert_eq!(found, expected, "{reason}");
    }
}

#[test]
fn memory_that_ran_out_is_told_of_a_running_workspace_with_the_field_that_raises_its_limit() {
    let status = |out_of_memory: Value| {
        json!({
            "phase": "Running", "conditions": [condition("Available", "True", reason::READY, "")], "outOfMemory": out_of_memory,
        })
    };
    let findings = |out_of_memory| {
        let workspace = workspace_with(json!({}), status(out_of_memory));
        let findings = super::workspace(&Evidence::of(&workspace)).findings;
        let is_its = |it: &Finding| it.reason.as_deref() == Some(reason::OOM_KILLED);
        findings.into_iter().filter(is_its).collect::<Vec<_>>()
    };
    let found = findings(json!({"time": "2026-01-01T11:58:00Z", "ended": "Process", "limit": "2Gi"}));
    assert_eq!(
        found[0].what,
        "A process was ended at 2026-01-01T11:58:00Z, because memory ran out: the limit is 2Gi."
    );
    assert_eq!(values(&found[0]), ["Process"]);
    let steps = &found[0].remedies[0].steps;
    assert!(steps[0].command.contains("--memory"), "{steps:?}");
    assert!(findings(Value::Null).is_empty());
}

#[test]
fn what_is_wrong_with_a_further_disk_is_said_once() {
    let finding = |message: &str, degraded: &str| {
        let conditions = [
            condition("Available", "False", reason::QUOTA_EXCEEDED, ""),
            condition("Degraded", "True", reason::QUOTA_EXCEEDED, degraded),
        ];
        let claim = json!({"name": "db", "claim": "wsc-db-demo", "phase": "Bound", "message": message});
        let status = json!({"phase": "Starting", "conditions": conditions, "claims": [claim]});
        let workspace = workspace_with(json!({}), status);
        let findings = super::workspace(&Evidence::of(&workspace)).findings;
        let texts: Vec<_> = findings.into_iter().map(|it| it.what).collect();
        texts
            .into_iter()
            .filter(|it| it.contains("wsc-db-demo"))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        finding("The disk is not mounted.", "No room."),
        ["Its disk db: wsc-db-demo, Bound. The disk is not mounted."]
    );
    let refused = "The PersistentVolumeClaim wsc-db-demo was refused.";
    assert_eq!(
        finding(refused, &format!("{refused} More.")),
        [
            format!("{refused} More."),
            "Its disk db: wsc-db-demo, Bound.".to_owned()
        ]
    );
}

#[test]
fn a_disk_that_is_nearly_full_is_named_with_what_helps() {
    let finding = |spec: Value, phase: &str, disk: Value| {
        let status = json!({
            "phase": phase, "conditions": [condition("Available", "True", reason::READY, "")], "disk": disk,
        });
        let workspace = workspace_with(spec, status);
        let findings = super::workspace(&Evidence::of(&workspace)).findings;
        let is_its = |it: &Finding| it.reason.as_deref() == Some(reason::DISK_NEARLY_FULL);
        findings.into_iter().find(is_its)
    };
    let disk = |percent: i32, of: &str, full: bool| json!({"claimUID": "c", "size": "10Gi", "usedPercent": percent, "usedPercentOf": of, "full": full});
    for (disk, what, because) in [
        (
            disk(90, "Bytes", false),
            "At least 90 % of the space on its disk workspace-demo (10Gi) is used.",
            vec!["90 of Bytes"],
        ),
        (
            disk(95, "Inodes", false),
            "At least 95 % of the inodes on its disk workspace-demo (10Gi) are used: it holds many files and folders.",
            vec!["95 of Inodes"],
        ),
        (
            disk(100, "Inodes", true),
            "No inode is left on its disk workspace-demo (10Gi): it holds too many files and folders, and new ones cannot be made.",
            vec!["100 of Inodes", "true"],
        ),
        (
            json!({"claimUID": "c", "full": true}),
            "No space is left on its disk workspace-demo: files cannot be saved.",
            vec!["true"],
        ),
    ] {
        let found = finding(json!({}), "Running", disk).unwrap();
        assert_eq!((found.what.as_str(), values(&found)), (what, because));
        let commands = found.remedies[0].steps.iter().map(|step| step.command.as_str());
        assert_eq!(
            commands.collect::<Vec<_>>(),
            [
                "kubectl workspace set demo -n team --storage QUANTITY",
                "kubectl workspace start demo -n team --recovery"
            ]
        );
    }
    let mut fixed = disk(90, "Bytes", false);
    fixed["cannotGrow"] = json!(true);
    let fixed = finding(json!({}), "Running", fixed).unwrap();
    assert!(
        fixed.what.ends_with("Its storage class does not let it grow."),
        "{}",
        fixed.what
    );
    let commands = fixed.remedies[0].steps.iter().map(|step| step.command.as_str());
    let recovery = "kubectl workspace start demo -n team --recovery";
    assert_eq!(commands.collect::<Vec<_>>(), [recovery]);
    assert_eq!(finding(json!({}), "Running", disk(85, "Bytes", false)), None);
    // Its application may not start because of it.
    let failed = finding(json!({}), "Failed", disk(100, "Bytes", true)).unwrap();
    assert_eq!(failed.remedies[0].steps.len(), 2);
    let in_recovery = finding(json!({"recoveryMode": true}), "Running", disk(100, "Bytes", true)).unwrap();
    assert_eq!(in_recovery.remedies[0].steps.len(), 1, "recovery has begun");
}

#[test]
fn a_new_disk_in_place_of_a_deleted_one_is_reported_while_it_runs_and_while_it_is_stopped() {
    let message = "It is ready. Its disk is a new, empty one.";
    let disk = json!({"claimUID": "b", "replacesDeleted": true, "replacedVolumeName": "pvc-1"});
    for (desired, type_) in [("Running", "Available"), ("Stopped", "Stopped")] {
        let conditions = [condition(type_, "True", reason::READY, message)];
        let status = json!({"phase": desired, "disk": disk, "conditions": conditions});
        let workspace = workspace_with(json!({"desiredStatus": desired}), status);
        let explanation = super::workspace(&Evidence::of(&workspace));
        assert!(explanation.as_wanted, "{desired}");
        let is_its = |it: &&Finding| it.reason.as_deref() == Some(reason::VOLUME_REPLACED);
        let finding = explanation.findings.iter().find(is_its).unwrap();
        assert_eq!(finding.what, message, "{desired}");
        assert_eq!(values(finding), ["true", "pvc-1"], "{desired}");
        assert_eq!(finding.remedies[0].who, Who::Administrator);
    }
}

#[test]
fn a_run_is_in_recovery_as_it_was_started_whatever_the_next_start_will_be() {
    let (now, next) = ("It is in recovery", "Its next start is in recovery");
    let (set, pending) = ("spec.recoveryMode", "status.pendingUpdate");
    for (phase, is_set, waits, expected) in [
        ("Running", true, json!([]), Some((now, set, 1))),
        ("Running", true, json!([set]), None),
        ("Running", false, json!([set]), Some((now, pending, 0))),
        ("Running", false, json!([]), None),
        ("Stopped", true, json!([]), Some((next, set, 2))),
        ("Stopped", false, json!([]), None),
    ] {
        let conditions = [condition("Available", "True", reason::READY, "")];
        let status = json!({"phase": phase, "pendingUpdate": waits, "conditions": conditions});
        let workspace = workspace_with(json!({"desiredStatus": phase, "recoveryMode": is_set}), status);
        let findings = super::workspace(&Evidence::of(&workspace)).findings;
        let found = findings.iter().find(|it| it.what.contains("recovery image"));
        let found = found.map(|it| {
            let what = it.what.split(':').next().unwrap_or_default();
            (what, it.because[0].field.as_str(), it.remedies.len())
        });
        assert_eq!(found, expected, "{phase} {is_set} {waits}");
    }
}

#[test]
fn a_pending_recovery_says_how_the_next_start_is() {
    let set = "spec.recoveryMode";
    for (is_set, waits, said) in [
        (
            true,
            set,
            "Changes wait for a restart. Its next start is in recovery.",
        ),
        (
            false,
            set,
            "Changes wait for a restart. Its next start is a normal one.",
        ),
        (true, "spec.image", "Changes wait for a restart."),
        (false, "spec.image", "Changes wait for a restart."),
    ] {
        let conditions = [condition("Available", "True", reason::READY, "")];
        let status = json!({"phase": "Running", "pendingUpdate": [waits], "conditions": conditions});
        let workspace = workspace_with(json!({"recoveryMode": is_set}), status);
        let findings = super::workspace(&Evidence::of(&workspace)).findings;
        assert_eq!(findings.last().unwrap().what, said, "{is_set} {waits}");
    }
}

#[test]
fn a_stopped_workspace_in_recovery_says_once_how_it_starts_in_either_mode() {
    let normal = "kubectl workspace start demo -n team";
    let recover = "kubectl workspace start demo -n team --recovery";
    for because in [
        Value::Null,
        json!({"rule": "MaxAge", "time": "2026-01-01T09:00:00Z"}),
    ] {
        for (is_set, expected) in [(true, vec![recover, normal]), (false, vec![normal])] {
            let conditions = [condition("Stopped", "True", reason::STOPPED, "")];
            let status = json!({"phase": "Stopped", "stoppedBecause": because, "conditions": conditions});
            let workspace = workspace_with(
                json!({"desiredStatus": "Stopped", "recoveryMode": is_set}),
                status,
            );
            let findings = super::workspace(&Evidence::of(&workspace)).findings;
            let remedies = findings.iter().flat_map(|finding| &finding.remedies);
            let commands = remedies
                .flat_map(|remedy| &remedy.steps)
                .map(|step| step.command.as_str());
            let starts: Vec<_> = commands.filter(|it| it.contains(" start ")).collect();
            assert_eq!(starts, expected, "{is_set} {because}");
        }
    }
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
        let explanation = super::workspace(&Evidence::of(&workspace));
        (
            is_applying(&workspace, NOW.parse().unwrap()),
            explanation.findings[0].clone(),
        )
    };
    let (is_applying, finding) = changed("2026-01-01T11:59:57Z", "");
    assert!(is_applying);
    assert_eq!(finding.what, "The operator is applying the last change.");
    assert!(finding.remedies.is_empty() && finding.because.is_empty());
    let (is_applying, finding) = changed("2026-01-01T11:59:54Z", "");
    assert!(!is_applying);
    assert_eq!(values(&finding), ["2", "1"]);
    assert!(!changed(NOW, "status").0, "writes of the status change nothing");
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
