//! `ssh` and `code`: the command lines of the system's programs (IO: processes).

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::mpsc::channel;

use serde_json::json;
use testkit::objects::NAMESPACE;

use crate::gateway::{Gateway, TOKEN};
use crate::process::out;
use crate::programs::{err, fails, ran};
use crate::socket::{Reply, serve};
use crate::workspace::in_phase;

/// A folder for `$PATH` with a program `ssh` that writes its arguments, one a line, and ends with a code.
fn with_ssh(gateway: &Gateway, code: u8) -> String {
    with_program(gateway, &format!("printf '%s\\n' \"$@\"\nexit {code}"))
}

/// A folder for `$PATH` with a program `ssh` that runs this script.
fn with_program(gateway: &Gateway, script: &str) -> String {
    let folder = gateway.home().join("bin");
    fs::create_dir_all(&folder).unwrap();
    let program = folder.join("ssh");
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    format!("{}:/usr/bin:/bin", folder.display())
}

#[test]
fn ssh_runs_the_system_s_ssh_and_ends_with_its_code() {
    let gateway = Gateway::start("system");
    gateway.signed_in();
    let path = with_ssh(&gateway, 7);
    let lab = gateway.url("lab-ukb5wakby6jim56e.ws.localhost");
    let output = gateway
        .plugin()
        .args([
            "ssh",
            &lab,
            "-o",
            "LogLevel=ERROR",
            "-L",
            "1:localhost:2",
            "--",
            "echo",
            "a b",
        ])
        .env("PATH", path)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    assert_eq!(err(&output), "");
    let arguments = out(&output);
    let program = env!("CARGO_BIN_EXE_kubectl-workspace");
    let proxy = format!("-o\nProxyCommand='{program}' ssh '--stdio={lab}/'\n");
    assert!(arguments.contains(&proxy), "{arguments}");
    assert!(
        arguments.starts_with("-o\nLogLevel=ERROR\n-o\nUser=jovyan\n"),
        "{arguments}"
    );
    assert!(
        arguments.ends_with(
            "-L\n1:localhost:2\n-o\nRemoteCommand=none\n--\nlab-ukb5wakby6jim56e.ws.localhost\necho\na b\n"
        ),
        "{arguments}"
    );
    assert!(!arguments.contains(TOKEN));

    // The command needs no `--` before it, and its flags are its own.
    let output = gateway
        .plugin()
        .args(["ssh", &lab, "-D", "9", "-t", "ls", "-l", "--all", "-n", "x"])
        .env("PATH", with_ssh(&gateway, 0))
        .output()
        .unwrap();
    let expected =
        "-D\n9\n-t\n-o\nRemoteCommand=none\n--\nlab-ukb5wakby6jim56e.ws.localhost\nls\n-l\n--all\n-n\nx\n";
    assert!(out(&output).ends_with(expected), "{output:?}");
    let unknown = gateway
        .plugin()
        .args(["ssh", &lab, "--all", "ls"])
        .output()
        .unwrap();
    assert_eq!(unknown.status.code(), Some(2), "{unknown:?}");

    // The host that ssh-config writes for those who have no cluster.
    let host = "lab-ukb5wakby6jim56e.ws.localhost";
    let by_host = gateway
        .plugin()
        .args(["ssh", host])
        .env("PATH", with_ssh(&gateway, 0))
        .output()
        .unwrap();
    assert!(
        out(&by_host).contains(&proxy) && out(&by_host).ends_with(&format!("--\n{host}\n")),
        "{by_host:?}"
    );

    let output = gateway
        .plugin()
        .args(["ssh", &lab])
        .env("PATH", "/nonexistent")
        .output()
        .unwrap();
    assert!(err(&output).contains("install OpenSSH's client"), "{output:?}");
    for (words, expected) in [
        (vec!["ssh", "bob@lab"], "must not hold a user"),
        (vec!["ssh", "lab:22"], "must not hold a port"),
        (vec!["ssh", &lab, "--start"], "--start needs the workspace's name"),
        (
            vec!["ssh", "lab.team.workspace", "-n", "other"],
            "-n other must be the namespace of the host, team",
        ),
        // ssh's ProxyCommand has the host, so no shell may see more than one there.
        (
            vec!["ssh", "x';id;'.ws.localhost"],
            "must be <name>.<namespace>.workspace, a workspace's URL, or a host: labels",
        ),
        (
            vec!["ssh", "lab.elsewhere.example"],
            "must be <name>.<namespace>.workspace, a workspace's URL, or",
        ),
    ] {
        let error = fails(&gateway, &words);
        assert!(error.contains(expected), "{words:?}: {error}");
    }
}

/// What a user may have for all hosts.
pub(crate) const FOR_ALL_HOSTS: &str = "\
Host *
  ForwardAgent yes
  ForwardX11 yes
  GSSAPIAuthentication yes
  PreferredAuthentications gssapi-with-mic,publickey,password
  PubkeyAuthentication yes
  RemoteCommand tmux
  ControlMaster auto
  ControlPath ~/.ssh/master-%r@%h:%p
";
/// What ssh makes of it for a workspace: it shows its server nothing, and asks its user nothing.
pub(crate) const NOTHING_TO_SHOW: [&str; 6] = [
    "forwardagent no",
    "forwardx11 no",
    "preferredauthentications none",
    "pubkeyauthentication false",
    "passwordauthentication no",
    "kbdinteractiveauthentication no",
];

#[test]
fn ssh_offers_nothing_to_a_workspace_and_runs_the_command_whatever_is_set_for_all_hosts() {
    let gateway = Gateway::start("all-hosts");
    gateway.signed_in();
    fs::write(gateway.home().join("config"), FOR_ALL_HOSTS).unwrap();
    // The system's ssh says how it understands its arguments.
    let path = with_program(&gateway, "PATH=${PATH#*:} exec ssh -G -F \"$HOME/config\" \"$@\"");
    let lab = gateway.url("lab-ukb5wakby6jim56e.ws.localhost");
    let understood = |words: &[&str]| {
        let mut plugin = gateway.plugin();
        let output = plugin.args(["ssh", &lab]).args(words).env("PATH", &path).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        out(&output)
    };
    let has = |text: &str, line: &str| text.lines().any(|other| other == line);
    let command = understood(&["-t", "top"]);
    for line in NOTHING_TO_SHOW {
        assert!(has(&command, line), "{line}: {command}");
    }
    // A socket's path may have 104 bytes on macOS, the last is zero, and ssh first makes one that is 17 longer.
    let shared = command.lines().find_map(|line| line.strip_prefix("controlpath "));
    let (_, name) = shared.unwrap().rsplit_once("/.ssh/").unwrap();
    assert!(
        name.starts_with("kw-") && "/Users/".len() + 40 + "/.ssh/".len() + name.len() + 17 < 104,
        "{name}"
    );
    let own = understood(&["-o", "ControlPath=/own"]);
    assert!(has(&own, "controlpath /own"), "{own}");
    assert!(
        has(&command, "requesttty true") && !command.contains("remotecommand"),
        "{command}"
    );
    // A shell is as the user has it, and forwards what the user asks for here.
    let shell = understood(&["-o", "ForwardAgent=yes"]);
    assert!(
        has(&shell, "remotecommand tmux") && has(&shell, "forwardagent yes"),
        "{shell}"
    );
}

#[test]
fn a_stopped_workspace_is_named_with_the_command_that_starts_it() {
    let gateway = Gateway::start("stopped");
    gateway.signed_in();
    for (desired, phase) in [("Stopped", "Stopped"), ("Running", "Starting")] {
        let workspace = serde_json::to_value(in_phase("lab", desired, phase)).unwrap();
        let server = serve(move |_| Reply::Object(workspace.clone()));
        let host = format!("lab.{NAMESPACE}.workspace");
        for command in ["ssh", "connect", "code"] {
            for called in [&["lab", "-n", NAMESPACE][..], &[&host]] {
                let words = [&["--server", &server, command], called].concat();
                let output = ran(&gateway, &words, "");
                let expected = format!("kubectl workspace {command} lab -n {NAMESPACE} --start");
                assert!(err(&output).contains(&expected), "{phase} {called:?}: {output:?}");
                assert_eq!(output.status.code(), Some(3));
            }
        }
    }
}

#[test]
fn a_stopped_workspace_is_started_first_if_asked_for() {
    let gateway = Gateway::start("started");
    gateway.signed_in();
    let url = format!("{}/", gateway.url("lab-ukb5wakby6jim56e.ws.localhost"));
    let state = move |desired: &str, phase: &str| {
        let mut workspace = serde_json::to_value(in_phase("lab", desired, phase)).unwrap();
        workspace["status"]["url"] = json!(url);
        workspace
    };
    let (asked, requests) = channel();
    let server = serve(move |request| {
        let _ = asked.send(request.target.clone());
        Reply::Object(match request.target.split_once('?') {
            None => state("Stopped", "Stopped"),
            Some((_, query)) if query.contains("fieldSelector") => {
                json!({"metadata": {"resourceVersion": "9"}, "items": [state("Running", "Running")]})
            }
            Some(_) => state("Running", "Starting"),
        })
    });
    let host = format!("lab.{NAMESPACE}.workspace");
    let output = gateway
        .plugin()
        .args(["--server", &server, "ssh", &host, "--start"])
        .env("PATH", with_ssh(&gateway, 0))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(out(&output).ends_with(&format!("--\n{host}\n")), "{output:?}");
    assert!(
        requests
            .iter()
            .take(2)
            .any(|target| target.contains("fieldManager"))
    );
}

#[test]
fn a_kubeconfig_without_a_context_is_named_with_what_else_to_give() {
    let gateway = Gateway::start("context");
    gateway.signed_in();
    let config = gateway.home().join("kubeconfig");
    fs::write(
        &config,
        "{apiVersion: v1, kind: Config, contexts: [{name: a, context: {cluster: one, user: u}}]}",
    )
    .unwrap();
    let config = config.display().to_string();
    for words in [
        ["ssh", "lab"],
        ["code", "lab"],
        ["connect", "lab"],
        ["ssh", "--stdio=lab.team.workspace"],
    ] {
        let error = fails(&gateway, &["--kubeconfig", &config, words[0], words[1]]);
        for expected in [
            "without one, give its URL",
            "it has no current context: choose one with --context",
        ] {
            assert!(error.contains(expected), "{words:?}: {error}");
        }
        let error = fails(&gateway, &words);
        assert!(
            error.contains("set --kubeconfig or $KUBECONFIG"),
            "{words:?}: {error}"
        );
    }
}
