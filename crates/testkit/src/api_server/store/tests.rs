//! Requests to the store -> stored objects (tests).

use super::*;

const PATH: &str = "/apis/apps/v1/namespaces/team/deployments/d";

#[test]
fn an_equal_apply_does_not_change_the_version() {
    let mut store = Store::default();
    let intent = json!({"metadata": {"name": "d"}, "spec": {"replicas": 1}});
    let first = store.apply(PATH, false, "m", intent.clone()).unwrap();
    let second = store.apply(PATH, false, "m", intent).unwrap();
    assert_eq!(
        first["metadata"]["resourceVersion"],
        second["metadata"]["resourceVersion"]
    );
    assert_eq!(second["metadata"]["generation"], 1);
}

#[test]
fn a_field_left_out_is_removed_unless_another_manager_owns_it() {
    let mut store = Store::default();
    store
        .apply(PATH, false, "a", json!({"spec": {"x": 1, "y": 1}}))
        .unwrap();
    store.apply(PATH, false, "b", json!({"spec": {"y": 1}})).unwrap();
    let object = store.apply(PATH, false, "a", json!({"spec": {}})).unwrap();
    assert_eq!(object["spec"], json!({"y": 1}));
    assert_eq!(object["metadata"]["generation"], 2);
}

#[test]
fn a_stale_uid_conflicts_both_with_another_object_and_with_none() {
    let mut store = Store::default();
    let intent = json!({"metadata": {"uid": "old"}});
    assert_eq!(
        store.apply(PATH, false, "a", intent.clone()).unwrap_err().code,
        409
    );
    store.put(PATH, json!({"metadata": {"uid": "new"}}));
    assert_eq!(store.apply(PATH, false, "a", intent).unwrap_err().code, 409);
}

#[test]
fn an_apply_with_a_version_makes_what_is_absent_and_conflicts_with_what_exists() {
    let mut store = Store::default();
    let intent = json!({"metadata": {"resourceVersion": "1"}, "spec": {"x": 1}});
    store.apply(PATH, false, "a", intent.clone()).unwrap();
    assert_eq!(store.apply(PATH, false, "a", intent).unwrap_err().code, 409);
    assert_eq!(store.get(PATH).unwrap()["metadata"]["resourceVersion"], "2");
}

#[test]
fn a_deleted_object_stays_until_its_finalizers_are_removed() {
    let mut store = Store::default();
    store.put(PATH, json!({"metadata": {"finalizers": ["f"]}}));
    store.delete(PATH, &Value::Null).unwrap();
    assert!(store.get(PATH).unwrap()["metadata"]["deletionTimestamp"].is_string());
    store
        .patch(PATH, &json!({"metadata": {"finalizers": []}}), false)
        .unwrap();
    assert!(store.get(PATH).is_none());
}

#[test]
fn a_deleted_pod_stays_until_its_kubelet_ends_it_unless_it_has_none_has_ended_or_is_forced() {
    const POD: &str = "/api/v1/namespaces/team/pods/p";
    let mut store = Store::default();
    let (bound, now) = (
        json!({"spec": {"nodeName": "n"}}),
        json!({"gracePeriodSeconds": 0}),
    );
    let ended = json!({"spec": {"nodeName": "n"}, "status": {"phase": "Failed"}});
    for (pod, options, stays) in [
        (&bound, &Value::Null, true),
        (&bound, &now, false),
        (&json!({"spec": {}}), &Value::Null, false),
        (&ended, &Value::Null, false),
    ] {
        store.put(POD, pod.clone());
        store.delete(POD, options).unwrap();
        assert_eq!(store.get(POD).is_some(), stays, "{pod} {options}");
    }
    store.put(POD, bound);
    store.delete(POD, &Value::Null).unwrap();
    let label = json!({"metadata": {"labels": {"a": "b"}}});
    let terminating = store.apply(POD, false, "m", label).unwrap();
    assert!(terminating["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(store.create(POD, json!({})).unwrap_err().code, 409);
}

#[test]
fn a_list_over_all_namespaces_finds_what_a_namespaced_list_finds() {
    let mut store = Store::default();
    store.put(PATH, json!({"metadata": {"name": "d"}}));
    assert_eq!(store.list("/apis/apps/v1/deployments").len(), 1);
    assert_eq!(store.list("/apis/apps/v1/namespaces/team/deployments").len(), 1);
    assert!(
        store
            .list("/apis/apps/v1/namespaces/other/deployments")
            .is_empty()
    );
}
