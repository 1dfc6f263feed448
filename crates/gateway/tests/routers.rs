//! Answers of each listener, without sockets.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::routing::get;
use gateway::index::Index;
use gateway::index::Routes;
use gateway::metrics::Metrics;
use gateway::router::{self, RouteProvider};
use gateway::verify::ProxyKind;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::support::behind_proxy::entrance as at_entrance;
use crate::support::fixture::{Fixture, LAB};
use crate::support::workspace::{snapshot, target};

async fn send(router: &Router, request: Request<Body>) -> (StatusCode, String) {
    let response: Response = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn request(uri: &str, headers: &[(&'static str, &str)]) -> Request<Body> {
    let mut request = Request::get(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap()
}

const OWN_NAME: &str = "jupyter-k8s-gateway.system.svc";

/// A gateway, and alice's ticket for her workspace at [`LAB`].
async fn signed_in() -> (Fixture, String) {
    let fixture = Fixture::new().await;
    let ticket = fixture.signed_in("alice", LAB).await.cookies(LAB).unwrap();
    (fixture, ticket)
}

fn entrance(fixture: &Fixture, other_proxies: Vec<ProxyKind>) -> Router {
    router::entrance(at_entrance(&fixture.app, OWN_NAME, other_proxies))
}

#[tokio::test]
async fn a_browsers_own_request_never_passes_for_the_proxys_question() {
    let (fixture, ticket) = signed_in().await;
    let (entrance, own) = (entrance(&fixture, vec![]), format!("{LAB}:8443"));
    for (uri, host) in [
        ("/verify", own.as_str()),
        ("/verify", "unknown.ws.example:8443"),
        ("/verify", "auth.ws.example:8443"),
        ("/verify", "lab-abc.ws.example:1"),
        ("/verify", "elsewhere.example"),
        ("/elsewhere", &own),
        (
            "https://lab-a.ws.example:8443/verify",
            "jupyter-k8s-gateway.system.svc:8443",
        ),
    ] {
        let (status, body) = send(&entrance, request(uri, &[("host", host), ("cookie", &ticket)])).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{uri} {host}");
        assert!(body.contains("BadHandshake"), "{body}");
    }
    let without_host = send(&entrance, request("/verify", &[("cookie", &ticket)])).await;
    assert_eq!(without_host.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn other_proxies_are_answered_where_a_setting_names_them_and_nowhere_else() {
    let (fixture, ticket) = signed_in().await;
    let (own, host) = (("host", OWN_NAME), format!("{LAB}:8443"));
    let url = format!("https://{host}/");
    let lines = [
        ("cookie", ticket.as_str()),
        ("x-original-url", &url),
        ("x-original-method", "GET"),
        ("x-forwarded-proto", "https"),
    ];
    let asked = [
        (
            ProxyKind::Nginx,
            request("/verify/nginx", &[&[own], &lines[..]].concat()),
        ),
        (
            ProxyKind::Envoy,
            request(
                "/ext_authz/lab",
                &[&[("host", host.as_str())], &lines[..]].concat(),
            ),
        ),
    ];
    let answer = async |other_proxies: Vec<ProxyKind>, question: &Request<Body>| {
        let mut request = Request::get(question.uri()).body(Body::empty()).unwrap();
        *request.headers_mut() = question.headers().clone();
        entrance(&fixture, other_proxies).oneshot(request).await.unwrap()
    };
    for (proxy_kind, question) in &asked {
        let others = asked
            .iter()
            .map(|(other, _)| *other)
            .filter(|other| other != proxy_kind);
        for other_proxies in [vec![], others.collect()] {
            let refused = answer(other_proxies, question).await;
            assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{proxy_kind:?}");
            assert!(
                !refused.headers().contains_key("workspace-assertion"),
                "{proxy_kind:?}"
            );
        }
        let allowed = answer(vec![*proxy_kind], question).await;
        assert_eq!(allowed.status(), StatusCode::OK, "{proxy_kind:?}");
    }
}

fn poll(instance: &str) -> Request<Body> {
    request("/traefik/config", &[("x-proxy-instance", instance)])
}

#[tokio::test(start_paused = true)]
async fn routes_are_given_at_once_to_a_new_connection_and_then_held_until_they_change() {
    let index = Arc::new(Index::default());
    let routes = Arc::new(Routes::default());
    let following = tokio::spawn(Arc::clone(&routes).follow(Arc::clone(&index)));
    let stop = CancellationToken::new();
    let provider = RouteProvider {
        routes,
        metrics: Metrics::default(),
        stop: stop.clone(),
    };
    let connection = router::provider(provider.clone());
    let unsynced = send(&connection, poll("one")).await;
    assert_eq!(unsynced.0, StatusCode::SERVICE_UNAVAILABLE, "never an empty set");

    index.publish(snapshot(None));
    // The follower has to run before the next poll.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let start = Instant::now();
    let first = send(&connection, poll("one")).await;
    assert_eq!((first.0, start.elapsed()), (StatusCode::OK, Duration::ZERO));
    assert_eq!(send(&connection, poll("one")).await, first);
    assert_eq!(start.elapsed(), Duration::from_secs(8));

    // Another connection of the same proxy, which may have started anew, and another proxy behind the same connection.
    let start = Instant::now();
    assert_eq!(
        send(&router::provider(provider.clone()), poll("one")).await,
        first
    );
    assert_eq!(send(&connection, poll("two")).await, first);
    assert_eq!(start.elapsed(), Duration::ZERO);

    let held = tokio::spawn({
        let connection = connection.clone();
        async move { send(&connection, poll("two")).await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    // Another state, but the same routes.
    index.publish(snapshot(Some(target(None))));
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(!held.is_finished());
    index.publish(snapshot(Some(target(Some("10.0.0.1:8888".parse().unwrap())))));
    let second = held.await.unwrap();
    assert!(second.1.contains("http://10.0.0.1:8888"));
    assert!(start.elapsed() < Duration::from_secs(2));

    let last = tokio::spawn({
        let connection = connection.clone();
        async move { send(&connection, poll("two")).await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    stop.cancel();
    assert_eq!(
        last.await.unwrap(),
        second,
        "the end of the replica gives what is known"
    );
    following.abort();
}

#[tokio::test]
async fn a_fault_in_one_answer_is_a_500_and_ends_no_connection() {
    let fixture = Fixture::without_provider();
    let faulty = Router::new().route("/", get(async || -> StatusCode { panic!("a fault") }));
    let pages = router::pages(fixture.app.clone(), faulty, Router::new());
    let (status, _) = send(&pages, request("/", &[("host", "auth.ws.example:8443")])).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
}
