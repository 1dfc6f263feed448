//! `share`, `unshare`, `shares`, `set`, `logs`, `template`, `version` and `whoami`, against an API server in memory.

use api::share::SubjectKind;
use api::{Workspace, WorkspaceManager, WorkspaceShare};
use clap::Parser as _;
use cli::args::Cli;
use cli::exit_code;
use cli::run::Console;
use http::Method;
use serde_json::{Value, json};
use testkit::api_server::{ApiServer, Fault};
use testkit::objects::{NAMESPACE, manager, template};

use crate::workspace::{in_phase, run};

/// A running workspace of a manager whose sharing is set like this.
fn shared_by(server: &ApiServer, sharing: &Value) {
    let mut workspace = in_phase("demo", "Running", "Running");
    if let Some(status) = &mut workspace.status {
        status.resolved = Some(serde_json::from_value(json!({"manager": "main"})).unwrap());
    }
    server.put(&workspace);
    let mut object = serde_json::to_value(manager("main")).unwrap();
    object["spec"]["authorization"] = json!({ "sharing": sharing });
    server.put::<WorkspaceManager>(&serde_json::from_value(object).unwrap());
}

#[tokio::test]
async fn a_share_names_subjects_end_and_reason() {
    let (server, client) = ApiServer::start();
    shared_by(&server, &json!({}));
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
    assert_eq!(ran.err, "No shares found.\n");
}

#[tokio::test]
async fn what_the_manager_does_not_allow_is_refused_before_anything_is_sent() {
    let (server, client) = ApiServer::start();
    shared_by(
        &server,
        &json!({"enabled": true, "allowGroups": false, "maxDurationMinutes": 60}),
    );
    for (line, part) in [
        ("share demo --user bob", "spec.expiresAt must be set"),
        ("share demo --user bob --for 2h", "more than 60 minutes"),
        ("share demo --group ml --for 10m", "allowGroups"),
        (
            "share demo --user bob --until 2001-01-01T00:00:00Z",
            "in the past",
        ),
        ("share demo --for 10m", "with whom?"),
    ] {
        let ran = run(&client, line).await;
        assert_eq!(ran.code(), exit_code::USAGE, "{line}");
        assert!(ran.error().contains(part), "{line}: {}", ran.error());
    }
    assert!(server.take_calls().iter().all(|call| !call.is_write()));
    assert_eq!(run(&client, "share demo --user bob --for 30m").await.code(), 0);

    // A manager that may not be read does not prevent a share: the webhook and the operator check it, too.
    server.fail(Fault {
        method: Method::GET,
        path_part: "workspacemanagers",
        code: 403,
        reason: "Forbidden",
        message: "no right".to_owned(),
        times: 1,
    });
    let ran = run(&client, "share demo --user eve").await;
    assert_eq!(ran.code(), 0);
    assert!(
        ran.err.starts_with("Not checked, because WorkspaceManager main"),
        "{}",
        ran.err
    );
}

#[tokio::test]
async fn unsharing_takes_out_subjects_and_deletes_shares_without_any() {
    let (server, client) = ApiServer::start();
    shared_by(&server, &json!({}));
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

#[tokio::test]
async fn a_change_says_what_counts_now_and_what_at_the_next_start() {
    let (server, client) = ApiServer::start();
    let mut workspace = in_phase("demo", "Running", "Running");
    if let Some(status) = &mut workspace.status {
        status.started_at = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    }
    server.put(&workspace);
    let ran = run(&client, "set demo --cpu 2 --image uv --idle 90m --storage 2Gi").await;
    assert_eq!(
        ran.out, "workspace.workspaces.jupyter.org/demo changed\n",
        "{:?}",
        ran.outcome
    );
    assert_eq!(
        ran.err,
        "Counts now: spec.storage.size, spec.idleShutdown\n\
         Counts at the next start: spec.image, spec.resources (cpu). To restart now: kubectl workspace restart demo -n team\n"
    );
    let calls = server.take_calls();
    assert_eq!(calls.len(), 1);
    let stored: Workspace = server.get(Some(NAMESPACE), "demo").unwrap();
    let spec = serde_json::to_value(&stored.spec).unwrap();
    assert_eq!(spec["resources"]["limits"]["cpu"], "2");
    assert_eq!(
        spec["idleShutdown"],
        json!({"enabled": true, "idleTimeoutInMinutes": 90})
    );
    let ran = run(&client, "set demo --idle never").await;
    assert_eq!(ran.err, "Counts now: spec.idleShutdown\n");
    let stored: Workspace = server.get(Some(NAMESPACE), "demo").unwrap();
    assert_eq!(stored.spec.idle_shutdown.unwrap().enabled, Some(false));
}

#[tokio::test]
async fn without_the_right_to_read_logs_the_status_and_whom_to_ask_are_said() {
    let (server, client) = ApiServer::start();
    server.put(&in_phase("demo", "Stopped", "Stopped"));
    let ran = run(&client, "logs demo").await;
    assert_eq!(ran.code(), exit_code::NOT_AS_WANTED);
    assert!(
        ran.error().contains("kubectl workspace explain demo -n team"),
        "{}",
        ran.error()
    );
    server.fail(Fault {
        method: Method::GET,
        path_part: "/pods",
        code: 403,
        reason: "Forbidden",
        message: "pods is forbidden".to_owned(),
        times: 1,
    });
    let ran = run(&client, "logs demo").await;
    assert_eq!(ran.code(), exit_code::FAILED);
    assert!(
        ran.error()
            .contains("The workspace's status says: nothing is wrong"),
        "{}",
        ran.error()
    );
    assert!(ran.error().ends_with("for get on pods/log."), "{}", ran.error());
}

#[tokio::test]
async fn templates_are_listed_and_shown() {
    let (server, client) = ApiServer::start();
    let mut lab = template("lab");
    lab.metadata.annotations = Some([(api::names::DEPRECATED.to_owned(), "old".to_owned())].into());
    server.put(&lab);
    let ran = run(&client, "template list").await;
    assert_eq!(ran.code(), 0, "{:?}", ran.outcome);
    assert!(ran.out.contains("deprecated: old"), "{}", ran.out);
    let ran = run(&client, "template show lab").await;
    assert!(ran.out.contains("1Gi to 5Gi, default 1Gi"), "{}", ran.out);
    assert!(ran.out.contains("cpu 100m to 2"), "{}", ran.out);
    let ran = run(&client, "template show none").await;
    assert_eq!(ran.code(), exit_code::FAILED);
    assert!(
        ran.error().ends_with("kubectl workspace template list"),
        "{}",
        ran.error()
    );
}

#[tokio::test]
async fn lint_needs_no_cluster_and_finds_nothing_in_the_samples() {
    let samples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/samples");
    let lint = async |path: &std::path::Path| {
        let cli = Cli::parse_from(["x", "lint", path.to_str().unwrap(), "--kubeconfig", "/nowhere"]);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut console = Console {
            out: &mut out,
            err: &mut err,
            answers: None,
        };
        let outcome = cli::run::workspace(&cli, &mut console).await;
        let code = outcome.map_or_else(|failure| failure.code(), |()| 0);
        (
            code,
            String::from_utf8(out).unwrap(),
            String::from_utf8(err).unwrap(),
        )
    };
    let (code, out, err) = lint(&samples).await;
    assert_eq!((code, out.as_str()), (0, ""), "{err}");
    assert!(err.contains("Not judged: "), "{err}");

    let file = std::env::temp_dir().join(format!("cli-lint-{}.yaml", std::process::id()));
    for (text, expected) in [
        (
            "apiVersion: workspaces.jupyter.org/v1alpha1\nkind: Workspac\nmetadata: {name: demo}\n",
            ":2:7: Workspac demo: kind: \"Workspac\" is no kind of workspaces.jupyter.org: write Workspace\n",
        ),
        (
            "apiVersion: workspaces.jupyter.org/v1alpha1\nkind: Workspace\nmetadata: {name: demo}\nspec: {displayName: d, colour: red}\n",
            ":4:24: Workspace demo: spec.colour: is an unknown field: see docs/api.md, or kubectl explain\n",
        ),
    ] {
        std::fs::write(&file, text).unwrap();
        let (code, out, _) = lint(&file).await;
        std::fs::remove_file(&file).unwrap();
        assert_eq!(code, exit_code::NOT_AS_WANTED);
        assert!(out.ends_with(expected), "{out}");
    }
}
