//! Output of a container: each line once, on the page and in the streams after it.

use std::sync::{Arc, Mutex};

use api::names::WORKSPACE_LABEL;
use api::workspace::DesiredStatus;
use http::{HeaderValue, StatusCode};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use testkit::objects::workspace;

use crate::common::{Portal, get};

/// Lines with their times, as the kubelet stores them.
type Stored = Arc<Mutex<Vec<(&'static str, String)>>>;

/// The value of a parameter.
fn parameter(query: &str, name: &str) -> Option<String> {
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query).unwrap();
    pairs
        .into_iter()
        .find(|(own, _)| own == name)
        .map(|(_, value)| value)
}

/// Answers as the API server does: `sinceTime` counts whole seconds.
fn output(stored: &Stored, query: &str) -> String {
    let since = parameter(query, "sinceTime").map(|time| time.parse::<Timestamp>().unwrap());
    let with_times = parameter(query, "timestamps").as_deref() == Some("true");
    let lines = stored.lock().unwrap();
    let lines = lines
        .iter()
        .filter(|(time, _)| since.is_none_or(|since| time.parse::<Timestamp>().unwrap() >= since));
    let text = |(time, line): &(&str, String)| {
        if with_times {
            format!("{time} {line}\n")
        } else {
            format!("{line}\n")
        }
    };
    lines.map(text).collect()
}

async fn portal(stored: &Stored) -> Portal {
    let portal = Portal::start(|server| {
        server.put(&workspace("lab"));
        let pod = json!({
            "metadata": {"name": "workspace-lab", "namespace": "team", "labels": {WORKSPACE_LABEL: "lab"}},
            "spec": {"containers": [{"name": "workspace"}]},
        });
        server.put(&serde_json::from_value::<Pod>(pod).unwrap());
    })
    .await;
    let stored = stored.clone();
    portal.server.write_logs(move |query| output(&stored, query));
    portal
}

fn write(stored: &Stored, lines: &[(&'static str, &str)]) {
    let lines = lines.iter().map(|(time, line)| (*time, (*line).to_owned()));
    stored.lock().unwrap().extend(lines);
}

/// Lines of a stream, and the identifier of the last one.
async fn stream(portal: &Portal, after: &str, last: Option<&str>) -> (Vec<String>, String) {
    let mut request = get(
        "alice",
        &format!("/w/team/lab/logs/stream?container=workspace&after={after}"),
    );
    if let Some(last) = last {
        let last = HeaderValue::from_str(last).unwrap();
        request.headers_mut().insert("last-event-id", last);
    }
    let answer = portal.send(request).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let of = |field: &str| -> Vec<String> {
        let lines = answer.text.lines();
        let values = lines.filter_map(|line| line.strip_prefix(field));
        values.map(|value| value.trim().to_owned()).collect()
    };
    let lines = of("data:").into_iter().filter(|line| !line.is_empty()).collect();
    (lines, of("id:").pop().unwrap_or_default())
}

#[tokio::test]
async fn lines_between_page_and_stream_come_once_also_after_the_stream_was_interrupted() {
    let stored = Stored::default();
    write(
        &stored,
        &[
            ("2026-01-01T10:00:00.100000000Z", "one"),
            ("2026-01-01T10:00:00.100000000Z", "two"),
        ],
    );
    let portal = portal(&stored).await;
    let page = portal.json("alice", "/w/team/lab/logs").await;
    assert_eq!(page["lines"], json!(["one", "two"]));
    let last = page["last"].as_str().unwrap();
    let html = portal.get("alice", "/w/team/lab/logs").await.text;
    assert!(html.contains(&format!("data-last=\"{last}\"")), "{html}");

    write(
        &stored,
        &[
            ("2026-01-01T10:00:00.100000000Z", "of the same moment"),
            ("2026-01-01T10:00:00.900000000Z", "of the same second"),
            ("2026-01-01T10:00:02.000000000Z", "later"),
        ],
    );
    let (lines, id) = stream(&portal, last, None).await;
    assert_eq!(lines, ["of the same moment", "of the same second", "later"]);
    write(&stored, &[("2026-01-01T10:00:02.500000000Z", "last")]);
    let (lines, _) = stream(&portal, last, Some(&id)).await;
    assert_eq!(lines, ["last"], "the browser names the last line that it got");
}

#[tokio::test]
async fn a_container_that_has_written_nothing_is_followed_from_its_first_line() {
    let stored = Stored::default();
    let portal = portal(&stored).await;
    let page = portal.json("alice", "/w/team/lab/logs").await;
    assert_eq!((&page["lines"], &page["last"]), (&json!([]), &json!("")));
    assert!(
        page["cut"].as_str().unwrap().contains("written nothing"),
        "{page:#}"
    );
    write(&stored, &[("2026-01-01T10:00:00Z", "first")]);
    assert_eq!(stream(&portal, "", None).await.0, ["first"]);
}

#[tokio::test]
async fn a_file_has_the_lines_without_their_times() {
    let stored = Stored::default();
    write(
        &stored,
        &[("2026-01-01T10:00:00Z", "one"), ("2026-01-01T10:00:01Z", "")],
    );
    let portal = portal(&stored).await;
    let file = portal
        .get("alice", "/w/team/lab/logs/file?container=workspace")
        .await;
    assert_eq!(file.text, "one\n");
}

#[tokio::test]
async fn a_place_in_the_output_that_is_none_is_refused() {
    let portal = portal(&Stored::default()).await;
    let answer = portal.get("alice", "/w/team/lab/logs/stream?after=x").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn without_a_pod_only_a_stopped_workspace_is_to_be_started() {
    for (desired, words) in [
        (DesiredStatus::Running, "It does not run yet"),
        (DesiredStatus::Stopped, "Start the workspace first"),
    ] {
        let mut lab = workspace("lab");
        lab.spec.desired_status = desired;
        let portal = Portal::start(|server| server.put(&lab)).await;
        let page = portal.json("alice", "/w/team/lab/logs").await;
        let text = page["absent"]["text"].as_str().unwrap();
        assert!(text.contains(words), "{text}");
    }
}
