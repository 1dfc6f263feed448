//! Open pages get what changes, and nothing of what they may not see.

use std::time::Duration;

use api::{Workspace, WorkspaceShare, WorkspaceTemplate};
use axum::body::Body;
use http_body_util::BodyExt as _;
use k8s_openapi::api::rbac::v1::RoleBinding;
use serde_json::json;
use testkit::objects::{template, workspace};
use tokio::time::{Instant, sleep, timeout};

use crate::common::{Portal, next};
use crate::listing::share;

fn stopped(portal: &Portal, name: &str) {
    portal.server.edit::<Workspace>(Some("team"), name, |object| {
        object["spec"]["desiredStatus"] = json!("Stopped");
        object["status"] = json!({"phase": "Stopped"});
    });
}

#[tokio::test]
async fn a_change_is_on_an_open_list_and_on_the_open_page() {
    for path in [
        "/events?view=list",
        "/events?view=workspace&namespace=team&name=lab",
    ] {
        let portal = Portal::start(|server| server.put(&workspace("lab"))).await;
        let mut body = portal.open("alice", path).await;
        let first = next(&mut body).await.unwrap();
        assert!(
            first.contains("event: patch") && first.contains("Starting"),
            "{first}"
        );
        stopped(&portal, "lab");
        let second = next(&mut body).await.unwrap();
        assert!(second.contains("Stopped"), "{path}: {second}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_of_a_running_workspace_does_not_wait_for_the_next_regular_read() {
    let portal = Portal::start(|server| {
        let mut lab = workspace("lab");
        lab.status = serde_json::from_value(json!({"phase": "Running", "observedGeneration": 1})).unwrap();
        server.put(&lab);
    })
    .await;
    let mut body = portal
        .open("alice", "/events?view=workspace&namespace=team&name=lab")
        .await;
    assert!(next(&mut body).await.unwrap().contains("Running"));
    let begin = Instant::now();
    stopped(&portal, "lab");
    assert!(next(&mut body).await.unwrap().contains("Stopped"));
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn changes_that_a_page_does_not_show_are_not_sent() {
    let portal = Portal::start(|server| {
        server.put(&workspace("lab"));
        let mut other = workspace("other");
        other.metadata.annotations = None;
        server.put(&other);
    })
    .await;
    let mut body = portal.open("alice", "/events?view=list").await;
    next(&mut body).await.unwrap();
    stopped(&portal, "other");
    let nothing = timeout(Duration::from_secs(1), body.frame()).await;
    assert!(nothing.is_err(), "{nothing:?}");
    stopped(&portal, "lab");
    assert!(next(&mut body).await.unwrap().contains("Stopped"));
}

#[tokio::test]
async fn a_page_whose_workspace_is_no_longer_visible_says_so_and_ends() {
    let portal = Portal::start(|server| server.put(&workspace("lab"))).await;
    let mut body = portal
        .open("alice", "/events?view=workspace&namespace=team&name=lab")
        .await;
    next(&mut body).await.unwrap();
    portal.server.edit::<Workspace>(Some("team"), "lab", |object| {
        object["metadata"]["annotations"] = json!({api::names::CREATED_BY: "bob"});
    });
    assert!(next(&mut body).await.unwrap().contains("event: end"));
    assert_eq!(next(&mut body).await, None);
    for name in ["lab", "none"] {
        let gone = portal
            .get(
                "alice",
                &format!("/events?view=workspace&namespace=team&name={name}"),
            )
            .await;
        assert_eq!(gone.text, "event: end\ndata: gone\n\n", "{name}");
    }
}

#[tokio::test]
async fn parts_lead_back_to_the_page() {
    let portal = Portal::start(|server| server.put(&workspace("lab"))).await;
    for (stream, page) in [
        ("/events?sort=name&view=list", "/?sort=name"),
        ("/events?view=workspace&namespace=team&name=lab", "/w/team/lab"),
    ] {
        let first = next(&mut portal.open("alice", stream).await).await.unwrap();
        assert!(
            first.contains(&format!("<a href=\"{page}\">Reload</a>")),
            "{first}"
        );
        assert!(!first.contains("href=\"/events"), "{first}");
    }
}

#[tokio::test]
async fn an_empty_list_stays_a_welcome() {
    let portal = Portal::start(|_| {}).await;
    let first = next(&mut portal.open("alice", "/events?view=list").await)
        .await
        .unwrap();
    assert!(first.contains("You have no workspace yet"), "{first}");
    assert!(!first.contains("<table"), "{first}");
}

#[tokio::test]
async fn changes_of_ones_own_workspaces_are_announced() {
    for path in [
        "/events?view=list",
        "/events?view=workspace&namespace=team&name=lab",
    ] {
        let portal = Portal::start(|server| server.put(&workspace("lab"))).await;
        portal.grant(&[("erin", "list", "workspaces", "team")]);
        let mut own = portal.open("alice", path).await;
        let mut others = portal.open("erin", path).await;
        next(&mut own).await.unwrap();
        next(&mut others).await.unwrap();
        stopped(&portal, "lab");
        assert!(next(&mut own).await.unwrap().contains("event: patch"), "{path}");
        assert_eq!(
            next(&mut own).await.unwrap(),
            "event: announce\ndata: lab: Stopped.\n\n",
            "{path}"
        );
        assert!(
            next(&mut others).await.unwrap().contains("event: patch"),
            "{path}"
        );
        let nothing = timeout(Duration::from_secs(1), others.frame()).await;
        assert!(nothing.is_err(), "{path}: {nothing:?}");
    }
}

#[tokio::test]
async fn a_workspace_page_is_not_read_again_when_other_objects_change() {
    let portal = Portal::start(|server| {
        server.put(&workspace("lab"));
        server.put(&workspace("other"));
    })
    .await;
    let mut body = portal
        .open("alice", "/events?view=workspace&namespace=team&name=lab")
        .await;
    next(&mut body).await.unwrap();
    portal.calls_as_users();
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(3) {
        portal.server.edit::<Workspace>(Some("team"), "other", |object| {
            object["spec"]["displayName"] = json!(format!("{:?}", begin.elapsed()));
        });
        let nothing = timeout(Duration::from_millis(300), body.frame()).await;
        assert!(nothing.is_err(), "{nothing:?}");
    }
    let calls = portal.calls_as_users();
    assert!(calls.is_empty(), "{calls:#?}");
    stopped(&portal, "lab");
    assert!(next(&mut body).await.unwrap().contains("Stopped"));
    assert!(!portal.calls_as_users().is_empty());
}

#[tokio::test]
async fn a_template_s_new_name_for_an_image_is_on_an_open_list() {
    let portal = Portal::start(|server| {
        let mut lab = workspace("lab");
        lab.spec.template_ref = Some("small".to_owned());
        server.put(&lab);
        server.put(&template("small"));
    })
    .await;
    let mut body = portal.open("alice", "/events?view=list").await;
    next(&mut body).await.unwrap();
    portal.server.edit::<WorkspaceTemplate>(None, "small", |object| {
        let image = object["spec"]["defaultImage"].clone();
        object["metadata"]["generation"] = json!(2);
        object["spec"]["presentation"] = json!({"images": [{"image": image, "displayName": "The new one"}]});
    });
    assert!(next(&mut body).await.unwrap().contains("The new one"));
}

#[tokio::test]
async fn what_a_share_opens_is_on_an_open_list_and_gone_with_the_share() {
    let portal = Portal::start(|server| {
        server.put(&workspace("lab"));
    })
    .await;
    let mut body = portal.open("bob", "/events?view=list").await;
    assert!(!next(&mut body).await.unwrap().contains("/w/team/lab"));
    portal.server.put(&share("lab", "bob", true));
    assert!(next(&mut body).await.unwrap().contains("/w/team/lab"));
    portal.server.remove::<WorkspaceShare>(Some("team"), "lab-share");
    assert!(!next(&mut body).await.unwrap().contains("/w/team/lab"));
}

#[tokio::test]
async fn what_an_administrator_of_all_namespaces_may_is_asked_once_for_all_of_them() {
    let portal = Portal::start(|server| {
        for number in 0..20 {
            let mut lab = workspace("lab");
            lab.metadata.namespace = Some(format!("team-{number}"));
            server.put(&lab);
        }
    })
    .await;
    portal.grant(&[
        ("eve", "list", "workspaces", "*"),
        ("eve", "patch", "workspaces", "*"),
        ("eve", "delete", "workspaces", "*"),
        ("eve", "administer", "workspaces", "*"),
    ]);
    let mut body = portal.open("eve", "/events?view=list").await;
    let list = next(&mut body).await.unwrap();
    assert!(list.contains("team-0") && list.contains("team-19"), "{list}");
    let reviews = portal.server.take_calls();
    assert_eq!(reviews.len(), 4, "{reviews:#?}");
}

/// The stream that follows this one, as the browser opens it when this one has ended.
async fn reopened(portal: &Portal, mut body: Body, user: &str, path: &str) -> Body {
    while next(&mut body).await.is_some() {}
    portal.open(user, path).await
}

#[tokio::test(start_paused = true)]
async fn a_stream_lasts_ten_seconds_so_that_the_gateway_decides_again() {
    for path in [
        "/events?view=list",
        "/events?view=workspace&namespace=team&name=lab",
    ] {
        let portal = Portal::start(|server| server.put(&workspace("lab"))).await;
        let start = Instant::now();
        let mut body = portal.open("alice", path).await;
        assert!(next(&mut body).await.unwrap().contains("retry: 250"), "{path}");
        sleep(Duration::from_secs(7)).await;
        stopped(&portal, "lab");
        assert!(next(&mut body).await.unwrap().contains("Stopped"), "{path}");
        while next(&mut body).await.is_some() {}
        assert_eq!(start.elapsed().as_secs(), 10, "{path}");
    }
}

#[tokio::test]
async fn a_stream_ends_with_the_assertion_and_sends_nothing_afterwards() {
    let portal = Portal::start(|server| server.put(&workspace("lab"))).await;
    let mut body = portal.open_for("alice", "/events?view=list", 2).await;
    assert!(next(&mut body).await.unwrap().contains("event: patch"));
    stopped(&portal, "lab");
    // No client reads until the assertion has ended.
    sleep(Duration::from_millis(2_200)).await;
    assert_eq!(next(&mut body).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_right_that_a_role_gives_or_takes_shows_on_an_open_page_within_seconds() {
    let portal = Portal::start(|server| {
        crate::common::prepare(server);
        server.put(&workspace("lab"));
    })
    .await;
    let mut body = portal.open("bob", "/events?view=list").await;
    let first = next(&mut body).await.unwrap();
    assert!(!first.contains("team/lab"), "{first}");
    let binding = json!({
        "metadata": {"name": "readers", "namespace": "team"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "readers"},
    });
    let binding: RoleBinding = serde_json::from_value(binding).unwrap();
    let start = Instant::now();
    portal.grant(&[("bob", "list", "workspaces", "team")]);
    portal.server.put(&binding);
    let mut body = reopened(&portal, body, "bob", "/events?view=list").await;
    let second = next(&mut body).await.unwrap();
    assert!(second.contains("team/lab"), "{second}");
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());

    let start = Instant::now();
    portal.grant(&[]);
    portal
        .server
        .edit::<RoleBinding>(Some("team"), "readers", |object| {
            object["metadata"]["labels"] = json!({"changed": "true"});
        });
    let mut body = reopened(&portal, body, "bob", "/events?view=list").await;
    let third = next(&mut body).await.unwrap();
    assert!(!third.contains("team/lab"), "{third}");
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
}
