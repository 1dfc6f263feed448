//! `share`, `unshare`, `shares`, `set`, `logs`, `template`, `version` and `whoami`, against an API server in memory.

use api::share::SubjectKind;
use api::{Workspace, WorkspaceShare};
use cli::exit_code;
use serde_json::{Value, json};
use testkit::api_server::ApiServer;
use testkit::objects::{NAMESPACE, template};

use crate::workspace::{in_phase, run};

#[tokio::test]
async fn a_share_names_subjects_end_and_reason() {
    let (server, client) = ApiServer::start();
    server.put(&in_phase("demo", "Running", "Running"));
    let line = "share demo --user bob --group ml --serviceaccount ci:robot --until 2999-01-01T00:00:00Z --reason review";
    let ran = run(&client, line).await;
    assert_eq!(ran.code(), 0, "{:?}", ran.outcome);
    assert!(
        ran.out.starts_with("workspaceshare.workspaces.jupyter.org/demo-"),
        "{}",
        ran.out
    );
    let shares: Vec<WorkspaceShare> = server.all();
    let spec = &shares[0].spec;
    assert_eq!(spec.workspace_uid.as_deref(), Some("uid-of-demo"));
    let kinds: Vec<_> = spec.subjects.iter().map(|subject| subject.kind).collect();
    assert_eq!(
        kinds,
        [SubjectKind::User, SubjectKind::Group, SubjectKind::ServiceAccount]
    );
    assert_eq!(spec.subjects[2].namespace.as_deref(), Some("ci"));
    assert_eq!(spec.reason.as_deref(), Some("review"));

    let ran = run(&client, "shares demo").await;
    assert!(
        ran.out.contains("User bob, Group ml, ServiceAccount ci:robot"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("2999-01-01T00:00:00Z"), "{}", ran.out);
    let ran = run(&client, "shares other").await;
    assert_eq!(ran.code(), exit_code::FAILED);
    assert!(
        ran.error().contains("workspace \"other\" does not exist"),
        "{}",
        ran.error()
    );
    server.put(&in_phase("other", "Running", "Running"));
    let ran = run(&client, "shares other").await;
    assert_eq!((ran.code(), ran.err.as_str()), (0, "No shares found.\n"));
}

#[tokio::test]
async fn a_share_with_an_end_in_the_past_is_refused_before_anything_is_sent() {
    let (server, client) = ApiServer::start();
    server.put(&in_phase("demo", "Running", "Running"));
    let ran = run(&client, "share demo --user bob --until 2001-01-01T00:00:00Z").await;
    assert_eq!(ran.code(), exit_code::USAGE);
    assert!(ran.error().contains("in the past"), "{}", ran.error());
    assert!(server.take_calls().iter().all(|call| !call.is_write()));
    assert_eq!(run(&client, "share demo --user bob --for 30m").await.code(), 0);
}

#[tokio::test]
async fn two_shares_of_one_moment_are_two() {
    let (server, client) = ApiServer::start();
    server.put(&in_phase("demo", "Running", "Running"));
    let (one, other) = tokio::join!(
        run(&client, "share demo --user bob"),
        run(&client, "share demo --user eve")
    );
    assert_eq!(
        (one.code(), other.code()),
        (0, 0),
        "{} {}",
        one.error(),
        other.error()
    );
    assert_eq!(server.all::<WorkspaceShare>().len(), 2);
}

#[tokio::test]
async fn unsharing_takes_out_subjects_and_deletes_shares_without_any() {
    let (server, client) = ApiServer::start();
    server.put(&in_phase("demo", "Running", "Running"));
    assert_eq!(run(&client, "share demo --user bob --user eve").await.code(), 0);
    let ran = run(&client, "unshare demo --user bob").await;
    assert!(ran.out.ends_with(" changed\n"), "{}", ran.out);
    let shares: Vec<WorkspaceShare> = server.all();
    assert_eq!(shares[0].spec.subjects.len(), 1);
    let ran = run(&client, "unshare demo --user bob").await;
    assert_eq!(ran.code(), exit_code::FAILED);
    assert!(
        ran.error().ends_with("kubectl workspace shares demo -n team"),
        "{}",
        ran.error()
    );
    let ran = run(&client, "unshare demo --all").await;
    assert!(ran.out.ends_with(" deleted\n"), "{}", ran.out);
    assert!(server.all::<WorkspaceShare>().is_empty());
}

/// A workspace whose container runs, on a disk or without one.
fn started(name: &str, has_disk: bool) -> Workspace {
    let mut workspace = in_phase(name, "Running", "Running");
    if let Some(status) = &mut workspace.status {
        status.started_at = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        status.disk = has_disk.then(|| serde_json::from_value(json!({"claimUID": "u"})).unwrap());
    }
    workspace
}

fn stored(server: &ApiServer) -> Value {
    let stored: Workspace = server.get(Some(NAMESPACE), "demo").unwrap();
    serde_json::to_value(&stored.spec).unwrap()
}

#[tokio::test]
async fn a_change_says_what_takes_effect_now_and_what_at_the_next_start() {
    let (server, client) = ApiServer::start();
    server.put(&started("demo", true));
    let ran = run(&client, "set demo --cpu 2 --image uv --idle 90m --storage 2Gi").await;
    assert_eq!(
        ran.out, "workspace.workspaces.jupyter.org/demo changed\n",
        "{:?}",
        ran.outcome
    );
    assert_eq!(
        ran.err,
        "Takes effect now: spec.idleShutdown\n\
         Takes effect now, if the disk's storage class lets disks grow: spec.storage.size\n\
         Takes effect at the next start: spec.image, spec.resources (cpu). To restart now: kubectl workspace restart demo -n team\n"
    );
    let calls = server.take_calls();
    assert_eq!(calls.len(), 1);
    assert!(
        calls[0].query.contains("fieldValidation=Strict"),
        "{}",
        calls[0].query
    );
    let spec = stored(&server);
    assert_eq!(spec["resources"]["limits"]["cpu"], "2");
    assert_eq!(
        spec["idleShutdown"],
        json!({"enabled": true, "idleTimeoutInMinutes": 90})
    );
    let ran = run(&client, "set demo --open-tab 2h").await;
    assert_eq!(ran.err, "Takes effect now: spec.idleShutdown (openTabMinutes)\n");
    let both = json!({"enabled": true, "idleTimeoutInMinutes": 90, "openTabMinutes": 120});
    assert_eq!(stored(&server)["idleShutdown"], both);
    let ran = run(&client, "set demo --idle never").await;
    assert_eq!(ran.err, "Takes effect now: spec.idleShutdown\n");
    assert_eq!(stored(&server)["idleShutdown"]["enabled"], false);
    let ran = run(
        &client,
        "set demo --max-age 12h --failed-timeout 1h --start-timeout 15m",
    )
    .await;
    assert_eq!(
        ran.err,
        "Takes effect now: spec.limits (maxAgeMinutes), spec.limits (failedTimeoutMinutes), spec.limits (startTimeoutMinutes)\n"
    );
    let limits = json!({"maxAgeMinutes": 720, "failedTimeoutMinutes": 60, "startTimeoutMinutes": 15});
    assert_eq!(stored(&server)["limits"], limits);
    let ran = run(&client, "set demo --stopped-retention 30").await;
    assert_eq!(ran.err, "Takes effect now: spec.limits (stoppedRetentionDays)\n");
    assert_eq!(stored(&server)["limits"]["stoppedRetentionDays"], 30);
    run(&client, "set demo --stopped-retention default").await;
    assert_eq!(stored(&server)["limits"], limits);
    let ran = run(&client, "set demo --max-age default").await;
    assert_eq!(ran.err, "Takes effect now: spec.limits (maxAgeMinutes)\n");
    let limits = json!({"failedTimeoutMinutes": 60, "startTimeoutMinutes": 15});
    assert_eq!(stored(&server)["limits"], limits);
    // What the refusal of a retention asks for.
    let ran = run(&client, "set demo --stopped-retention 30 --retain").await;
    assert_eq!(
        ran.err,
        "Takes effect now: spec.limits (stoppedRetentionDays), spec.storage.retain\n"
    );
    assert_eq!(stored(&server)["storage"]["retain"], "Retain");
    let ran = run(&client, "set demo --retain=false --shared-memory 1Gi").await;
    assert!(ran.err.contains("the next start: spec.shmSize."), "{}", ran.err);
    let spec = stored(&server);
    assert_eq!(
        (&spec["storage"]["retain"], &spec["shmSize"]),
        (&json!("Delete"), &json!("1Gi"))
    );

    // Nothing to change is a wrong command line, and nothing is sent.
    server.take_calls();
    let ran = run(&client, "set demo").await;
    assert_eq!(ran.code(), exit_code::USAGE);
    assert!(ran.error().starts_with("set must have a flag"), "{}", ran.error());
    assert!(server.take_calls().is_empty());

    // Without a disk there is nothing that grows.
    server.put(&started("demo", false));
    let ran = run(&client, "set demo --storage 2Gi").await;
    assert!(
        ran.err
            .starts_with("Takes effect at the next start: spec.storage.size. To restart"),
        "{}",
        ran.err
    );
}

#[tokio::test]
async fn variables_are_set_and_removed_one_by_one() {
    let (server, client) = ApiServer::start();
    let mut workspace = started("demo", true);
    let env = json!([{"name": "A", "value": "1"}, {"name": "B", "value": "2"}, {"name": "C", "value": "3"}]);
    workspace.spec.env = serde_json::from_value(env).unwrap();
    workspace.spec.variables = [("team".to_owned(), "x".to_owned())].into();
    workspace.spec.options = [("share".to_owned(), "whole".to_owned())].into();
    server.put(&workspace);
    let ran = run(
        &client,
        "set demo --env B=b=c --env A- --env D= --env E- --variable team- --variable project=y --profile gpu --option gpu=a100 --option share-",
    )
    .await;
    assert_eq!(ran.code(), 0, "{:?}", ran.outcome);
    let spec = stored(&server);
    assert_eq!(
        spec["env"],
        json!([{"name": "B", "value": "b=c"}, {"name": "C", "value": "3"}, {"name": "D", "value": ""}])
    );
    assert_eq!(spec["variables"], json!({"project": "y"}));
    assert_eq!(spec["options"], json!({"gpu": "a100"}));
    assert_eq!(spec["executionProfileRef"], "gpu");
    assert_eq!(
        ran.err,
        "spec.env has no E, so nothing is removed. A variable of the template stays.\n\
         Takes effect at the next start: spec.executionProfileRef, spec.env (B), spec.env (A), spec.env (D), \
         spec.variables (team), spec.variables (project), spec.options (gpu), spec.options (share). To restart now: kubectl workspace restart demo -n team\n"
    );
}

#[tokio::test]
async fn templates_are_listed_and_shown() {
    let (server, client) = ApiServer::start();
    let mut lab = template("lab");
    lab.metadata.annotations = Some([(api::names::DEPRECATED.to_owned(), "old".to_owned())].into());
    let prepared = json!({"conditions": [{
        "type": "Prepared", "status": "True", "reason": "Prepared", "message": "8 of 8 nodes have the image.",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }]});
    lab.status = serde_json::from_value(prepared).unwrap();
    lab.spec.default_idle_shutdown = serde_json::from_value(json!({"enabled": false})).unwrap();
    lab.spec.default_limits =
        serde_json::from_value(json!({"maxAgeMinutes": 720, "stoppedRetentionDays": 30})).unwrap();
    lab.spec.limit_bounds = serde_json::from_value(json!({"maxAgeMinutes": {"max": 1440}})).unwrap();
    lab.spec.pod_template = serde_json::from_value(json!({"spec": {
        "initContainers": [{"name": "clone"}], "containers": [{"name": "workspace"}, {"name": "database"}],
    }}))
    .unwrap();
    lab.spec.options = serde_json::from_value(json!([
        {"name": "gpu", "choices": [{"name": "none", "default": true}, {"name": "a100", "set": {"image": "cuda"}}]},
        {"name": "share", "when": {"gpu": ["a100"]}, "choices": [{"name": "whole"}, {"name": "slice", "when": {"gpu": ["a100"]}}]},
    ]))
    .unwrap();
    lab.spec.presentation = serde_json::from_value(json!({"options": {"gpu": {
        "displayName": "Accelerator", "choices": {"a100": {"displayName": "NVIDIA A100", "deprecated": "They go in June."}},
    }, "share": {"choices": {"slice": {"hidden": true}}}}}))
    .unwrap();
    lab.spec.volume_claims = serde_json::from_value(json!([{
        "name": "db", "when": {"gpu": ["a100"]}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "2Gi"}}},
    }]))
    .unwrap();
    lab.spec.objects = serde_json::from_value(json!([
        {"name": "metrics", "manifest": {"apiVersion": "monitoring.coreos.com/v1", "kind": "PodMonitor"}},
    ]))
    .unwrap();
    server.put(&lab);
    let ran = run(&client, "template list").await;
    assert_eq!(ran.code(), 0, "{:?}", ran.outcome);
    assert!(ran.out.contains("deprecated: old"), "{}", ran.out);
    let ran = run(&client, "template show lab").await;
    assert!(ran.out.contains("1Gi to 5Gi, default 1Gi"), "{}", ran.out);
    assert!(ran.out.contains("cpu 100m to 2"), "{}", ran.out);
    assert!(ran.out.contains("- to 1440 min, default 720"), "{}", ran.out);
    assert!(ran.out.contains("days, default 30"), "{}", ran.out);
    assert!(!ran.out.contains("Idle stop"), "{}", ran.out);
    let others = ran.out.lines().find(|line| line.starts_with("Also runs:"));
    assert!(
        others.is_some_and(|line| line.ends_with("clone, database")),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("In advance:"), "{}", ran.out);
    assert!(ran.out.contains("8 of 8 nodes have the image."), "{}", ran.out);
    let options = ran.out.lines().skip_while(|line| !line.starts_with("Option:"));
    let options: Vec<_> = options
        .take(6)
        .map(|line| line.trim_start_matches("Option:").trim())
        .collect();
    assert_eq!(
        options,
        [
            "gpu: Accelerator",
            "gpu=none: default",
            "gpu=a100: NVIDIA A100; image cuda; deprecated: They go in June.",
            "share: only with gpu: a100; must be named",
            "share=whole",
            "share=slice: only with gpu: a100; hidden",
        ]
    );
    let parts = ran
        .out
        .lines()
        .filter(|line| line.starts_with("Further disk:") || line.starts_with("Object:"));
    let parts: Vec<_> = parts
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        parts,
        [
            "Further disk: db: 2Gi; only with gpu: a100",
            "Object: metrics: PodMonitor of monitoring.coreos.com/v1",
        ]
    );
    let ran = run(&client, "template show none").await;
    assert_eq!(ran.code(), exit_code::FAILED);
    assert!(
        ran.error().ends_with("kubectl workspace template list"),
        "{}",
        ran.error()
    );
}
