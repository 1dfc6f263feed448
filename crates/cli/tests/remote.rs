//! `ssh --stdio`: the bytes of a connection, and what the gateway and the workspace refuse (IO: processes).

use std::fs;

use serde_json::json;

use crate::gateway::{Gateway, TOKEN};
use crate::process::out;
use crate::programs::{err, fails, ran};
use crate::socket::{Reply, serve};
use crate::workspace::in_phase;

#[test]
fn the_bytes_of_ssh_reach_the_workspace_by_url_host_or_name() {
    let gateway = Gateway::start("stdio");
    gateway.signed_in();
    let mut running = serde_json::to_value(in_phase("lab", "Running", "Running")).unwrap();
    running["status"]["url"] = json!(format!("{}/", gateway.url("lab-ukb5wakby6jim56e.ws.localhost")));
    let server = serve(move |_| Reply::Object(running.clone()));
    let large = "x".repeat(1 << 20);
    for host in [
        format!("{}/lab/tree/a", gateway.url("lab-ukb5wakby6jim56e.ws.localhost")),
        format!("{}/workspaces/team/lab/", gateway.url("ws.localhost")),
        "lab-ukb5wakby6jim56e.ws.localhost".to_owned(),
    ] {
        let output = ran(&gateway, &["ssh", "--stdio", &host], &large);
        assert_eq!(output.status.code(), Some(0), "{host}: {}", err(&output));
        assert!(out(&output) == large, "{host}");
    }
    let output = ran(
        &gateway,
        &["--server", &server, "ssh", "--stdio=lab.team.workspace"],
        "hello",
    );
    assert_eq!(out(&output), "hello", "{output:?}");
}

#[test]
fn a_connection_that_is_refused_says_why_and_what_to_do() {
    let gateway = Gateway::start("refused");
    let lab = gateway.url("lab-ukb5wakby6jim56e.ws.localhost");
    let base = format!(
        "run kubectl workspace login https://ws.localhost:{}",
        gateway.port
    );
    let error = fails(&gateway, &["ssh", "--stdio", &lab]);
    assert!(
        error.contains("you are not signed in") && error.contains(&base),
        "{error}"
    );
    gateway.signed_in();
    for (host, expected) in [
        (
            gateway.url("other.ws.localhost"),
            "There is no such workspace, or you may not open it",
        ),
        (gateway.url("ws.localhost"), "is not a workspace's URL"),
        (gateway.url("portal.ws.localhost"), "is not a workspace's URL"),
        (
            "https://lab.elsewhere.example/".to_owned(),
            "login https://elsewhere.example",
        ),
        (
            "lab.workspace".to_owned(),
            "must be <name>.<namespace>.workspace, a workspace's URL, or",
        ),
        (
            "$(id).team.workspace".to_owned(),
            "must be <name>.<namespace>.workspace, a workspace's URL, or",
        ),
        (
            "https://lab-ukb5wakby6jim56e.ws.localhost/".to_owned(),
            "you are not signed in",
        ),
    ] {
        let error = fails(&gateway, &["ssh", "--stdio", &host]);
        assert!(error.contains(expected), "{host}: {error}");
    }
    // The control: this one is allowed.
    assert_eq!(out(&ran(&gateway, &["ssh", "--stdio", &lab], "hello")), "hello");
    for (status, expected) in [
        (404, "the workspace has no ssh (its answer is 404"),
        (401, "the workspace has no ssh (its answer is 401"),
    ] {
        gateway.decline_ssh(Some(status));
        let error = fails(&gateway, &["ssh", "--stdio", &lab]);
        assert!(error.contains(expected), "{status}: {error}");
    }
    gateway.decline_ssh(None);
    for (code, expected) in [
        (
            4102,
            "the workspace's image has no ssh server: its owner may choose an image with openssh-server",
        ),
        (
            4106,
            "the workspace cannot start ssh, because /run/workspace is full",
        ),
        // The control: what no door sends.
        (4000, "the connection was closed by the workspace"),
    ] {
        gateway.close_ssh(Some(code));
        let error = fails(&gateway, &["ssh", "--stdio", &lab]);
        assert!(error.contains(expected), "{code}: {error}");
        assert!(!error.contains("evil.example"), "{code}: {error}");
    }
    gateway.close_ssh(None);
    gateway.stop_workspace();
    let error = fails(&gateway, &["ssh", "--stdio", &lab]);
    assert!(
        error.contains("The workspace is stopped: open https://lab-ukb5wakby6jim56e"),
        "{error}"
    );
    gateway.sign_out();
    let error = fails(&gateway, &["ssh", "--stdio", &lab]);
    assert!(error.contains(&base), "{error}");
    assert!(!error.contains(TOKEN));
}

#[test]
fn a_ticket_is_asked_for_once_and_again_when_it_counts_no_more() {
    let gateway = Gateway::start("kept");
    gateway.signed_in();
    let lab = gateway.url("lab-ukb5wakby6jim56e.ws.localhost");
    let words = ["ssh", "--stdio", &lab];
    for _ in 0..3 {
        assert_eq!(out(&ran(&gateway, &words, "hello")), "hello");
    }
    assert_eq!(gateway.tickets(), 1);
    let folder = format!("{}/workspaces/team/lab/", gateway.url("ws.localhost"));
    assert_eq!(
        out(&ran(&gateway, &["ssh", "--stdio", &folder], "hello")),
        "hello"
    );
    assert_eq!(gateway.tickets(), 2, "another workspace has another one");
    gateway.void_tickets();
    for _ in 0..2 {
        assert_eq!(out(&ran(&gateway, &words, "hello")), "hello");
    }
    assert_eq!(gateway.tickets(), 3);
    // The workspace's own answer has nothing to do with the ticket.
    gateway.decline_ssh(Some(401));
    fails(&gateway, &words);
    gateway.decline_ssh(None);
    assert_eq!(gateway.tickets(), 3);
    let output = ran(&gateway, &["logout"], "");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let mut left = fs::read_dir(gateway.state_folder()).unwrap();
    assert!(left.next().is_none(), "a ticket outlives its sign-in");
}

#[test]
fn what_the_gateway_refuses_for_a_moment_is_tried_again_and_no_byte_is_sent_twice() {
    let gateway = Gateway::start("temporary");
    gateway.signed_in();
    let lab = gateway.url("lab-ukb5wakby6jim56e.ws.localhost");
    let words = ["ssh", "--stdio", &lab];
    for (path, status, error) in [
        ("/programs/ticket", 429, "TooManyRequests"),
        ("/programs/ticket", 503, "Unavailable"),
        ("/jupyter-k8s/ssh", 503, "Unavailable"),
    ] {
        gateway.refuse_once(path, status, error, 1);
    }
    let output = ran(&gateway, &words, "hello");
    assert_eq!(out(&output), "hello", "{output:?}");
    assert_eq!(err(&output), "", "a short wait is not worth a line");
    assert_eq!(gateway.left_and_connections(), (0, 1));
    // The controls: one that takes too long, and one that is not temporary.
    gateway.void_tickets();
    for (path, status, error) in [
        ("/programs/ticket", 429, "TooManyRequests"),
        ("/jupyter-k8s/ssh", 503, "WorkspaceNotReady"),
    ] {
        gateway.refuse_once(path, status, error, 61);
        let error = fails(&gateway, &words);
        assert!(error.contains("Refused once. Try again in 61 s"), "{error}");
        assert_eq!(gateway.left_and_connections(), (0, 1));
    }
}
