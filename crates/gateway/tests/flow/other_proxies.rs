//! Authorization requests of other proxies get the same decision as Traefik's, and users behind them can sign in.

use axum::body::Body;
use gateway::tokens::cookies;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};

use crate::support::browser::{Answer, NAVIGATION, headers};
use crate::support::fixture::{AUTH, BOBS, Fixture, ISSUER, LAB, NONE, origin};

const PROXIES: [&str; 2] = ["nginx", "envoy"];

/// The question of this proxy about a GET of `path` on `host`.
async fn ask(fixture: &Fixture, proxy: &str, host: &str, path: &str, lines: &HeaderMap) -> Answer {
    let own = "gateway.system.svc:8443";
    let authority = format!("{host}:8443");
    let request = match proxy {
        "nginx" => Request::get("/verify/nginx")
            .header("host", own)
            .header("x-original-url", format!("https://{authority}{path}"))
            .header("x-original-method", "GET"),
        _ => Request::get(format!("/ext_authz{path}"))
            .header("host", &authority)
            .header("x-forwarded-proto", "https"),
    };
    let mut request = request.body(Body::empty()).unwrap();
    for (name, value) in lines {
        request.headers_mut().append(name, value.clone());
    }
    fixture.ask_verify(request).await
}

pub(super) fn page_with(cookie: &str) -> HeaderMap {
    let mut lines = headers(&NAVIGATION);
    lines.extend(headers(&[("cookie", cookie)]));
    lines
}

#[tokio::test]
async fn every_proxy_gets_the_same_decision() {
    let fixture = Fixture::new().await;
    let alice = fixture.signed_in("alice", LAB).await;
    let ticket = alice.cookies(LAB).unwrap();
    for proxy in PROXIES {
        let good = ask(
            &fixture,
            proxy,
            LAB,
            "/lab?x",
            &page_with(&format!("{ticket}; _xsrf=1")),
        )
        .await;
        assert_eq!(good.status, StatusCode::OK, "{proxy}: {}", good.body);
        assert_eq!(good.headers["cookie"], "_xsrf=1", "{proxy}");
        let only = ask(&fixture, proxy, LAB, "/", &page_with(&ticket)).await;
        let is_taken = |name: &str| {
            let removed = only.headers.get("x-envoy-auth-headers-to-remove");
            let removed =
                removed.is_some_and(|names| names.to_str().unwrap().split(',').any(|one| one == name));
            removed || only.headers.get(name).is_some_and(HeaderValue::is_empty)
        };
        assert!(
            is_taken("cookie") && is_taken("authorization"),
            "{proxy}: {:?}",
            only.headers
        );

        // Not hers, no workspace's, another host's ticket, no ticket, a path of the gateway's own, a sibling's fetch.
        let no = async |host: &str, path: &str, lines: &HeaderMap, status: u16| {
            let answer = ask(&fixture, proxy, host, path, lines).await;
            let leads_on = status == 302;
            // It knows two refusals, and no redirect.
            let (status, leads_on) = match (proxy, status) {
                ("nginx", 302 | 401) => (401, false),
                ("nginx", _) => (403, false),
                _ => (status, leads_on),
            };
            let outcome = (answer.status.as_u16(), answer.location().is_some());
            assert_eq!(outcome, (status, leads_on), "{proxy} {host}{path} {lines:?}");
        };
        no(BOBS, "/", &page_with(&ticket), 302).await;
        no(NONE, "/", &page_with(&ticket), 302).await;
        no(LAB, "/", &headers(&NAVIGATION), 302).await;
        no(LAB, "/api", &HeaderMap::new(), 401).await;
        no(LAB, "/x/..%2f_workspace/callback", &page_with(&ticket), 404).await;
        no("auth.ws.example", "/", &page_with(&ticket), 421).await;
        let sibling = headers(&[
            ("cookie", &ticket),
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-mode", "cors"),
            ("sec-fetch-dest", "empty"),
        ]);
        no(LAB, "/api", &sibling, 403).await;
        let twice = format!("{ticket}; __Host-ws=x");
        no(LAB, "/", &page_with(&twice), 400).await;
        for forged in ["", "ticket", &"A".repeat(300)] {
            let cookie = format!("{}={forged}", cookies::TICKET);
            no(LAB, "/", &page_with(&cookie), 302).await;
        }
    }
}

#[tokio::test]
async fn a_host_without_a_route_shows_the_state_only_to_admitted_users() {
    let fixture = Fixture::new().await;
    let alice = fixture.signed_in("alice", LAB).await;
    let ticket = alice.cookies(LAB).unwrap();
    let page = async |host: &str, lines: HeaderMap| {
        let url = format!("{}/lab", origin(host));
        fixture.page(Method::GET, &url, lines, String::new()).await
    };
    let known = page(LAB, page_with(&ticket)).await;
    assert_eq!(known.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(known.body.contains("is ready"), "{}", known.body);

    // As the proxy forwards the request: without the ticket, with the gateway's assertion.
    let allowed = fixture
        .verify("GET", &format!("{}/lab", origin(LAB)), page_with(&ticket))
        .await;
    let assertion = allowed.headers["workspace-assertion"].to_str().unwrap();
    let mut handed_on = headers(&NAVIGATION);
    handed_on.extend(headers(&[("workspace-assertion", assertion)]));
    let known = page(LAB, handed_on.clone()).await;
    assert!(known.body.contains("is ready"), "{}", known.body);

    let nothing = page(NONE, headers(&NAVIGATION)).await;
    assert_eq!(nothing.status, StatusCode::FORBIDDEN);
    for (host, lines) in [
        (LAB, headers(&NAVIGATION)),
        (LAB, page_with("__Host-ws=forged")),
        (BOBS, headers(&NAVIGATION)),
        (BOBS, page_with(&ticket)),
        (BOBS, handed_on),
        (NONE, page_with(&ticket)),
    ] {
        let shown = page(host, lines).await;
        assert_eq!(shown.status, nothing.status, "{host}");
        // The same but for the number of the request.
        assert_eq!(shown.body.len(), nothing.body.len(), "{host}: {}", shown.body);
        assert!(!shown.body.contains("lab-"), "{host}: {}", shown.body);
    }
    let mut sibling = headers(&[("sec-fetch-site", "same-site"), ("sec-fetch-mode", "cors")]);
    sibling.extend(headers(&[("cookie", &ticket), ("sec-fetch-dest", "empty")]));
    assert_eq!(page(LAB, sibling).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_redirect_to_sign_in_returns_to_the_page() {
    let fixture = Fixture::new().await;
    for (query, page) in [
        ("/lab/tree/a%20b?x=1&y", "/lab/tree/a%20b?x=1&y"),
        ("rd=%2Flab%3Fx%3D1", "/lab?x=1"),
        (&format!("rd=https://{LAB}:8443/lab%3Fx"), "/lab?x"),
        ("rd=https://evil.example/x", "/"),
        (&format!("rd=https://{LAB}:8443.evil.example/x"), "/"),
        (&format!("rd=https://{LAB}:8443@evil.example/"), "/"),
        ("rd=//evil.example", "//evil.example"),
        ("rd=/_workspace/enter", "/"),
        ("", "/"),
    ] {
        let alice = fixture.browser("alice");
        let landing = alice
            .open(&format!("{}/_workspace/enter?{query}", origin(LAB)))
            .await;
        assert!(landing.is_inside(), "{query}: {:?}", landing.answer.status);
        assert_eq!(landing.url, format!("{}{page}", origin(LAB)), "{query}");
        assert!(landing.trail.iter().all(|url| {
            [origin(LAB).as_str(), AUTH, ISSUER]
                .iter()
                .any(|own| url.starts_with(&format!("{own}/")))
        }));
    }
    let framed = headers(&[("sec-fetch-dest", "iframe"), ("sec-fetch-mode", "navigate")]);
    let url = format!("{}/_workspace/enter?/", origin(LAB));
    let answer = fixture.browser("alice").send("GET", &url, framed).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
}
