//! The contract with a real nginx, configured by the sample: which requests pass, and which never do.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use gateway::index::Index;
use http::{HeaderMap, Request, StatusCode};
use serde_json::Value;

use crate::support::nginx;
use crate::support::proxy::{Answer, BASE, Site, running, snapshot};
use crate::traefik::{pod, root, stripped};

const TICKET: (&str, &str) = ("cookie", "_xsrf=1; __Host-ws=ticket; __Host-session=secret");

/// nginx before one pod, which counts its requests.
async fn behind_nginx() -> (Site, Arc<AtomicUsize>) {
    let (pod, count) = pod().await;
    let site = Site::behind_nginx(Index::with(snapshot([running("lab", pod)])), pod).await;
    (site, count)
}

/// What the pod saw.
fn seen(answer: &Answer) -> Value {
    assert_eq!(answer.0, StatusCode::OK, "{}", String::from_utf8_lossy(&answer.2));
    serde_json::from_slice(&answer.2).unwrap()
}

/// What the gateway received about the last request.
fn asked(site: &Site) -> [String; 4] {
    let headers: HeaderMap = site.stub.asked.lock().unwrap().clone();
    ["method", "proto", "host", "uri"].map(|name| {
        let name = format!("x-forwarded-{name}");
        assert_eq!(headers.get_all(&name).iter().count(), 1, "{name}");
        headers[&name].to_str().unwrap().to_owned()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_sees_what_the_gateway_says_and_nothing_that_the_browser_claims() {
    let (site, _) = behind_nginx().await;
    let lies = [
        TICKET,
        ("authorization", "Bearer stolen"),
        ("workspace-assertion", "forged"),
        ("x-auth-request-user", "root"),
        ("remote-user", "root"),
        ("x-forwarded-user", "root"),
        ("x_auth_request_user", "root"),
        ("remote.user", "root"),
        ("workspace.assertion", "forged"),
        ("x_forwarded.user", "root"),
        ("x-original-url", "https://other.workspaces.localhost/other"),
        ("x-original-method", "DELETE"),
        ("x-forwarded-host", "other.workspaces.localhost"),
        ("x-forwarded-uri", "/other"),
        ("x-forwarded-method", "DELETE"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-for", "127.0.0.1"),
    ];
    let pod = seen(&site.get("lab", "/lab/C%23%2050%25.ipynb?x=%2F&y", &lies).await);
    assert_eq!(pod["path"], "/lab/C%23%2050%25.ipynb?x=%2F&y");
    assert_eq!(
        asked(&site),
        [
            "GET",
            "https",
            "lab.workspaces.localhost",
            "/lab/C%23%2050%25.ipynb?x=%2F&y"
        ]
    );
    assert_eq!(pod["headers"]["cookie"], "_xsrf=1");
    let authorization = pod["headers"]["authorization"].as_str().unwrap_or_default();
    assert!(authorization.is_empty(), "{authorization}");
    assert_eq!(pod["headers"]["workspace-assertion"], "attested");
    for name in ["x-auth-request-user", "remote-user", "x-forwarded-user"] {
        let claimed = pod["headers"][name].as_str().unwrap_or_default();
        assert!(claimed.is_empty(), "{name}: {claimed}");
    }
    // Names that some servers read as those.
    let mut names = pod["headers"].as_object().unwrap().keys();
    assert!(names.all(|name| !name.contains(['_', '.'])), "{pod}");
    assert_ne!(pod["headers"]["x-forwarded-host"], "other.workspaces.localhost");

    // The method is the request's own, and its body arrives.
    let request = Request::post("/api?q")
        .header(TICKET.0, TICKET.1)
        .body(Body::from("body"))
        .unwrap();
    let pod = seen(&site.send("lab", request).await.unwrap());
    assert_eq!(
        (&pod["method"], asked(&site)[0].as_str()),
        (&Value::from("POST"), "POST")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_ticket_a_script_gets_401_and_nothing_reaches_the_pod() {
    let (site, count) = behind_nginx().await;
    for path in ["/", "/lab", "/api/kernels?x", "//lab"] {
        let (status, headers, _) = site.get("lab", path, &[("sec-fetch-mode", "cors")]).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}");
        assert!(!headers.contains_key("location"), "{path}");
    }
    let (status, ..) = site.get("lab", "/_workspace%2fcallback", &[]).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    // The question's own address is no page.
    for path in ["/verify-this-request", "/verify/nginx", "/ext_authz/"] {
        let (status, ..) = site.get("lab", path, &[]).await;
        // nginx keeps its own to itself; every other is a path of the workspace's.
        let expected = match path {
            "/verify-this-request" => StatusCode::NOT_FOUND,
            _ => StatusCode::UNAUTHORIZED,
        };
        assert_eq!(status, expected, "{path}");
    }
    assert_eq!(count.load(Ordering::Relaxed), 0);
}

#[test]
fn samples_drop_every_name_that_a_browser_could_claim() {
    let sample = nginx::sample().to_ascii_lowercase();
    for name in stripped() {
        // Of a family the names that are known.
        assert!(sample.contains(&format!("proxy_set_header {name}")), "{name}");
    }
    // The gateway sends Envoy the other ones.
    let envoy = fs::read_to_string(root().join("deploy/samples/proxies/envoy.yaml")).unwrap();
    let envoy: Value = serde_saphyr::from_str(&envoy).unwrap();
    let text = envoy.to_string().to_ascii_lowercase();
    for family in stripped().iter().filter(|name| name.ends_with('-')) {
        assert!(text.contains(&format!("\"{family}")), "{family}");
    }
    assert!(text.contains("\"headers_with_underscores_action\":\"drop_header\""));
    assert!(text.contains("{\"remove_on_match\":{\"key_matcher\":{\"contains\":\".\"}}}"));
    for header in ["sec-purpose", "service-worker"] {
        assert!(text.contains(&format!("{{\"exact\":\"{header}\"}}")), "{header}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_line_with_a_host_does_not_change_the_workspace() {
    let (site, count) = behind_nginx().await;
    // Without ticket, and with one of the workspace in the Host header, the workspace of the request line says no.
    let elsewhere = format!("https://lab.{BASE}/lab?x");
    for path in ["/lab?x", "", "?/x"] {
        let url = format!("https://lab.{BASE}{path}");
        let answer = site.raw("mine", &url, &[]).await;
        assert!(!answer.starts_with("HTTP/1.1 2"), "{path}: {answer}");
    }
    assert_eq!(count.load(Ordering::Relaxed), 0);

    *site.stub.asked.lock().unwrap() = HeaderMap::new();
    let answer = site.raw("mine", &elsewhere, &[TICKET]).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(site.stub.asked.lock().unwrap().is_empty());
    assert_eq!(count.load(Ordering::Relaxed), 0);

    // A request that names the same host twice is served, and authorized by that name.
    let answer = site.raw("lab", &elsewhere, &[TICKET]).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(asked(&site)[2..], [format!("lab.{BASE}"), "/lab?x".to_owned()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_sends_a_page_to_sign_in_with_the_way_back() {
    let (site, _) = behind_nginx().await;
    let (status, headers, _) = site
        .get("lab", "/lab?x=1&y", &[("sec-fetch-mode", "navigate")])
        .await;
    assert_eq!(status, StatusCode::FOUND);
    let location = headers["location"].to_str().unwrap();
    assert!(location.ends_with("/_workspace/enter?/lab?x=1&y"), "{location}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewed_ticket_reaches_the_browser() {
    let (site, _) = behind_nginx().await;
    site.stub.renews.store(true, Ordering::Relaxed);
    let (status, headers, _) = site.get("lab", "/", &[TICKET]).await;
    assert_eq!(status, StatusCode::OK);
    let cookies: Vec<_> = headers.get_all("set-cookie").iter().collect();
    assert!(
        cookies
            .iter()
            .any(|line| line.to_str().unwrap().starts_with("__Host-ws=renewed;")),
        "{cookies:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_websocket_is_carried_as_an_upgrade() {
    let (site, _) = behind_nginx().await;
    let upgrade = async |kind: &'static str| {
        let lines = [
            TICKET,
            ("connection", "Upgrade"),
            ("upgrade", kind),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA=="),
        ];
        site.get("lab", "/api/kernels/1/channels", &lines).await
    };
    let pod = seen(&upgrade("websocket").await);
    assert_eq!(pod["headers"]["upgrade"], "websocket");
    for kind in ["tunnel", "websocket/13", "h2c"] {
        let answer = upgrade(kind).await;
        if answer.0 == StatusCode::OK {
            let pod = seen(&answer);
            assert!(pod["headers"].get("upgrade").is_none(), "{kind}: {pod}");
        }
    }
}
