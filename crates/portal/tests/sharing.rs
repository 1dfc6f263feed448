//! Shares: made and ended as the user, with findings at their fields.

use std::sync::Arc;
use std::time::Duration;

use api::{WorkspaceShare, names};
use http::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use portal::cluster::Mode;
use serde_json::json;
use testkit::objects::workspace;

use crate::common::{Portal, sharing};

async fn portal() -> Portal {
    Portal::start(|server| server.put(&workspace("lab"))).await
}

#[tokio::test]
async fn a_share_is_made_and_ended_as_the_user() {
    let portal = portal().await;
    let form = "uid=uid-of-lab&kind=User&name=oidc%3Abob&until=8h&date=&reason=review";
    let answer = portal.post("alice", "/w/team/lab/share", form).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    let shares: Vec<WorkspaceShare> = portal.server.all();
    let [share] = &*shares else { panic!("{shares:?}") };
    assert_eq!(share.spec.workspace_uid.as_deref(), Some("uid-of-lab"));
    assert_eq!(share.spec.subjects[0].name, "oidc:bob");
    let calls = portal.calls_as_users();
    assert_eq!(calls.len(), 1);
    assert_eq!(
        (calls[0].method.clone(), calls[0].as_user.as_deref()),
        (Method::POST, Some("alice"))
    );
    let name = share.metadata.name.clone().unwrap();
    let page = portal.get("alice", "/w/team/lab/share").await;
    assert!(
        page.text.contains("oidc:bob") && page.text.contains(&name),
        "{}",
        page.text
    );
    let uid = share.metadata.uid.clone().unwrap_or_default();
    let end = portal
        .post(
            "alice",
            &format!("/w/team/lab/share/{name}/end"),
            &format!("uid={uid}"),
        )
        .await;
    assert_eq!(end.status, StatusCode::SEE_OTHER, "{}", end.text);
    assert!(portal.server.all::<WorkspaceShare>().is_empty());
}

/// The hidden fields of a form, as its browser sends them.
fn hidden(form: &serde_json::Value) -> String {
    let fields: Vec<(String, String)> = serde_json::from_value(form["hidden"].clone()).unwrap();
    serde_urlencoded::to_string(fields).unwrap()
}

/// A share form of alice, and its share with bob as the webhook leaves it.
async fn shared_with_bob(portal: &Portal) -> (String, WorkspaceShare) {
    portal.grant(&[("alice", "create", "workspaceshares", "team")]);
    let page = portal.json("alice", "/w/team/lab/share").await;
    let form = format!("{}&kind=User&until=8h", hidden(&page["form"]));
    let answer = portal
        .post("alice", "/w/team/lab/share", &format!("{form}&name=bob"))
        .await;
    assert_eq!(
        answer.location(),
        "/w/team/lab/share?done=share",
        "{}",
        answer.text
    );
    let mut share = portal.server.all::<WorkspaceShare>().remove(0);
    let annotations = share.metadata.annotations.get_or_insert_default();
    annotations.insert(names::CREATED_BY.to_owned(), "alice".to_owned());
    store(portal, &share, "Active").await;
    (form, share)
}

/// Waits until the page of shares shows this state.
async fn store(portal: &Portal, share: &WorkspaceShare, state: &str) {
    portal.server.put(share);
    let is_shown = async {
        loop {
            let page = portal.json("alice", "/w/team/lab/share").await;
            if page["list"]["shares"][0]["state"]["word"] == state {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let shown = tokio::time::timeout(Duration::from_secs(10), is_shown).await;
    assert!(
        shown.is_ok(),
        "{:#}",
        portal.json("alice", "/w/team/lab/share").await["list"]
    );
}

#[tokio::test]
async fn a_form_that_is_sent_again_makes_no_second_share() {
    let portal = portal().await;
    let (form, _) = shared_with_bob(&portal).await;
    let again = portal
        .post("alice", "/w/team/lab/share", &format!("{form}&name=bob"))
        .await;
    assert_eq!(again.status, StatusCode::SEE_OTHER, "{}", again.text);
    assert_eq!(again.location(), "/w/team/lab/share?done=share");
    assert_eq!(portal.server.all::<WorkspaceShare>().len(), 1);
    // The browser went back, and the user typed another name.
    portal
        .post("alice", "/w/team/lab/share", &format!("{form}&name=carol"))
        .await;
    assert_eq!(portal.server.all::<WorkspaceShare>().len(), 2);
}

#[tokio::test]
async fn a_form_that_is_sent_again_after_the_end_of_its_share_is_no_success() {
    let portal = portal().await;
    let (form, mut share) = shared_with_bob(&portal).await;
    share.spec.expires_at = Some(Time(Timestamp::now() - SignedDuration::from_mins(1)));
    store(&portal, &share, "Has no effect").await;
    let again = portal
        .post("alice", "/w/team/lab/share", &format!("{form}&name=bob"))
        .await;
    assert_eq!(again.status, StatusCode::CONFLICT, "{}", again.text);
    // The answer is the form again, which makes another share.
    let (_, rendered) = again.text.split_once(r#"name="rendered" value=""#).unwrap();
    let (rendered, _) = rendered.split_once('"').unwrap();
    let form = format!("uid=uid-of-lab&rendered={rendered}&kind=User&until=8h&name=bob");
    let made = portal.post("alice", "/w/team/lab/share", &form).await;
    assert_eq!(made.location(), "/w/team/lab/share?done=share", "{}", made.text);
    assert_eq!(portal.server.all::<WorkspaceShare>().len(), 2);
    let failed = r#"action="share",result="failed"} 1"#;
    assert!(portal.metrics().contains(failed), "{}", portal.metrics());
}

#[tokio::test]
async fn a_new_share_is_on_the_next_page_and_an_ended_one_is_not() {
    let portal = portal().await;
    let form = "uid=uid-of-lab&kind=User&name=bob&until=8h";
    for round in 0..5 {
        let made = portal.post("alice", "/w/team/lab/share", form).await;
        let page = portal.json("alice", made.location()).await;
        let shares = page["list"]["shares"].as_array().unwrap().clone();
        assert_eq!(shares.len(), 1, "{round}");
        let share = portal.server.all::<WorkspaceShare>().remove(0);
        let (name, uid) = (
            share.metadata.name.unwrap(),
            share.metadata.uid.unwrap_or_default(),
        );
        let end = format!("/w/team/lab/share/{name}/end");
        let ended = portal.post("alice", &end, &format!("uid={uid}")).await;
        let page = portal.json("alice", ended.location()).await;
        assert_eq!(page["list"]["shares"], serde_json::json!([]), "{round}");
    }
}

#[tokio::test]
async fn the_end_of_a_share_is_changed_as_the_user() {
    let portal = portal().await;
    portal.grant(&[
        ("alice", "create", "workspaceshares", "team"),
        ("alice", "patch", "workspaceshares", "team"),
    ]);
    let form = "uid=uid-of-lab&kind=User&name=bob&until=1h";
    portal.post("alice", "/w/team/lab/share", form).await;
    let page = portal.json("alice", "/w/team/lab/share").await;
    let action = page["list"]["shares"][0]["actions"][0].clone();
    assert_eq!(action["label"], "Change end…", "{page:#}");
    let until = action["way"]["link"]["to"].as_str().unwrap().to_owned();
    let stored = |portal: &Portal| portal.server.all::<WorkspaceShare>().remove(0);
    let share = stored(&portal);
    let before = share.spec.expires_at.clone().unwrap();
    let form = portal.json("alice", &until).await["form"].clone();
    assert_eq!(form["to"], until);
    portal.server.take_calls();
    let body = format!("{}&until=7d&date=", hidden(&form));
    let answer = portal.post("alice", &until, &body).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    let later = stored(&portal).spec.expires_at.unwrap();
    assert!(later.0.duration_since(before.0).as_hours() >= 166, "{later:?}");
    let calls = portal.calls_as_users();
    let [read, patch] = &*calls else {
        panic!("{calls:#?}")
    };
    assert_eq!((&read.method, &patch.method), (&Method::GET, &Method::PATCH));
    assert!(calls.iter().all(|call| call.as_user.as_deref() == Some("alice")));
    let again = portal.post("alice", &until, &body).await;
    assert_eq!(
        again.status,
        StatusCode::CONFLICT,
        "the end is another one by now"
    );
    let form = portal.json("alice", &until).await["form"].clone();
    let body = format!("{}&until=never&date=", hidden(&form));
    assert_eq!(
        portal.post("alice", &until, &body).await.status,
        StatusCode::SEE_OTHER
    );
    assert_eq!(stored(&portal).spec.expires_at, None);
}

#[tokio::test]
async fn the_manager_s_longest_time_counts_from_the_start_of_a_share() {
    let portal = Portal::start(|server| {
        server.put(&workspace("lab"));
        server.put(&sharing(&json!({"enabled": true, "maxDurationMinutes": 600})));
        let made = Timestamp::now() - SignedDuration::from_hours(5);
        let share = serde_json::json!({
            "metadata": {"name": "lab-1", "namespace": "team", "uid": "s", "creationTimestamp": made.to_string(),
                "annotations": {names::CREATED_BY: "alice"}},
            "spec": {"workspaceRef": "lab", "workspaceUID": "uid-of-lab", "subjects": [{"kind": "User", "name": "bob"}],
                "expiresAt": "2126-01-01T00:00:00Z"},
        });
        server.put(&serde_json::from_value::<WorkspaceShare>(share).unwrap());
    })
    .await;
    let page = portal.json("alice", "/w/team/lab/share/lab-1/until").await;
    let ends = page["form"]["sections"][0]["fields"][0]["input"]["choice"]["choices"].clone();
    let ends: Vec<_> = ends
        .as_array()
        .unwrap()
        .iter()
        .map(|end| end["value"].clone())
        .collect();
    assert_eq!(
        ends,
        ["1h", "date"],
        "8 hours would be 13 in all, and without end is too long"
    );
    let form = "uid=s&before=2126-01-01T00%3A00%3A00Z&until=8h&date=";
    let answer = portal.post("alice", "/w/team/lab/share/lab-1/until", form).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.text);
    assert!(answer.text.contains("600"), "{}", answer.text);
    assert!(portal.calls_as_users().is_empty());
}

#[tokio::test]
async fn form_and_buttons_are_there_for_those_who_may_use_them() {
    let portal = portal().await;
    portal.grant(&[
        ("alice", "create", "workspaceshares", "team"),
        ("alice", "delete", "workspaceshares", "team"),
        ("erin", "list", "workspaces", "team"),
        ("erin", "create", "workspaceshares", "team"),
        ("erin", "delete", "workspaceshares", "team"),
        ("frank", "list", "workspaces", "team"),
        ("frank", "create", "workspaceshares", "team"),
        ("frank", "delete", "workspaceshares", "team"),
        ("frank", "share", "workspaces", "team"),
        ("frank", "get", "pods/log", "team"),
    ]);
    portal
        .post(
            "alice",
            "/w/team/lab/share",
            "uid=uid-of-lab&kind=User&name=bob&until=8h",
        )
        .await;
    // Erin owns neither the workspace nor the share, and has no verb for those of others.
    for (user, may) in [("alice", true), ("erin", false), ("frank", true)] {
        let page = portal.json(user, "/w/team/lab/share").await;
        assert_eq!(page["form"].is_object(), may, "{user}");
        let ends = page["list"]["shares"][0]["actions"].as_array().unwrap();
        assert_eq!(!ends.is_empty(), may, "{user}");
        let workspace = portal.json(user, "/w/team/lab").await;
        assert_eq!(workspace["access"]["share"] != "", may, "{user}");
        let more = workspace["head"]["more"].as_array().unwrap();
        let has = |label: &str| more.iter().any(|action| action["label"] == label);
        assert_eq!(has("Share…"), may, "{user}");
        assert_eq!(has("Logs"), user == "frank", "{user}");
    }
}

#[tokio::test]
async fn what_is_wrong_stands_at_its_field_and_what_was_typed_stays() {
    let portal = portal().await;
    let form = "uid=uid-of-lab&kind=User&name=%20bob&until=date&date=tomorrow&reason=because";
    let answer = portal.post("alice", "/w/team/lab/share", form).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    for part in ["begins or ends with a space", "is not a date", "because"] {
        assert!(answer.text.contains(part), "{part}: {}", answer.text);
    }
    assert!(portal.calls_as_users().is_empty());
}

#[tokio::test]
async fn strangers_and_guests_do_not_see_shares() {
    let portal = portal().await;
    assert_eq!(portal.get("bob", "/w/team/lab/share").await.status, 404);
    let forced = portal
        .post(
            "bob",
            "/w/team/lab/share",
            "uid=uid-of-lab&kind=User&name=bob&until=8h",
        )
        .await;
    assert_eq!(forced.status, 404);
    assert!(portal.calls_as_users().is_empty());
}

#[tokio::test]
async fn a_made_share_names_a_link_only_where_there_is_one() {
    for url in ["", "https://lab.workspaces.localhost:8443/"] {
        let mut lab = workspace("lab");
        lab.status = (!url.is_empty()).then(|| serde_json::from_value(json!({"url": url})).unwrap());
        let portal = Portal::start(|server| server.put(&lab)).await;
        let form = "uid=uid-of-lab&kind=User&name=bob&until=8h";
        let made = portal.post("alice", "/w/team/lab/share", form).await;
        let page = portal.get("alice", made.location()).await.text;
        assert!(page.contains("It is shared."), "{page}");
        assert_eq!(page.contains("Send the link below."), !url.is_empty(), "{page}");
        assert_eq!(page.contains("Link to send"), !url.is_empty(), "{page}");
    }
}

#[tokio::test]
async fn where_nothing_can_be_changed_shares_and_owner_have_commands_and_no_buttons() {
    let portal = portal().await;
    portal.grant(&[("alice", "create", "workspaceshares", "team")]);
    let form = "uid=uid-of-lab&kind=User&name=bob&until=8h";
    portal.post("alice", "/w/team/lab/share", form).await;
    let share = portal.server.all::<WorkspaceShare>().remove(0);
    let name = share.metadata.name.unwrap();
    while portal.json("alice", "/w/team/lab/share").await["list"]["shares"] == json!([]) {
        tokio::task::yield_now().await;
    }
    portal
        .mode
        .store(Arc::new(Mode::ReadOnly("no impersonation".to_owned())));
    for (page, command) in [
        (
            "share".to_owned(),
            "kubectl workspace share lab -n team".to_owned(),
        ),
        (
            format!("share/{name}/until"),
            format!("kubectl patch workspaceshare {name} -n team"),
        ),
        (
            format!("share/{name}/end"),
            format!("kubectl delete workspaceshare {name} -n team"),
        ),
        (
            "owner".to_owned(),
            "kubectl annotate --overwrite workspace lab -n team".to_owned(),
        ),
    ] {
        let html = portal.get("alice", &format!("/w/team/lab/{page}")).await.text;
        let main = html.split("<main").nth(1).unwrap();
        assert!(main.contains(&command), "{page}: {main}");
        assert!(!main.contains("type=\"submit\""), "{page}: {main}");
    }
}

#[tokio::test]
async fn the_form_proposes_the_prefixes_of_names_and_takes_service_accounts() {
    let portal = portal().await;
    portal.grant(&[("alice", "create", "workspaceshares", "team")]);
    let page = portal.json("alice", "/w/team/lab/share").await;
    let fields = page["form"]["sections"][0]["fields"].as_array().unwrap();
    let name = fields.iter().find(|field| field["name"] == "name").unwrap();
    let help = name["help"].as_str().unwrap();
    assert!(
        help.contains("Prefixes of users here: `oidc:`.")
            && help.contains("Prefixes of groups here: `oidc:`."),
        "{help}"
    );
    let input = name["input"].to_string();
    assert!(input.contains("\"suggestions\":[\"oidc:\"]"), "{input}");
    let form = "uid=uid-of-lab&kind=ServiceAccount&name=ci%3Arobot&until=8h";
    let answer = portal.post("alice", "/w/team/lab/share", form).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    let share = portal.server.all::<WorkspaceShare>().remove(0);
    let subject = &share.spec.subjects[0];
    assert_eq!(
        subject.user_name().as_deref(),
        Some("system:serviceaccount:ci:robot")
    );
}
