//! The program itself: exit codes, closed pipes, signals, colours, and answers to kubectl's completion (IO: processes, a local socket).

use std::io::Read as _;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output, Stdio};

pub(crate) fn plugin() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-workspace"));
    command
        .env_remove("KUBECONFIG")
        .env_remove("NO_COLOR")
        .env_remove("SSL_CERT_FILE")
        .env_remove("SSL_CERT_DIR")
        .env("HOME", "/nonexistent");
    command
}

pub(crate) fn run(words: &[&str]) -> Output {
    plugin().args(words).output().unwrap()
}

pub(crate) fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn the_plugins_own_version_needs_no_cluster() {
    let output = run(&["version", "--client"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(out(&output).contains(env!("CARGO_PKG_VERSION")));
    let output = run(&["version", "--client", "-o", "json"]);
    assert!(out(&output).contains(concat!("\"plugin\": \"", env!("CARGO_PKG_VERSION"), "\"")));
}

#[test]
fn a_wrong_command_line_ends_with_two_and_no_cluster_with_one() {
    assert_eq!(run(&["start"]).status.code(), Some(2));
    assert_eq!(run(&["list", "-o", "jsonpath={.items}"]).status.code(), Some(2));
    let output = run(&["list", "--kubeconfig", "/nonexistent/config"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.starts_with("error: ") && text.contains("/nonexistent/config"),
        "{text}"
    );
    assert!(output.stdout.is_empty());
}

#[test]
fn names_of_files_control_neither_the_terminal_nor_the_ci_system() {
    let folder = std::env::temp_dir().join(format!("cli-controls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let name = "::set-output name=a::\u{202e}\u{1b}[2J.yaml";
    std::fs::write(folder.join(name), "a: [").unwrap();
    let absent = "absent\n::error::\u{1b}[2J.yaml";
    let errors = [name, absent].map(|name| {
        let failed = plugin()
            .args(["create", "--dry-run=client", "-f", name])
            .current_dir(&folder)
            .output()
            .unwrap();
        String::from_utf8(failed.stderr).unwrap()
    });
    std::fs::remove_dir_all(&folder).unwrap();
    for error in errors {
        assert!(
            error.starts_with("error: ") && error.contains("[2J.yaml"),
            "{error:?}"
        );
        for line in error.lines() {
            assert!(
                !line.contains(char::is_control)
                    && !line.contains('\u{202e}')
                    && !line.trim_start().starts_with("::"),
                "{error:?}"
            );
        }
    }
}

#[test]
fn tips_name_the_nearest_command_and_no_flag_that_means_something_else() {
    for (words, tip) in [
        (
            &["creat", "demo"][..],
            Some("a similar subcommand exists: 'create'"),
        ),
        (
            &["start", "demo", "--gpu", "1"],
            Some("--gpu is a flag of create, set"),
        ),
        (
            &["open", "demo", "--wait"],
            Some("--wait is a flag of create, start, stop, restart, delete"),
        ),
        (
            &["list", "--all"],
            Some("a similar argument exists: '--all-namespaces'"),
        ),
        (
            &["set", "demo", "--imag", "uv"],
            Some("a similar argument exists: '--image'"),
        ),
        (&["restart", "demo", "--force"], None),
        (&["get", "demo"], Some("a similar subcommand exists: 'list'")),
        (&["edit", "demo"], Some("a similar subcommand exists: 'set'")),
        (
            &["describe", "demo"],
            Some("a similar subcommand exists: 'explain'"),
        ),
        (
            &["port-forward", "demo"],
            Some("a similar subcommand exists: 'connect'"),
        ),
        (&["exec", "demo"], Some("a similar subcommand exists: 'ssh'")),
        (
            &["cp", "a", "b"],
            Some("a similar subcommand exists: 'ssh-config'"),
        ),
    ] {
        let output = run(words);
        let text = String::from_utf8(output.stderr).unwrap();
        let tips: Vec<_> = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("tip: "))
            .collect();
        assert_eq!(tips, tip.as_slice(), "{words:?}: {text}");
        assert_eq!(output.status.code(), Some(2), "{words:?}");
    }
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    for words in [
        &["create", "demo", "--dry-run=client", "-o", "yaml"][..],
        &["completion", "bash"],
        &["version", "--client"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = plugin()
            .args(words)
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), text.as_str()), (Some(0), ""), "{words:?}");
    }
}

#[test]
fn an_interrupt_ends_a_command_that_waits_for_the_server_with_130_and_nothing_is_reported_as_done() {
    let (name, number) = interrupt();
    for words in [
        &["list"][..],
        &["create", "demo", "--wait"],
        &["set", "demo", "--cpu", "1"],
        &["stop", "demo", "--yes"],
    ] {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", server.local_addr().unwrap());
        // The shell gets the same signal, as from a terminal, and shows the exit code that scripts see.
        let child = plugin_below_shell("trap : INT TERM; \"$@\"; echo \"code $?\"")
            .args(words)
            .args(["--server", &address])
            .process_group(0)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // It has asked, and gets no answer.
        let (mut connection, _) = server.accept().unwrap();
        let mut first = [0; 1];
        connection.read_exact(&mut first).unwrap();
        let group = format!("-{}", child.id());
        let kill = Command::new("kill").args([name, "--", &group]).status().unwrap();
        assert!(kill.success());
        let output = child.wait_with_output().unwrap();
        assert_eq!(out(&output), format!("code {}\n", 128 + number), "{words:?}");
    }
}

/// A shell that runs `script`, whose arguments are the plugin and its words.
fn plugin_below_shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", script, "sh", env!("CARGO_BIN_EXE_kubectl-workspace")])
        .env_remove("KUBECONFIG")
        .env("HOME", "/nonexistent");
    command
}

/// The signal of Ctrl-C. A run in the background ignores it, and so do all its children: there, the signal of `kill`.
fn interrupt() -> (&'static str, i32) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .unwrap();
    let ignored = u64::from_str_radix(ignored.trim(), 16).unwrap();
    if ignored & 0b10 == 0 {
        ("-INT", 2)
    } else {
        ("-TERM", 15)
    }
}

#[test]
fn colours_are_left_out_without_a_terminal_and_with_no_color() {
    let help = |variables: &[(&str, &str)]| {
        let output = plugin()
            .arg("--help")
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        out(&output).contains('\u{1b}')
    };
    assert!(help(&[("CLICOLOR_FORCE", "1")]), "the test would not see colours");
    assert!(!help(&[]));
    assert!(!help(&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]));
}
