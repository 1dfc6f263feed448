//! The contract with Traefik where workspaces are in folders of one host (routing mode Path).

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use api::manager::RoutingMode;
use api::workspace::AccessType;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use futures::{SinkExt as _, StreamExt as _};
use gateway::index::{Destination, Domain, Index, Snapshot, Target};
use gateway::verify::Forwarded;
use http::StatusCode;
use rules::access::Policy;
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::server::{Request as Handshake, Response as Accepted};

use crate::support::behind_traefik::BehindTraefik;
use crate::support::fixture::target;
use crate::support::pod::answering;
use crate::support::proxy::{BASE, Site, running};

const TICKET: (&str, &str) = ("cookie", "_xsrf=1; __Secure-ws=ticket; __Secure-ws-pre=secret");

fn domain() -> Domain {
    Domain::new(BASE, 443).in_mode(RoutingMode::Path)
}

fn folder(name: &str) -> String {
    format!("{BASE}/workspaces/team/{name}")
}

fn snapshot(pods: &[(&str, SocketAddr)]) -> Snapshot {
    let targets = pods.iter().map(|(name, pod)| Target {
        site: folder(name).into(),
        ..running(name, *pod)
    });
    Snapshot::new(Some(domain()), targets)
}

/// A pod that says its name and the path that it was asked for, and answers with headers that must not leave its folder.
async fn pod(name: &'static str) -> SocketAddr {
    let answer = move |request: Request| async move {
        let mut response = Response::new(Body::from(format!("{name} {}", request.uri())));
        for (header, value) in [
            ("service-worker-allowed", "/"),
            ("clear-site-data", "\"*\""),
            ("set-cookie", "session=1; Path=/workspaces/team/ws1/; HttpOnly"),
        ] {
            response.headers_mut().insert(header, value.parse().unwrap());
        }
        response
    };
    answering(answer).await
}

async fn site() -> Site {
    let pods = [("ws1", pod("ws1").await), ("ws10", pod("ws10").await)];
    let site = Site::start_in(RoutingMode::Path, Index::with(snapshot(&pods))).await;
    site.until_at("", "/workspaces/team/ws10/", &[TICKET], StatusCode::OK)
        .await;
    site
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_folder_leads_to_its_own_pod_with_the_path_as_it_came() {
    let site = site().await;
    for (path, name) in [
        ("/workspaces/team/ws1/", "ws1"),
        ("/workspaces/team/ws10/lab?a=%2F..%2Fb", "ws10"),
        ("/workspaces/team/ws1/tree/C%23%2050%25.ipynb", "ws1"),
        ("/workspaces/team/ws1/files/a%2Fb/%C3%A9", "ws1"),
    ] {
        let (status, headers, body) = site.get("", path, &[TICKET]).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        assert_eq!(body, format!("{name} {path}"));
        let message = |name: &str| headers.get(name).filter(|value| !value.is_empty()).cloned();
        assert_eq!(message("service-worker-allowed"), None, "{path}");
        assert_eq!(message("clear-site-data"), None, "{path}");
    }
    // The start of a name is none, and there is nothing outside of folders.
    for path in [
        "/workspaces/team/ws1",
        "/workspaces/team/ws/",
        "/workspaces/team/ws100/",
        "/",
        "/lab",
    ] {
        let (status, _, body) = site.get("", path, &[TICKET]).await;
        assert_ne!(status, StatusCode::OK, "{path}");
        assert!(!body.starts_with(b"ws1"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gateway_judges_the_very_folder_that_the_proxy_routes_to() {
    let site = site().await;
    let mut hits = 0;
    for path in [
        "/workspaces/team/ws1/x",
        "/workspaces/team/ws1/../ws10/x",
        "/workspaces/team/ws1/./x",
        "/workspaces/team/ws1/%2e%2e/ws10/x",
        "/workspaces/team/ws1/%2E%2E/ws10/",
        "/workspaces/team/ws1/..%2fws10/x",
        "/workspaces/team/ws1%2f..%2fws10/x",
        "/workspaces/team/ws1/%252e%252e/ws10/x",
        "/workspaces/team/ws1/..%5cws10/x",
        "/workspaces/team/ws1/..\\ws10/x",
        "/workspaces/team/ws1/..;/ws10/x",
        "/workspaces/team/ws1;/ws10/",
        "/workspaces/team//ws1/x",
        "//workspaces/team/ws1/x",
        "/workspaces/./team/ws1/x",
        "/x/../workspaces/team/ws1/x",
        "/workspaces/team/w%731/x",
        "/%77orkspaces/team/ws1/x",
        "/workspaces/team/ws1%00/x",
        "/workspaces/team/ws1/a%00/x",
        "/workspaces/team/WS1/x",
    ] {
        site.stub.asked.lock().unwrap().clear();
        let answered = site.raw("", path, &[TICKET]).await;
        let Some(rest) = answered.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()) else {
            continue;
        };
        let Some(name) = ["ws10 ", "ws1 "].into_iter().find(|name| rest.contains(name)) else {
            continue;
        };
        hits += 1;
        let asked = site.stub.asked.lock().unwrap().clone();
        assert!(
            !asked.is_empty(),
            "{path}: {name} was reached, and nothing was asked"
        );
        let request = Forwarded::from_headers(&asked).unwrap();
        let place = domain().destination(request.authority, request.uri);
        let routed = Destination::Workspace(folder(name.trim_end()).into());
        assert!(
            place == routed || place == Destination::Unclear,
            "{path}: the pod of {name} was reached, and {} was asked about: {place:?}",
            request.uri
        );
    }
    assert!(hits > 0, "no path reached a pod: nothing was compared");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kernels_websocket_reaches_its_pod_in_a_folder_with_its_names_as_they_were_written() {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let pod = socket.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = socket.accept().await {
            tokio::spawn(async move {
                let mut path = String::new();
                #[expect(clippy::result_large_err, reason = "the library's own type")]
                let note = |request: &Handshake, response: Accepted| {
                    path = format!("{} {:?}", request.uri(), request.headers().get("cookie"));
                    Ok(response)
                };
                let mut socket = tokio_tungstenite::accept_hdr_async(stream, note).await.unwrap();
                socket.send(Message::text(path)).await.unwrap();
                let (sink, stream) = socket.split();
                let _ = stream.forward(sink).await;
            });
        }
    });
    let site = BehindTraefik::start(RoutingMode::Path).await;
    let (host, path) = site.place("ws1");
    let cookies = site.sign_in("alice", "ws1").await.header(&host, &path).unwrap();
    let its = Target {
        site: folder("ws1").into(),
        endpoint: Some(pod),
        ..target("ws1", "alice", AccessType::OwnerOnly)
    };
    site.fixture.serve(domain(), Policy::default(), [its]);
    let handshake = |path: &str| {
        let mut request = format!("wss://{BASE}{path}").into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert("cookie", format!("_xsrf=1; {cookies}").parse().unwrap());
        headers.insert("origin", format!("https://{BASE}").parse().unwrap());
        request
    };
    let path = "/workspaces/team/ws1/api/kernels/C%23%2050%25%2Fx/channels?session_id=%2F1";
    let stream = site.site.connect(BASE).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async(handshake(path), stream)
        .await
        .unwrap();
    let seen = socket.next().await.unwrap().unwrap();
    assert_eq!(seen, Message::text(format!("{path} Some(\"_xsrf=1\")")));
    socket.send(Message::text("6*7")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("6*7"));

    for path in [
        "/workspaces/team/ws10/",
        "/workspaces/team/ws1/_workspace/x",
        "/ws",
        "/workspaces/team/ws1/%2e%2e/x/",
    ] {
        let stream = site.site.connect(BASE).await.unwrap();
        let refused = tokio_tungstenite::client_async(handshake(path), stream).await;
        assert!(refused.is_err(), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewed_ticket_of_a_folder_reaches_the_browser_with_its_path() {
    let site = site().await;
    site.stub.renews.store(true, Ordering::Relaxed);
    let (_, headers, _) = site.get("", "/workspaces/team/ws1/", &[TICKET]).await;
    let lines = headers.get_all("set-cookie").iter();
    let lines: Vec<_> = lines.map(|line| line.to_str().unwrap()).collect();
    // The answer also sets the portal's cookie. The portal has its own host in this mode, too.
    let tickets: Vec<_> = lines
        .iter()
        .filter(|line| line.starts_with("__Secure-"))
        .collect();
    assert_eq!(tickets.len(), 1, "{lines:?}");
    for part in [
        "__Secure-ws=renewed",
        "Path=/workspaces/team/ws1/;",
        "Secure",
        "HttpOnly",
        "SameSite=Lax",
    ] {
        assert!(tickets[0].contains(part), "{lines:?}");
    }
    assert!(
        lines.iter().any(|line| line.starts_with("session=1")),
        "{lines:?}"
    );
}
