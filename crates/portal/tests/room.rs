//! A form that does not fit into its quota: what the user could stop, and what they typed after a stop.

use api::Workspace;
use api::workspace::DesiredStatus;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::api_server::Fault;
use testkit::objects::workspace;

use crate::common::{Portal, full};
use crate::forms::{MEMORY, NEW, stored};
use crate::typing::{Typed, field};

fn typed(page: &Value) -> Typed {
    let typed = Typed::of(page).with("spec.displayName", "Mine");
    typed.with(MEMORY, "1536Mi")
}

fn notes(page: &Value) -> String {
    page["layout"]["notes"].to_string()
}

fn runs(portal: &Portal, name: &str) -> bool {
    stored(portal, name).unwrap().spec.desired_status == DesiredStatus::Running
}

/// The stop beside the quota, as the form sends it.
fn stop_of(page: &Value) -> (String, String) {
    let running = &page["quotas"]["running"];
    assert_eq!(running.as_array().unwrap().len(), 1, "{running:#}");
    let way = &running[0]["action"]["way"]["submit"];
    let text = |name: &str| way[name].as_str().unwrap().to_owned();
    (text("name"), text("value"))
}

#[tokio::test]
async fn a_stop_leads_back_to_the_form_with_everything_that_was_typed() {
    let portal = full(2).await;
    let page = portal.json("alice", NEW).await;
    let (name, value) = stop_of(&page);
    assert_eq!((&*name, &*value), ("stop", "running/uid-of-running"));
    let html = portal.get("alice", NEW).await.text;
    assert!(
        html.contains("form=\"form\" name=\"stop\" value=\"running/uid-of-running\"")
            && html.contains("class=\"form\" id=\"form\""),
        "{html}"
    );
    assert!(html.contains("kernels and terminals end"), "{html}");
    portal.server.take_calls();
    let answer = portal
        .sent("alice", "/new", &typed(&page).by(&name, &value))
        .await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let again = answer.json();
    assert!(notes(&again).contains("`running` is being stopped"), "{again:#}");
    assert_eq!(again["quotas"]["running"], json!([]));
    assert_eq!(
        field(&again, "spec.displayName")["input"]["text"]["value"],
        "Mine"
    );
    assert_eq!(field(&again, MEMORY)["input"]["number"]["value"], "1536Mi");
    assert!(!runs(&portal, "running") && runs(&portal, "of-bob"));
    let calls = portal.calls_as_users();
    let writes: Vec<_> = calls.iter().filter(|call| call.is_write()).collect();
    assert_eq!(writes.len(), 1, "nothing is created: {writes:#?}");
    assert_eq!(writes[0].as_user.as_deref(), Some("alice"));
    assert_eq!(writes[0].method, Method::PATCH);
    let created = portal.sent("alice", "/new", &Typed::of(&again)).await;
    assert_eq!(created.status, StatusCode::SEE_OTHER, "{}", created.text);
    assert_eq!(
        stored(&portal, "alice-jupyterlab").unwrap().spec.display_name,
        "Mine"
    );
}

#[tokio::test]
async fn values_that_cannot_be_read_stay_too() {
    let portal = full(2).await;
    let page = portal.json("alice", NEW).await;
    let (name, value) = stop_of(&page);
    let typed = typed(&page).with(MEMORY, "much").by(&name, &value);
    let again = portal.sent("alice", "/new", &typed).await.json();
    assert!(notes(&again).contains("being stopped"), "{again:#}");
    assert_eq!(field(&again, MEMORY)["input"]["number"]["value"], "much");
    assert!(!runs(&portal, "running"));
}

#[tokio::test]
async fn a_refused_stop_is_said_and_nothing_typed_is_lost() {
    let portal = full(2).await;
    let page = portal.json("alice", NEW).await;
    let (name, value) = stop_of(&page);
    portal.server.fail(Fault::forbidden(
        Method::PATCH,
        "/workspaces/running",
        "it is held",
        1,
    ));
    let again = portal
        .sent("alice", "/new", &typed(&page).by(&name, &value))
        .await
        .json();
    assert!(notes(&again).contains("was not stopped: it is held"), "{again:#}");
    assert_eq!(field(&again, MEMORY)["input"]["number"]["value"], "1536Mi");
    assert!(runs(&portal, "running"));
}

/// Name and value of the first submit button of the form in tree order: Enter in a field presses it.
fn default_button(html: &str) -> (String, String) {
    let page = scraper::Html::parse_document(html);
    let css = "#form button:not([type=button]):not([form]), button[type=submit][form=form]";
    let button = page
        .select(&scraper::Selector::parse(css).unwrap())
        .next()
        .unwrap();
    let text = |name: &str| button.attr(name).unwrap_or_default().to_owned();
    (text("name"), text("value"))
}

#[tokio::test]
async fn enter_in_a_field_stops_nothing() {
    let portal = full(2).await;
    let html = portal.get("alice", NEW).await.text;
    assert!(html.contains("name=\"stop\""), "{html}");
    assert_eq!(default_button(&html).0, "");
    let mut lab = workspace("lab");
    lab.spec.template_ref = Some("jupyterlab".to_owned());
    lab.spec.desired_status = DesiredStatus::Stopped;
    portal.server.put(&lab);
    while portal.get("alice", "/w/team/lab/edit").await.status != StatusCode::OK {
        tokio::task::yield_now().await;
    }
    let html = portal.get("alice", "/w/team/lab/edit").await.text;
    assert!(html.contains("name=\"stop\""), "{html}");
    assert_eq!(default_button(&html), ("do".to_owned(), "save".to_owned()));
}

#[tokio::test]
async fn a_stop_that_deletes_files_is_asked_about_and_both_answers_keep_what_was_typed() {
    let portal = full(2).await;
    portal
        .server
        .edit::<Workspace>(Some("team"), "running", |object| {
            object["status"] = json!({"resolved": {"storage": {"mountPath": "/home", "ephemeral": true}}});
        });
    let page = loop {
        let page = portal.json("alice", NEW).await;
        if page["quotas"]["running"][0]["action"]["danger"] == true {
            break page;
        }
        tokio::task::yield_now().await;
    };
    let (name, value) = stop_of(&page);
    let question = portal
        .sent("alice", "/new", &typed(&page).by(&name, &value))
        .await
        .json();
    assert_eq!(
        question["layout"]["title"], "Stop running, and delete its files?",
        "{question:#}"
    );
    assert!(runs(&portal, "running"));
    for (answer, is_stopped) in [(1, false), (0, true)] {
        let way = &question["actions"][answer]["way"]["post"];
        assert_eq!(way["to"], "/new");
        let form: Typed = serde_json::from_value(way["hidden"].clone()).unwrap();
        let again = portal.sent("alice", "/new", &form).await;
        assert_eq!(again.status, StatusCode::OK, "{}", again.text);
        assert_eq!(field(&again.json(), MEMORY)["input"]["number"]["value"], "1536Mi");
        assert_eq!(runs(&portal, "running"), !is_stopped);
    }
    assert!(
        stored(&portal, "alice-jupyterlab").is_none(),
        "nothing is created"
    );
}

#[tokio::test]
async fn no_stop_is_offered_to_users_who_may_not_change_or_of_what_is_being_deleted() {
    let portal = full(2).await;
    portal.grant(&[
        ("alice", "create", "workspaces", "team"),
        ("alice", "use", "workspacetemplates", "team"),
    ]);
    let page = portal.json("alice", NEW).await;
    assert!(
        page["quotas"]["lines"].to_string().contains("Does not fit"),
        "{page:#}"
    );
    assert_eq!(page["quotas"]["running"], json!([]));
    let portal = full(2).await;
    portal
        .server
        .edit::<Workspace>(Some("team"), "running", |object| {
            object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            object["metadata"]["finalizers"] = json!(["x.example/y"]);
        });
    while portal.json("alice", NEW).await["quotas"]["running"] != json!([]) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn another_s_workspace_and_a_namesake_are_not_stopped() {
    let portal = full(2).await;
    let page = portal.json("alice", NEW).await;
    portal.server.take_calls();
    for value in ["of-bob/uid-of-of-bob", "running/another", "none/x", "running"] {
        let answer = portal
            .sent("alice", "/new", &typed(&page).by("stop", value))
            .await;
        assert_eq!(answer.status, StatusCode::OK, "{value}");
        let notes = notes(&answer.json());
        assert!(
            notes.contains("is gone, or it is not yours any more. Nothing was stopped"),
            "{value}: {notes}"
        );
    }
    assert!(portal.calls_as_users().iter().all(|call| !call.is_write()));
    assert!(runs(&portal, "of-bob") && runs(&portal, "running"));
}

#[tokio::test]
async fn a_change_that_does_not_fit_has_the_same_stops() {
    let portal = full(2).await;
    let mut lab = workspace("lab");
    lab.spec.template_ref = Some("jupyterlab".to_owned());
    lab.spec.desired_status = DesiredStatus::Stopped;
    portal.server.put(&lab);
    let edit = "/w/team/lab/edit";
    while portal.get("alice", edit).await.status != StatusCode::OK {
        tokio::task::yield_now().await;
    }
    let page = portal.json("alice", edit).await;
    let (name, value) = stop_of(&page);
    let typed = Typed::of(&page)
        .with("spec.displayName", "Mine")
        .by(&name, &value);
    let again = portal.sent("alice", edit, &typed).await.json();
    assert!(notes(&again).contains("being stopped"), "{again:#}");
    assert_eq!(
        field(&again, "spec.displayName")["input"]["text"]["value"],
        "Mine"
    );
    assert_eq!(stored(&portal, "lab").unwrap().spec.display_name, "lab");
    assert!(!runs(&portal, "running"));
    let left: Vec<Workspace> = portal.server.all();
    assert_eq!(left.len(), 3);
}
