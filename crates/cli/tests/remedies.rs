//! Remedies and messages -> commands that the role of users allows (IO: reads the sources).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use api::condition::reason;
use explain::{Change, Evidence, Read, Who};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// `verb resource` of everything that the chart's roles of users allow in a namespace.
fn rights_of_users() -> BTreeSet<String> {
    let rendered = fs::read_to_string(repository("crates/xtask/tests/chart/golden/default.yaml")).unwrap();
    let roles = ["jupyter-k8s-workspace-user", "jupyter-k8s-catalog-viewer"].map(|role| {
        let is_role = |text: &&str| {
            text.contains("kind: ClusterRole\n") && text.contains(&format!("\n  name: {role}\n"))
        };
        let text = rendered.split("---\n").find(is_role).unwrap();
        serde_saphyr::from_str::<Value>(text).unwrap()
    });
    let mut rights = BTreeSet::new();
    for rule in roles.iter().flat_map(|role| role["rules"].as_array().unwrap()) {
        for verb in rule["verbs"].as_array().unwrap() {
            for resource in rule["resources"].as_array().unwrap() {
                rights.insert(format!(
                    "{} {}",
                    verb.as_str().unwrap(),
                    resource.as_str().unwrap()
                ));
            }
        }
    }
    rights
}

/// What a command needs, as `verb resource`; `None`: no right.
fn needs(command: &str) -> Option<String> {
    let words: Vec<_> = command
        .split_whitespace()
        .filter(|word| !word.starts_with('-'))
        .collect();
    let plural = |word: &str| {
        let word = word.split('/').next().unwrap();
        match word {
            "wst" => "workspacetemplates",
            "wsm" => "workspacemanagers",
            "wsep" => "workspaceexecutionprofiles",
            "ws" | "workspace" => "workspaces",
            "workspaceshare" => "workspaceshares",
            "pvc" => "persistentvolumeclaims",
            "pod" => "pods",
            other => other,
        }
        .to_owned()
    };
    let need = |verb: &str, resource: &str| Some(format!("{verb} {resource}"));
    match words.as_slice() {
        ["kubectl", "explain", ..] | ["kubectl", "workspace", "whoami", ..] => None,
        ["kubectl", "logs", ..] | ["kubectl", "workspace", "logs", ..] => need("get", "pods/log"),
        ["kubectl", "workspace", "start" | "stop" | "restart" | "set", ..] => need("patch", "workspaces"),
        ["kubectl", "workspace", "delete", ..] => need("delete", "workspaces"),
        ["kubectl", "workspace", "create", ..] => need("create", "workspaces"),
        ["kubectl", "workspace", "share", ..] => need("create", "workspaceshares"),
        ["kubectl", "edit", kind, ..] => need("patch", &plural(kind)),
        ["kubectl", "get", kind, ..] => need("list", &plural(kind)),
        ["kubectl", "describe", rest @ ..] => {
            // The namespace may stand before the kind.
            let kind = rest
                .iter()
                .find(|word| plural(word) != **word || word.ends_with('s'));
            need("get", &plural(kind.unwrap_or(&rest[0])))
        }
        ["kubectl", verb, kind, ..] => need(verb, &plural(kind)),
        other => need("understand", &other.join(" ")),
    }
}

/// Commands in backquotes, each with the part of the text before it that is not another sentence's.
fn commands(text: &str) -> Vec<(String, String)> {
    let starts = text.match_indices("`kubectl ").map(|(at, _)| at);
    starts
        .map(|at| {
            let command = text[at + 1..].split('`').next().unwrap().to_owned();
            let before = text[..at].rsplit(['.', '"', '\n']).next().unwrap();
            (before.to_owned(), command)
        })
        .collect()
}

/// The commands of a text that a user may not run, unless its sentence is for administrators.
fn not_for_users(text: &str, rights: &BTreeSet<String>) -> Vec<String> {
    let not_theirs = |(before, command): &(String, String)| {
        let is_theirs = needs(command).is_none_or(|need| rights.contains(&need));
        !is_theirs && !before.to_lowercase().contains("administrator")
    };
    let found = commands(text).into_iter().filter(not_theirs);
    found.map(|(_, command)| command).collect()
}

fn explained(reason: &str, reads_logs: bool) -> Vec<explain::Remedy> {
    let message = "spec.image: wrong. \"x\" is missing. Insufficient memory";
    let workspace = serde_json::from_value(json!({
        "metadata": {"name": "demo", "namespace": "team", "generation": 1},
        "spec": {"displayName": "d"},
        "status": {"observedGeneration": 1, "conditions": [{
            "type": "Degraded", "status": "True", "reason": reason, "message": message, "observedGeneration": 1,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]},
    }))
    .unwrap();
    let explanation = explain::workspace(&Evidence {
        workspace: &workspace,
        events: Read::Known(Vec::new()),
        pods: Read::Known(Vec::new()),
        claim: Read::Known(None),
        quotas: Read::Known(Vec::new()),
        template: None,
        pod_events: &[],
        reads_logs,
        now: Timestamp::UNIX_EPOCH,
    });
    explanation
        .findings
        .into_iter()
        .flat_map(|finding| finding.remedies)
        .collect()
}

#[test]
fn every_remedy_for_users_is_one_that_the_role_of_users_allows() {
    let rights = rights_of_users();
    assert!(
        rights.contains("get pods") && !rights.contains("get pods/log"),
        "{rights:?}"
    );
    let mut steps = 0;
    for known in reason::ALL {
        for remedy in explained(known.name, false) {
            if remedy.who == Who::Administrator {
                continue;
            }
            assert_eq!(
                not_for_users(&remedy.what, &rights),
                [""; 0],
                "{}: {}",
                known.name,
                remedy.what
            );
            for step in remedy.steps {
                steps += 1;
                let need = needs(&step.command).unwrap();
                assert!(
                    rights.contains(&need),
                    "{}: {} needs {need}",
                    known.name,
                    step.command
                );
            }
        }
    }
    assert!(steps >= 20, "{steps}");
}

#[test]
fn a_reader_of_logs_gets_their_command() {
    let has_logs = |reads_logs: bool| {
        let remedies = explained(reason::CRASH_LOOPING, reads_logs);
        let mut steps = remedies.into_iter().flat_map(|remedy| remedy.steps);
        steps.any(|step| matches!(step.action, Change::Logs { .. }))
    };
    assert!(has_logs(true));
    assert!(!has_logs(false));
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().unwrap() != "tests" {
            sources(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn messages_of_the_operator_name_to_users_only_commands_that_their_role_allows() {
    let rights = rights_of_users();
    let mut files = Vec::new();
    for folder in ["status", "blockers"] {
        sources(&repository("crates/operator/src").join(folder), &mut files);
    }
    let mut seen = 0;
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        // A text that goes on in the next line.
        let lines = code
            .split("\\\n")
            .map(str::trim_start)
            .collect::<Vec<_>>()
            .concat();
        seen += commands(&lines).len();
        assert_eq!(not_for_users(&lines, &rights), [""; 0], "{}", file.display());
    }
    assert!(seen >= 6, "{seen}");
}
