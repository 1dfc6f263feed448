//! The annotation `keep-until`: who writes it, and which times count.

use api::names::KEEP_UNTIL;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::support::{Webhook, workspace};

/// A template that lets workspaces be kept for an hour.
fn webhook() -> Webhook {
    let mut template = testkit::objects::template("prod");
    template.spec.limit_bounds = serde_json::from_value(json!({"keepMinutes": {"max": 60}})).unwrap();
    Cluster::with(template).webhook()
}

fn lab() -> Value {
    workspace(json!({"templateRef": "prod"}))
}

fn kept(until: &str) -> Value {
    let mut object = lab();
    object["metadata"]["annotations"][KEEP_UNTIL] = json!(until);
    object
}

fn after(minutes: i64) -> String {
    let time = Timestamp::now() + SignedDuration::from_mins(minutes);
    Timestamp::from_second(time.as_second()).unwrap().to_string()
}

#[tokio::test]
async fn who_may_change_a_workspace_keeps_it_and_others_do_not() {
    let webhook = webhook();
    let until = after(30);
    let allowed = webhook.validate_update("alice", &lab(), &kept(&until)).await;
    assert!(allowed.allowed, "{allowed:?}");
    assert!(webhook.validate_create("alice", &kept(&until)).await.allowed);
    let refused = webhook.validate_update("bob", &lab(), &kept(&until)).await;
    assert_eq!(refused.code, 403, "{refused:?}");
    assert_eq!(
        webhook.validate_update("bob", &kept(&until), &lab()).await.code,
        403
    );
    assert!(
        webhook
            .validate_update("alice", &kept(&until), &lab())
            .await
            .allowed
    );
}

#[tokio::test]
async fn a_new_time_that_does_not_count_is_refused_with_the_latest_that_does() {
    let webhook = webhook();
    let no_zone = after(30).replace('Z', "");
    for (text, rule) in [
        (after(-1).as_str(), "must not be in the past"),
        (after(62).as_str(), "must not be after"),
        (no_zone.as_str(), "must be a time by RFC 3339 with its zone"),
        ("9999-12-01T00:00:00Z", "must not be after"),
        ("until the run ends", "must be a time by RFC 3339 with its zone"),
    ] {
        let answer = webhook.validate_update("alice", &lab(), &kept(text)).await;
        assert_eq!(answer.code, 422, "{text}: {answer:?}");
        let field = format!("metadata.annotations[{KEEP_UNTIL}]: {text:?} {rule}");
        assert!(answer.message.contains(&field), "{answer:?}");
        let latest = [after(60), after(61)];
        assert!(
            latest.iter().any(|it| answer.message.contains(&it[..17])),
            "{latest:?}: {answer:?}"
        );
    }
    let most = webhook.validate_update("alice", &lab(), &kept(&after(60))).await;
    assert!(most.allowed, "{most:?}");
}

#[tokio::test]
async fn a_stored_value_prevents_no_other_change() {
    let webhook = webhook();
    for text in ["tonight", "2020-01-01T00:00:00Z", "9999-12-01T00:00:00Z"] {
        let stored = kept(text);
        for place in [
            "/spec/displayName",
            "/metadata/annotations/note",
            "/metadata/labels/team",
        ] {
            let mut changed = stored.clone();
            let pointer = json_patch::jsonptr::Pointer::parse(place).unwrap();
            pointer.assign(&mut changed, json!("other")).unwrap();
            let answer = webhook.validate_update("alice", &stored, &changed).await;
            assert!(answer.allowed, "{text} {place}: {answer:?}");
        }
    }
    let copy = webhook
        .validate_create("alice", &kept("2020-01-01T00:00:00Z"))
        .await;
    assert!(
        copy.allowed,
        "a copy of a workspace whose time has passed: {copy:?}"
    );
}
