//! Limits of requests: body size, concurrency, memory per request.

use api::names::RESERVED_PREFIX;
use futures::FutureExt as _;
use futures::future::join_all;
use http::StatusCode;
use http::header::RETRY_AFTER;
use serde_json::{Value, json};
use webhook::router::{MAX_ACCEPTED, MAX_GROWTH};

use crate::cluster::{Cluster, Health};
use crate::support::{Webhook, review, workspace};

/// Maximum size of a body, in bytes.
const MAX_BODY: usize = webhook::router::MAX_BODY as usize;
/// Placeholder for many entries.
const MANY: &str = "MANY";

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_whether_its_length_is_known_or_not() {
    let webhook = Cluster::default().webhook();
    let body = |bytes: usize| vec![b' '; bytes];
    let chunks = |bytes: usize| {
        let chunk = Ok::<_, std::io::Error>(body(bytes / 2));
        let second = Ok(body(bytes / 2));
        axum::body::Body::from_stream(futures::stream::iter([chunk, second]))
    };
    for path in ["/mutate", "/validate"] {
        let known = webhook.send("POST", path, body(MAX_BODY + 1)).await;
        let unknown = webhook.send("POST", path, chunks(MAX_BODY + 2)).await;
        assert_eq!([known.0, unknown.0], [StatusCode::PAYLOAD_TOO_LARGE; 2], "{path}");
        let fits = webhook.send("POST", path, body(MAX_BODY)).await;
        assert_eq!(
            fits.0,
            StatusCode::BAD_REQUEST,
            "{path}: it is read, and is no review"
        );
    }
}

fn creation() -> String {
    review("bob", &Value::Null, &workspace(json!({"templateRef": "prod"}))).to_string()
}

// Paused: on a slow machine the burst lasts longer than a body may take to arrive.
#[tokio::test(start_paused = true)]
async fn a_burst_of_requests_is_answered_without_refusals() {
    let webhook = Cluster::with(testkit::objects::template("prod")).webhook();
    let burst = (0..MAX_ACCEPTED).map(|_| webhook.response("POST", "/validate", creation()));
    for response in join_all(burst).await {
        assert_eq!(response.status(), StatusCode::OK);
    }
}

#[tokio::test(start_paused = true)]
async fn requests_beyond_the_limit_are_shed_and_later_ones_are_answered() {
    let silent = Cluster {
        health: Health::Silent,
        ..Cluster::with(testkit::objects::template("prod"))
    };
    let webhook = silent.webhook();
    let send = || Box::pin(webhook.response("POST", "/validate", creation()));
    let mut under_way: Vec<_> = (0..MAX_ACCEPTED).map(|_| send()).collect();
    for request in &mut under_way {
        assert!(request.now_or_never().is_none());
    }
    let shed = send().now_or_never().unwrap();
    assert_eq!(shed.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(shed.headers()[RETRY_AFTER], "1");
    let counted = r#"jupyter_k8s_webhook_requests_total{webhook="validate",result="shed"} 1"#;
    assert!(webhook.metrics().contains(counted), "{}", webhook.metrics());
    for response in join_all(under_way).await {
        // The first requests need no API server. The others wait until their timeout.
        let status = response.status();
        assert!(
            matches!(status, StatusCode::OK | StatusCode::REQUEST_TIMEOUT),
            "{status}"
        );
    }
    assert_eq!(send().await.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_sent_too_slowly_is_refused() {
    let webhook = Cluster::default().webhook();
    let endless = futures::stream::pending::<Result<Vec<u8>, std::io::Error>>();
    let body = axum::body::Body::from_stream(endless);
    let (status, _) = webhook.send("POST", "/validate", body).await;
    assert!(status.is_client_error(), "{status}");
}

/// `frame` with as many entries in place of [`MANY`] as fit into a body of `longest` bytes.
fn filled(frame: &Value, entry: fn(usize) -> String, longest: usize) -> String {
    let frame = frame.to_string();
    let many = format!("\"{MANY}\"");
    let lists = frame.matches(&many).count();
    if lists == 0 {
        return frame;
    }
    // Space for the brackets.
    let count = (longest - frame.len()) / (entry(0).len() + 1) / lists - 8;
    let entries: Vec<_> = (0..count).map(entry).collect();
    let entries = entries.join(",");
    let entries = if entries.starts_with('"') {
        format!("{{{entries}}}")
    } else {
        format!("[{entries}]")
    };
    let body = frame.replace(&many, &entries);
    assert!(body.len() <= longest);
    body
}

/// In bytes, under the kernel's name.
fn memory(name: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    let number = line.trim_start_matches(':').split_whitespace().next().unwrap();
    number.parse::<usize>().unwrap() * 1024
}

/// The largest increase of the process's memory while it answers.
async fn taken(webhook: &Webhook, path: &str, body: String) -> usize {
    let before = memory("VmRSS");
    let (status, answer) = webhook.send("POST", path, body).await;
    assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&answer));
    memory("VmHWM").saturating_sub(before)
}

/// A case: the object around [`MANY`] entries, and the text of one entry.
struct Case {
    what: &'static str,
    path: &'static str,
    old: Value,
    new: Value,
    entry: fn(usize) -> String,
    longest: usize,
}

impl Case {
    fn new(what: &'static str, path: &'static str, entry: fn(usize) -> String) -> Self {
        Self {
            what,
            path,
            old: Value::Null,
            new: Value::Null,
            entry,
            // Growth does not depend on the length.
            longest: MAX_BODY / 4,
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

fn label(number: usize) -> String {
    format!(r#""{number:06}":"""#)
}

/// The requests with the most expensive bodies of many kinds.
fn cases() -> Vec<Case> {
    let maps = workspace(json!({"tolerations": MANY}));
    let env = workspace(json!({"env": MANY}));
    let malformed = workspace(json!({"env": MANY, "port": "80"}));
    let with = |field: &str| {
        let mut object = workspace(json!({}));
        object["metadata"][field] = json!(MANY);
        object
    };
    let mut long_key = workspace(json!({}));
    let key = RESERVED_PREFIX.to_owned() + &"\"".repeat(MAX_BODY / 4);
    long_key["metadata"]["annotations"] = json!({ key: "" });
    vec![
        Case::new("maps", "/validate", map).made(maps.clone()),
        Case::new("changed maps", "/validate", map)
            .deleted(maps.clone())
            .made(maps),
        Case::new("deleted variables", "/validate", variable).deleted(env),
        Case {
            longest: 256 * 1024,
            ..Case::new("variables and what is malformed", "/mutate", variable).made(malformed)
        },
        Case::new("owners", "/validate", empty).made(with("ownerReferences")),
        Case::new("writers", "/validate", empty).deleted(with("managedFields")),
        Case::new("deleted labels", "/validate", label).deleted(with("labels")),
        Case::new("a long key", "/validate", empty).made(long_key),
    ]
}

/// Number of the case for a child process. In one process, a case could reuse memory that another case has freed.
const CASE: &str = "MEMORY_CASE";

// Paused: on a slow machine an answer lasts longer than a review may take.
#[tokio::test(start_paused = true)]
async fn no_body_takes_more_memory_than_the_chart_s_limit_allows_for() {
    if let Ok(number) = std::env::var(CASE) {
        return measure(cases().swap_remove(number.parse().unwrap())).await;
    }
    let program = std::env::current_exe().unwrap();
    for number in 0..cases().len() {
        let measured = std::process::Command::new(&program)
            .args([
                "--exact",
                "--nocapture",
                "limits::no_body_takes_more_memory_than_the_chart_s_limit_allows_for",
            ])
            .env(CASE, number.to_string())
            .output()
            .unwrap();
        let output = String::from_utf8_lossy(&measured.stdout);
        println!("{output}");
        let failure = String::from_utf8_lossy(&measured.stderr);
        assert!(
            measured.status.success() && output.contains("times as much"),
            "{output} {failure}"
        );
    }
}

async fn measure(case: Case) {
    let (what, path, body) = (case.what, case.path, case.body());
    drop((case.old, case.new));
    let length = body.len();
    let webhook = Cluster::default().webhook();
    let times = taken(&webhook, path, body).await / length;
    println!("{what}, {path}: {length} bytes take {times} times as much");
    assert!(times < MAX_GROWTH, "{what}, {path}: {times}");
}

/// A workspace as it is stored at the limit of etcd: annotations of three characters, which `managedFields` repeat.
fn largest(bytes: usize) -> Value {
    let mut object = workspace(json!({}));
    let keys = |count: usize| (0..count).map(|number| format!("{number:05}"));
    let mut count = bytes / 40;
    loop {
        let annotations: serde_json::Map<_, _> = keys(count).map(|key| (key, json!(""))).collect();
        let fields: serde_json::Map<_, _> = keys(count).map(|key| (format!("f:{key}"), json!({}))).collect();
        object["metadata"]["annotations"] = Value::Object(annotations);
        let fields = json!({"f:metadata": {"f:annotations": fields}});
        object["metadata"]["managedFields"] = json!([{
            "manager": "kubectl", "operation": "Update", "apiVersion": "workspaces.jupyter.org/v1alpha1",
            "fieldsType": "FieldsV1", "fieldsV1": fields,
        }]);
        let length = object.to_string().len();
        if length >= bytes {
            return object;
        }
        count += (bytes - length) / 40 + 1;
    }
}

#[tokio::test]
async fn an_update_of_the_largest_object_that_is_stored_fits_into_a_body() {
    let mut stored = largest(1536 * 1024);
    stored["metadata"]["annotations"][api::names::CREATED_BY] = json!("bob");
    stored["spec"]["desiredStatus"] = json!("Running");
    let mut stopped = stored.clone();
    stopped["spec"]["desiredStatus"] = json!("Stopped");
    let body = review("bob", &stored, &stopped).to_string();
    assert!(body.len() > 3 * 1024 * 1024, "{}", body.len());
    let webhook = Cluster::default().webhook();
    for path in ["/mutate", "/validate"] {
        let (status, answer) = webhook.send("POST", path, body.clone()).await;
        let answer = String::from_utf8_lossy(&answer);
        assert_eq!(status, StatusCode::OK, "{path}: {answer}");
        assert!(answer.contains(r#""allowed":true"#), "{path}: {answer}");
        // The policies of the chart refuse another annotation.
        assert!(!answer.contains("patch"), "{path}: {answer}");
    }
}
