//! The program itself: exit codes, closed pipes, signals, colours, and answers to kubectl's completion (IO: processes, a local socket).

use std::io::Read as _;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output, Stdio};

use serde_json::json;

pub(crate) fn plugin() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-workspace"));
    command
        .env_remove("KUBECONFIG")
        .env_remove("NO_COLOR")
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
    let linted = plugin()
        .args(["lint", name])
        .current_dir(&folder)
        .output()
        .unwrap();
    let absent = "absent\n::error::\u{1b}[2J.yaml";
    let failed = plugin()
        .args(["create", "-f", absent])
        .current_dir(&folder)
        .output()
        .unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(linted.status.code(), Some(3), "{linted:?}");
    assert!(
        out(&linted).starts_with(": :set-output name=a::  [2J.yaml:1:"),
        "{linted:?}"
    );
    let error = String::from_utf8(failed.stderr).unwrap();
    assert!(
        error.starts_with("error: ") && error.contains("[2J.yaml"),
        "{error:?}"
    );
    for line in error.lines() {
        assert!(
            !line.contains(char::is_control) && !line.trim_start().starts_with("::"),
            "{error:?}"
        );
    }
}

#[test]
fn a_wrong_command_line_says_what_is_expected_before_a_cluster_is_asked() {
    let folder = env!("CARGO_MANIFEST_DIR");
    let time = "expected a time with date and zone, such as 2026-12-31T18:00:00Z";
    let units = "with the units s, m or h, such as 90s, 5m or 1h30m; 7 days is 168h";
    for (words, code, part) in [
        (&["share", "demo"][..], 2, "share names no subject: add --user"),
        (&["unshare", "demo"], 2, "unshare names no subject"),
        (
            &["share", "demo", "--user", "b", "--until", "2001-01-01T00:00:00Z"],
            2,
            "is in the past",
        ),
        (
            &["share", "demo", "--until", "tomorrow"],
            2,
            &format!("'tomorrow' for '--until <TIME>': {time}"),
        ),
        (
            &["share", "demo", "--until", "2026-12-31"],
            2,
            &format!("'2026-12-31' for '--until <TIME>': {time}"),
        ),
        (&["share", "demo", "--for", "7d"], 2, units),
        (&["set", "demo", "--idle", "90"], 2, &format!("{units}; or never")),
        (
            &["explain", "demo", "other"],
            2,
            "one workspace at a time, not demo and other.",
        ),
        (
            &["delete", "demo", "-o", "json"],
            2,
            "delete prints names at most",
        ),
        (
            &["template", "compare", folder, "none"],
            2,
            "is a folder: name a file with one WorkspaceTemplate",
        ),
        (
            &["template", "compare", "none.yaml", "none"],
            1,
            "none.yaml cannot be read: No such file",
        ),
        (
            &["template", "compare", "none", "none.yaml"],
            1,
            "none.yaml cannot be read: No such file",
        ),
        (
            &["template", "compare", "old", "new"],
            1,
            "no file is called \"old\" or \"new\", so the cluster is asked for a template of that name: ",
        ),
    ] {
        let output = run(words);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(part), "{words:?}: {text}");
        assert_eq!(output.status.code(), Some(code), "{words:?}: {text}");
        assert_eq!(
            text.contains("kubeconfig"),
            words.ends_with(&["old", "new"]),
            "{words:?}: {text}"
        );
    }
}

#[test]
fn the_help_documents_the_codes_of_problems_in_files() {
    let empty = std::env::temp_dir().join(format!("cli-process-empty-{}.yaml", std::process::id()));
    std::fs::write(&empty, "").unwrap();
    let path = empty.to_str().unwrap();
    let help = out(&run(&["--help"]));
    for (words, code, part) in [
        (
            &["lint", path][..],
            3,
            "explain, lint, template compare or version found a problem",
        ),
        (&["lint", "/nonexistent"], 1, "a file cannot be read"),
    ] {
        assert_eq!(run(words).status.code(), Some(code), "{words:?}");
        let line = help
            .lines()
            .find(|line| line.starts_with(&format!("  {code}  ")))
            .unwrap();
        assert!(line.contains(part), "{line}");
    }
    std::fs::remove_file(empty).unwrap();
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

#[test]
fn completion_scripts_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = out(&run(&["completion", shell]));
        for word in ["explain", "template", "kubectl-workspace"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn candidates_end_with_cobras_directive() {
    let words = |words: &[&str]| out(&run(&[&["__complete"], words].concat()));
    assert_eq!(words(&["sta"]), "start\n:4\n");
    assert_eq!(words(&["list", "-o", "w"]), "wide\n:4\n");
    assert_eq!(words(&["lint", ""]), ":0\n");
    assert_eq!(words(&["stop", "--wa"]), "--wait\n:4\n");
    // Without a cluster there are no names.
    assert_eq!(words(&["stop", ""]), ":4\n");
}

#[test]
fn contexts_of_the_kubeconfig_are_candidates() {
    let file = std::env::temp_dir().join(format!("cli-process-{}", std::process::id()));
    let config = json!({
        "apiVersion": "v1", "kind": "Config",
        "contexts": [{"name": "blue", "context": {"cluster": "c", "user": "u"}}, {"name": "green", "context": {"cluster": "c", "user": "u"}}],
    });
    std::fs::write(&file, config.to_string()).unwrap();
    let output = run(&[
        "__complete",
        "--kubeconfig",
        file.to_str().unwrap(),
        "--context",
        "b",
    ]);
    std::fs::remove_file(file).unwrap();
    assert_eq!(out(&output), "blue\n:4\n");
}
