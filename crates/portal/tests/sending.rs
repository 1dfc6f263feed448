//! What was typed outlives the session: the page's script asks before it sends, and browsers may restore fields.

use http::{Method, Request, StatusCode};
use serde_json::json;
use testkit::objects::{template, workspace};

use crate::common::{ALICE, Portal, get, prepare};
use crate::forms::{MEMORY, NEW, portal};
use crate::typing::Typed;

#[tokio::test]
async fn the_script_can_ask_whether_the_session_lasts_without_loading_a_page() {
    let portal = portal().await;
    let page = portal.get("alice", NEW).await;
    let style = page.text.split("rel=\"stylesheet\" href=\"").nth(1).unwrap();
    let style = style.split('"').next().unwrap();
    let request = Request::builder()
        .method(Method::HEAD)
        .uri(style)
        .body(axum::body::Body::empty())
        .unwrap();
    portal.server.take_calls();
    assert_eq!(portal.send(request).await.status, StatusCode::OK);
    assert!(portal.server.take_calls().is_empty());
}

#[tokio::test]
async fn pages_with_forms_say_what_to_do_without_a_session_and_let_browsers_restore_what_was_typed() {
    let portal = Portal::start(|server| {
        prepare(server);
        let mut asks = template("jupyterlab");
        let asked = json!([{"name": "TOKEN", "required": true}]);
        asks.spec.env_requirements = serde_json::from_value(asked).unwrap();
        server.put(&asks);
    })
    .await;
    portal.grant(ALICE);
    let page = portal.get("alice", NEW).await;
    for (id, words) in [("gone", "What you typed stays"), ("away", "nothing was sent")] {
        let note = page.text.split(&format!("<p id=\"{id}\"")).nth(1).unwrap();
        let note = note.split("</p>").next().unwrap();
        assert!(note.contains("hidden") && note.contains(words), "{note}");
    }
    let control = |name: &str| {
        let start = page.text.find(&format!("name=\"{name}\"")).unwrap();
        let tag = page.text[..start].rfind('<').unwrap();
        page.text[tag..].split('>').next().unwrap().to_owned()
    };
    for restored in ["metadata.name", MEMORY, "spec.accessType"] {
        assert!(
            !control(restored).contains("autocomplete"),
            "{}",
            control(restored)
        );
    }
    // Values of variables may be secrets, which browsers are not to propose elsewhere.
    assert!(control("spec.env[TOKEN]").contains("autocomplete=\"off\""));
}

#[tokio::test]
async fn what_was_typed_is_in_no_address() {
    let portal = portal().await;
    let typed = Typed::from_page(&portal.json("alice", NEW).await).with(MEMORY, "1536Mi");
    let answer = portal.sent("alice", "/new", &typed).await;
    assert_eq!(answer.location(), "/w/team/alice-jupyterlab?done=new");
    let page = portal.get("alice", NEW).await.text;
    let forms: Vec<_> = page.split("<form ").skip(1).collect();
    let with_fields = forms
        .iter()
        .filter(|form| form.contains("name=\"metadata.name\""));
    let with_fields: Vec<_> = with_fields.collect();
    assert_eq!(with_fields.len(), 1);
    assert!(
        with_fields[0].starts_with("method=\"post\""),
        "{}",
        with_fields[0]
    );
}

#[tokio::test]
async fn every_page_has_a_button_that_signs_out_at_once() {
    let portal = Portal::start(|server| server.put(&workspace("lab"))).await;
    for path in ["/", "/account", "/w/team/lab", "/nothing"] {
        let page = portal.get("alice", path).await.text;
        let form = "<form method=\"post\" action=\"/_workspace/sign-out\"><button type=\"submit\"";
        assert_eq!(page.matches(form).count(), 1, "{path}: {page}");
    }
}

#[tokio::test]
async fn an_address_that_the_portal_does_not_have_is_no_workspace_that_is_missing() {
    let portal = Portal::start(|_| {}).await;
    for path in ["/nothing", "/w", "/new/x/y"] {
        let answer = portal.send(get("alice", path)).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert!(answer.text.contains("The portal has no such page"), "{path}");
        assert!(!answer.text.contains("workspace with this name"), "{path}");
    }
    let hidden = portal.get("alice", "/w/team/nothing").await;
    assert!(hidden.text.contains("There is nothing here for you"));
}
