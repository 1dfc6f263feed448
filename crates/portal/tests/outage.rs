//! What pages say and do while the API server does not answer.

use std::time::Duration;

use http::{Method, StatusCode};
use kit::scope::Scope;
use testkit::api_server::{Disruption, Fault};
use testkit::objects::workspace;
use tokio::time::{Instant, advance, sleep};

use crate::common::{Portal, next, prepare};
use crate::forms::NEW;

const STALE: &str = "does not answer, so this page may be out of date";

/// Loads the list until it says that it may be out of date, or that it is not.
async fn until_stale(portal: &Portal, is_stale: bool) {
    for _ in 0..200 {
        if portal.get("alice", "/").await.text.contains(STALE) == is_stale {
            return;
        }
        sleep(Duration::from_millis(100)).await;
    }
    panic!("the list does not become stale: {is_stale}");
}

#[tokio::test(start_paused = true)]
async fn after_one_interruption_pages_are_current_again_though_nothing_changes() {
    let portal = Portal::start(|server| server.put(&workspace("lab"))).await;
    assert!(!portal.get("alice", "/").await.text.contains(STALE));
    portal.server.partition(true);
    until_stale(&portal, true).await;
    portal.server.partition(false);
    until_stale(&portal, false).await;
}

#[tokio::test(start_paused = true)]
async fn pages_say_above_their_title_that_they_may_be_out_of_date_and_changes_may_fail() {
    let portal = Portal::start(|server| server.put(&workspace("lab"))).await;
    portal.server.partition(true);
    until_stale(&portal, true).await;
    for path in ["/", "/w/team/lab", "/w/team/lab/stop", "/account"] {
        let page = portal.get("alice", path).await.text;
        let (before, _) = page.split_once("<h1").unwrap();
        assert!(before.contains(STALE), "{path}: {before}");
        assert!(before.contains("Changes may fail"), "{path}: {before}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_fails_stays_interrupted_until_it_is_whole() {
    let portal = Portal::start(|server| server.put(&workspace("lab"))).await;
    portal
        .server
        .fail(Fault::internal(Method::GET, "workspacetemplates", 5));
    portal.server.forget_history();
    until_stale(&portal, true).await;
    let start = Instant::now();
    until_stale(&portal, false).await;
    assert!(start.elapsed() > Duration::from_secs(5), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn beyond_a_minute_of_interruption_nothing_is_shown_but_that() {
    let portal = Portal::start(|server| server.put(&workspace("lab"))).await;
    portal.server.partition(true);
    until_stale(&portal, true).await;
    advance(Duration::from_secs(61)).await;
    for path in ["/", "/w/team/lab", "/events?view=list"] {
        let answer = portal.get("alice", path).await;
        assert_eq!(answer.status, 503, "{path}");
        assert!(
            answer.text.contains("has not answered for more than a minute"),
            "{path}: {}",
            answer.text
        );
        assert!(!answer.text.contains("team/lab"), "{path}: {}", answer.text);
    }
    assert_eq!(portal.post("alice", "/w/team/lab/stop", "").await.status, 503);
    portal.server.partition(false);
    for _ in 0..200 {
        if portal.get("alice", "/").await.status == 200 {
            return;
        }
        sleep(Duration::from_millis(100)).await;
    }
    panic!("the list does not come back");
}

fn leave_reviews_unanswered(portal: &Portal) {
    for _ in 0..50 {
        portal
            .server
            .disrupt(Method::POST, "subjectaccessreviews", Disruption::NoAnswer);
    }
}

#[tokio::test(start_paused = true)]
async fn pages_come_within_seconds_though_access_reviews_are_not_answered() {
    let portal = Portal::start(|server| server.put(&workspace("lab"))).await;
    leave_reviews_unanswered(&portal);
    let start = Instant::now();
    let list = portal.get("alice", "/").await;
    assert!(
        list.text.contains("did not say in time what else you may see"),
        "{}",
        list.text
    );
    assert!(list.text.contains("/w/team/lab"));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    let start = Instant::now();
    assert_eq!(portal.get("dave", "/w/team/lab").await.status, 404);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

/// Said where a right may be missing on the page.
const UNKNOWN: &str = "The API server did not say in time what you may do here. Load the page again.";

#[tokio::test(start_paused = true)]
async fn pages_say_that_rights_are_not_known_while_access_reviews_are_not_answered() {
    for (user, path, status, said) in [
        ("alice", "/", StatusCode::OK, "what else you may see and do. Load"),
        ("erin", "/", StatusCode::OK, "what else you may see. Load"),
        ("alice", "/w/team/lab", StatusCode::OK, UNKNOWN),
        ("alice", "/w/team/lab/share", StatusCode::OK, UNKNOWN),
        ("alice", "/templates", StatusCode::OK, UNKNOWN),
        ("alice", "/new", StatusCode::SERVICE_UNAVAILABLE, "create"),
        ("alice", NEW, StatusCode::SERVICE_UNAVAILABLE, "create"),
        (
            "alice",
            "/stop?namespace=team",
            StatusCode::SERVICE_UNAVAILABLE,
            "did not say in time what you may stop",
        ),
        (
            "alice",
            "/templates/jupyterlab",
            StatusCode::SERVICE_UNAVAILABLE,
            "did not say in time what you may see",
        ),
        (
            "alice",
            "/namespaces/team",
            StatusCode::SERVICE_UNAVAILABLE,
            "did not say in time what you may see",
        ),
    ] {
        let portal = Portal::start(|server| {
            prepare(server);
            server.put(&workspace("lab"));
        })
        .await;
        let known = portal.get(user, path).await;
        assert!(
            !known.text.contains("did not say in time"),
            "{path}: {}",
            known.text
        );
        advance(Duration::from_secs(31)).await;
        leave_reviews_unanswered(&portal);
        let answer = portal.get(user, path).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
        assert_eq!(
            answer.text.matches("did not say in time").count(),
            1,
            "{path}: {}",
            answer.text
        );
        assert!(answer.text.contains(said), "{path}: {}", answer.text);
        assert!(!answer.text.contains("There is no template"), "{}", answer.text);
    }
}

#[tokio::test(start_paused = true)]
async fn the_page_of_a_namespace_says_that_rights_are_not_known() {
    let portal = Portal::start(|server| server.put(&workspace("lab"))).await;
    portal.grant(&[
        ("erin", "list", "workspaces", "team"),
        ("erin", "patch", "workspaces", "team"),
        ("erin", api::names::ADMINISTER_VERB, "workspaces", "team"),
    ]);
    // A list without rows needs no other right.
    portal.get("erin", "/?q=nothing").await;
    leave_reviews_unanswered(&portal);
    let page = portal.get("erin", "/namespaces/team").await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    assert!(page.text.contains(UNKNOWN), "{}", page.text);
    assert!(!page.text.contains("Stop all"), "{}", page.text);
}

#[tokio::test(start_paused = true)]
async fn an_open_page_says_that_it_may_be_out_of_date_and_ends_when_it_is_too_old() {
    for path in [
        "/events?view=list",
        "/events?view=workspace&namespace=team&name=lab",
    ] {
        let portal = Portal::start(|server| server.put(&workspace("lab"))).await;
        let mut body = portal.open("alice", path).await;
        assert!(!next(&mut body).await.unwrap().contains(STALE), "{path}");
        portal.server.partition(true);
        let told = next(&mut body).await.unwrap();
        assert!(
            told.contains("id=\"stale\"") && told.contains(STALE),
            "{path}: {told}"
        );
        let said = next(&mut body).await.unwrap();
        assert!(
            said.starts_with("event: announce") && said.contains("Changes may fail"),
            "{path}: {said}"
        );
        portal.server.partition(false);
        let is_current = |told: &str| told.contains("id=\"age\"") && !told.contains(STALE);
        loop {
            match next(&mut body).await {
                Some(told) if is_current(&told) => break,
                Some(_) => {}
                None => body = portal.open("alice", path).await,
            }
        }

        portal.server.partition(true);
        until_stale(&portal, true).await;
        advance(Duration::from_secs(57)).await;
        let (mut body, start) = (portal.open("alice", path).await, Instant::now());
        while next(&mut body).await.is_some() {}
        // Any stream ends after 10 s.
        assert!(start.elapsed() < Duration::from_secs(9), "{:?}", start.elapsed());
    }
}

/// Namespace and name of each access review since the last call, and whether it is a local one.
fn reviews(portal: &Portal) -> Vec<(String, String, bool)> {
    let calls = portal.server.take_calls();
    let reviews = calls
        .iter()
        .filter(|call| call.path.ends_with("subjectaccessreviews"));
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    reviews
        .map(|call| {
            let asked = &call.body["spec"]["resourceAttributes"];
            (
                text(&asked["namespace"]),
                text(&asked["name"]),
                call.path.contains("/namespaces/"),
            )
        })
        .collect()
}

#[tokio::test]
async fn in_one_namespace_only_that_one_is_asked_about() {
    let portal = Portal::start_in(Scope::Namespace("team".to_owned()), |server| {
        server.put(&workspace("lab"));
    })
    .await;
    for path in [
        "/",
        "/templates",
        "/account",
        "/w/team/none",
        "/w/other/x",
        "/namespaces/other",
    ] {
        portal.get("bob", path).await;
    }
    let reviews = reviews(&portal);
    assert!(reviews.iter().any(|(_, name, _)| name == "none"), "{reviews:?}");
    assert!(
        reviews
            .iter()
            .all(|(namespace, _, is_local)| namespace == "team" && *is_local),
        "{reviews:?}"
    );
}

#[tokio::test]
async fn in_one_namespace_a_workspace_without_a_manager_has_the_release_s_own() {
    let seen_in = async |scope: Scope| {
        let portal = Portal::start_in(scope, |server| {
            let mut main = testkit::objects::manager("main");
            main.spec.authorization = Some(api::manager::Authorization {
                admin_groups: vec!["admins".to_owned()],
                ..api::manager::Authorization::default()
            });
            server.put(&main);
            server.put(&testkit::objects::manager("theirs"));
            let mut lab = workspace("lab");
            lab.spec.manager_ref = None;
            lab.status = None;
            server.put(&lab);
        })
        .await;
        portal.get("eve|admins", "/").await
    };
    let list = seen_in(Scope::Namespace("team".to_owned())).await;
    assert!(
        list.status == StatusCode::OK && list.text.contains("lab"),
        "{}",
        list.text
    );
    // Of two default managers none is chosen.
    let none = seen_in(Scope::Cluster).await;
    assert_eq!(none.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        none.text.contains("The portal does not know its addresses yet"),
        "{}",
        none.text
    );
}

#[tokio::test]
async fn names_that_no_object_can_have_are_not_asked_about() {
    let portal = Portal::start(|server| server.put(&workspace("lab"))).await;
    let long = "x".repeat(64);
    for path in [
        format!("/w/{long}/lab"),
        format!("/namespaces/{long}"),
        "/w/te%20am/lab".to_owned(),
        "/namespaces/Team".to_owned(),
    ] {
        assert_eq!(portal.get("dave", &path).await.status, 404, "{path}");
    }
    assert_eq!(reviews(&portal), []);
}
