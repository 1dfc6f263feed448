//! What the heaviest bodies take of the process, and what is too heavy.

use api::names::{CREATED_BY, RESERVED_PREFIX};
use http::StatusCode;
use serde_json::{Value, json};
use webhook::weight::{HEAVIEST, weight};

use crate::cluster::Cluster;
use crate::support::{Webhook, review, workspace};

/// Most bytes of a body.
const MAX_BODY: usize = 2 * 1024 * 1024;
/// What stands for many entries.
const MANY: &str = "MANY";

/// `frame` with as many entries in place of [`MANY`] as a body may have that is no longer than `longest`.
fn filled(frame: &Value, entry: fn(usize) -> String, longest: usize) -> String {
    let frame = frame.to_string();
    let many = format!("\"{MANY}\"");
    let places = frame.matches(&many).count();
    if places == 0 {
        return frame;
    }
    let each = format!("{},", entry(0));
    let by_weight = (HEAVIEST - weight(frame.as_bytes())) / weight(each.as_bytes());
    let by_length = (longest - frame.len()) / each.len();
    // Room for the brackets.
    let count = by_weight.min(by_length) / places - 8;
    let mut entries: String = (0..count).map(|number| entry(number) + ",").collect();
    entries.pop();
    let entries = if entries.starts_with('"') {
        format!("{{{entries}}}")
    } else {
        format!("[{entries}]")
    };
    let body = frame.replace(&many, &entries);
    assert!(body.len() <= longest && weight(body.as_bytes()) <= HEAVIEST);
    body
}

/// In bytes, by the kernel's name for it.
fn memory(name: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    let number = line.trim_start_matches(':').split_whitespace().next().unwrap();
    number.parse::<usize>().unwrap() * 1024
}

/// How much more the process takes than before, at most, while it answers.
async fn taken(webhook: &Webhook, path: &str, body: String) -> usize {
    let before = memory("VmRSS");
    let (status, answer) = webhook.send("POST", path, body).await;
    assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&answer));
    memory("VmHWM").saturating_sub(before)
}

/// What is asked about [`MANY`] entries, and how one of them is written.
struct Case {
    what: &'static str,
    path: &'static str,
    old: Value,
    new: Value,
    entry: fn(usize) -> String,
    longest: usize,
}

impl Case {
    fn of(what: &'static str, path: &'static str, entry: fn(usize) -> String) -> Self {
        Self {
            what,
            path,
            old: Value::Null,
            new: Value::Null,
            entry,
            longest: MAX_BODY,
        }
    }

    fn made(self, new: Value) -> Self {
        Self { new, ..self }
    }

    fn deleted(self, old: Value) -> Self {
        Self { old, ..self }
    }

    fn body(&self) -> String {
        let frame = review("bob", &self.old, &self.new);
        filled(&frame, self.entry, self.longest)
    }
}

fn map(_: usize) -> String {
    r#"{"key":0}"#.to_owned()
}

fn variable(number: usize) -> String {
    format!(r#"{{"name":"a{number:06}"}}"#)
}

fn empty(_: usize) -> String {
    "{}".to_owned()
}

fn reserved(number: usize) -> String {
    format!(r#""{RESERVED_PREFIX}a{number:06}":"""#)
}

fn label(number: usize) -> String {
    format!(r#""{number:06}":"""#)
}

/// What is asked with the heaviest bodies of many kinds.
fn cases() -> Vec<Case> {
    let maps = workspace(json!({"tolerations": MANY}));
    let env = workspace(json!({"env": MANY}));
    let malformed = workspace(json!({"env": MANY, "port": "80"}));
    let with = |field: &str| {
        let mut object = workspace(json!({}));
        object["metadata"][field] = json!(MANY);
        object
    };
    let text = |key: &str, value: &str| {
        let mut object = workspace(json!({}));
        object["metadata"]["annotations"] = json!({key: value});
        object
    };
    let long_value = text(CREATED_BY, &"\u{7f}".repeat(MAX_BODY - 2000));
    let long_key = text(
        &(RESERVED_PREFIX.to_owned() + &"\"".repeat(MAX_BODY / 2 - 2000)),
        "",
    );
    vec![
        Case::of("maps", "/mutate", map).made(maps.clone()),
        Case::of("maps", "/validate", map).made(maps.clone()),
        Case::of("changed maps", "/validate", map)
            .deleted(maps.clone())
            .made(maps),
        Case::of("variables", "/validate", variable).made(env.clone()),
        Case::of("deleted variables", "/validate", variable).deleted(env),
        Case {
            longest: 256 * 1024,
            ..Case::of("variables and what is malformed", "/mutate", variable).made(malformed)
        },
        Case::of("owners", "/validate", empty).made(with("ownerReferences")),
        Case::of("writers", "/validate", empty).deleted(with("managedFields")),
        Case::of("reserved annotations", "/validate", reserved).made(with("annotations")),
        Case::of("labels", "/mutate", label).made(with("labels")),
        Case::of("deleted labels", "/validate", label).deleted(with("labels")),
        Case::of("a long value", "/validate", empty).made(long_value),
        Case::of("a long key", "/validate", empty).made(long_key),
    ]
}

/// Says which of them a process of its own is to ask about: what another one has left free would not be counted.
const NUMBER: &str = "BODY_TO_WEIGH";

#[tokio::test]
async fn no_body_takes_more_than_it_weighs() {
    if let Ok(number) = std::env::var(NUMBER) {
        let case = cases().swap_remove(number.parse().unwrap());
        return weigh(case).await;
    }
    let program = std::env::current_exe().unwrap();
    for number in 0..cases().len() {
        let weighed = std::process::Command::new(&program)
            .args([
                "--exact",
                "--nocapture",
                "memory::no_body_takes_more_than_it_weighs",
            ])
            .env(NUMBER, number.to_string())
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&weighed.stdout);
        println!("{told}");
        let failed = String::from_utf8_lossy(&weighed.stderr);
        assert!(
            weighed.status.success() && told.contains("times as much"),
            "{told} {failed}"
        );
    }
}

async fn weigh(case: Case) {
    let (what, path, body) = (case.what, case.path, case.body());
    drop((case.old, case.new));
    let (length, weight) = (body.len(), weight(body.as_bytes()));
    let webhook = Cluster::default().webhook();
    let taken = taken(&webhook, path, body).await;
    let times = taken / length;
    println!("{what}, {path}: {length} bytes take {times} times as much, {taken} of {weight}");
    assert!(taken <= weight, "{what}, {path}: {length} bytes take {taken}");
}

#[tokio::test]
async fn a_body_of_too_many_values_is_not_parsed() {
    let webhook = Cluster::default().webhook();
    let maps = vec![json!({"key": 0}); 200_000];
    let object = workspace(json!({"tolerations": maps}));
    let body = review("bob", &Value::Null, &object).to_string();
    assert!(body.len() < MAX_BODY);
    for path in ["/mutate", "/validate"] {
        let (status, told) = webhook.send("POST", path, body.clone()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
        let told = String::from_utf8(told).unwrap();
        assert!(told.contains("too many values"), "{told}");
    }
    let counted = r#"jupyter_k8s_webhook_requests_total{webhook="validate",verdict="malformed"} 1"#;
    assert!(webhook.metrics().contains(counted));
}

#[tokio::test]
async fn an_update_of_a_workspace_as_large_as_it_may_be_in_many_parts_weighs_half_of_what_a_body_may() {
    let names: Vec<_> = (0..1000).map(|number| format!("A{number:04}")).collect();
    let env: Vec<_> = names
        .iter()
        .map(|name| json!({"name": name, "value": "x".repeat(32)}))
        .collect();
    let owned: serde_json::Map<_, _> = names
        .iter()
        .map(|name| {
            (
                format!(r#"k:{{"name":"{name}"}}"#),
                json!({".": {}, "f:name": {}, "f:value": {}}),
            )
        })
        .collect();
    let mut object = workspace(json!({"env": env}));
    object["metadata"]["annotations"]["example.com/a"] = json!("{".repeat(250 * 1024));
    let writer = json!({"fieldsV1": {"f:spec": {"f:env": owned}}});
    object["metadata"]["managedFields"] = json!([writer, writer]);
    let body = review("bob", &object, &object).to_string();
    let weight = weight(body.as_bytes());
    assert!(
        body.len() < MAX_BODY && weight < HEAVIEST / 2,
        "{} {weight}",
        body.len()
    );
}
