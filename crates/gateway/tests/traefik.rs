//! The contract with Traefik: which requests pass, and which never do.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::extract::Request;
use gateway::index::Index;
use gateway::verify::Forwarded;
use gateway::verify::Source;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::pod::answering;
use crate::support::proxy::{BASE, Site, running, snapshot};

pub(crate) const TICKET: (&str, &str) = ("cookie", "_xsrf=1; __Host-ws=ticket; __Host-session=secret");

/// A pod that says what it saw, and counts.
pub(crate) async fn pod() -> (SocketAddr, Arc<AtomicUsize>) {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    let answer = move |request: Request| {
        count.fetch_add(1, Ordering::Relaxed);
        let headers: serde_json::Map<String, Value> = request
            .headers()
            .iter()
            .map(|(name, value)| {
                (
                    name.to_string(),
                    Value::from(String::from_utf8_lossy(value.as_bytes())),
                )
            })
            .collect();
        let body = json!({"path": request.uri().to_string(), "method": request.method().as_str(), "headers": headers});
        async move { body.to_string() }
    };
    let address = answering(answer).await;
    (address, seen)
}

/// Names of headers that the chart has dropped from what browsers send, in lower case; those that end in `-` stand for several.
pub(crate) fn stripped() -> Vec<String> {
    let names = fs::read_to_string(root().join("charts/jupyter-k8s/stripped-headers.yaml")).unwrap();
    let names: Vec<String> = serde_saphyr::from_str(&names).unwrap();
    let names: Vec<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
    assert!(names.len() > 40, "{names:?}");
    names
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub(crate) async fn site() -> (Site, SocketAddr, Arc<AtomicUsize>) {
    let (pod, seen) = pod().await;
    let site = Site::start(Index::with(snapshot([running("lab", pod)]))).await;
    site.until("lab", &[TICKET], StatusCode::OK).await;
    (site, pod, seen)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_with_a_ticket_reaches_its_pod_without_our_cookies() {
    let (site, _, _) = site().await;
    let headers = [
        TICKET,
        ("authorization", "Bearer secret"),
        ("x-forwarded-host", "evil.example"),
        ("x_auth_request_user", "root"),
        ("remote.user", "root"),
        ("workspace.assertion", "forged"),
    ];
    let (status, _, body) = site.get("lab", "/files/C%23%2050%25.ipynb?a=%2F", &headers).await;
    assert_eq!(status, StatusCode::OK, "{}", site.log());
    let seen: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(seen["path"], "/files/C%23%2050%25.ipynb?a=%2F");
    assert_eq!(seen["headers"]["cookie"], "_xsrf=1");
    assert_eq!(seen["headers"]["authorization"], Value::Null);
    assert_eq!(seen["headers"]["host"], format!("lab.{BASE}"));
    assert_eq!(seen["headers"]["x-forwarded-host"], format!("lab.{BASE}"));
    // Names that some servers read as the assertion's or another service's.
    let mut names = seen["headers"].as_object().unwrap().keys();
    assert!(names.all(|name| !name.contains(['_', '.'])), "{seen}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verification_gets_the_browser_s_request_and_nothing_that_it_claims() {
    let (site, _, _) = site().await;
    let headers = [
        TICKET,
        ("accept", "text/html"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-mode", "cors"),
        ("sec-fetch-dest", "empty"),
        ("origin", "https://other.workspaces.localhost"),
        ("x-forwarded-method", "HEAD"),
        ("x-forwarded-host", "other.workspaces.localhost"),
        ("x-forwarded-uri", "/_workspace/callback"),
        ("x-forwarded-proto", "http"),
        ("x_forwarded_host", "other.workspaces.localhost"),
        ("x.forwarded.host", "other.workspaces.localhost"),
        ("authorization", "Bearer secret"),
        (
            "connection",
            "x-forwarded-host, x-forwarded-uri, x-forwarded-method",
        ),
    ];
    site.get("lab", "/a%2Fb?c=%2F..%2F", &headers).await;
    let asked = site.stub.asked.lock().unwrap().clone();
    let request = Forwarded::from_headers(&asked).unwrap();
    assert_eq!((request.method, request.uri), ("GET", "/a%2Fb?c=%2F..%2F"));
    assert_eq!(request.authority, format!("lab.{BASE}"));
    let source = Source::from_headers(&asked).unwrap();
    assert!(
        !source.may_use_cookie("GET", || format!("https://lab.{BASE}")),
        "{asked:?}"
    );
    assert!(source.is_from("https://other.workspaces.localhost"), "{asked:?}");
    for absent in [
        "authorization",
        "x_forwarded_host",
        "x.forwarded.host",
        "connection",
        "upgrade",
    ] {
        assert!(!asked.contains_key(absent), "{absent}: {asked:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_workspace_is_reachable_past_its_parent() {
    let (site, _, seen) = site().await;
    let before = seen.load(Ordering::Relaxed);
    let bare: &[(&str, &str)] = &[];
    for headers in [
        bare,
        &[("x-forwarded-uri", "/"), ("x-forwarded-method", "GET")],
        &[("x-forwarded-host", "auth.workspaces.localhost")],
        &[
            ("x_forwarded_host", "lab.workspaces.localhost"),
            ("connection", "x-forwarded-host"),
        ],
        &[("cookie", "__Host-ws=forged")],
        &[("authorization", "Basic dGlja2V0")],
        &[("user-agent", "kube-probe/1.36"), ("x-health-check", "1")],
    ] {
        for method in [
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::OPTIONS,
            Method::DELETE,
        ] {
            let mut request = http::Request::builder().method(&method).uri("/lab");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let (status, _, _) = site
                .send("lab", request.body(Body::empty()).unwrap())
                .await
                .unwrap();
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{method} {headers:?}");
        }
    }
    // Upper case and a trailing dot are the same host to the proxy.
    for label in ["LAB", "Lab"] {
        assert_eq!(
            site.get(label, "/", &[]).await.0,
            StatusCode::UNAUTHORIZED,
            "{label}"
        );
    }
    assert_eq!(
        seen.load(Ordering::Relaxed),
        before,
        "a request without ticket reached the pod"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_client_can_ask_the_gateway_through_the_proxy_as_another_proxy_would() {
    let (pod, _) = pod().await;
    let index = || Index::with(snapshot([running("lab", pod)]));
    for site in [
        Site::start(index()).await,
        Site::start_among_others(index()).await,
    ] {
        site.until("lab", &[TICKET], StatusCode::OK).await;
        for path in ["/ext_authz/", "/ext_authz/lab", "/verify/nginx", "/verify"] {
            for more in [
                &[][..],
                &[("upgrade", "x")],
                &[("upgrade", "websocket")],
                &[
                    ("upgrade", "x"),
                    ("connection", "x-forwarded-host, x-forwarded-server"),
                ],
                &[("upgrade", "x"), ("x-forwarded-host", "")],
            ] {
                let message = [
                    TICKET,
                    ("x-original-url", "https://lab.workspaces.localhost/lab"),
                    ("x-original-method", "GET"),
                    ("x-forwarded-method", "GET"),
                    ("x-forwarded-uri", "/lab"),
                ];
                let (status, headers, body) = site.get("lab", path, &[&message, more].concat()).await;
                let what = format!("{path} {more:?}: {status} {}", String::from_utf8_lossy(&body));
                for secret in ["workspace-assertion", "cookie", "x-envoy-auth-headers-to-remove"] {
                    assert!(!headers.contains_key(secret), "{what}");
                }
                if more.iter().any(|(name, _)| *name == "upgrade") {
                    assert_eq!(status, StatusCode::BAD_REQUEST, "{what}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn identity_headers_of_clients_are_dropped() {
    let (site, _, _) = site().await;
    let mut request = http::Request::get("/lab").header(TICKET.0, TICKET.1);
    let mut names = stripped();
    for family in names.iter_mut().filter(|name| name.ends_with('-')) {
        family.push_str("name");
    }
    for name in &names {
        request = request.header(name, "root").header(name, "root, too");
    }
    let request = request.header("x-other", "stays").body(Body::empty()).unwrap();
    let (status, _, body) = site.send("lab", request).await.unwrap();
    assert_eq!(status, StatusCode::OK);
    let seen: Value = serde_json::from_slice(&body).unwrap();
    for name in names {
        assert_eq!(seen["headers"][&name], Value::Null, "{name}");
    }
    assert_eq!(seen["headers"]["x-other"], "stays");
    assert_eq!(seen["headers"]["workspace-assertion"], "attested");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_path_is_open_without_a_ticket_not_even_those_that_probes_ask_for() {
    let (site, _, seen) = site().await;
    let before = seen.load(Ordering::Relaxed);
    for path in [
        "/livez",
        "/readyz",
        "/healthz",
        "/health",
        "/ping",
        "/metrics",
        "/verify",
        "/traefik/config",
        "/api/status",
        "/api/status/../contents",
        "/api/status/%2e%2e/contents",
        "/api/status%2f..%2fcontents",
        "/api/status;/contents",
        "//api/status",
        "/static/../api/contents",
        "/favicon.ico",
        "/robots.txt",
    ] {
        for label in ["lab", "unknown"] {
            let (status, _, body) = site.get(label, path, &[]).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{label} {path}");
            assert!(!String::from_utf8_lossy(&body).contains(label), "{label} {path}");
        }
    }
    assert_eq!(seen.load(Ordering::Relaxed), before, "the pod was asked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_s_answer_signs_no_user_out_and_gives_no_service_worker_more_than_its_folder() {
    let answer = || async {
        let headers = [
            ("clear-site-data", "\"*\""),
            ("service-worker-allowed", "/"),
            ("strict-transport-security", "max-age=0"),
            ("nel", "{\"report_to\":\"them\",\"max_age\":86400}"),
            (
                "report-to",
                "{\"group\":\"them\",\"max_age\":86400,\"endpoints\":[]}",
            ),
            ("alt-svc", "h3=\":444\""),
            ("x-own", "stays"),
        ];
        (headers, "pod")
    };
    let pod = answering(answer).await;
    let site = Site::start(Index::with(snapshot([running("lab", pod)]))).await;
    site.until("lab", &[TICKET], StatusCode::OK).await;
    let (_, headers, body) = site.get("lab", "/", &[TICKET]).await;
    assert_eq!(
        (&body[..], &headers["x-own"]),
        (&b"pod"[..], &"stays".parse().unwrap())
    );
    for name in [
        "clear-site-data",
        "service-worker-allowed",
        "nel",
        "report-to",
        "alt-svc",
    ] {
        let message = headers.get(name).filter(|value| !value.is_empty());
        assert_eq!(message, None, "{name}");
    }
    assert_eq!(headers["strict-transport-security"], "max-age=31536000");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_base_domain_redirects_to_the_portal() {
    let (site, _, _) = site().await;
    for path in ["/", "/lab?x=https://evil.example/"] {
        let (status, headers, _) = site.get("", path, &[]).await;
        assert_eq!(status, StatusCode::FOUND, "{path}: {}", site.log());
        let location = headers["location"].to_str().unwrap();
        assert!(
            location.starts_with(&format!("https://portal.{BASE}")),
            "{location}"
        );
        assert!(
            location.ends_with('/') && !location.contains("evil"),
            "{location}"
        );
    }
    let post = Request::post("/").body(Body::empty()).unwrap();
    let (status, headers, _) = site.send("", post).await.unwrap();
    assert_eq!((status, headers.get("location")), (StatusCode::NOT_FOUND, None));
}
