//! What pages read from the API server as the user: from its cache where that is enough, and side by side.

use std::time::Duration;

use http::Method;
use testkit::api_server::Disruption;
use testkit::objects::workspace;
use tokio::time::Instant;

use crate::common::Portal;
use crate::forms;

/// How late each answer is.
const LATE: Duration = Duration::from_millis(100);

/// Last parts of the paths that were read as the user, each with whether the API server's cache was enough.
fn reads(portal: &Portal) -> Vec<(String, bool)> {
    let calls = portal.calls_as_users().into_iter();
    let reads = calls.filter(|call| call.method == Method::GET);
    let mut reads: Vec<_> = reads
        .map(|call| {
            let last = call.path.rsplit('/').next().unwrap_or_default();
            (last.to_owned(), call.query.contains("resourceVersion=0"))
        })
        .collect();
    reads.sort();
    reads.dedup();
    reads
}

fn read(kind: &str, is_cached: bool) -> (String, bool) {
    (kind.to_owned(), is_cached)
}

async fn page() -> Portal {
    Portal::start(|server| {
        let mut lab = workspace("lab");
        lab.status =
            serde_json::from_value(serde_json::json!({"phase": "Running", "observedGeneration": 1})).unwrap();
        server.put(&lab);
    })
    .await
}

#[tokio::test]
async fn a_page_does_not_wait_for_the_cache_of_the_api_server() {
    let portal = page().await;
    assert_eq!(portal.get("alice", "/w/team/lab").await.status, 200);
    let expected = [
        read("events", false),
        read("pods", false),
        read("pods", true),
        read("resourcequotas", true),
        read("workspace-lab", false),
    ];
    assert_eq!(reads(&portal), expected, "the metrics API has pods as well");
    let portal = forms::portal().await;
    assert_eq!(portal.get("alice", forms::NEW).await.status, 200);
    assert_eq!(reads(&portal), [read("resourcequotas", true)]);
}

#[tokio::test(start_paused = true)]
async fn the_page_of_a_workspace_takes_no_longer_than_two_reads() {
    let portal = page().await;
    let parts = [
        "/api/v1/namespaces/team/pods",
        "metrics.k8s.io",
        "persistentvolumeclaims",
        "resourcequotas",
        "events",
        "events",
        "subjectaccessreviews",
    ];
    for part in parts {
        let method = if part == "subjectaccessreviews" {
            Method::POST
        } else {
            Method::GET
        };
        portal.server.disrupt(method, part, Disruption::Late(LATE));
    }
    let begin = Instant::now();
    assert_eq!(portal.get("alice", "/w/team/lab").await.status, 200);
    assert_eq!(portal.server.unmet(), Vec::<String>::new());
    let took = begin.elapsed();
    assert!(took < 3 * LATE, "{took:?}");
}
