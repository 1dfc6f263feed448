//! `ssh`, `ssh-config` and `code`: the program, and a gateway in this process (IO: processes).

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use serde_json::json;
use testkit::objects::NAMESPACE;

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
        (429, "as many ssh connections as it may have"),
        (
            502,
            "the workspace cannot start ssh: its folder /run/workspace may be full",
        ),
    ] {
        gateway.decline_ssh(Some(status));
        let error = fails(&gateway, &["ssh", "--stdio", &lab]);
        assert!(error.contains(expected), "{status}: {error}");
    }
    gateway.decline_ssh(None);
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
const FOR_ALL_HOSTS: &str = "\
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
const NOTHING_TO_SHOW: [&str; 6] = [
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

/// What the system's ssh makes of a host, by the file that was written and what is set for all hosts.
fn understood(gateway: &Gateway, host: &str) -> String {
    let (own, config) = (
        gateway.home().join(".ssh/kubectl-workspace.conf"),
        gateway.home().join("config"),
    );
    fs::write(&config, format!("Include {}\n{FOR_ALL_HOSTS}", own.display())).unwrap();
    let output = Command::new("ssh")
        .arg("-G")
        .arg("-F")
        .arg(config)
        .args(["--", host])
        .output()
        .unwrap();
    out(&output)
}

/// A kubeconfig whose contexts lead to these API servers; the first one is current.
fn kubeconfig(contexts: &[(&str, &str)]) -> String {
    let clusters = contexts
        .iter()
        .map(|(name, server)| json!({"name": name, "cluster": {"server": server}}));
    let users = contexts
        .iter()
        .map(|(name, _)| json!({"name": format!("of-{name}"), "user": {}}));
    let named = contexts
        .iter()
        .map(|(name, _)| json!({"name": name, "context": {"cluster": name, "user": format!("of-{name}")}}));
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": contexts[0].0,
        "clusters": clusters.collect::<Vec<_>>(), "users": users.collect::<Vec<_>>(), "contexts": named.collect::<Vec<_>>(),
    });
    config.to_string()
}

#[test]
fn ssh_config_holds_no_relative_file_and_no_second_line() {
    let gateway = Gateway::start("config-words");
    gateway.signed_in();
    let home = gateway.home();
    for (name, context) in [("file", "main"), ("lines", "a\nHost *")] {
        fs::write(home.join(name), kubeconfig(&[(context, "http://one")])).unwrap();
    }
    let ssh_config = |file: &str| {
        let mut command = gateway.plugin();
        let command = command.args(["ssh-config", "--kubeconfig", file]);
        command.current_dir(&home).output().unwrap()
    };
    // ssh runs the command in the folder where it was called.
    let output = ssh_config("file");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = fs::read_to_string(home.join(".ssh/kubectl-workspace.conf")).unwrap();
    let absolute = format!("'--kubeconfig={}/file'", home.display());
    assert!(text.contains(&absolute), "{text}");
    for (file, expected) in [
        ("lines", "without control characters"),
        ("absent", "no file of --kubeconfig exists: absent"),
    ] {
        let error = err(&ssh_config(file));
        assert!(error.contains(expected), "{error}");
    }
}

/// An API server that knows the workspace `lab`, and what it was asked.
fn server_of_lab(gateway: &Gateway) -> (String, Receiver<String>) {
    let mut lab = serde_json::to_value(in_phase("lab", "Running", "Running")).unwrap();
    lab["status"]["url"] = json!(format!("{}/", gateway.url("lab-ukb5wakby6jim56e.ws.localhost")));
    let (asked, asks) = channel();
    let server = serve(move |request| {
        let _ = asked.send(request.target.clone());
        Reply::Object(lab.clone())
    });
    (server, asks)
}

#[test]
fn ssh_goes_to_the_cluster_that_ssh_config_recorded() {
    let gateway = Gateway::start("recorded");
    gateway.signed_in();
    let home = gateway.home();
    let [(one, of_one), (two, of_two)] = [server_of_lab(&gateway), server_of_lab(&gateway)];
    let files = [home.join("first"), home.join("second")];
    let write = |file: &PathBuf, contexts: &[(&str, &str)]| fs::write(file, kubeconfig(contexts)).unwrap();
    write(&files[0], &[("one", &one)]);
    write(&files[1], &[("two", &two)]);
    let list = std::env::join_paths(&files).unwrap();
    let in_shell = |words: &[&str]| {
        let mut command = gateway.plugin();
        command.args(words).env("KUBECONFIG", &list).output().unwrap()
    };
    let output = in_shell(&["ssh-config"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let shown = out(&output);
    let named = format!(
        "by context \"one\" of {}, {}, user \"of-one\"",
        files[0].display(),
        files[1].display()
    );
    assert!(shown.contains(&named), "{shown}");
    let code = ["code", "lab", "-n", "team", "--print"];
    assert_eq!(in_shell(&code).status.code(), Some(0));
    of_one.try_iter().for_each(drop);

    // Another context is current, and the desktop's variables have no kubeconfig.
    write(&files[0], &[("two", &two), ("one", &one)]);
    let by_ssh = || {
        let own = gateway.plugin();
        let variables = own.get_envs().filter_map(|(name, value)| Some((name, value?)));
        let mut ssh = Command::new("ssh");
        ssh.envs(variables).env_remove("KUBECONFIG").arg("-F");
        let ssh = ssh.arg(gateway.home().join(".ssh/kubectl-workspace.conf"));
        let ssh = ssh.args(["lab.team.workspace", "true"]).stdin(Stdio::null());
        ssh.output().unwrap()
    };
    let output = by_ssh();
    assert!(
        gateway.first_bytes().starts_with(b"SSH-2.0-OpenSSH"),
        "{output:?}"
    );
    assert!(
        of_one
            .try_iter()
            .any(|target| target.ends_with("/workspaces/lab"))
    );
    assert_eq!(of_two.try_iter().count(), 0);
    // An editor would go there, too, where this command's own context is another one.
    let output = in_shell(&code);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        err(&output)
            .contains("in another cluster, the one that was in force when kubectl workspace ssh-config"),
        "{output:?}"
    );
    let output = in_shell(&[&code[..], &["--context", "one"]].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let connections = gateway.left_and_connections().1;

    // The recorded context is gone.
    write(&files[0], &[("two", &two)]);
    let output = by_ssh();
    for expected in [
        "context \"one\" does not exist",
        "which kubectl workspace ssh-config recorded: to go by another one, run kubectl workspace ssh-config again",
    ] {
        assert!(err(&output).contains(expected), "{output:?}");
    }
    for file in &files {
        fs::remove_file(file).unwrap();
    }
    let output = by_ssh();
    assert!(
        err(&output).contains("no file of --kubeconfig exists")
            && err(&output).contains("ssh-config recorded"),
        "{output:?}"
    );
    assert_eq!(gateway.left_and_connections().1, connections);
}

#[test]
fn ssh_config_keeps_all_flags_that_lead_to_a_cluster_and_says_when_nothing_does() {
    let gateway = Gateway::start("config-flags");
    gateway.signed_in();
    let output = ran(&gateway, &["ssh-config"], "");
    assert!(
        out(&output).contains(", which needs a kubeconfig: when you have one, run"),
        "{output:?}"
    );
    let words = ["--user", "robot", "--as=bob", "--as-group=a", "--as-group=b"];
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "clusters": [{"name": "c", "cluster": {"server": "http://one"}}],
        "contexts": [{"name": "main", "context": {"cluster": "c", "user": "robot"}}], "users": [{"name": "robot", "user": {}}],
    });
    let file = gateway.home().join("file");
    fs::write(&file, config.to_string()).unwrap();
    let file = file.display().to_string();
    let more = ["--kubeconfig", &file, "--context=main", "ssh-config"];
    let output = ran(&gateway, &[&words[..], &more].concat(), "");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = fs::read_to_string(gateway.home().join(".ssh/kubectl-workspace.conf")).unwrap();
    let expected = format!(
        " '--kubeconfig={file}' '--context=main' '--user=robot' '--as=bob' '--as-group=a' '--as-group=b' ssh '--stdio=%h'\n"
    );
    assert!(text.contains(&expected), "{text}");
}

/// Bytes of a socket's path: 104 on macOS, the last of which is zero. ssh first makes one whose name is 17 longer.
const SOCKET: usize = 104 - 1 - 17;

#[test]
fn connections_to_workspaces_with_long_names_can_be_shared() {
    let gateway = Gateway::start("shared");
    gateway.signed_in();
    assert_eq!(ran(&gateway, &["ssh-config"], "").status.code(), Some(0));
    let path = |host: &str| {
        let understood = understood(&gateway, host);
        assert!(understood.contains("controlmaster auto\n"), "{understood}");
        let line = understood
            .lines()
            .find_map(|line| line.strip_prefix("controlpath "));
        let (_, name) = line.unwrap().rsplit_once("/.ssh/").unwrap();
        name.to_owned()
    };
    // A home of 30 bytes, such as /Users/first-name.family-name1.
    let of_home = 30 + "/.ssh/".len();
    let host = format!("{}.{}.workspace", "n".repeat(63), "s".repeat(63));
    assert!(of_home + path(&host).len() <= SOCKET, "{}", path(&host));
    assert_ne!(path(&host), path("lab.team.workspace"));
    // The control: what the user has set for all hosts.
    let other = path(&format!("{}.{}.example", "n".repeat(63), "s".repeat(63)));
    assert!(other.starts_with("master-") && of_home + other.len() > SOCKET);
}

#[test]
fn ssh_config_writes_a_path_of_this_program_that_stays_right_after_an_upgrade() {
    let gateway = Gateway::start("path");
    gateway.signed_in();
    let home = gateway.home();
    let real = PathBuf::from(env!("CARGO_BIN_EXE_kubectl-workspace"));
    let (folder, link) = (home.join("bin"), home.join("bin/kubectl-workspace"));
    fs::create_dir_all(&folder).unwrap();
    symlink(&real, &link).unwrap();
    let written = |called: &str, path: &str| {
        let mut command = Command::new(called);
        let plugin = gateway.plugin();
        let variables = plugin.get_envs().filter_map(|(name, value)| Some((name, value?)));
        let command = command.envs(variables).env_remove("KUBECONFIG");
        let command = command.arg("ssh-config").current_dir(&home).env("PATH", path);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{called}: {output:?}");
        let text = fs::read_to_string(home.join(".ssh/kubectl-workspace.conf")).unwrap();
        let proxy = text.lines().find(|line| line.contains("ProxyCommand"));
        proxy.unwrap().split('\'').nth(1).unwrap().to_owned()
    };
    let system = "/usr/bin:/bin";
    let with_link = format!("{system}:{}", folder.display());
    let link = link.display().to_string();
    let real = real.display().to_string();
    for (called, path, expected) in [
        (link.as_str(), system, &link),
        ("bin/kubectl-workspace", system, &link),
        ("./bin/../bin/kubectl-workspace", &with_link, &link),
        ("kubectl-workspace", &with_link, &link),
        // The file of a version, which the package manager links.
        (&real, &with_link, &link),
        // The control: nothing links it.
        (&real, system, &real),
    ] {
        assert_eq!(&written(called, path), expected, "{called} {path}");
    }
}

#[test]
fn ssh_config_takes_no_other_hosts_and_leaves_a_broken_file_as_it_is() {
    let gateway = Gateway::start("config-others");
    gateway.signed_in();
    let folder = gateway.home().join(".ssh");
    fs::create_dir_all(&folder).unwrap();
    let config = folder.join("config");
    let broken = "Host\nNonsense yes\n";
    fs::write(&config, broken).unwrap();
    let error = fails(&gateway, &["ssh-config"]);
    assert!(
        error.contains("was left as it is, because ssh does not understand it"),
        "{error}"
    );
    assert_eq!(fs::read_to_string(&config).unwrap(), broken);
    assert!(!folder.join("kubectl-workspace.conf").exists());
    fs::remove_file(&config).unwrap();
    let output = ran(&gateway, &["ssh-config"], "");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(
        out(&output).contains("the hosts of workspaces in ws.localhost"),
        "{output:?}"
    );
    // A host that would end the quotes is not a workspace's, nor are others, of the installation's domain as well.
    for host in [
        "a';touch x;'.workspace",
        "example.org",
        "workspace",
        "ws.localhost",
        "auth.ws.localhost",
        "portal.ws.localhost",
        "build-server.ws.localhost",
        "db-primary.internal.ws.localhost",
    ] {
        assert!(!understood(&gateway, host).contains("proxycommand"), "{host}");
    }
    // The control, and that of what is set for all hosts.
    let host = "lab-ukb5wakby6jim56e.ws.localhost";
    assert!(understood(&gateway, host).contains("proxycommand"));
    assert!(understood(&gateway, "example.org").contains("forwardagent yes"));
}

#[test]
fn ssh_finds_workspaces_after_ssh_config_and_not_after_its_removal() {
    let gateway = Gateway::start("config");
    gateway.signed_in();
    let code = [
        "code",
        &gateway.url("lab-ukb5wakby6jim56e.ws.localhost"),
        "--print",
    ];
    assert!(fails(&gateway, &code).contains("run kubectl workspace ssh-config"));
    let folder = gateway.home().join(".ssh");
    fs::create_dir_all(&folder).unwrap();
    let config = folder.join("config");
    let before = "# mine\nHost other\n  User bob\n";
    fs::write(&config, before).unwrap();
    let kube = gateway.home().join(".kube");
    fs::create_dir_all(&kube).unwrap();
    fs::write(kube.join("config"), kubeconfig(&[("a b", "http://one")])).unwrap();
    for _ in 0..2 {
        let output = ran(&gateway, &["ssh-config", "--context", "a b"], "");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let after = fs::read_to_string(&config).unwrap();
        assert_eq!(after, format!("Include ~/.ssh/kubectl-workspace.conf\n{before}"));
    }
    let mode = fs::metadata(folder.join("kubectl-workspace.conf"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let program = env!("CARGO_BIN_EXE_kubectl-workspace");
    for host in ["lab.team.workspace", "lab-ukb5wakby6jim56e.ws.localhost"] {
        let understood = understood(&gateway, host);
        let has = |line: &str| understood.lines().any(|other| other == line);
        assert!(
            has("user jovyan") && has("stricthostkeychecking accept-new"),
            "{understood}"
        );
        assert!(has("serveraliveinterval 0"), "{understood}");
        for line in NOTHING_TO_SHOW {
            assert!(has(line), "{line}: {understood}");
        }
        assert!(
            has(&format!(
                "proxycommand '{program}' '--kubeconfig={}/config' '--context=a b' ssh '--stdio=%h'",
                kube.display()
            )),
            "{understood}"
        );
        // No key is kept, so none is another than before.
        assert!(
            has("userknownhostsfile /dev/null") && has("loglevel ERROR"),
            "{understood}"
        );
    }
    // The system's ssh runs this program by that command, which brings its first bytes to the workspace.
    let path = std::env::var("PATH").unwrap();
    let output = gateway.plugin().args(["ssh-config"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let own = gateway.plugin();
    let variables = own.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let output = Command::new("ssh")
        .envs(variables)
        .env("PATH", path)
        .arg("-F")
        .arg(gateway.home().join(".ssh/kubectl-workspace.conf"))
        .args(["lab-ukb5wakby6jim56e.ws.localhost", "true"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(255), "{output:?}");
    let first = gateway.first_bytes();
    assert!(first.starts_with(b"SSH-2.0-OpenSSH"), "{output:?} {first:?}");
    let output = ran(&gateway, &code, "");
    assert_eq!(
        out(&output),
        "vscode://vscode-remote/ssh-remote+lab-ukb5wakby6jim56e.ws.localhost/home/jovyan\n",
        "{output:?}"
    );
    let cursor = [
        code[0],
        code[1],
        code[2],
        "--editor",
        "cursor",
        "--folder",
        "/data/a b",
    ];
    let output = ran(&gateway, &cursor, "");
    assert_eq!(
        out(&output),
        "cursor://vscode-remote/ssh-remote+lab-ukb5wakby6jim56e.ws.localhost/data/a%20b\n"
    );

    for _ in 0..2 {
        let output = ran(&gateway, &["ssh-config", "--remove"], "");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(fs::read_to_string(&config).unwrap(), before);
    }
    assert!(!folder.join("kubectl-workspace.conf").exists());
}
