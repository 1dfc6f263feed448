//! Workspaces and their pods -> subjects.

use api::workspace::{IdleShutdown, IdleSignal, IdleStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use rules::IdleAnswer;
use serde_json::json;
use testkit::objects;

use super::*;
use crate::{
    status::assess::{Facts, assess},
    testing,
};

fn subject_after(change: impl FnOnce(&mut Workspace, &mut Observed)) -> Option<Subject> {
    let (mut workspace, mut observed) = (objects::workspace("demo"), testing::running());
    has_capacity(&mut observed, "10Gi");
    workspace.spec.idle_shutdown = Some(IdleShutdown {
        idle_timeout_in_minutes: Some(5),
        ..IdleShutdown::default()
    });
    change(&mut workspace, &mut observed);
    let valid = testing::admit(&workspace);
    let status = status_of(&workspace, &valid, &observed);
    for_run(&workspace, &valid, &observed, &status)
}

fn status_of(workspace: &Workspace, valid: &ValidWorkspace, observed: &Observed) -> WorkspaceStatus {
    let validation = Ok(valid.clone());
    assess(&Facts {
        workspace,
        validation: &validation,
        observed,
        blocker: None,
        claim_blockers: &[],
        restarts: false,
        unschedulable_grace: Duration::from_mins(5),
        now: "2026-01-01T00:01:00Z".parse().unwrap(),
    })
    .status
}

/// `demo`, running, with a timeout of five minutes and a disk of 10 GiB.
pub(in super::super) fn subject() -> Subject {
    subject_after(|_, _| ()).unwrap()
}

/// The same under another idle rule.
pub(in super::super) fn with_rule(change: impl FnOnce(&mut IdleRule)) -> Subject {
    let mut subject = subject();
    change(subject.idle.as_mut().unwrap());
    subject
}

/// The same without an idle rule.
pub(in super::super) fn with_disk_alone() -> Subject {
    subject_after(|workspace, _| workspace.spec.idle_shutdown = None).unwrap()
}

fn rule() -> IdleRule {
    subject().idle.unwrap()
}

fn has_capacity(observed: &mut Observed, size: &str) {
    let mut claim = observed.claim.as_deref().unwrap().clone();
    claim.status = serde_json::from_value(json!({"capacity": {"storage": size}})).unwrap();
    observed.claim = Some(claim.into());
}

#[test]
fn a_ready_pod_is_asked_at_its_own_address_and_counts_from_when_it_could_be_used() {
    let subject = subject();
    assert_eq!(subject.address.to_string(), "10.0.0.9");
    assert_eq!(subject.interval(), Duration::from_secs(30));
    assert_eq!(subject.capacity, Some(10 << 30));
    let rule = rule();
    assert_eq!(rule.port, 8888);
    assert_eq!(rule.timeout, Duration::from_mins(5));
    assert_eq!(rule.since, "2026-01-01T00:00:05Z".parse().unwrap());
    assert_eq!(rule.known, None);
}

#[test]
fn a_pod_without_idle_rule_is_asked_about_its_own_disk_each_five_minutes() {
    let subject = with_disk_alone();
    assert_eq!((subject.idle.as_ref(), subject.capacity), (None, Some(10 << 30)));
    assert_eq!(subject.interval(), Duration::from_mins(5));
    let without = |change: fn(&mut Observed)| {
        subject_after(|workspace, observed| {
            workspace.spec.idle_shutdown = None;
            change(observed);
        })
    };
    assert_eq!(without(|observed| observed.claim = None), None);
    assert_eq!(without(|observed| has_capacity(observed, "much")), None);
    let of_another = without(|observed| {
        let mut claim = observed.claim.as_deref().unwrap().clone();
        claim.metadata.owner_references = None;
        claim.metadata.annotations = None;
        observed.claim = Some(claim.into());
    });
    assert_eq!(of_another, None);
}

#[test]
fn a_maximum_age_is_told_to_a_pod_without_a_disk() {
    let asked = |limits: serde_json::Value| {
        subject_after(|workspace, observed| {
            workspace.spec.idle_shutdown = None;
            workspace.spec.limits = serde_json::from_value(limits).unwrap();
            observed.claim = None;
        })
    };
    assert_eq!(asked(json!({})), None);
    let subject = asked(json!({"maxAgeMinutes": 60})).unwrap();
    assert_eq!((subject.idle.as_ref(), subject.capacity), (None, None));
}

#[test]
fn a_hub_s_pod_is_asked_only_by_an_idle_rule() {
    let asked = |is_external: bool| {
        let (workspace, mut observed) = (objects::workspace("demo"), testing::running());
        has_capacity(&mut observed, "10Gi");
        let mut valid = testing::valid();
        if is_external {
            valid.routes = Routes::External;
        }
        let status = status_of(&workspace, &valid, &observed);
        for_run(&workspace, &valid, &observed, &status).is_some()
    };
    assert!(asked(false) && !asked(true));
}

#[test]
fn pods_are_not_asked_if_not_ready_or_stopping() {
    assert_eq!(
        subject_after(|workspace, _| workspace.spec.desired_status = DesiredStatus::Stopped),
        None
    );
    assert_eq!(subject_after(|_, observed| *observed = testing::started()), None);
    let strange = |_: &mut Workspace, observed: &mut Observed| {
        let mut pod = observed.pods[0].as_ref().clone();
        pod.status.as_mut().unwrap().pod_ip = Some("host.example".to_owned());
        observed.pods = vec![pod.into()];
    };
    assert_eq!(subject_after(strange), None, "an address is a number");
}

#[test]
fn a_workspace_whose_disk_was_deleted_is_not_stopped() {
    let deleted = |observed: &mut Observed, volume: Option<&str>| {
        let mut claim = observed.claim.as_deref().unwrap().clone();
        claim.metadata.deletion_timestamp = Some(Time("2026-01-01T00:00:00Z".parse().unwrap()));
        claim.spec.as_mut().unwrap().volume_name = volume.map(str::to_owned);
        claim
    };
    let idle = |volume: Option<&str>| {
        let subject = subject_after(|_, observed| observed.claim = Some(deleted(observed, volume).into()));
        subject.unwrap().idle
    };
    assert_eq!(idle(Some("v")), None, "its disk is asked for");
    assert!(
        idle(None).is_some(),
        "without a volume there are no files, and no status says why"
    );
    let of_another = |_: &mut Workspace, observed: &mut Observed| {
        let mut claim = deleted(observed, Some("v"));
        claim.metadata.owner_references = None;
        claim.metadata.annotations = None;
        observed.claim = Some(claim.into());
    };
    assert!(subject_after(of_another).unwrap().idle.is_some());
}

#[test]
fn a_deleted_foreign_claim_does_not_prevent_the_stop() {
    let with_scratch =
        |_: &mut Workspace, observed: &mut Observed| observed.terminating = vec!["scratch".to_owned()];
    assert_eq!(subject_after(with_scratch), Some(subject()));
}

#[test]
fn the_activity_in_the_status_counts_for_the_same_run_only() {
    let time: Timestamp = "2026-01-01T00:30:00Z".parse().unwrap();
    let known = |run: &str| {
        subject_after(|workspace, _| {
            let mut status = workspace.status.clone().unwrap_or_default();
            status.run_id = Some(run.to_owned());
            status.idle = Some(IdleStatus {
                last_activity: Some(Time(time)),
                ..IdleStatus::default()
            });
            workspace.status = Some(status);
        })
        .unwrap()
        .idle
        .unwrap()
        .known
    };
    assert_eq!(known("run1"), Some(time));
    assert_eq!(known("run0"), None);
}

/// The subject of a workspace whose status tells one signal of a run.
fn after_signal(run: &str, signal: IdleSignal) -> Subject {
    subject_after(|workspace, _| {
        let mut status = workspace.status.clone().unwrap_or_default();
        status.run_id = Some(run.to_owned());
        status.idle = Some(IdleStatus {
            signals: vec![signal],
            ..IdleStatus::default()
        });
        workspace.status = Some(status);
    })
    .unwrap()
}

#[test]
fn a_door_is_known_from_the_status_of_the_same_run() {
    let has_door = |run: &str, name: &str| {
        let signal = IdleSignal {
            name: name.to_owned(),
            ..IdleSignal::default()
        };
        after_signal(run, signal).has_door
    };
    assert!(has_door("run1", "user") && has_door("run1", "presence"));
    assert!(!has_door("run0", "user") && !has_door("run1", "server"));
    assert_eq!(subject().door.path, "/jupyter-k8s/activity");
    assert_eq!(subject().door.port, 8888);
}

#[test]
fn an_error_is_known_from_the_status_of_the_same_run_and_makes_no_other_subject() {
    let after = |run: &str, error: Option<&str>| {
        let signal = IdleSignal {
            name: "server".to_owned(),
            error: error.map(str::to_owned),
            ..IdleSignal::default()
        };
        after_signal(run, signal)
    };
    let had_error = |subject: &Subject| subject.idle.as_ref().unwrap().had_error;
    let silent = after("run1", Some("no answer within 5 s"));
    assert!(had_error(&silent) && silent.is_as(&subject()));
    assert!(!had_error(&after("run1", None)) && !had_error(&after("run0", Some("no answer within 5 s"))));
}

#[test]
fn an_application_is_asked_under_the_base_path_of_its_start() {
    let (folder, bare) = ("/workspaces/team/demo", "/api/status");
    let on_its_own_host = r#"{"format":2,"spec":{}}"#.to_owned();
    let in_a_folder = format!(r#"{{"format":2,"manager":{{"basePath":"{folder}"}}}}"#);
    let asked = |today: Option<&str>, record: &str, port: Option<u16>| {
        let mut valid = testing::valid();
        valid.base_path = today.map(str::to_owned);
        let mut question = rule().question;
        question.port = port;
        let question = question.rebase("", today.unwrap_or_default());
        let asked = question_of_run(&valid, &question, Some(record));
        let kernels = IdleAnswer::Jupyter {
            base: asked.path.trim_end_matches("/status").to_owned(),
        };
        assert_eq!(asked.answer, kernels);
        asked.path
    };
    let in_it = format!("{folder}{bare}");
    assert_eq!(asked(None, &on_its_own_host, None), bare);
    assert_eq!(asked(Some(folder), &in_a_folder, None), in_it);
    // The manager's routing mode was switched meanwhile.
    assert_eq!(asked(Some(folder), &on_its_own_host, None), bare);
    assert_eq!(asked(None, &in_a_folder, None), in_it);
    assert_eq!(asked(None, &in_a_folder, Some(9000)), bare);
    // In recovery a port that is named is not the recovery image's.
    let in_recovery = in_a_folder.replacen('{', r#"{"spec":{"recoveryMode":true},"#, 1);
    assert_eq!(asked(None, &in_recovery, Some(9000)), in_it);
    assert_eq!(asked(Some(folder), &in_recovery, None), in_it);
}

#[test]
fn the_mode_of_the_run_decides_what_is_asked_and_not_the_one_that_waits_for_a_restart() {
    let asked = |runs_in_recovery: bool, recovery_mode: bool| {
        let rule = subject_after(|workspace, observed| {
            let detection = json!({
                "httpGet": {"path": "/queue", "port": 9000}, "lastActivityTimestamp": {"responseBodyPath": "lastJob"},
            });
            let idle = workspace.spec.idle_shutdown.as_mut().unwrap();
            idle.detection = serde_json::from_value(detection).unwrap();
            workspace.spec.recovery_mode = runs_in_recovery;
            let run = crate::plan::run(&testing::admit(workspace), &testing::installation(), "run1");
            let pod = objects::ready(objects::stored(run), "10.0.0.9");
            observed.pods = vec![testing::partial(&pod)];
            workspace.spec.recovery_mode = recovery_mode;
        });
        let rule = rule.unwrap().idle.unwrap();
        assert_eq!(rule.timeout, Duration::from_mins(5));
        (rule.port, rule.question.path, rule.question.is_given)
    };
    for today in [false, true] {
        assert_eq!(asked(false, today), (9000, "/queue".to_owned(), true));
        assert_eq!(asked(true, today), (8888, "/api/status".to_owned(), false));
    }
}

#[test]
fn questions_are_a_tenth_of_the_timeout_apart_and_at_most_a_minute() {
    let of = |minutes| with_rule(|rule| rule.timeout = Duration::from_mins(minutes));
    assert_eq!(of(1).interval(), Duration::from_secs(6));
    assert_eq!(of(600).interval(), Duration::from_mins(1));
}
