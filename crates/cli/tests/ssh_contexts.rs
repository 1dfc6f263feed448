//! `ssh-config`: the cluster that it records, and where ssh goes then (IO: processes).

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use serde_json::json;

use crate::gateway::Gateway;
use crate::process::out;
use crate::programs::{err, ran};
use crate::socket::{Reply, serve};
use crate::workspace::in_phase;

/// A kubeconfig whose contexts lead to these API servers; the first one is current.
pub(crate) fn kubeconfig(contexts: &[(&str, &str)]) -> String {
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
