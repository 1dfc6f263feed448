//! Command lines -> output, exit codes and requests, against an API server in memory (no sockets).

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod access;
mod browser;
mod canned;
mod completion;
mod connect;
mod credentials;
mod explain;
mod failures;
mod following;
mod further;
mod gateway;
mod import;
mod input;
mod keep;
mod login;
mod offline;
mod process;
mod programs;
mod proxies;
mod recovery;
mod remedies;
mod remote;
mod server;
mod socket;
mod ssh;
mod ssh_config;
mod ssh_contexts;
mod template;
mod workspace;

use clap::Parser as _;
use cli::args::CreateArgs;
use cli::run::{workspace as run_command, workspace_with};
use cli::{Cluster, Console, Failure, exit_code};
use serde_json::{Value, json};
use server::Server;

/// Output, error output and outcome of `kubectl create workspace <line>`.
struct Ran {
    out: String,
    err: String,
    outcome: Result<(), Failure>,
}

impl Ran {
    fn code(&self) -> u8 {
        self.outcome.as_ref().map_or_else(Failure::code, |()| 0)
    }

    fn error(&self) -> String {
        self.outcome.as_ref().unwrap_err().to_string()
    }
}

async fn run(server: &Server, line: &str) -> Ran {
    let args =
        CreateArgs::parse_from(std::iter::once("kubectl-create-workspace").chain(line.split_whitespace()));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let cluster = Cluster::new(server.client(), "team");
    let outcome = workspace_with(&cluster, &args.into(), &mut console(&mut out, &mut err)).await;
    Ran {
        out: String::from_utf8(out).unwrap(),
        err: String::from_utf8(err).unwrap(),
        outcome,
    }
}

fn console<'a>(out: &'a mut Vec<u8>, err: &'a mut Vec<u8>) -> Console<'a> {
    Console::new(out, err, None)
}

fn condition(type_: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({
        "type": type_, "status": status, "reason": reason, "message": message,
        "observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z",
    })
}

#[tokio::test]
async fn a_created_workspace_is_reported_as_by_kubectl() {
    let server = Server::default();
    let ran = run(&server, "demo --template prod --cpu 2").await;
    assert_eq!(ran.code(), 0);
    assert_eq!(ran.out, "workspace.workspaces.jupyter.org/demo created\n");
    assert_eq!(ran.err, "");
    let (uri, body) = server.created();
    assert_eq!(
        uri,
        "/apis/workspaces.jupyter.org/v1alpha1/namespaces/team/workspaces?&fieldManager=kubectl-create-workspace&fieldValidation=Strict"
    );
    assert_eq!(body["spec"]["templateRef"], "prod");
    assert_eq!(body["spec"]["resources"]["limits"]["cpu"], "2");
}

#[tokio::test]
async fn the_owner_is_written_for_installations_without_a_webhook() {
    let owner = |server: &Server| server.created().1["metadata"]["annotations"].clone();
    let own = json!({api::names::CREATED_BY: "alice"});
    let server = Server::default();
    for line in ["demo --template prod", "demo --dry-run=server"] {
        assert_eq!(run(&server, line).await.code(), 0);
        assert_eq!(owner(&server), own, "{line}");
    }
    // Another owner and further annotations of a manifest stay.
    let file = std::env::temp_dir().join(format!("cli-owner-{}.yaml", std::process::id()));
    let line = format!("-f {}", file.display());
    for (annotations, expected) in [
        (
            json!({api::names::CREATED_BY: "bob"}),
            json!({api::names::CREATED_BY: "bob"}),
        ),
        (
            json!({"a": "b"}),
            json!({"a": "b", api::names::CREATED_BY: "alice"}),
        ),
        (Value::Null, own),
    ] {
        let manifest = json!({
            "apiVersion": "workspaces.jupyter.org/v1alpha1", "kind": "Workspace",
            "metadata": {"name": "demo", "annotations": annotations}, "spec": {"displayName": "Demo"},
        });
        std::fs::write(&file, manifest.to_string()).unwrap();
        let ran = run(&server, &line).await;
        assert_eq!(ran.code(), 0, "{}", ran.err);
        assert_eq!(owner(&server), expected);
    }
    std::fs::remove_file(file).unwrap();
    // If the API server does not return the user's name, a webhook may still know it.
    let silent = Server::default().refusing_self_reviews();
    assert_eq!(run(&silent, "demo --template prod").await.code(), 0);
    assert_eq!(
        silent.created().1["metadata"]["annotations"].get(api::names::CREATED_BY),
        None
    );
}

#[tokio::test]
async fn a_server_dry_run_is_requested_and_reported() {
    let server = Server::default();
    let ran = run(&server, "demo --dry-run=server").await;
    assert_eq!(
        ran.out,
        "workspace.workspaces.jupyter.org/demo created (server dry run)\n"
    );
    assert!(
        server.created().0.contains("dryRun=All"),
        "{}",
        server.created().0
    );
}

#[tokio::test]
async fn formats_print_the_stored_object_and_nothing_else() {
    let server = Server::default();
    assert_eq!(
        run(&server, "demo -o name").await.out,
        "workspace.workspaces.jupyter.org/demo\n"
    );
    let stored: Value = serde_json::from_str(&run(&server, "demo -o json").await.out).unwrap();
    assert_eq!(stored["metadata"]["uid"], "u-1");
    let yaml = run(&server, "demo -o yaml").await.out;
    assert!(yaml.contains("uid: u-1"), "{yaml}");
}

#[tokio::test]
async fn warnings_of_the_server_show_on_standard_error() {
    let server = Server::default().with_warning(r#"299 - "WorkspaceTemplate \"t\" does not exist""#);
    let ran = run(&server, "demo").await;
    assert_eq!(ran.err, "Warning: WorkspaceTemplate \"t\" does not exist\n");
    assert_eq!(ran.code(), 0);
}

#[tokio::test]
async fn waiting_prints_states_and_then_the_url() {
    let server = Server::default();
    server.state(json!({"phase": "Starting", "reason": "Starting", "message": "the pod starts"}));
    server.state(json!({
        "phase": "Running", "url": "https://demo.example.org/", "conditions": [condition("Available", "True", "Ready", "")]
    }));
    let ran = run(&server, "demo --wait").await;
    assert_eq!(ran.code(), 0, "{:?}", ran.outcome);
    assert_eq!(
        ran.out,
        "workspace.workspaces.jupyter.org/demo created\nhttps://demo.example.org/\n"
    );
    assert_eq!(ran.err, "Pending\nStarting: the pod starts\n");
}

#[tokio::test]
async fn waiting_for_a_format_prints_the_available_object_once() {
    let server = Server::default();
    server.state(json!({"url": "https://demo.example.org/", "conditions": [condition("Available", "True", "Ready", "")]}));
    let ran = run(&server, "demo --wait -o json").await;
    let printed: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(printed["status"]["url"], "https://demo.example.org/");
}

#[tokio::test]
async fn a_wait_without_the_right_to_watch_says_so_at_once() {
    for (code, reason) in [(401, "Unauthorized"), (403, "Forbidden")] {
        let server = Server::default().failing_watch(code, reason, "workspaces is forbidden");
        let ran = run(&server, "demo --wait").await;
        assert_eq!(ran.code(), exit_code::FAILED);
        assert_eq!(ran.error(), "workspaces is forbidden");
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_fails_for_ever_ends_with_the_time_and_says_why() {
    for (code, reason) in [
        (429, "TooManyRequests"),
        (500, "InternalError"),
        (404, "NotFound"),
    ] {
        let server = Server::default().failing_watch(code, reason, "etcd has lost its leader");
        let ran = run(&server, "demo --wait --timeout 1h").await;
        assert_eq!(ran.code(), exit_code::TIMED_OUT);
        let expected = "last state: not seen yet; the workspace cannot be watched: etcd has lost its leader";
        assert!(ran.error().ends_with(expected), "{}", ran.error());
    }
}

#[tokio::test]
async fn waiting_for_a_dry_run_is_refused() {
    let args = CreateArgs::parse_from(["x", "demo", "--dry-run=server", "--wait"]);
    let failure = run_command(&args.into(), &mut console(&mut Vec::new(), &mut Vec::new()))
        .await
        .unwrap_err();
    assert_eq!(failure.code(), exit_code::USAGE);
}

#[tokio::test]
async fn waiting_for_a_deleted_workspace_ends() {
    let server = Server::default();
    server.deleted();
    let ran = run(&server, "demo --wait").await;
    assert_eq!(ran.code(), exit_code::NOT_AS_WANTED);
    assert_eq!(
        ran.error(),
        r#"workspace "demo" is not available: Deleting: it was deleted"#
    );
}
