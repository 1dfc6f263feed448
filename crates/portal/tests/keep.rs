//! A workspace that is not used is kept by one press, and no longer by another.

use api::names::KEEP_UNTIL;
use api::{Workspace, WorkspaceTemplate};
use http::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use serde_json::{Value, json};
use testkit::api_server::{ApiServer, Fault};
use testkit::objects::{template, workspace};

use crate::common::Portal;

fn lab(status: &Value) -> Workspace {
    let mut lab = workspace("lab");
    lab.status = serde_json::from_value(status.clone()).unwrap();
    lab
}

fn running(minutes: Option<i32>) -> Value {
    json!({"phase": "Running", "runID": "one", "resolved": {"idleTimeoutInMinutes": minutes}})
}

async fn portal(lab: &Workspace, of: Option<&WorkspaceTemplate>) -> Portal {
    let portal = Portal::start(|server: &ApiServer| {
        if let Some(template) = of {
            server.put(template);
        }
        server.put(lab);
    })
    .await;
    portal.grant(&[("alice", "patch", "workspaces", "team")]);
    portal
}

fn after(minutes: i64) -> Timestamp {
    let time = Timestamp::now() + SignedDuration::from_mins(minutes);
    Timestamp::from_second(time.as_second()).unwrap()
}

fn annotation(portal: &Portal) -> Option<String> {
    let stored: Workspace = portal.server.get(Some("team"), "lab").unwrap();
    stored.annotations().get(KEEP_UNTIL).cloned()
}

async fn page(portal: &Portal) -> String {
    portal.get("alice", "/w/team/lab").await.text
}

#[tokio::test]
async fn a_button_keeps_it_for_eight_hours_and_another_no_longer() {
    let portal = portal(&lab(&running(Some(60))), None).await;
    assert!(page(&portal).await.contains("Keep for 8 h"));
    let answer = portal
        .post("alice", "/w/team/lab/keep", "uid=uid-of-lab&minutes=480")
        .await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    let until: Timestamp = annotation(&portal).unwrap().parse().unwrap();
    assert!(until > after(478) && until <= after(480), "{until}");
    let calls = portal.calls_as_users();
    assert!(calls.iter().all(|call| call.as_user.as_deref() == Some("alice")));

    let mut kept = running(Some(60));
    kept["kept"] = json!({"until": after(300), "annotation": "x"});
    kept["stopsAt"] = json!(after(300));
    kept["stopsBecause"] = json!("Idle");
    let mut lab = lab(&kept);
    lab.annotations_mut()
        .insert(KEEP_UNTIL.to_owned(), after(300).to_string());
    let portal = self::portal(&lab, None).await;
    let text = page(&portal).await;
    assert!(
        text.contains("Keep no longer") && !text.contains("Keep for"),
        "{text}"
    );
    assert!(text.contains("(kept until then)"), "{text}");
    let list = portal.get("alice", "/").await.text;
    assert!(list.contains("(kept until then)"), "{list}");
    let answer = portal
        .post("alice", "/w/team/lab/keep", "uid=uid-of-lab&minutes=0")
        .await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    assert_eq!(annotation(&portal), None);
}

#[tokio::test]
async fn the_button_keeps_it_as_long_as_the_template_allows() {
    for (most, label) in [
        (0, None),
        (90, Some("Keep for 90 min")),
        (2000, Some("Keep for 8 h")),
    ] {
        let mut small = template("small");
        small.spec.limit_bounds = serde_json::from_value(json!({"keepMinutes": {"max": most}})).unwrap();
        let mut lab = lab(&running(Some(60)));
        lab.spec.template_ref = Some("small".to_owned());
        let text = page(&portal(&lab, Some(&small)).await).await;
        assert_eq!(text.contains("Keep for"), label.is_some(), "{most}");
        assert!(label.is_none_or(|label| text.contains(label)), "{most}");
    }
    let text = page(&portal(&lab(&running(None)), None).await).await;
    assert!(!text.contains("Keep for"), "no idle rule stops it");
}

#[tokio::test]
async fn a_refusal_is_shown_and_who_does_not_see_it_finds_nothing() {
    let portal = portal(&lab(&running(Some(60))), None).await;
    let sent = "uid=uid-of-lab&minutes=480";
    let unseen = portal.post("mallory", "/w/team/lab/keep", sent).await;
    assert_eq!(unseen.status, StatusCode::NOT_FOUND);
    let another = portal
        .post("alice", "/w/team/lab/keep", "uid=another&minutes=480")
        .await;
    assert_eq!(another.status, StatusCode::CONFLICT, "{}", another.text);
    let path = "workspaces/lab";
    portal
        .server
        .fail(Fault::forbidden(Method::PATCH, path, "must not be after noon", 1));
    let refused = portal.post("alice", "/w/team/lab/keep", sent).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(
        refused.text.contains("must not be after noon"),
        "{}",
        refused.text
    );
    assert_eq!(annotation(&portal), None);
}
