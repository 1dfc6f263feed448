//! Tickets, codes and cookies at a host, path or browser that they were not issued for.

use api::workspace::AccessType;
use gateway::index::Target;
use gateway::tokens::cookies;
use http::{Method, StatusCode};
use kube::runtime::watcher::Event;
use testkit::api_server::Fault;

use crate::support::browser::{Browser, NAVIGATION, headers};
use crate::support::fixture::{AUTH, BOBS, Fixture, LAB, OPEN, lab, origin, target};

/// Alice during her sign-in, just before her one-time code is used, and the code's address.
async fn with_code(fixture: &Fixture) -> (Browser<'_>, String) {
    let alice = fixture.browser("alice");
    let landing = alice
        .open_until(&lab(), |url| url.contains("/_workspace/callback"))
        .await;
    let callback = landing.answer.location().unwrap().to_owned();
    (alice, callback)
}

#[tokio::test]
async fn a_code_counts_once() {
    let fixture = Fixture::new().await;
    let (alice, callback) = with_code(&fixture).await;
    let first = alice.step(&callback).await;
    assert!(first.cookie(cookies::TICKET).is_some());
    // With the ticket the browser continues. Without it the sign-in starts again.
    let second = alice.step(&callback).await;
    assert_eq!(
        (second.cookie(cookies::TICKET), second.location()),
        (None, Some(lab().as_str()))
    );
    alice.set_cookie(LAB, cookies::TICKET, None);
    let third = alice.step(&callback).await;
    assert_eq!(third.cookie(cookies::TICKET), None);
    let next = third.location().unwrap();
    assert!(next.starts_with(&format!("{AUTH}/enter?t=")), "{next}");
}

#[tokio::test]
async fn a_code_counts_for_thirty_seconds() {
    let fixture = Fixture::new().await;
    let (alice, callback) = with_code(&fixture).await;
    fixture.pass(30);
    assert_eq!(alice.step(&callback).await.cookie(cookies::TICKET), None);
    // The browser is sent round once more and arrives.
    assert!(alice.open(&callback).await.is_inside());
}

#[tokio::test]
async fn a_code_that_comes_without_its_pre_cookie_is_spent_at_once() {
    for own in [false, true] {
        let fixture = Fixture::new().await;
        let (alice, callback) = with_code(&fixture).await;
        let mallory = fixture.browser("mallory");
        if own {
            mallory.step(&lab()).await;
            assert!(mallory.cookie(LAB, cookies::PRE).is_some());
        }
        assert_eq!(mallory.step(&callback).await.cookie(cookies::TICKET), None);
        // Its owner needs another one, and gets it by herself.
        assert_eq!(alice.step(&callback).await.cookie(cookies::TICKET), None);
        assert!(alice.open(&callback).await.is_inside());
    }
}

#[tokio::test]
async fn a_code_of_one_workspace_is_worthless_at_another() {
    let fixture = Fixture::new().await;
    let (alice, callback) = with_code(&fixture).await;
    let pre = alice.cookie(LAB, cookies::PRE);
    alice.set_cookie(BOBS, cookies::PRE, pre.as_deref());
    let answer = alice.step(&callback.replace(LAB, BOBS)).await;
    assert_eq!(
        (answer.status, answer.cookie(cookies::TICKET)),
        (StatusCode::BAD_REQUEST, None)
    );
}

#[tokio::test]
async fn access_that_ends_while_the_code_is_under_way_gives_no_ticket() {
    let fixture = Fixture::new().await;
    let (alice, callback) = with_code(&fixture).await;
    fixture.publish(vec![target(LAB, "bob", AccessType::OwnerOnly)]);
    let answer = alice.step(&callback).await;
    assert_eq!(
        (answer.status, answer.cookie(cookies::TICKET)),
        (StatusCode::FORBIDDEN, None)
    );
}

#[tokio::test]
async fn a_code_is_not_used_up_by_head_requests_frames_or_fetches() {
    let fixture = Fixture::new().await;
    let (alice, callback) = with_code(&fixture).await;
    let head = alice.send("HEAD", &callback, headers(&NAVIGATION)).await;
    assert_eq!(head.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(head.headers["allow"], "GET");
    let fetched = alice
        .send(
            "GET",
            &callback,
            headers(&[
                ("sec-fetch-mode", "no-cors"),
                ("sec-fetch-dest", "image"),
                ("sec-fetch-site", "same-site"),
            ]),
        )
        .await;
    assert_eq!(fetched.status, StatusCode::FORBIDDEN);
    assert!(alice.open(&callback).await.is_inside());
}

#[tokio::test]
async fn a_ticket_counts_for_its_own_workspace_only() {
    let fixture = Fixture::new().await;
    let alice = fixture.signed_in("alice", LAB).await;
    let ticket = alice.cookie(LAB, cookies::TICKET).unwrap();
    let mallory = fixture.browser("mallory");
    for host in [BOBS, OPEN] {
        mallory.set_cookie(host, cookies::TICKET, Some(&ticket));
        let answer = mallory.step(&format!("{}/", origin(host))).await;
        assert_eq!(answer.status, StatusCode::FOUND, "{host}");
    }
    // Created again under the same host: another workspace.
    let again = Target {
        uid: "another".into(),
        ..target(LAB, "alice", AccessType::OwnerOnly)
    };
    fixture.publish(vec![again]);
    assert_eq!(alice.step(&lab()).await.status, StatusCode::FOUND);
}

#[tokio::test]
async fn access_that_ends_counts_for_the_next_request() {
    let fixture = Fixture::new().await;
    let alice = fixture.signed_in("alice", LAB).await;
    fixture.publish(vec![target(LAB, "bob", AccessType::OwnerOnly)]);
    let page = alice.step(&lab()).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    let fetch = headers(&[
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-mode", "cors"),
        ("sec-fetch-dest", "empty"),
    ]);
    let fetched = alice.send("GET", &lab(), fetch).await;
    assert_eq!(
        (fetched.status, fetched.json()["error"].as_str()),
        (StatusCode::FORBIDDEN, Some("NoAccess"))
    );
    fixture.publish(vec![]);
    assert_eq!(alice.step(&lab()).await.body, page.body);
}

impl Browser<'_> {}

#[tokio::test]
async fn without_the_api_server_known_sessions_go_on_and_unknown_ones_are_neither_let_in_nor_sent_away() {
    let fixture = Fixture::new().await;
    let other = fixture.replica().await;
    let alice = fixture.signed_in("alice", LAB).await.at(&other);
    let session = fixture.sessions().remove(0);
    fixture
        .server
        .fail(Fault::internal(Method::GET, "gatewaysessions", 100));
    let answer = alice.step(&lab()).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers.contains_key("retry-after") && answer.location().is_none());
    other.app.sessions.apply(Event::Apply(session)).await;
    assert_eq!(alice.step(&lab()).await.status, StatusCode::OK);
}

#[tokio::test]
async fn nothing_is_decided_before_the_domain_is_known() {
    let fixture = Fixture::new().await;
    let alice = fixture.signed_in("alice", LAB).await;
    fixture.app.index.publish(gateway::index::Snapshot::default());
    assert_eq!(alice.step(&lab()).await.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_websocket_needs_the_ticket_and_the_workspaces_own_origin() {
    let fixture = Fixture::new().await;
    let alice = fixture.signed_in("alice", LAB).await;
    let cookie = alice.cookies(LAB).unwrap();
    let own = origin(LAB);
    let admit = async |lines: &[(&str, &str)]| match fixture.handshake_at(LAB, "/", &headers(lines)).await {
        Ok(_) => StatusCode::OK,
        Err(response) => response.status(),
    };
    assert_eq!(admit(&[("cookie", &cookie)]).await, StatusCode::FORBIDDEN);
    assert_eq!(
        admit(&[("cookie", &cookie), ("origin", &origin(BOBS))]).await,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        admit(&[("cookie", &cookie), ("origin", "null")]).await,
        StatusCode::FORBIDDEN
    );
    assert_eq!(admit(&[("origin", &own)]).await, StatusCode::UNAUTHORIZED);
    assert_eq!(
        admit(&[("cookie", "__Host-ws=x"), ("origin", &own)]).await,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        admit(&[("cookie", &cookie), ("origin", &own)]).await,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_websockets_right_ends_with_the_session_the_access_or_the_workspace() {
    let fixture = Fixture::new().await;
    let alice = fixture.signed_in("alice", LAB).await;
    let session = fixture.sessions().remove(0);
    fixture.app.sessions.apply(Event::Apply(session.clone())).await;
    let lines = [("cookie", alice.cookies(LAB).unwrap()), ("origin", origin(LAB))];
    let lines: Vec<(&str, &str)> = lines
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let granted = fixture.handshake(LAB, &headers(&lines)).await.unwrap();
    assert!(fixture.app.is_valid(&granted));
    fixture.publish(vec![target(LAB, "bob", AccessType::OwnerOnly)]);
    assert!(!fixture.app.is_valid(&granted));
    fixture.publish(vec![Target {
        uid: "another".into(),
        ..target(LAB, "alice", AccessType::OwnerOnly)
    }]);
    assert!(!fixture.app.is_valid(&granted));
    fixture.publish(vec![target(LAB, "alice", AccessType::OwnerOnly)]);
    assert!(fixture.app.is_valid(&granted));
    fixture.app.sessions.apply(Event::Delete(session)).await;
    assert!(!fixture.app.is_valid(&granted));
}
