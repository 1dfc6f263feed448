//! A new workspace whose template, namespace or right is gone while its form is open: a check leaves the form, and nothing that was typed
//! is lost.

use api::WorkspaceTemplate;
use http::{Method, StatusCode};
use k8s_openapi::api::core::v1::Namespace;
use kit::scope::Scope;
use serde_json::Value;
use testkit::api_server::Fault;
use testkit::objects::template;

use crate::common::{ALICE, Portal, namespace, prepare};
use crate::forms::{NEW, portal, stored, writes};
use crate::lost::{NOT_SAVED, reason};
use crate::typing::{Typed, field};

const CHECK: &str = "/new/check";

/// What Alice wrote as form and as YAML.
async fn written(portal: &Portal) -> [Typed; 2] {
    let form = Typed::from_page(&portal.json("alice", NEW).await).with("spec.displayName", "Mine");
    let text = portal
        .sent("alice", "/new", &form.clone().by("view", "yaml"))
        .await;
    let yaml = Typed::from_page(&text.json());
    portal.server.take_calls();
    [form, yaml]
}

fn fail_reviews(portal: &Portal) {
    portal
        .server
        .fail(Fault::internal(Method::POST, "subjectaccessreviews", 99));
}

/// Sends the form as `user`, and asserts that the page has what was typed. Returns the page.
async fn kept(portal: &Portal, user: &str, typed: &Typed, status: StatusCode) -> Value {
    let answer = portal.sent(user, "/new", typed).await;
    assert_eq!(answer.status, status, "{}", answer.text);
    let page = answer.json();
    let shown = page["typed"].as_str().unwrap_or_default();
    for (name, value) in typed.controls() {
        assert!(shown.contains(&format!("{name}: {value}")), "{name}: {shown}");
    }
    assert!(shown.contains("Mine"), "{page:#}");
    if let Some(text) = typed.get("yaml") {
        assert_eq!(shown, text);
    }
    assert_eq!(page["layout"]["title"], NOT_SAVED, "{page:#}");
    assert!(writes(portal).is_empty());
    page
}

/// What `Send again` sends.
fn again(page: &Value) -> Typed {
    let again = &page["actions"][0];
    assert_eq!(again["label"], "Send again", "{page:#}");
    assert_eq!(again["way"]["post"]["to"], "/new");
    serde_json::from_value(again["way"]["post"]["hidden"].clone()).unwrap()
}

fn labels(page: &Value) -> Vec<&str> {
    let actions = page["actions"].as_array().unwrap().iter();
    actions.map(|action| action["label"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_check_never_replaces_the_form() {
    for is_answered in [true, false] {
        let portal = portal().await;
        let [form, yaml] = written(&portal).await;
        portal.grant(&[
            ("mallory", "create", "workspaces", "team"),
            ("trudy", "create", "workspaces", "other"),
        ]);
        if !is_answered {
            fail_reviews(&portal);
        }
        for (user, sentence) in [
            ("eve", "There is no namespace in which you may create workspaces"),
            (
                "trudy",
                "There is no namespace in which you may create workspaces",
            ),
            ("mallory", "There is no such template for you"),
        ] {
            let sentence = if is_answered {
                sentence
            } else {
                "It is not known whether you may create workspaces"
            };
            for typed in [&form, &yaml] {
                let answer = portal.post(user, CHECK, &typed.body()).await;
                assert_eq!(answer.status, StatusCode::OK, "{user}: {}", answer.text);
                let text = answer.text;
                assert!(text.starts_with("<div id=\"summary\""), "{user}: {text}");
                assert_eq!(text.matches(" id=\"").count(), 2, "only the summary: {text}");
                assert!(text.contains("This is not checked"), "{user}: {text}");
                assert!(text.contains(sentence), "{user}: {text}");
                assert!(
                    !text.contains("<main") && !text.contains("<form"),
                    "{user}: {text}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_template_that_is_deleted_leaves_what_was_typed_and_a_way_to_another() {
    let portal = portal().await;
    portal.server.put(&template("another"));
    for typed in written(&portal).await {
        portal.server.remove::<WorkspaceTemplate>(None, "jupyterlab");
        while portal.get("alice", NEW).await.status != StatusCode::NOT_FOUND {
            tokio::task::yield_now().await;
        }
        portal.server.take_calls();
        let page = kept(&portal, "alice", &typed, StatusCode::NOT_FOUND).await;
        assert_eq!(labels(&page), ["Send again", "Choose a template"]);
        let way = page["actions"][1]["way"]["link"]["to"].as_str().unwrap();
        let choose = portal.json("alice", way).await;
        assert_eq!(choose["offers"][0]["name"], "another", "{choose:#}");
        // It comes back, as with a deployment that replaces it.
        portal.server.put(&template("jupyterlab"));
        while portal.get("alice", NEW).await.status != StatusCode::OK {
            tokio::task::yield_now().await;
        }
        let answer = portal
            .sent("alice", "/new", &again(&page).by("view", "form"))
            .await;
        let form = answer.json();
        assert_eq!(field(&form, "spec.displayName")["input"]["text"]["value"], "Mine");
    }
}

#[tokio::test]
async fn a_right_that_is_lost_leaves_what_was_typed() {
    // Without a webhook a text is not judged by a dry run before.
    let in_one = Portal::start_in(Scope::Namespace("team".to_owned()), prepare).await;
    in_one.grant(ALICE);
    for portal in [portal().await, in_one] {
        for typed in written(&portal).await {
            let page = kept(&portal, "eve", &typed, StatusCode::FORBIDDEN).await;
            assert_eq!(
                page["why"][0],
                reason("There is no namespace in which you may create workspaces")
            );
            assert!(page["now"][0].to_string().contains("give this name: `eve`"));
            assert_eq!(again(&page).body(), typed.body());
        }
    }
}

#[tokio::test]
async fn the_api_server_s_refusal_of_a_text_leaves_it() {
    let portal = portal().await;
    let [_, yaml] = written(&portal).await;
    portal.server.fail(Fault::forbidden(
        Method::POST,
        "/namespaces/team/workspaces",
        "eve may not do this",
        2,
    ));
    let check = portal.post("eve", CHECK, &yaml.body()).await;
    assert_eq!(check.status, StatusCode::OK);
    assert!(check.text.contains("eve may not do this"), "{}", check.text);
    let page = kept(&portal, "eve", &yaml, StatusCode::FORBIDDEN).await;
    assert_eq!(page["server"], "eve may not do this");
    assert_eq!(again(&page).body(), yaml.body());
}

#[tokio::test]
async fn a_namespace_that_is_deleted_leaves_what_was_typed_and_a_way_to_another() {
    let portal = portal().await;
    let typed = written(&portal).await;
    portal.server.remove::<Namespace>(None, "team");
    // Her right was given by a role in the namespace; Bob has it in all.
    portal.grant(&[
        ("carol", "create", "workspaces", "other"),
        ("bob", "create", "workspaces", "*"),
        ("bob", "use", "workspacetemplates", "*"),
    ]);
    portal.server.put(&namespace("other"));
    while portal.json("carol", "/new").await["namespace"] != "other" {
        tokio::task::yield_now().await;
    }
    for typed in &typed {
        let page = kept(&portal, "carol", typed, StatusCode::FORBIDDEN).await;
        assert_eq!(labels(&page), ["Send again", "Where you may"]);
        assert!(page["now"][0].to_string().contains("\\\"team\\\""), "{page:#}");
    }
    portal.server.fail(Fault {
        method: Method::POST,
        path_part: "/namespaces/team/workspaces",
        code: 404,
        reason: "NotFound",
        message: "namespaces \"team\" not found".to_owned(),
        times: 2,
    });
    for typed in &typed {
        let answer = portal.sent("bob", "/new", typed).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{}", answer.text);
        assert!(answer.text.contains("namespaces \\\"team\\\" not found"));
        assert!(answer.text.contains("Mine") && answer.text.contains("/new/check"));
    }
    assert!(stored(&portal, "alice-jupyterlab").is_none());
}

#[tokio::test]
async fn reviews_that_are_not_answered_leave_what_was_typed_to_send_it_again() {
    let portal = portal().await;
    for (user, typed) in ["bob", "carol"].into_iter().zip(written(&portal).await) {
        portal.grant(&[
            ("bob", "create", "workspaces", "team"),
            ("bob", "use", "workspacetemplates", "team"),
            ("carol", "create", "workspaces", "team"),
            ("carol", "use", "workspacetemplates", "team"),
        ]);
        portal
            .server
            .fail(Fault::internal(Method::POST, "subjectaccessreviews", 2));
        let page = kept(&portal, user, &typed, StatusCode::SERVICE_UNAVAILABLE).await;
        assert!(
            page["why"].to_string().contains("did not say in time"),
            "{page:#}"
        );
        let control = if user == "bob" { "metadata.name" } else { "yaml" };
        let renamed = typed.get(control).unwrap().replace("alice-jupyterlab", user);
        let created = portal
            .sent(user, "/new", &again(&page).with(control, &renamed))
            .await;
        assert_eq!(created.status, StatusCode::SEE_OTHER, "{}", created.text);
        assert_eq!(stored(&portal, user).unwrap().spec.display_name, "Mine");
        portal.server.take_calls();
    }
}

#[tokio::test]
async fn a_template_whose_review_is_not_answered_is_not_said_to_be_missing() {
    let portal = portal().await;
    let [form, _] = written(&portal).await;
    portal.server.put(&template("another"));
    while !portal
        .get("alice", "/new?namespace=team&template=")
        .await
        .text
        .contains("another")
    {
        tokio::task::yield_now().await;
    }
    portal.server.put(&template("newest"));
    fail_reviews(&portal);
    let typed = form.with("template", "newest");
    for _ in 0..1_000 {
        let answer = portal.sent("alice", "/new", &typed).await;
        if answer.status == StatusCode::SERVICE_UNAVAILABLE {
            return;
        }
        // The template is not yet in the portal's memory.
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{}", answer.text);
        tokio::task::yield_now().await;
    }
    panic!("it is said to be missing");
}

#[tokio::test]
async fn a_form_that_does_not_fit_its_template_any_more_leaves_what_was_typed() {
    let portal = portal().await;
    let [form, _] = written(&portal).await;
    let typed = form.by("spec.gone", "old");
    let page = kept(&portal, "alice", &typed, StatusCode::BAD_REQUEST).await;
    assert!(
        page["why"][1].as_str().unwrap().contains("\"spec.gone\""),
        "{page:#}"
    );
    assert_eq!(labels(&page), ["Send again", "Open the form again"]);
}
