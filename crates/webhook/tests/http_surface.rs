//! Requests that no API server sends -> the router's answers.

use http::StatusCode;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::support::{review, workspace};

#[tokio::test]
async fn malformed_bodies_get_400_and_are_counted() {
    let webhook = Cluster::default().webhook();
    for path in ["/mutate", "/validate"] {
        for body in [
            "",
            "{",
            "[]",
            "null",
            "{}",
            r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}"#,
        ] {
            let (status, text) = webhook.send("POST", path, body).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{path} {body}");
            assert!(!text.is_empty());
        }
    }
    let metrics = webhook.metrics();
    assert!(
        metrics.contains(r#"jupyter_k8s_webhook_requests_total{webhook="mutate",result="malformed"} 6"#),
        "{metrics}"
    );
    assert!(
        metrics.contains("jupyter_k8s_webhook_request_duration_seconds_bucket"),
        "{metrics}"
    );
}

#[tokio::test]
async fn other_methods_and_paths_are_refused() {
    let webhook = Cluster::default().webhook();
    assert_eq!(
        webhook.send("GET", "/validate", "").await.0,
        StatusCode::METHOD_NOT_ALLOWED
    );
    assert_eq!(webhook.send("POST", "/", "").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_the_schema_refuses_is_left_to_it_and_looks_nothing_up() {
    let webhook = Cluster::default().webhook();
    let wrong = workspace(json!({"templateRef": "Big_One", "storage": "10 GB"}));
    let answer = webhook.mutate_create("alice", &wrong).await;
    assert!(answer.allowed, "{answer:?}");
    assert!(webhook.calls().is_empty());
    assert!(
        webhook
            .metrics()
            .contains(r#"jupyter_k8s_webhook_requests_total{webhook="mutate",result="patched"} 1"#)
    );
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// Any JSON value, a few levels deep.
fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-zA-Z./]{0,12}", inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_bytes_get_an_answer(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let status = runtime().block_on(async {
            Cluster::default().webhook().send("POST", "/validate", body).await.0
        });
        prop_assert_eq!(status, StatusCode::BAD_REQUEST);
    }

    #[test]
    fn a_review_with_any_part_replaced_gets_an_answer(
        place in prop::sample::select(vec![
            "/request", "/request/object", "/request/oldObject", "/request/object/metadata", "/request/object/spec",
            "/request/object/spec/resources", "/request/object/spec/storage", "/request/object/metadata/annotations",
            "/request/object/metadata/finalizers", "/request/userInfo", "/request/operation", "/request/name",
        ]),
        value in json_value(),
        kind in prop::sample::select(vec![
            "Workspace", "WorkspaceTemplate", "WorkspaceManager", "WorkspaceExecutionProfile", "WorkspaceShare",
        ]),
        (exists, wanted) in prop::sample::select(vec![(false, true), (true, true), (true, false)]),
    ) {
        let mut object = workspace(json!({"templateRef": "prod", "workspaceRef": "lab", "resources": {}, "storage": {}}));
        object["kind"] = json!(kind);
        let when = |is: bool| if is { object.clone() } else { Value::Null };
        let mut body = review("alice", &when(exists), &when(wanted));
        if let Some(part) = body.pointer_mut(place) {
            *part = value;
        }
        for path in ["/mutate", "/validate"] {
            let status = runtime().block_on(async {
                let webhook = Cluster::with(testkit::objects::template("prod")).webhook();
                webhook.send("POST", path, body.to_string()).await.0
            });
            prop_assert!(matches!(status, StatusCode::OK | StatusCode::BAD_REQUEST), "{path} {status}");
        }
    }
}
