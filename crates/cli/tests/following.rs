//! `logs` and `list --watch`: their requests, and lines that appear as they arrive (IO: processes, a local socket).

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use api::names::WORKSPACE_LABEL;
use cli::exit_code;
use http::Method;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use testkit::api_server::{ApiServer, Fault};
use testkit::objects::NAMESPACE;

use crate::process::plugin;
use crate::socket::{Queue, Reply, serve};
use crate::workspace::{in_phase, run};

fn pod(name: &str, workspace: &str, created: &str) -> Value {
    json!({"metadata": {
        "name": name, "namespace": NAMESPACE, "labels": {WORKSPACE_LABEL: workspace}, "creationTimestamp": created,
    }})
}

fn with_pods() -> (ApiServer, kube::Client) {
    let (server, client) = ApiServer::start();
    server.put(&in_phase("demo", "Running", "Running"));
    for (name, workspace, created) in [
        ("demo-b", "demo", "2026-01-02T00:00:00Z"),
        ("demo-a", "demo", "2026-01-01T00:00:00Z"),
        ("other", "other", "2026-01-03T00:00:00Z"),
    ] {
        let pod: Pod = serde_json::from_value(pod(name, workspace, created)).unwrap();
        server.put(&pod);
    }
    (server, client)
}

#[tokio::test]
async fn each_flag_of_logs_is_asked_of_the_newest_pod_and_its_lines_are_shown_as_they_are() {
    let (server, client) = with_pods();
    server.write_logs(|_| "one\n\n  two <b>\nwithout an end".to_owned());
    for (line, query) in [
        ("logs demo", &["container=workspace"][..]),
        ("logs demo -f", &["container=workspace", "follow=true"]),
        ("logs demo --previous", &["container=workspace", "previous=true"]),
        (
            "logs demo --since 90m",
            &["container=workspace", "sinceSeconds=5400"],
        ),
        ("logs demo --tail 0", &["container=workspace", "tailLines=0"]),
        ("logs demo -c seed", &["container=seed"]),
        (
            "logs demo -p --since 5s --tail 7 -c seed -f",
            &[
                "container=seed",
                "follow=true",
                "previous=true",
                "sinceSeconds=5",
                "tailLines=7",
            ],
        ),
    ] {
        let ran = run(&client, line).await;
        assert_eq!(ran.code(), 0, "{line}: {:?}", ran.outcome);
        assert_eq!(ran.out, "one\n\n  two <b>\nwithout an end\n", "{line}");
        assert_eq!(ran.err, "", "{line}");
        let calls = server.take_calls();
        let logs: Vec<_> = calls.iter().filter(|call| call.path.ends_with("/log")).collect();
        assert_eq!(logs.len(), 1, "{line}");
        assert_eq!(logs[0].path, "/api/v1/namespaces/team/pods/demo-b/log", "{line}");
        let mut asked: Vec<_> = logs[0].query.split('&').filter(|pair| !pair.is_empty()).collect();
        asked.sort_unstable();
        assert_eq!(asked, query, "{line}");
    }
}

#[tokio::test]
async fn a_refused_log_is_said_in_the_api_server_s_words_and_a_missing_right_with_whom_to_ask() {
    let (server, client) = with_pods();
    let refuse = |code, reason, message: &str| {
        server.fail(Fault {
            method: Method::GET,
            path_part: "/log",
            code,
            reason,
            message: message.to_owned(),
            times: 1,
        });
    };
    let words = "previous terminated container \"workspace\" in pod \"demo-b\" not found";
    refuse(400, "BadRequest", words);
    let ran = run(&client, "logs demo --previous").await;
    assert_eq!((ran.code(), ran.error().as_str()), (exit_code::FAILED, words));
    refuse(403, "Forbidden", "pods \"demo-b\" is forbidden");
    let ran = run(&client, "logs demo").await;
    assert_eq!(ran.code(), exit_code::FAILED);
    let error = ran.error();
    assert!(
        error.starts_with("pods \"demo-b\" is forbidden\nThe workspace's status says: nothing is wrong\n"),
        "{error}"
    );
    assert!(error.ends_with("for get on pods/log."), "{error}");
}

/// The program that runs `words`, and the lines that it prints.
fn started(words: &[&str]) -> (Child, std::io::Lines<BufReader<ChildStdout>>) {
    let mut child = plugin()
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines)
}

/// Exit code and error output of a program that ends.
fn ended(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn lines_of_a_followed_log_appear_as_they_come_until_the_container_ends() {
    let (write, texts) = channel();
    let texts = Queue::new(vec![texts]);
    let server = serve(move |request| {
        if request.target.contains("/log?") {
            return Reply::Texts(texts.next().unwrap());
        }
        Reply::Object(if request.target.contains("/pods?") {
            json!({"metadata": {}, "items": [pod("demo-a", "demo", "2026-01-01T00:00:00Z")]})
        } else {
            serde_json::to_value(in_phase("demo", "Running", "Running")).unwrap()
        })
    });
    let (child, mut shown) = started(&["logs", "demo", "-f", "-n", NAMESPACE, "--server", &server]);
    for line in ["one", "two"] {
        write.send(format!("{line}\n")).unwrap();
        assert_eq!(shown.next().unwrap().unwrap(), line);
    }
    drop(write);
    assert!(shown.next().is_none());
    assert_eq!(ended(child), (Some(0), String::new()));
}

fn labelled(name: &str, phase: &str, version: u32) -> Value {
    let mut object = serde_json::to_value(in_phase(name, phase, phase)).unwrap();
    object["apiVersion"] = json!("workspaces.jupyter.org/v1alpha1");
    object["kind"] = json!("Workspace");
    object["metadata"]["resourceVersion"] = json!(version.to_string());
    object
}

#[test]
fn a_watched_list_shows_what_is_there_then_each_change_and_outlives_a_watch_that_ends() {
    let (first, second) = (channel(), channel());
    let watches = Queue::new(vec![first.1, second.1]);
    let asked = Arc::new(Mutex::new(Vec::new()));
    let targets = asked.clone();
    let server = serve(move |request| {
        targets.lock().unwrap().push(request.target.clone());
        if request.target.contains("watch=true") {
            let refusal =
                json!({"kind": "Status", "code": 403, "reason": "Forbidden", "message": "no right to watch"});
            return watches.next().map_or(Reply::Object(refusal), Reply::Texts);
        }
        let items = [labelled("demo", "Stopped", 4)];
        Reply::Object(json!({"metadata": {"resourceVersion": "5"}, "items": items}))
    });
    let words = ["list", "-A", "-l", "course=ml", "--watch", "--server", &server];
    let (child, mut shown) = started(&words);
    let mut row = || {
        let line = shown.next().unwrap().unwrap();
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(row()[..4], ["NAMESPACE", "NAME", "STATE", "REASON"]);
    assert_eq!(row()[..3], ["team", "demo", "Stopped"]);
    let event = |type_: &str, object: &Value| format!("{}\n", json!({"type": type_, "object": object}));
    first
        .0
        .send(event("MODIFIED", &labelled("demo", "Running", 6)))
        .unwrap();
    assert_eq!(row()[..3], ["team", "demo", "Running"]);
    drop(first.0);
    second
        .0
        .send(event("ADDED", &labelled("new", "Running", 7)))
        .unwrap();
    assert_eq!(row()[..3], ["team", "new", "Running"]);
    drop(second.0);
    // What the API server refuses for good ends the command.
    let (code, error) = ended(child);
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("error: no right to watch"), "{error}");
    let asked = asked.lock().unwrap();
    for target in asked.iter() {
        assert!(
            target.starts_with("/apis/workspaces.jupyter.org/v1alpha1/workspaces?"),
            "{target}"
        );
        assert!(target.contains("labelSelector=course%3Dml"), "{target}");
    }
    assert!(
        asked.iter().any(|target| target.contains("resourceVersion=6")),
        "{asked:?}"
    );
}
