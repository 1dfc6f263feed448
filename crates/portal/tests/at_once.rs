//! A new workspace without a form: which templates offer it, what it creates, what its page does, and where it is refused.

use api::{Workspace, WorkspaceTemplate};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::api_server::Fault;
use testkit::objects::{template, workspace};

use crate::acts_in;
use crate::common::{ALICE, Portal, prepare};
use crate::forms::{NEW, asking, portal, stored};
use crate::typing::{Typed, field};

/// What can be done with each template, by name.
fn offered(page: &Value) -> Vec<(&str, Vec<&str>)> {
    let offers = page["offers"].as_array().unwrap().iter();
    offers
        .map(|offer| {
            let actions = offer["actions"].as_array().unwrap().iter();
            let labels = actions.map(|action| action["label"].as_str().unwrap());
            (offer["name"].as_str().unwrap(), labels.collect())
        })
        .collect()
}

/// What the button of the first template sends.
async fn button(portal: &Portal) -> Typed {
    let page = portal.json("alice", "/new").await;
    let way = &page["offers"][0]["actions"][0]["way"]["post"];
    assert_eq!(way["to"], "/new", "{page:#}");
    serde_json::from_value(way["hidden"].clone()).unwrap()
}

fn deprecated(name: &str) -> WorkspaceTemplate {
    let mut old = template(name);
    let notes = [
        ("workspaces.jupyter.org/deprecated", "too old"),
        ("workspaces.jupyter.org/replaced-by", "jupyterlab"),
    ];
    let notes = notes.map(|(name, text)| (name.to_owned(), text.to_owned()));
    old.metadata.annotations = Some(notes.into());
    old
}

#[tokio::test]
async fn one_click_creates_what_the_unchanged_form_creates() {
    let by_form = portal().await;
    let typed = Typed::from_page(&by_form.json("alice", NEW).await);
    by_form.sent("alice", "/new", &typed).await;
    let portal = portal().await;
    let html = portal.get("alice", "/new").await.text;
    let focused = "<button type=\"submit\" class=\"primary\" data-focus><bdi>Create</bdi><span class=\"aside\"> <bdi>jupyterlab</bdi></span>";
    assert!(html.contains(focused), "{html}");
    assert_eq!(html.matches("data-focus").count(), 1);

    for name in ["alice-jupyterlab", "alice-jupyterlab-2"] {
        let button = button(&portal).await;
        let answer = portal.sent("alice", "/new", &button).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
        assert_eq!(answer.location(), format!("/w/team/{name}?done=new"));
        let expected = stored(&by_form, "alice-jupyterlab").unwrap();
        assert_eq!(stored(&portal, name).unwrap().spec, expected.spec);
    }
}

#[tokio::test]
async fn a_template_that_asks_for_a_value_or_is_deprecated_has_the_form_alone() {
    let mut asking = asking();
    asking.metadata.name = Some("asking".to_owned());
    let portal = Portal::start(|server| {
        prepare(server);
        server.put(&deprecated("a-old"));
        server.put(&asking);
    })
    .await;
    portal.grant(ALICE);
    let page = portal.json("alice", "/new").await;
    let form = vec!["Customize"];
    assert_eq!(
        offered(&page),
        [
            ("asking", form.clone()),
            ("jupyterlab", vec!["Create", "Customize"]),
            ("a-old", form),
        ],
        "deprecated ones come last"
    );
    let offers = &page["offers"];
    assert_eq!(offers[1]["actions"][1]["way"]["link"]["to"], NEW);
    assert!(
        offers[2]["deprecated"].as_str().unwrap().contains("jupyterlab"),
        "{page:#}"
    );
    // The values of a copy are looked at first.
    portal.server.put(&workspace("lab"));
    let copy = "/new?from=team/lab&template=";
    while portal.get("alice", copy).await.status != StatusCode::OK {
        tokio::task::yield_now().await;
    }
    let page = portal.json("alice", copy).await;
    assert!(
        offered(&page).iter().all(|(_, labels)| labels == &["Customize"]),
        "{page:#}"
    );
}

#[tokio::test]
async fn where_nothing_can_be_changed_the_form_alone_is_offered_and_the_page_says_why() {
    let portal = acts_in::creating().await;
    for (namespace, labels, is_read_only) in [
        ("team", vec!["Create", "Customize"], false),
        ("other", vec!["Customize"], true),
    ] {
        let page = portal.json("alice", &format!("/new?namespace={namespace}")).await;
        assert_eq!(offered(&page), [("jupyterlab", labels)]);
        assert_eq!(page["layout"]["readOnly"] != "", is_read_only, "{page:#}");
    }
}

#[tokio::test]
async fn what_is_refused_at_once_is_the_form_with_the_reason() {
    let portal = portal().await;
    let button = button(&portal).await;
    portal.server.fail(Fault::forbidden(
        Method::POST,
        "/workspaces",
        "exceeded quota: count/workspaces",
        1,
    ));
    let refused = portal.sent("alice", "/new", &button).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let page = refused.json();
    let problem = page["form"]["summary"]["problems"][0]["text"].as_str().unwrap();
    assert!(problem.contains("exceeded quota"), "{problem}");
    assert_eq!(
        Typed::from_page(&page).get("metadata.name"),
        Some("alice-jupyterlab")
    );
    // Another workspace got the name since the page was loaded.
    let mut other = workspace("alice-jupyterlab");
    other.spec.display_name = "Another".to_owned();
    portal.server.put(&other);
    let taken = portal.sent("alice", "/new", &button).await;
    assert_eq!(taken.status, StatusCode::CONFLICT, "{}", taken.text);
    let errors = field(&taken.json(), "metadata.name")["errors"].to_string();
    assert!(errors.contains("is taken"), "{errors}");
    let kept = stored(&portal, "alice-jupyterlab").unwrap();
    assert_eq!(kept.spec.display_name, "Another");
}

#[tokio::test]
async fn the_page_of_a_workspace_that_its_owner_just_created_opens_it_once_it_runs() {
    let portal = Portal::start(|server| {
        server.put(&workspace("lab"));
    })
    .await;
    portal.grant(&[("carol", "list", "workspaces", "team")]);
    let stay = async |user: &str, path: &str| portal.json(user, path).await["stay"].clone();
    let new = "/w/team/lab?done=new";
    assert_eq!(stay("alice", new).await, "/w/team/lab");
    let page = portal.get("alice", new).await.text;
    assert!(page.contains("id=\"opening\""), "{page}");
    assert_eq!(stay("alice", "/w/team/lab").await, "");
    assert_eq!(
        stay("carol", new).await,
        "",
        "a link leads nobody to another user's workspace"
    );
    portal.server.edit::<Workspace>(Some("team"), "lab", |lab| {
        lab["status"] = json!({"phase": "Running", "url": "https://lab.workspaces.localhost:8443/"});
    });
    // Who comes back from the workspace stays.
    while stay("alice", new).await != "" {
        tokio::task::yield_now().await;
    }
}
