//! The ports of the chart's proxy without TLS: headers that only a trusted TLS front may set, and answers of port 80.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use api::manager::RoutingMode;
use axum::Router;
use axum::routing::{any, get};
use gateway::index::Index;
use gateway::server::{Rates, Throttle};
use gateway::verify::Forwarded;
use http::HeaderMap;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::time::timeout;

use crate::support::behind_proxy::Behind;
use crate::support::chart::Chart;
use crate::support::proxy::{BASE, Site, host, running, snapshot};
use crate::traefik::{TICKET, pod};

/// Address of the front, and of a client behind it.
const FRONT: [u8; 4] = [127, 0, 0, 2];
const CLIENT: &str = "203.0.113.7";
/// Another pod, which is no front.
const OTHER: [u8; 4] = [127, 0, 0, 3];
/// Paths that pods, the gateway's listeners and the proxy itself answer.
const PATHS: [&str; 6] = [
    "/",
    "/lab?code=a",
    "/_workspace/callback",
    "/verify",
    "/traefik/config",
    "/ping",
];
/// What a front says of a client's https request.
const BY_HTTPS: [(&str, &str); 2] = [("x-forwarded-proto", "https"), ("x-forwarded-for", CLIENT)];

/// Says whose the request is by the gateway's own reading.
fn whose(headers: &HeaderMap) -> String {
    client(headers)
        .map(|address| address.to_string())
        .unwrap_or_default()
}

fn client(headers: &HeaderMap) -> Option<IpAddr> {
    let rates = Rates {
        trusted: vec!["127.0.0.2/32".parse().unwrap()],
        ..Rates::unbounded()
    };
    Throttle::new(rates).client(headers)
}

fn chart(trusted: &str) -> Chart {
    Chart::render_with(
        RoutingMode::Subdomain,
        &[
            "routing.port=443",
            "proxy.ingress.enabled=true",
            &format!("proxy.trustedProxies={trusted}"),
            r#"proxy.front.from=[{"podSelector":{"matchLabels":{"app":"front"}}}]"#,
        ],
    )
}

/// A site with the workspace `lab`, whose pod has answered.
async fn site() -> (Site, Arc<AtomicUsize>) {
    site_trusting(r#"["127.0.0.2"]"#).await
}

async fn site_trusting(trusted: &str) -> (Site, Arc<AtomicUsize>) {
    let (pod, seen) = pod().await;
    let behind = Behind::stub(Index::with(snapshot([running("lab", pod)])));
    let behind = behind
        .signing_in_by(Router::new().route("/", get(|headers: HeaderMap| async move { whose(&headers) })));
    let site = Site::as_charted(chart(trusted), RoutingMode::Subdomain, behind).await;
    site.until("lab", &[TICKET], http::StatusCode::OK).await;
    (site, seen)
}

/// The answer to a request that comes from this address without TLS.
async fn ask(site: &Site, from: [u8; 4], label: &str, path: &str, headers: &[(&str, &str)]) -> String {
    let target = format!("GET {path}");
    send(site.plain, from, &target, &host(label), headers).await
}

/// The answer to a request that comes from this address to this port without TLS. `target`: method and path.
async fn send(port: u16, from: [u8; 4], target: &str, host: &str, headers: &[(&str, &str)]) -> String {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((IpAddr::from(from), 0).into()).unwrap();
    let mut stream = socket.connect(([127, 0, 0, 1], port).into()).await.unwrap();
    let mut request = format!("{target} HTTP/1.1\r\nhost: {host}\r\n");
    if !headers.iter().any(|(name, _)| *name == "connection") {
        request.push_str("connection: close\r\n");
    }
    for (name, value) in headers {
        request.extend([*name, ": ", *value, "\r\n"]);
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn with<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&BY_HTTPS, more].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trusted_front_opens_a_workspace_and_its_clients_are_distinguished() {
    let (site, _) = site().await;
    let answer = ask(&site, FRONT, "lab", "/lab?code=secret", &with(&[TICKET])).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer} {}", site.log());
    let asked = site.stub.asked.lock().unwrap().clone();
    assert_eq!(client(&asked), CLIENT.parse().ok(), "{asked:?}");
    // The pages of sign-in, which gateway.limits count.
    let page = ask(&site, FRONT, "auth", "/", &BY_HTTPS).await;
    assert!(
        page.starts_with("HTTP/1.1 200") && page.ends_with(CLIENT),
        "{page}"
    );
    let log = site.log();
    let lines: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("\"RequestPath\":\"/lab\""))
        .collect();
    let client = format!("\"ClientHost\":\"{CLIENT}\"");
    assert!(lines.iter().any(|line| line.contains(&client)), "{lines:?}");
    // Without a ticket, no request reaches the pod.
    let answer = ask(&site, FRONT, "lab", "/lab", &BY_HTTPS).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    let upgrade = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("x-forwarded-proto", "wss"),
    ];
    let answer = ask(&site, FRONT, "lab", "/api/kernels/1/channels", &upgrade).await;
    assert!(
        answer.starts_with("HTTP/1.1 4") && answer.contains("no-store"),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_tls_a_listed_address_is_not_believed_behind_a_front_that_ends_it() {
    let (site, _) = site_trusting(r#"["127.0.0.2","127.0.0.1"]"#).await;
    let uri = ("x-forwarded-uri", "/_workspace/callback");
    site.get("lab", "/lab", &[BY_HTTPS[1], uri, TICKET]).await;
    let asked = site.stub.asked.lock().unwrap().clone();
    assert_eq!(asked["x-forwarded-for"], "127.0.0.1", "{asked:?}");
    assert_eq!(Forwarded::from_headers(&asked).unwrap().uri, "/lab", "{asked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_other_client_is_answered_on_the_port_without_tls() {
    let (site, seen) = site().await;
    let before = seen.load(Ordering::Relaxed);
    for label in ["lab", "auth", "", "unknown"] {
        for path in ["/", "/_workspace/callback", "/traefik/config"] {
            for headers in [&[][..], &with(&[TICKET])] {
                let answer = ask(&site, OTHER, label, path, headers).await;
                let refused = answer.starts_with("HTTP/1.1 403") || answer.starts_with("HTTP/1.1 404");
                assert!(refused, "{label}{path} {headers:?}: {answer}");
            }
        }
    }
    assert_eq!(seen.load(Ordering::Relaxed), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_did_not_reach_the_front_by_https_is_sent_to_https() {
    let (site, seen) = site().await;
    let before = seen.load(Ordering::Relaxed);
    for label in ["lab", "auth"] {
        for proto in [&[][..], &[("x-forwarded-proto", "http")]] {
            let headers = [proto, &[TICKET]].concat();
            let answer = ask(&site, FRONT, label, "/a?b=c", &headers).await;
            assert!(
                answer.starts_with("HTTP/1.1 302") || answer.starts_with("HTTP/1.1 307"),
                "{answer}"
            );
            let to = format!("\r\nLocation: https://{}/a?b=c\r\n", host(label));
            assert!(answer.contains(&to), "{answer}");
        }
    }
    assert_eq!(seen.load(Ordering::Relaxed), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_client_claims_through_the_front_does_not_count() {
    let (site, _) = site().await;
    let claimed = [
        ("x-forwarded-host", "other.workspaces.localhost"),
        ("x-forwarded-method", "HEAD"),
        ("x-forwarded-uri", "/_workspace/callback"),
        ("x-forwarded-prefix", "/x"),
        ("x-real-ip", "192.0.2.1"),
        TICKET,
    ];
    let answer = ask(&site, FRONT, "lab", "/lab", &with(&claimed)).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let asked = site.stub.asked.lock().unwrap().clone();
    let request = Forwarded::from_headers(&asked).unwrap();
    assert_eq!((request.method, request.uri), ("GET", "/lab"), "{asked:?}");
    assert_eq!(request.authority, format!("lab.{BASE}"), "{asked:?}");
    for claim in ["other.workspaces", "192.0.2.1", "x-forwarded-prefix"] {
        assert!(!answer.contains(claim), "{claim}: {answer}");
    }
    // With TLS, an address that is not listed is the client's own, whatever its headers say.
    site.get("lab", "/lab", &[BY_HTTPS[1], TICKET]).await;
    let asked = site.stub.asked.lock().unwrap().clone();
    assert_eq!(client(&asked), "127.0.0.1".parse().ok(), "{asked:?}");
    assert!(Forwarded::from_headers(&asked).is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn port_80_redirects_every_host_and_path_to_https_and_asks_neither_gateway_nor_pod() {
    let values = ["routing.port=443", "proxy.service.http=true"];
    let chart = Chart::render_with(RoutingMode::Subdomain, &values);
    let (pod, seen) = pod().await;
    let pages = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&pages);
    let page = any(async move || {
        count.fetch_add(1, Ordering::Relaxed);
    });
    let page = Router::new().route("/", page.clone()).route("/{*rest}", page);
    let behind = Behind::stub(Index::with(snapshot([running("lab", pod)]))).signing_in_by(page);
    let site = Site::as_charted(chart, RoutingMode::Subdomain, behind).await;
    // The controls: by https, pod, gateway and its pages are reached.
    site.until("lab", &[TICKET], http::StatusCode::OK).await;
    site.until("auth", &[], http::StatusCode::OK).await;
    let before = (seen.load(Ordering::Relaxed), pages.load(Ordering::Relaxed));
    assert!(before.0 > 0 && before.1 > 0, "{before:?}");
    site.stub.asked.lock().unwrap().clear();

    let hosts = ["lab", "auth", "portal", "", "unknown"].map(host);
    let others = ["identity.localhost", "elsewhere.example"].map(str::to_owned);
    // No client's claim that it was https counts, and a websocket is no exception.
    let upgrade = [
        ("connection", "upgrade, close"),
        ("upgrade", "websocket"),
        ("x-forwarded-proto", "wss"),
    ];
    for host in hosts.iter().chain(&others) {
        for path in PATHS {
            for (method, headers) in [
                ("GET", &[][..]),
                ("GET", &with(&[TICKET])),
                ("GET", &upgrade),
                ("POST", &with(&[TICKET])),
            ] {
                let target = format!("{method} {path}");
                let answer = send(site.redirects, OTHER, &target, host, headers).await;
                let is_redirect = answer.starts_with("HTTP/1.1 302") || answer.starts_with("HTTP/1.1 307");
                let to = format!("\r\nLocation: https://{host}{path}\r\n");
                assert!(
                    is_redirect && answer.contains(&to),
                    "{target} {host} {headers:?}: {answer}"
                );
            }
        }
    }
    assert_eq!(
        (seen.load(Ordering::Relaxed), pages.load(Ordering::Relaxed)),
        before
    );
    assert!(site.stub.asked.lock().unwrap().is_empty());
}
