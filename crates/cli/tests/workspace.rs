//! `kubectl workspace`: command lines -> output, exit codes and requests, against an API server in memory.

use api::Workspace;
use api::names::{CREATED_BY, RESTARTED_AT};
use clap::Parser as _;
use cli::args::Cli;
use cli::run::workspace_with;
use cli::{Cluster, Console, Failure, exit_code};
use http::Method;
use kube::Client;
use serde_json::{Value, json};
use testkit::api_server::{ApiServer, Disruption, Fault};
use testkit::objects::{NAMESPACE, workspace};

/// Output, error output and outcome of `kubectl workspace <line>`.
pub(crate) struct Ran {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) outcome: Result<(), Failure>,
}

impl Ran {
    pub(crate) fn code(&self) -> u8 {
        self.outcome.as_ref().map_or_else(Failure::code, |()| 0)
    }

    pub(crate) fn error(&self) -> String {
        self.outcome.as_ref().unwrap_err().to_string()
    }
}

/// Runs the command; `answer` is what the user types, `None`: there is no terminal.
async fn run_answering(client: &Client, line: &str, answer: Option<&str>) -> Ran {
    let cli = Cli::parse_from(std::iter::once("kubectl-workspace").chain(line.split_whitespace()));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut input = answer.unwrap_or_default().as_bytes();
    let answers = answer.is_some().then_some(&mut input as _);
    let mut console = Console::new(&mut out, &mut err, answers);
    let outcome = workspace_with(&Cluster::new(client.clone(), NAMESPACE), &cli, &mut console).await;
    Ran {
        out: String::from_utf8(out).unwrap(),
        err: String::from_utf8(err).unwrap(),
        outcome,
    }
}

pub(crate) async fn run(client: &Client, line: &str) -> Ran {
    run_answering(client, line, None).await
}

fn with(name: &str, change: impl FnOnce(&mut Value)) -> Workspace {
    let mut object = serde_json::to_value(workspace(name)).unwrap();
    change(&mut object);
    serde_json::from_value(object).unwrap()
}

/// A workspace in this phase, that should be as `desired`.
pub(crate) fn in_phase(name: &str, desired: &str, phase: &str) -> Workspace {
    with(name, |object| {
        object["spec"]["desiredStatus"] = json!(desired);
        let disk = json!({"claimUID": "c", "size": "1Gi"});
        object["status"] = json!({"phase": phase, "runID": "one", "disk": disk, "url": format!("https://{name}.example.org/"), "conditions": [
            condition("Available", if phase == "Running" { "True" } else { "False" }),
            condition("Stopped", if phase == "Stopped" { "True" } else { "False" }),
        ]});
    })
}

fn condition(type_: &str, status: &str) -> Value {
    json!({
        "type": type_, "status": status, "reason": "Because", "message": "", "observedGeneration": 9,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    })
}

fn lines(server: &ApiServer) -> Vec<String> {
    let calls = server.take_calls();
    let short = |line: String| {
        line.replace(
            "/apis/workspaces.jupyter.org/v1alpha1/namespaces/team/workspaces",
            "",
        )
        .trim()
        .to_owned()
    };
    calls.iter().map(|call| short(call.line())).collect()
}

fn fault(method: Method, code: u16, reason: &'static str, message: &str, times: usize) -> Fault {
    Fault {
        method,
        path_part: "/workspaces",
        code,
        reason,
        message: message.to_owned(),
        times,
    }
}

#[tokio::test]
async fn a_start_is_one_get_and_one_patch_of_the_version_that_was_read() {
    let (server, client) = ApiServer::start();
    server.put(&in_phase("demo", "Stopped", "Stopped"));
    let version = server
        .get::<Workspace>(Some(NAMESPACE), "demo")
        .and_then(|it| it.metadata.resource_version);
    let ran = run(&client, "start demo").await;
    assert_eq!(ran.code(), 0, "{:?}", ran.outcome);
    assert_eq!(ran.out, "workspace.workspaces.jupyter.org/demo started\n");
    let calls = server.take_calls();
    assert_eq!(calls.len(), 2);
    let patch = json!({"metadata": {"resourceVersion": version}, "spec": {"desiredStatus": "Running"}});
    assert_eq!((calls[1].method.clone(), &calls[1].body), (Method::PATCH, &patch));
    assert_eq!(calls[1].manager(), Some(api::names::CLI));
}

#[tokio::test]
async fn what_is_as_wanted_is_not_written() {
    let (server, client) = ApiServer::start();
    server.put(&in_phase("demo", "Running", "Running"));
    let ran = run(&client, "start demo --wait").await;
    assert_eq!(ran.code(), 0, "{:?}", ran.outcome);
    assert_eq!(
        ran.out,
        "workspace.workspaces.jupyter.org/demo is already started\n"
    );
    assert!(server.take_calls().iter().all(|call| !call.is_write()));
}

#[tokio::test]
async fn what_is_being_deleted_is_not_started_and_a_stop_of_it_writes_nothing() {
    let (server, client) = ApiServer::start();
    let mut workspace = in_phase("demo", "Running", "Running");
    workspace.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    workspace.metadata.finalizers = Some(vec!["x/y".to_owned()]);
    server.put(&workspace);
    for command in ["start", "start --recovery", "restart"] {
        let ran = run(&client, &format!("{command} demo")).await;
        assert_eq!(ran.code(), exit_code::NOT_AS_WANTED, "{command}");
        assert!(ran.error().contains("it is being deleted"), "{}", ran.error());
    }
    assert_eq!(run(&client, "stop --yes demo").await.code(), 0);
    assert!(server.take_calls().iter().all(|call| !call.is_write()));
    // The control.
    assert_eq!(run(&client, "delete demo --yes").await.code(), 0);
}

#[tokio::test]
async fn a_change_of_others_meanwhile_is_read_and_tried_again() {
    let (server, client) = ApiServer::start();
    server.put(&in_phase("demo", "Stopped", "Stopped"));
    let meanwhile = |server: &ApiServer| {
        server.edit::<Workspace>(Some(NAMESPACE), "demo", |object| {
            object["metadata"]["labels"] = json!({"by": "another"});
        });
    };
    server.disrupt(Method::PATCH, "demo", Disruption::Meanwhile(Box::new(meanwhile)));
    assert_eq!(run(&client, "start demo").await.code(), 0);
    assert_eq!(
        lines(&server),
        ["GET /demo", "PATCH /demo", "GET /demo", "PATCH /demo"]
    );
    let stored: Workspace = server.get(Some(NAMESPACE), "demo").unwrap();
    assert_eq!(stored.metadata.labels.unwrap()["by"], "another");

    server.put(&in_phase("demo", "Stopped", "Stopped"));
    server.fail(fault(
        Method::PATCH,
        409,
        "Conflict",
        "the object has been modified",
        100,
    ));
    let ran = run(&client, "start demo").await;
    assert_eq!(
        (ran.code(), ran.error().as_str()),
        (exit_code::FAILED, "the object has been modified")
    );
}

#[tokio::test]
async fn a_stop_says_first_what_it_takes_along() {
    let (server, client) = ApiServer::start();
    server.put(&in_phase("demo", "Running", "Running"));
    let ran = run(&client, "stop demo").await;
    assert_eq!(ran.err, "demo: kernels and terminals end; the disk is kept\n");
    assert_eq!(ran.out, "workspace.workspaces.jupyter.org/demo stopped\n");
    assert_eq!(lines(&server), ["GET /demo", "PATCH /demo"]);
}

#[tokio::test]
async fn a_stop_that_deletes_files_asks_as_a_deletion_does() {
    for action in ["stop", "restart"] {
        let (server, client) = ApiServer::start();
        server.put(&in_phase("demo", "Running", "Running"));
        server.edit::<Workspace>(Some(NAMESPACE), "demo", |object| {
            object["status"]["terminatingClaims"] = json!(["workspace-demo"]);
        });
        let ran = run(&client, &format!("{action} demo")).await;
        assert_eq!(ran.code(), exit_code::USAGE, "{action}: {}", ran.err);
        assert!(
            ran.err
                .contains("files are deleted with the PersistentVolumeClaim workspace-demo"),
            "{action}: {}",
            ran.err
        );
        assert!(ran.error().ends_with("add --yes"), "{action}: {}", ran.error());
        assert_eq!(lines(&server), ["GET /demo"], "{action}");
        let ran = run(&client, &format!("{action} demo --yes")).await;
        assert_eq!(ran.code(), 0, "{action}: {:?}", ran.outcome);
    }
}

#[tokio::test]
async fn a_deletion_of_what_never_started_speaks_of_no_disk_and_asks_nothing() {
    let (server, client) = ApiServer::start();
    server.put(&with("demo", |object| {
        object["spec"]["desiredStatus"] = json!("Stopped");
    }));
    let ran = run(&client, "delete demo").await;
    assert_eq!(ran.code(), 0, "{:?}", ran.outcome);
    assert_eq!(ran.err, "demo: it has no files yet\n");
}

#[tokio::test]
async fn files_are_deleted_only_after_a_yes() {
    let (server, client) = ApiServer::start();
    server.put(&in_phase("demo", "Running", "Running"));
    let ran = run(&client, "delete demo").await;
    assert_eq!(ran.code(), exit_code::USAGE);
    assert!(ran.error().ends_with("add --yes"), "{}", ran.error());
    assert!(
        ran.err.contains("workspace-demo and all files on it are deleted"),
        "{}",
        ran.err
    );
    let ran = run_answering(&client, "delete demo", Some("n\n")).await;
    assert_eq!(
        (ran.code(), ran.error().as_str()),
        (exit_code::USAGE, "nothing was changed")
    );
    assert!(server.get::<Workspace>(Some(NAMESPACE), "demo").is_some());
    server.take_calls();

    let ran = run_answering(&client, "delete demo", Some("y\n")).await;
    assert_eq!(ran.out, "workspace.workspaces.jupyter.org/demo deleted\n");
    let calls = server.take_calls();
    assert_eq!(calls[1].body["preconditions"]["uid"], "uid-of-demo");
    assert!(
        server
            .get::<Workspace>(Some(NAMESPACE), "demo")
            .unwrap()
            .metadata
            .deletion_timestamp
            .is_some()
    );
    let ran = run(&client, "delete demo --yes -o name").await;
    assert_eq!(ran.out, "workspace.workspaces.jupyter.org/demo\n");
}

#[tokio::test]
async fn a_retained_disk_needs_no_yes() {
    let (server, client) = ApiServer::start();
    server.put(&with("demo", |object| {
        object["spec"]["storage"]["retain"] = json!("Retain");
        object["status"] = json!({"disk": {"claimUID": "c", "size": "1Gi"}});
    }));
    let ran = run(&client, "delete demo").await;
    assert_eq!(ran.code(), 0, "{:?}", ran.outcome);
    assert!(ran.err.contains("disk workspace-demo is kept"), "{}", ran.err);
}

#[tokio::test]
async fn a_restart_sets_a_time_and_needs_a_running_workspace() {
    let (server, client) = ApiServer::start();
    server.put(&in_phase("demo", "Running", "Running"));
    let ran = run(&client, "restart demo").await;
    assert_eq!(ran.out, "workspace.workspaces.jupyter.org/demo restarted\n");
    let stored: Workspace = server.get(Some(NAMESPACE), "demo").unwrap();
    let time = &stored.metadata.annotations.unwrap()[RESTARTED_AT];
    assert!(time.parse::<k8s_openapi::jiff::Timestamp>().is_ok(), "{time}");

    server.put(&in_phase("demo", "Stopped", "Stopped"));
    let ran = run(&client, "restart demo").await;
    assert_eq!(ran.code(), exit_code::NOT_AS_WANTED);
    assert!(
        ran.error().ends_with("kubectl workspace start demo -n team"),
        "{}",
        ran.error()
    );
}

#[tokio::test]
async fn of_several_each_is_a_line_and_the_highest_code_counts() {
    let (server, client) = ApiServer::start();
    server.put(&in_phase("a", "Running", "Running"));
    server.put(&in_phase("b", "Stopped", "Stopped"));
    let ran = run(&client, "restart a b none").await;
    assert_eq!(ran.code(), exit_code::NOT_AS_WANTED);
    assert_eq!(ran.error(), "2 of 3 failed");
    assert_eq!(ran.out, "workspace.workspaces.jupyter.org/a restarted\n");
    assert!(
        ran.err.contains("error: b: workspace \"b\" is not running"),
        "{}",
        ran.err
    );
    assert!(
        ran.err
            .contains("error: none: workspace \"none\" does not exist in namespace \"team\": see kubectl workspace list -n team"),
        "{}",
        ran.err
    );
}

#[tokio::test]
async fn labels_all_and_files_choose_workspaces() {
    let (server, client) = ApiServer::start();
    for (name, course) in [("a", "ml"), ("b", "ml"), ("c", "db")] {
        let mut workspace = in_phase(name, "Running", "Running");
        workspace.metadata.labels = Some([("course".to_owned(), course.to_owned())].into());
        server.put(&workspace);
    }
    let ran = run(&client, "stop -l course=ml").await;
    assert_eq!(
        ran.out,
        "workspace.workspaces.jupyter.org/a stopped\nworkspace.workspaces.jupyter.org/b stopped\n"
    );
    // The list has the objects: none is read again.
    assert_eq!(lines(&server), ["GET", "PATCH /a", "PATCH /b"]);
    let ran = run(&client, "stop --all").await;
    assert!(
        ran.out.ends_with("c stopped\n") && ran.out.contains("a is already stopped"),
        "{}",
        ran.out
    );
    let ran = run(&client, "stop -l course=none").await;
    assert_eq!(
        (ran.code(), ran.err.as_str()),
        (0, "No workspaces found in namespace team.\n")
    );

    let file = tempfile(
        "kubectl-workspace",
        &serde_json::to_string(&workspace("a")).unwrap(),
    );
    let ran = run(&client, &format!("start -f {}", file.display())).await;
    std::fs::remove_file(file).unwrap();
    assert_eq!(
        ran.out, "workspace.workspaces.jupyter.org/a started\n",
        "{:?}",
        ran.outcome
    );
}

fn tempfile(name: &str, text: &str) -> std::path::PathBuf {
    let file = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
    std::fs::write(&file, text).unwrap();
    file
}

#[tokio::test]
async fn waiting_says_nothing_of_the_stop_before_a_start_and_ends_when_the_workspace_runs() {
    let (server, client) = ApiServer::start();
    server.put(&in_phase("demo", "Stopped", "Stopped"));
    let operator = async {
        // The status from before the start was read once the watch begins.
        let watches = |server: &ApiServer| {
            server
                .take_calls()
                .iter()
                .any(|call| call.query.contains("watch="))
        };
        while !watches(&server) {
            tokio::task::yield_now().await;
        }
        server.put(&in_phase("demo", "Running", "Running"));
    };
    let (ran, ()) = tokio::join!(run(&client, "start demo --wait"), operator);
    assert_eq!((ran.code(), ran.err.as_str()), (0, ""), "{:?}", ran.outcome);
}

#[tokio::test]
async fn the_url_is_printed_only_of_an_available_workspace() {
    let (server, client) = ApiServer::start();
    server.put(&in_phase("demo", "Running", "Running"));
    let ran = run(&client, "open demo --print").await;
    assert_eq!((ran.code(), ran.out.as_str()), (0, "https://demo.example.org/\n"));
    server.put(&in_phase("demo", "Stopped", "Stopped"));
    let ran = run(&client, "open demo --print").await;
    assert_eq!((ran.code(), ran.out.as_str()), (exit_code::NOT_AS_WANTED, ""));
    assert!(
        ran.error()
            .ends_with("kubectl workspace open demo -n team --start"),
        "{}",
        ran.error()
    );
}

#[tokio::test]
async fn the_list_shows_state_reason_and_url() {
    let (server, client) = ApiServer::start();
    server.put(&in_phase("demo", "Running", "Running"));
    server.put(&with("new", |object| {
        object["metadata"]["annotations"][CREATED_BY] = json!("bob");
        object["status"] =
            json!({"phase": "Failed", "reason": "ImagePullFailed", "message": "no\u{1b}[31m such image"});
    }));
    for (name, pending) in [("repaired", "spec.recoveryMode"), ("ruined", "spec.image")] {
        server.put(&with(name, |object| {
            object["spec"]["recoveryMode"] = json!(true);
            object["status"] = json!({"phase": "Running", "pendingUpdate": [pending]});
        }));
    }
    let ran = run(&client, "list").await;
    let rows: Vec<Vec<&str>> = ran
        .out
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(rows[0], ["NAME", "STATE", "REASON", "URL", "STOPS", "AT", "AGE"]);
    assert_eq!(rows[1][..3], ["demo", "Running", "https://demo.example.org/"]);
    assert_eq!(rows[2][..3], ["new", "Failed", "ImagePullFailed"]);
    assert_eq!([rows[3][1], rows[4][1]], ["Running", "Running,Recovery"]);
    let wide = run(&client, "list -o wide").await.out;
    assert!(wide.contains("no [31m such image"), "{wide}");
    let names = run(&client, "list -A -o name").await.out;
    assert!(
        names.starts_with("workspace.workspaces.jupyter.org/demo\nworkspace.workspaces.jupyter.org/new\n"),
        "{names}"
    );
    let names = run(&client, "list new ws/demo -o name").await.out;
    assert_eq!(names.lines().count(), 2, "{names}");
    let ran = run(&client, "list demo nosuch").await;
    assert_eq!((ran.code(), ran.out.as_str()), (exit_code::FAILED, ""));
    assert!(
        ran.error().contains("\"nosuch\" does not exist"),
        "{}",
        ran.error()
    );
    let list: Value = serde_json::from_str(&run(&client, "list -o json").await.out).unwrap();
    assert_eq!(list["items"][1]["metadata"]["name"], "new");
    assert_eq!(list["items"][1]["kind"], "Workspace");
    assert_eq!(
        run(&client, "list -n team -l a=b").await.err,
        "No workspaces found in namespace team.\n"
    );
}

#[tokio::test]
async fn refusals_and_lost_connections_have_code_one_and_say_why() {
    let (server, client) = ApiServer::start();
    server.put(&in_phase("demo", "Running", "Running"));
    for (code, reason, message) in [
        (
            403,
            "Forbidden",
            "workspaces is forbidden: User \"bob\" cannot list",
        ),
        (500, "InternalError", "etcd is gone"),
        (429, "TooManyRequests", "too many requests"),
    ] {
        server.fail(fault(Method::GET, code, reason, message, 1));
        let ran = run(&client, "list").await;
        assert_eq!((ran.code(), ran.error().as_str()), (exit_code::FAILED, message));
        assert_eq!(ran.out, "");
    }
    server.partition(true);
    let ran = run(&client, "list").await;
    assert_eq!(ran.code(), exit_code::FAILED);
    assert!(
        ran.error().starts_with("the API server cannot be reached"),
        "{}",
        ran.error()
    );
}
