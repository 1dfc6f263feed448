//! Dashboard, alerts and metrics use the same names; alerts fire when they must (IO).

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::render::{program, read, root};

fn promtool_accepts(arguments: &[&str], folder: &Path) {
    let promtool = program("PROMTOOL", "promtool");
    let output = Command::new(&promtool)
        .current_dir(folder)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}; `./justw test` puts it in place", promtool.display()));
    assert!(
        output.status.success(),
        "{arguments:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn alerts() -> Vec<Value> {
    let rules: Value = serde_saphyr::from_str(&read("charts/jupyter-k8s/monitoring/alerts.yaml")).unwrap();
    let groups = rules["groups"].as_array().unwrap().clone();
    groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap().clone())
        .collect()
}

/// Every `expr` of the dashboard.
fn questions(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().cloned().unwrap_or_default());
    targets
        .map(|target| target["expr"].as_str().unwrap().to_owned())
        .collect()
}

/// Names of our metrics in a text, without the suffixes of histograms and counters.
fn names(text: &str) -> BTreeSet<String> {
    let names = text.split(|character: char| !(character.is_ascii_alphanumeric() || character == '_'));
    let ours = names.filter(|name| {
        ["gateway", "operator", "portal", "webhook"]
            .iter()
            .any(|part| name.starts_with(&format!("jupyter_k8s_{part}_")))
    });
    let bare = |name: &str| {
        let ends = ["_total", "_bucket", "_count", "_sum"];
        ends.iter()
            .find_map(|end| name.strip_suffix(end))
            .unwrap_or(name)
            .to_owned()
    };
    ours.map(bare).collect()
}

#[test]
fn alerts_fire_when_they_must_and_stay_quiet_otherwise() {
    let folder = root().join("deploy/monitoring");
    promtool_accepts(
        &[
            "check",
            "rules",
            "../../charts/jupyter-k8s/monitoring/alerts.yaml",
        ],
        &folder,
    );
    promtool_accepts(&["test", "rules", "alerts.test.yaml"], &folder);
    let tests = read("deploy/monitoring/alerts.test.yaml");
    for alert in alerts() {
        let name = alert["alert"].as_str().unwrap();
        for what in ["fires", "stays quiet"] {
            assert!(
                tests.contains(&format!("- name: \"{name} {what}\"")),
                "{name} {what}: no test"
            );
        }
    }
}

#[test]
fn every_alert_has_a_description_and_a_runbook() {
    let page = read("docs/monitoring.md");
    let anchors: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .map(|title| {
            let kept = title.to_lowercase();
            let kept = kept
                .chars()
                .filter(|one| one.is_alphanumeric() || " -".contains(*one));
            format!(
                "docs/monitoring.md#{}",
                kept.collect::<String>().replace(' ', "-")
            )
        })
        .collect();
    let mut used = BTreeSet::new();
    for alert in alerts() {
        let (name, annotations) = (&alert["alert"], &alert["annotations"]);
        for field in ["summary", "description"] {
            assert!(
                annotations[field]
                    .as_str()
                    .is_some_and(|text| text.ends_with('.')),
                "{name}: {field}"
            );
        }
        let runbook = annotations["runbook"].as_str().unwrap_or_default().to_owned();
        assert!(
            anchors.contains(&runbook),
            "{name}: {runbook} must be a heading of docs/monitoring.md"
        );
        used.insert(runbook);
        let severity = alert["labels"]["severity"].as_str().unwrap_or_default();
        assert!(
            ["critical", "warning", "info"].contains(&severity),
            "{name}: {severity}"
        );
    }
    assert_eq!(anchors, used, "every section belongs to an alert");
}

#[test]
fn every_query_parses_and_uses_existing_metrics() {
    let page = read("docs/monitoring.md");
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let known: BTreeSet<String> = rows
        .flat_map(|row| names(row.split('`').nth(1).unwrap()))
        .collect();
    let dashboard: Value =
        serde_json::from_str(&read("charts/jupyter-k8s/monitoring/dashboard.json")).unwrap();
    let questions = questions(&dashboard);
    let looked_at: BTreeSet<String> = questions
        .iter()
        .flat_map(|question| names(question))
        .chain(
            alerts()
                .iter()
                .flat_map(|alert| names(alert["expr"].as_str().unwrap())),
        )
        .collect();
    let unknown: Vec<_> = looked_at.difference(&known).collect();
    assert!(unknown.is_empty(), "not in docs/monitoring.md: {unknown:?}");
    let unseen: Vec<_> = known.difference(&looked_at).collect();
    assert_eq!(
        unseen,
        [
            "jupyter_k8s_gateway_sealing_keys",
            // One series per workspace, for queries about one of them.
            "jupyter_k8s_operator_workspace_phase",
        ],
        "on no panel and in no alert"
    );

    // The dashboard's queries as rules, for promtool to parse.
    let rules: Vec<Value> = questions
        .iter()
        .enumerate()
        .map(|(at, question)| {
            let expr = question.replace("$__rate_interval", "1m");
            serde_json::json!({"record": format!("question:{at}"), "expr": expr})
        })
        .collect();
    let rules = serde_json::json!({"groups": [{"name": "dashboard", "rules": rules}]});
    let folder = std::env::temp_dir().join(format!("dashboard-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("rules.yaml"), rules.to_string()).unwrap();
    promtool_accepts(&["check", "rules", "rules.yaml"], &folder);
    fs::remove_dir_all(folder).unwrap();
}
