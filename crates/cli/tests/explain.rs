//! `kubectl workspace explain`: evidence -> text and JSON, and what is not read.

use std::collections::BTreeSet;

use api::Workspace;
use api::condition::reason;
use clap::Parser as _;
use cli::args::Cli;
use cli::exit_code;
use explain::Change;
use http::Method;
use k8s_openapi::api::core::v1::{Event, Pod};
use serde_json::{Value, json};
use testkit::api_server::{ApiServer, Fault};
use testkit::objects::{NAMESPACE, template, workspace};

use crate::workspace::{in_phase, run};

fn failed() -> Workspace {
    let mut object = serde_json::to_value(workspace("demo")).unwrap();
    object["status"] = json!({"phase": "Failed", "observedGeneration": 1, "reason": reason::IMAGE_PULL_FAILED, "conditions": [{
        "type": "Degraded", "status": "True", "reason": reason::IMAGE_PULL_FAILED, "message": "The image none:1 cannot be pulled.",
        "observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z",
    }]});
    serde_json::from_value(object).unwrap()
}

fn pod() -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": "workspace-demo-x", "namespace": NAMESPACE, "labels": {api::names::WORKSPACE_LABEL: "demo"}},
        "status": {"containerStatuses": [{
            "name": "workspace", "ready": false, "restartCount": 0, "image": "", "imageID": "",
            "state": {"waiting": {"reason": "ErrImagePull", "message": "no such image"}},
        }]},
    }))
    .unwrap()
}

#[tokio::test]
async fn a_failed_start_is_explained_with_cause_and_remedy_in_at_most_eight_calls() {
    let (server, client) = ApiServer::start();
    server.put(&failed());
    server.put(&pod());
    let ran = run(&client, "explain demo").await;
    assert_eq!(ran.code(), exit_code::NOT_AS_WANTED);
    let remedy = reason::find(reason::IMAGE_PULL_FAILED).unwrap().remedy;
    let expected = format!(
        "The image none:1 cannot be pulled. [ImagePullFailed]\n  \
           because Workspace demo, status.conditions[Degraded]: True, reason ImagePullFailed (2026-01-01T00:00:00Z)\n  \
           because Pod workspace-demo-x, status.containerStatuses[workspace].state.waiting: ErrImagePull: no such image\n  \
           the owner can: {remedy}\n    \
           kubectl workspace set demo -n team --image IMAGE\n"
    );
    assert_eq!(ran.out, expected);
    let calls = server.take_calls();
    assert!(
        calls.len() <= 8
            && calls
                .iter()
                .all(|call| !call.is_write() || call.path.ends_with("selfsubjectaccessreviews")),
        "{calls:?}"
    );

    let json: Value = serde_json::from_str(&run(&client, "explain demo -o json").await.out).unwrap();
    assert_eq!(json["kind"], "WorkspaceExplanation");
    assert_eq!(
        json["findings"][0]["because"][1]["object"],
        "Pod workspace-demo-x"
    );
    assert_eq!(json["asWanted"], false);
}

#[tokio::test]
async fn a_start_says_whether_its_node_had_the_image_in_advance() {
    let (server, client) = ApiServer::start();
    let mut starting = in_phase("demo", "Running", "Starting");
    starting.spec.template_ref = Some("lab".to_owned());
    server.put(&starting);
    let pod = json!({
        "metadata": {
            "name": "workspace-demo", "namespace": NAMESPACE, "uid": "p",
            "labels": {api::names::WORKSPACE_LABEL: "demo", api::names::RUN_ID_LABEL: "one"},
        },
        "spec": {"containers": [], "nodeName": "n1"},
    });
    server.put(&serde_json::from_value::<Pod>(pod).unwrap());
    let pulling = json!({
        "metadata": {"name": "e", "namespace": NAMESPACE}, "reason": "Pulling",
        "involvedObject": {"kind": "Pod", "name": "workspace-demo", "uid": "p", "fieldPath": "spec.containers{workspace}"},
    });
    server.put(&serde_json::from_value::<Event>(pulling).unwrap());
    let mut lab = template("lab");
    lab.metadata.labels = Some([(api::names::PRE_PULL_LABEL.to_owned(), "true".to_owned())].into());
    lab.status.get_or_insert_default().pulled = Some("7/8".to_owned());
    server.put(&lab);
    let ran = run(&client, "explain demo").await;
    let line = "because WorkspaceTemplate lab, status.pulled: 7/8; node n1 did not have the image in advance";
    assert!(ran.out.contains(line), "{}", ran.out);
    // Whoever may not read templates is not told, and nothing else is missing.
    server.fail(Fault::forbidden(Method::GET, "/workspacetemplates/lab", "no", 1));
    let ran = run(&client, "explain demo").await;
    assert!(
        !ran.out.contains("WorkspaceTemplate") && !ran.out.contains("Not read"),
        "{}",
        ran.out
    );
}

#[tokio::test]
async fn choices_further_disks_and_objects_are_told_with_their_states() {
    let (server, client) = ApiServer::start();
    let mut running = serde_json::to_value(in_phase("demo", "Running", "Running")).unwrap();
    running["spec"]["templateRef"] = json!("lab");
    running["status"]["podName"] = json!("workspace-demo");
    running["status"]["resolved"] = json!({"options": {"gpu": "a100"}});
    running["status"]["claims"] = json!([{"name": "db", "claim": "wsc-db-demo", "phase": "Bound"}]);
    server.put(&serde_json::from_value::<Workspace>(running).unwrap());
    let mut lab = template("lab");
    lab.spec.options =
        serde_json::from_value(json!([{"name": "gpu", "choices": [{"name": "none"}, {"name": "a100"}]}]))
            .unwrap();
    lab.spec.presentation = serde_json::from_value(json!({"options": {"gpu": {
        "displayName": "Accelerator", "choices": {"a100": {"displayName": "NVIDIA A100"}},
    }}}))
    .unwrap();
    lab.spec.objects = serde_json::from_value(json!([
        {"name": "metrics", "manifest": {"apiVersion": "monitoring.coreos.com/v1", "kind": "PodMonitor"}},
    ]))
    .unwrap();
    server.put(&lab);
    let ran = run(&client, "explain demo").await;
    let expected = "Its choices are: Accelerator: NVIDIA A100.\n  \
           because Workspace demo, status.resolved.options[gpu]: a100\n\
         Its disk db: wsc-db-demo, Bound.\n  \
           because Workspace demo, status.claims[db]: Bound\n\
         Its object metrics: PodMonitor wso-metrics-demo, made.\n  \
           because WorkspaceTemplate lab, spec.objects[metrics]: monitoring.coreos.com/v1 PodMonitor\n";
    assert!(ran.out.ends_with(expected), "{}", ran.out);
}

#[tokio::test]
async fn what_may_not_be_read_is_named_and_the_rest_is_explained() {
    let (server, client) = ApiServer::start();
    server.put(&failed());
    for part in ["/pods", "/events", "/resourcequotas", "/persistentvolumeclaims"] {
        server.fail(Fault {
            method: Method::GET,
            path_part: part,
            code: 403,
            reason: "Forbidden",
            message: format!("{part} is forbidden"),
            times: 1,
        });
    }
    let ran = run(&client, "explain demo").await;
    assert!(ran.out.starts_with("The image none:1"), "{}", ran.out);
    let unread: BTreeSet<_> = ran
        .out
        .lines()
        .filter(|line| line.starts_with("Not read"))
        .collect();
    assert_eq!(unread.len(), 4, "{}", ran.out);
    assert!(ran.out.contains("pods: /pods is forbidden"), "{}", ran.out);
}

#[tokio::test]
async fn a_workspace_that_is_as_wanted_ends_with_zero_and_a_missing_one_with_one() {
    let (server, client) = ApiServer::start();
    let mut stopped = in_phase("demo", "Stopped", "Stopped");
    if let Some(status) = &mut stopped.status {
        status.observed_generation = Some(9);
    }
    server.put(&stopped);
    let ran = run(&client, "explain demo").await;
    assert_eq!(ran.code(), 0, "{}", ran.out);
    assert!(
        ran.out.contains("kubectl workspace start demo -n team"),
        "{}",
        ran.out
    );
    let ran = run(&client, "explain none").await;
    assert_eq!(ran.code(), exit_code::FAILED);
    assert!(
        ran.error().contains("does not exist in namespace \"team\""),
        "{}",
        ran.error()
    );
}

#[tokio::test]
async fn a_manifest_is_judged_by_the_server_which_keeps_nothing() {
    let (server, client) = ApiServer::start();
    let write = |name: &str, spec: Value| {
        let file = std::env::temp_dir().join(format!("cli-explain-{}-{name}", std::process::id()));
        let object = json!({
            "apiVersion": "workspaces.jupyter.org/v1alpha1", "kind": "Workspace", "metadata": {"name": name}, "spec": spec,
        });
        std::fs::write(&file, object.to_string()).unwrap();
        file
    };
    let good = write("good", json!({"displayName": "d"}));
    let ran = run(&client, &format!("explain -f {}", good.display())).await;
    assert_eq!((ran.code(), ran.out.as_str()), (0, "good: nothing found\n"));
    let calls = server.take_calls();
    assert!(
        calls[0].query.contains("dryRun=All") && calls[0].query.contains("fieldValidation=Strict"),
        "{calls:?}"
    );
    server.fail(Fault {
        method: Method::PATCH,
        path_part: "good",
        code: 422,
        reason: "Invalid",
        message: "more than the template's maximum".to_owned(),
        times: 1,
    });
    let ran = run(&client, &format!("explain -f {}", good.display())).await;
    assert_eq!(ran.code(), exit_code::NOT_AS_WANTED);
    assert_eq!(ran.out, "good: more than the template's maximum\n");
    std::fs::remove_file(good).unwrap();

    server.take_calls();
    let elsewhere = write("wrong", json!({"displayName": "d"}));
    let text = std::fs::read_to_string(&elsewhere)
        .unwrap()
        .replace("\"wrong\"", "\"a?force=true#\"");
    std::fs::write(&elsewhere, text).unwrap();
    let ran = run(&client, &format!("explain -f {}", elsewhere.display())).await;
    assert_eq!(ran.code(), exit_code::NOT_AS_WANTED);
    assert!(ran.out.contains("must be a name of at most"), "{}", ran.out);
    assert!(server.take_calls().is_empty());
    std::fs::remove_file(elsewhere).unwrap();
}

/// The plugin reads each command of an explanation, once its words in capitals have a value.
#[test]
fn each_command_of_an_explanation_is_one_of_the_plugin() {
    let text = |text: &str| text.to_owned();
    let edit = |field: &str| Change::Edit { field: text(field) };
    for action in [
        Change::Start,
        Change::Recover,
        Change::Stop,
        Change::Restart,
        Change::Delete,
        Change::Copy,
        Change::StopOther,
        Change::Logs { previous: true },
        Change::Logs { previous: false },
        Change::Create {
            template: text("gpu"),
        },
        Change::Share {
            user: text("oidc:bob"),
            minutes: 90,
        },
        edit("spec.image"),
        edit("spec.displayName"),
        edit("spec.storage.size"),
        edit("spec.resources.limits.cpu"),
        edit("spec.resources.requests.memory"),
        edit("spec.idleShutdown.idleTimeoutInMinutes"),
        edit("spec.limits.maxAgeMinutes"),
        edit("spec.limits.failedTimeoutMinutes"),
        edit("spec.limits.startTimeoutMinutes"),
        edit("spec.limits.stoppedRetentionDays"),
    ] {
        let command = action.command("demo", "team");
        let values = [
            ("QUANTITY", "2"),
            ("IMAGE", "uv"),
            ("DURATION", "90m"),
            ("DAYS", "30"),
            ("TEMPLATE", "gpu"),
            ("NEW-NAME", "new"),
            ("OTHER-NAME", "other"),
            ("TEXT", "Lab"),
        ];
        let filled = values.iter().fold(command.clone(), |command, (word, value)| {
            command.replace(word, value)
        });
        let words = filled.strip_prefix("kubectl workspace ").unwrap();
        let line = std::iter::once("kubectl-workspace").chain(words.split(' '));
        let parsed = Cli::try_parse_from(line);
        assert!(parsed.is_ok(), "{command}: {:?}", parsed.err());
    }
}
