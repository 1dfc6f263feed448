//! Staged failures of tests/golden/{explain,stuck}.yaml -> their text, as in the files beside (IO).
//!
//! Reads these files, and writes them if asked.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use api::condition::reason;
use explain::template::{TemplateEvidence, explain as explain_template};
use explain::{Evidence, Read, workspace};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::text;

/// Distinct reasons that must have a text.
const REASONS: usize = 40;
/// Stuck deletions and stops that must have a text.
const STUCK: usize = 15;
const NOW: &str = "2026-01-01T12:00:00Z";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    reason: Option<String>,
    name: Option<String>,
    phase: Option<String>,
    degraded: Option<String>,
    invalid: Option<String>,
    progressing: Option<String>,
    #[serde(default)]
    available: bool,
    #[serde(default)]
    stopped: bool,
    #[serde(default)]
    metadata: Map<String, Value>,
    #[serde(default)]
    spec: Map<String, Value>,
    #[serde(default)]
    status: Map<String, Value>,
    #[serde(default)]
    pods: Vec<Pod>,
    #[serde(default)]
    events: Vec<Event>,
    claim: Option<Value>,
    #[serde(default)]
    quotas: Vec<Value>,
    /// What may not be read: pods or claim.
    #[serde(default)]
    unread: Vec<String>,
    /// A template in place of a workspace, and the workspaces that use it.
    template: Option<Value>,
    #[serde(default)]
    users: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pod {
    unscheduled: Option<String>,
    #[serde(default)]
    gates: Vec<Value>,
    waiting: Option<Value>,
    ended: Option<Value>,
    #[serde(default)]
    restarts: i32,
    #[serde(default)]
    conditions: Vec<Value>,
    deleted: Option<String>,
    node: Option<String>,
    #[serde(default)]
    finalizers: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Event {
    r#type: Option<String>,
    reason: String,
    message: String,
    /// Hour and minute.
    time: Option<String>,
}

fn from<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

impl Case {
    fn title(&self) -> &str {
        self.name
            .as_deref()
            .or(self.reason.as_deref())
            .unwrap_or_default()
    }

    fn conditions(&self) -> Vec<Value> {
        let of = |type_: &str, status: bool, reason: &str, message: &str| {
            json!({
                "type": type_, "status": if status { "True" } else { "False" }, "reason": reason, "message": message,
                "observedGeneration": 1, "lastTransitionTime": "2026-01-01T11:50:00Z",
            })
        };
        let reason = self.reason.as_deref().unwrap_or_default();
        let mut all = vec![
            of(
                "Available",
                self.available,
                if self.available {
                    reason::READY
                } else {
                    reason::STARTING
                },
                "",
            ),
            of(
                "Stopped",
                self.stopped,
                if self.stopped {
                    reason::STOPPED
                } else {
                    reason::RUNNING
                },
                "",
            ),
        ];
        if let Some(message) = &self.invalid {
            all.push(of("Valid", false, reason, message));
            all.push(of("Degraded", true, reason, message));
        }
        all.extend(
            self.degraded
                .iter()
                .map(|message| of("Degraded", true, reason, message)),
        );
        all.extend(
            self.progressing
                .iter()
                .map(|message| of("Progressing", true, reason, message)),
        );
        all
    }

    fn read<T>(&self, what: &str, known: T) -> Read<T> {
        if self.unread.iter().any(|it| it == what) {
            return Read::Unread(format!("you may not list {what}"));
        }
        Read::Known(known)
    }

    fn text(&self) -> String {
        self.template
            .as_ref()
            .map_or_else(|| self.of_workspace(), |template| self.of_template(template))
    }

    fn of_template(&self, template: &Value) -> String {
        let mut object = json!({
            "metadata": {"name": "production"}, "spec": {"displayName": "t", "defaultImage": "uv"}, "status": {"conditions": []},
        });
        for part in ["metadata", "status"] {
            let fields = template[part].as_object().cloned().unwrap_or_default();
            object[part].as_object_mut().unwrap().extend(fields);
        }
        let users = self.users.iter().map(|name| {
            from(json!({
                "metadata": {"name": name, "namespace": "team"}, "spec": {"displayName": name, "templateRef": "production"},
            }))
        });
        text::explanation(&explain_template(&TemplateEvidence {
            template: &from(object),
            namespace: "team",
            right: Read::Known(true),
            profile: None,
            workspaces: self.read("workspaces", users.collect()),
            now: NOW.parse().unwrap(),
        }))
    }

    fn of_workspace(&self) -> String {
        let mut object = json!({
            "metadata": {"name": "demo", "namespace": "team", "generation": 1, "annotations": {api::names::LAST_UPDATED_BY: "alice"}},
            "spec": {"displayName": "d"},
            "status": {"phase": self.phase.as_deref().unwrap_or("Failed"), "observedGeneration": 1, "conditions": self.conditions()},
        });
        for (part, fields) in [
            ("metadata", &self.metadata),
            ("spec", &self.spec),
            ("status", &self.status),
        ] {
            object[part].as_object_mut().unwrap().extend(fields.clone());
        }
        let workspace_object = from(object);
        let pods = self.pods.iter().map(Pod::object).map(from).collect();
        let events = self.events.iter().map(|event| {
            let time = event.time.as_ref().map(|time| format!("2026-01-01T{time}:00Z"));
            from(json!({
                "metadata": {}, "involvedObject": {}, "type": event.r#type.as_deref().unwrap_or("Warning"),
                "reason": event.reason, "message": event.message, "lastTimestamp": time,
            }))
        });
        let claim = self.claim.clone().map(|mut claim| {
            claim["metadata"]["name"] = json!("workspace-demo");
            from(claim)
        });
        text::explanation(&workspace(&Evidence {
            workspace: &workspace_object,
            events: Read::Known(events.collect()),
            pods: self.read("pods", pods),
            claim: self.read("claims", claim),
            quotas: Read::Known(self.quotas.iter().cloned().map(from).collect()),
            template: None,
            pod_events: &[],
            reads_logs: false,
            now: NOW.parse().unwrap(),
        }))
    }
}

impl Pod {
    fn object(&self) -> Value {
        let mut conditions = self.conditions.clone();
        conditions.extend(self.unscheduled.iter().map(|message| {
            json!({
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
                "lastTransitionTime": "2026-01-01T11:50:00Z",
            })
        }));
        let mut container = json!({
            "name": "workspace", "ready": false, "restartCount": self.restarts, "image": "", "imageID": "",
        });
        if let Some(waiting) = &self.waiting {
            container["state"] = json!({"waiting": waiting});
        }
        if let Some(ended) = &self.ended {
            container["lastState"] = json!({"terminated": ended});
        }
        json!({
            "metadata": {
                "name": "workspace-demo-1", "deletionTimestamp": self.deleted, "finalizers": self.finalizers,
            },
            "spec": {"nodeName": self.node, "containers": [], "schedulingGates": self.gates},
            "status": {"conditions": conditions, "containerStatuses": [container]},
        })
    }
}

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

fn cases(name: &str) -> Vec<Case> {
    serde_saphyr::from_str(&fs::read_to_string(golden(name)).unwrap()).unwrap()
}

/// Compares texts with a file, or writes it if `UPDATE_EXPECT` is set.
fn compare(actual: &str, name: &str) {
    let file = golden(name);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&file, actual).unwrap();
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        actual == expected,
        "explain says something else than {}; see the difference with UPDATE_EXPECT=1 and git diff:\n{actual}",
        file.display()
    );
}

#[test]
fn each_stuck_deletion_and_stop_has_its_text() {
    let cases = cases("stuck.yaml");
    assert!(cases.len() >= STUCK, "only {} cases", cases.len());
    let mut actual = String::new();
    for case in &cases {
        let text = case.text();
        assert!(text.contains("because "), "{}: no cause in\n{text}", case.title());
        assert!(text.contains(" can: "), "{}: no remedy in\n{text}", case.title());
        actual.extend(["=== ", case.title(), "\n", &text, "\n"]);
    }
    compare(&actual, "stuck.txt");
}

#[test]
fn each_staged_failure_has_its_text() {
    let cases = cases("explain.yaml");
    let mut reasons = BTreeSet::new();
    let mut actual = String::new();
    for case in &cases {
        let text = case.text();
        if let Some(reason) = &case.reason {
            assert!(
                reason::ALL.iter().any(|known| known.name == reason),
                "{reason} is no reason of the contract"
            );
            assert!(
                text.contains(&format!("[{reason}]")),
                "{}: its text lacks the reason:\n{text}",
                case.title()
            );
            reasons.insert(reason.clone());
        }
        actual.extend(["=== ", case.title(), "\n", &text, "\n"]);
    }
    assert!(
        reasons.len() >= REASONS,
        "only {} reasons have a text",
        reasons.len()
    );
    compare(&actual, "explain.txt");
}

/// Every reason that a workspace's conditions can show as wrong is staged.
#[test]
fn every_reason_of_a_degraded_or_invalid_workspace_is_staged() {
    let cases = cases("explain.yaml");
    let staged: BTreeSet<_> = cases.iter().filter_map(|case| case.reason.as_deref()).collect();
    let missing: Vec<_> = reason::ALL
        .iter()
        .filter(|it| it.shows.contains("Degraded=True") || it.shows.contains("Valid=False, "))
        .map(|it| it.name)
        .filter(|name| !staged.contains(name))
        .collect();
    assert_eq!(missing, [""; 0]);
}
