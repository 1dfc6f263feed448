//! Each namespace with workspaces, and no other, has the keys by which pods verify assertions.

use api::{
    Workspace,
    names::{ASSERTION_KEYS, GATEWAY_KEYS, OPERATOR_KEYS},
};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::ResourceExt as _;
use operator::controllers::assertion_keys;
use serde_json::json;
use testkit::objects::NAMESPACE;

use crate::stage::Stage;

const SYSTEM: &str = "jupyter-k8s-system";

/// The gateway's own key, as the watch reports it.
fn publish(stage: &Stage, keys: &str) {
    let object: ConfigMap = serde_json::from_value(json!({
        "metadata": {"name": ASSERTION_KEYS, "namespace": SYSTEM, "uid": "uid-of-source"}, "data": {GATEWAY_KEYS: keys},
    }))
    .unwrap();
    let mut all: Vec<ConfigMap> = stage.server.all();
    all.push(object);
    stage.context.keys.record_list(&all);
}

fn copies(stage: &Stage) -> Vec<ConfigMap> {
    stage.server.all()
}

#[tokio::test]
async fn a_namespace_gets_both_key_sets_before_its_first_pod_and_new_ones_when_they_rotate() {
    let mut stage = Stage::with_demo();
    publish(&stage, "first");
    assertion_keys::renew(&stage.context).await.unwrap();
    stage.reconcile().await.unwrap();
    let writes = stage.writes();
    let at = |part: &str| writes.iter().position(|write| write.contains(part));
    assert!(at("configmaps").unwrap() < at("pods").unwrap(), "{writes:?}");
    let copy = &copies(&stage)[0];
    assert_eq!(copy.metadata.namespace.as_deref(), Some(NAMESPACE));
    let data = copy.data.clone().unwrap();
    assert_eq!(data[GATEWAY_KEYS], "first");
    assert_eq!(data[OPERATOR_KEYS], stage.context.keys.signer().key_set());
    let secret: Secret = stage
        .server
        .get(Some(SYSTEM), "jupyter-k8s-operator-keys")
        .unwrap();
    assert!(!json!(data).to_string().contains(&json!(secret.data).to_string()));

    stage.server.take_calls();
    assert_eq!(assertion_keys::reconcile(&stage.context).await, None);
    assert_eq!(stage.writes(), Vec::<String>::new(), "nothing to do");
    publish(&stage, "second");
    assert_eq!(assertion_keys::reconcile(&stage.context).await, None);
    assert_eq!(copies(&stage)[0].data.as_ref().unwrap()[GATEWAY_KEYS], "second");
}

#[tokio::test]
async fn keys_are_deleted_with_the_last_workspace_and_a_foreign_object_of_that_name_stays() {
    let mut stage = Stage::with_demo();
    publish(&stage, "first");
    assertion_keys::renew(&stage.context).await.unwrap();
    stage.sync();
    assertion_keys::reconcile(&stage.context).await;
    assert_eq!(copies(&stage).len(), 1);
    let strange: ConfigMap = serde_json::from_value(json!({
        "metadata": {"name": ASSERTION_KEYS, "namespace": "elsewhere", "uid": "u"}, "data": {"a": "b"},
    }))
    .unwrap();
    stage.server.put(&strange);
    stage.context.keys.record(&strange);

    stage.server.remove::<Workspace>(Some(NAMESPACE), "demo");
    stage.sync();
    assertion_keys::reconcile(&stage.context).await;
    let left: Vec<_> = copies(&stage)
        .iter()
        .map(|copy| copy.namespace().unwrap())
        .collect();
    assert_eq!(left, ["elsewhere"]);
}

#[tokio::test]
async fn a_missing_object_of_the_gateway_removes_no_keys() {
    let mut stage = Stage::with_demo();
    assertion_keys::renew(&stage.context).await.unwrap();
    stage.reconcile().await.unwrap();
    assert_eq!(assertion_keys::reconcile(&stage.context).await, None);
    assert!(copies(&stage).is_empty(), "nothing was listed yet");
    publish(&stage, "first");
    assertion_keys::reconcile(&stage.context).await;
    stage.context.keys.record_list(&copies(&stage));
    assert_eq!(assertion_keys::reconcile(&stage.context).await, None);
    assert_eq!(copies(&stage)[0].data.as_ref().unwrap()[GATEWAY_KEYS], "first");
}

#[tokio::test]
async fn without_keys_nothing_is_written() {
    let mut stage = Stage::with_demo();
    stage.context.keys.record_list(&[]);
    stage.reconcile().await.unwrap();
    assert_eq!(assertion_keys::reconcile(&stage.context).await, None);
    assert!(copies(&stage).is_empty());
}

fn foreign(more: &serde_json::Value) -> ConfigMap {
    let mut object = json!({
        "metadata": {"name": ASSERTION_KEYS, "namespace": NAMESPACE, "uid": "uid-of-theirs"},
        "data": {GATEWAY_KEYS: "theirs"},
    });
    object
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    serde_json::from_value(object).unwrap()
}

#[tokio::test]
async fn foreign_keys_are_removed_once_and_reported() {
    let mut stage = Stage::with_demo();
    let theirs =
        foreign(&json!({"data": {GATEWAY_KEYS: "theirs", "more.json": "x"}, "binaryData": {"b": "eA=="}}));
    stage.server.put(&theirs);
    publish(&stage, "first");
    assertion_keys::renew(&stage.context).await.unwrap();
    stage.sync();
    assert_eq!(assertion_keys::reconcile(&stage.context).await, None);
    let copy = &copies(&stage)[0];
    let data = copy.data.clone().unwrap();
    assert_eq!(data.keys().collect::<Vec<_>>(), [GATEWAY_KEYS, OPERATOR_KEYS]);
    assert_eq!(data[GATEWAY_KEYS], "first");
    assert!(
        copy.binary_data
            .as_ref()
            .is_none_or(std::collections::BTreeMap::is_empty)
    );
    let writes = stage.writes();
    assert!(writes.iter().any(|write| write.contains("events")), "{writes:?}");
    assert_eq!(assertion_keys::reconcile(&stage.context).await, None);
    assert_eq!(stage.writes(), Vec::<String>::new(), "it is right now");
}

#[tokio::test]
async fn keys_that_others_made_immutable_are_made_anew_before_a_pod_starts() {
    for refused in [true, false] {
        let mut stage = Stage::with_demo();
        stage.server.put(&foreign(&json!({"immutable": true})));
        publish(&stage, "first");
        if refused {
            stage.fail(
                http::Method::PATCH,
                "configmaps",
                422,
                "field is immutable when `immutable` is set",
                1,
            );
        }
        stage.reconcile().await.unwrap();
        let copy = &copies(&stage)[0];
        assert_eq!(copy.data.as_ref().unwrap()[GATEWAY_KEYS], "first");
        assert_eq!(copy.immutable, None);
        assert_ne!(copy.uid().as_deref(), Some("uid-of-theirs"));
        let writes = stage.writes();
        let at = |part: &str| writes.iter().position(|write| write.contains(part));
        assert!(at("DELETE").unwrap() < at("pods").unwrap(), "{writes:?}");
        assert!(at("events").is_some(), "{writes:?}");
    }
}

#[tokio::test]
async fn no_pod_starts_on_keys_of_others_that_cannot_be_put_right() {
    let mut stage = Stage::with_demo();
    stage.server.put(&foreign(&json!({})));
    publish(&stage, "first");
    stage.fail(http::Method::PATCH, "configmaps", 403, "not now", 1);
    let error = stage.reconcile().await.unwrap_err().to_string();
    assert!(error.contains("not now"), "{error}");
    let writes = stage.writes();
    assert!(!writes.iter().any(|write| write.contains("pods")), "{writes:?}");
    stage.reconcile().await.unwrap();
    assert!(stage.writes().iter().any(|write| write.contains("pods")));
}

#[tokio::test(start_paused = true)]
async fn keys_that_cannot_be_written_are_tried_again_after_a_pause_and_not_at_each_change() {
    let mut stage = Stage::with_demo();
    stage.sync();
    publish(&stage, "first");
    stage.fail(http::Method::PATCH, "configmaps", 403, "not now", 100);
    for _ in 0..20 {
        assert!(assertion_keys::reconcile(&stage.context).await.is_some());
    }
    let writes = stage.writes();
    assert_eq!(writes.len(), 1, "{writes:?}");
    tokio::time::advance(std::time::Duration::from_mins(1)).await;
    assertion_keys::reconcile(&stage.context).await;
    assert_eq!(stage.writes().len(), 1);
}
