//! Admission reviews -> changes, answers and errors (tests).

use serde_json::{Value, json};

use super::Accounts;
use super::*;

pub(crate) const OPERATOR: &str = "system:serviceaccount:sys:op";
pub(crate) const GATEWAY: &str = "system:serviceaccount:sys:gw";
pub(crate) const COLLECTOR: &str = "system:serviceaccount:kube-system:generic-garbage-collector";

pub(crate) fn accounts() -> Accounts {
    Accounts {
        operator: OPERATOR.to_owned(),
        gateway: Some(GATEWAY.to_owned()),
        controllers: vec![COLLECTOR.to_owned()],
    }
}

pub(crate) fn body(user: &str, operation: &str, old: &Value, new: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "r-1",
            "kind": {"group": "workspaces.jupyter.org", "version": "v1alpha1", "kind": "Workspace"},
            "resource": {"group": "workspaces.jupyter.org", "version": "v1alpha1", "resource": "workspaces"},
            "name": "demo",
            "namespace": "team",
            "operation": operation,
            "userInfo": {"username": user, "groups": ["system:authenticated"]},
            "object": new,
            "oldObject": old,
            "dryRun": false,
        },
    })
}

pub(crate) fn create(user: &str, new: &Value) -> Request {
    Request::parse(body(user, "CREATE", &Value::Null, new).to_string().as_bytes()).unwrap()
}

pub(crate) fn update(user: &str, old: &Value, new: &Value) -> Request {
    Request::parse(body(user, "UPDATE", old, new).to_string().as_bytes()).unwrap()
}

#[test]
fn what_is_no_review_of_a_workspace_is_refused() {
    let good = body(
        "alice",
        "CREATE",
        &Value::Null,
        &json!({"metadata": {"name": "demo"}}),
    );
    assert!(Request::parse(good.to_string().as_bytes()).is_ok());
    let changed = |pointer: &str, value: Value| {
        let mut body = good.clone();
        *body.pointer_mut(pointer).unwrap() = value;
        Request::parse(body.to_string().as_bytes())
            .map(drop)
            .unwrap_err()
            .to_string()
    };
    assert!(changed("/apiVersion", json!("admission.k8s.io/v1beta1")).contains("v1beta1"));
    assert!(changed("/kind", json!("Pod")).contains("Pod"));
    assert!(changed("/request", Value::Null).contains("no request"));
    assert!(changed("/request/operation", json!("CONNECT")).contains("created, updated or deleted"));
    assert!(changed("/request/operation", json!("DELETE")).contains("oldObject"));
    assert!(changed("/request/operation", json!("UPDATE")).contains("oldObject"));
    assert!(changed("/request/object", Value::Null).contains("object"));
    assert!(changed("/request/resource/resource", json!("pods")).contains("workspaces.jupyter.org"));
    assert!(changed("/request/resource/group", json!("apps")).contains("workspaces.jupyter.org"));
    assert!(Request::parse(b"").is_err());
    assert!(Request::parse("[".repeat(100_000).as_bytes()).is_err());
}

#[test]
fn a_deletion_is_about_the_stored_object() {
    let stored = json!({"metadata": {"name": "stored", "annotations": {"a": "b"}}});
    let body = body("alice", "DELETE", &stored, &Value::Null);
    let request = Request::parse(body.to_string().as_bytes()).unwrap();
    assert!(request.is_delete() && !request.is_create());
    assert_eq!(request.name, "stored");
    assert_eq!(request.object, request.old.unwrap());
}

#[test]
fn of_very_many_broken_rules_the_first_are_listed_and_the_others_counted() {
    let request = create("alice", &json!({"metadata": {"name": "demo"}}));
    let broken = |count: usize| {
        let all = vec![Violation::new("spec.image", "evil", "is not allowed"); count];
        let answer = Decision::Refuse(Refusal::Invalid(Violations::from_list(all).unwrap()));
        let review = serde_json::to_value(request.respond(answer)).unwrap();
        let status = &review["response"]["status"];
        let causes = status["details"]["causes"].as_array().unwrap().len();
        (causes, status["message"].as_str().unwrap().to_owned())
    };
    let (causes, message) = broken(MAX_LISTED);
    assert!(
        causes == MAX_LISTED && message.ends_with(" is not allowed"),
        "{message}"
    );
    let (causes, message) = broken(MAX_LISTED + 2);
    assert!(
        causes == MAX_LISTED && message.ends_with(" is not allowed; and 2 more"),
        "{message}"
    );
}

#[test]
fn a_refusal_carries_one_cause_per_broken_rule() {
    let request = create("alice", &json!({"metadata": {"name": "demo"}}));
    let violations = Violations::from_list(vec![
        Violation::new("spec.image", "evil", "is not allowed"),
        Violation::new("spec.port", "80", "is no port"),
    ]);
    let answer = Decision::Refuse(Refusal::Invalid(violations.unwrap()));
    let review = serde_json::to_value(request.respond(answer)).unwrap();
    assert_eq!(
        review,
        json!({
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "response": {
                "uid": "r-1",
                "allowed": false,
                "status": {
                    "status": "Failure",
                    "code": 422,
                    "reason": "Invalid",
                    "message": "spec.image: \"evil\" is not allowed; spec.port: \"80\" is no port",
                    "details": {
                        "name": "demo",
                        "group": "workspaces.jupyter.org",
                        "kind": "Workspace",
                        "causes": [
                            {"reason": "FieldValueInvalid", "field": "spec.image", "message": "\"evil\" is not allowed"},
                            {"reason": "FieldValueInvalid", "field": "spec.port", "message": "\"80\" is no port"},
                        ],
                    },
                },
            },
        })
    );
}
