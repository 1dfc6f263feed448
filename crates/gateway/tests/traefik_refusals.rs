//! Requests that the real gateway behind a real Traefik must refuse, in both versions of HTTP that browsers use.

use api::manager::RoutingMode;
use http::{StatusCode, Version};

use crate::support::behind_traefik::{BehindTraefik, VERSIONS, own_page};
use crate::support::proxy::{BASE, host};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn security_headers_that_come_twice_are_refused() {
    let site = BehindTraefik::start(RoutingMode::Subdomain).await;
    let cookie = site.cookie(&site.ticket("alice", "ws1").await);
    let usual = own_page(&cookie);
    site.opens("ws1", &usual).await;
    let own = format!("https://ws1.{BASE}");
    for version in VERSIONS {
        for (name, value) in [
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-site", "none"),
            ("sec-fetch-mode", "cors"),
            ("sec-fetch-dest", "empty"),
        ] {
            // Of one line that holds two values only what it decides by must be one of those that are known.
            for joined in [false, true]
                .into_iter()
                .filter(|joined| !joined || name == "sec-fetch-site")
            {
                let mut headers = usual.clone();
                let both = format!("{value}, {value}");
                if joined {
                    headers.retain(|(of, _)| *of != name);
                    headers.push((name, &both));
                } else {
                    headers.push((name, value));
                }
                let what = format!("{version:?} {name}: {value} joined: {joined}");
                let outcome = site
                    .ask(version, ("POST", "ws1", "/api/contents"), &headers)
                    .await;
                outcome.is_refused(&what);
                if !joined {
                    assert_eq!(outcome.status(), Some(StatusCode::BAD_REQUEST), "{what}");
                }
            }
        }
        let twice = [&usual[..], &[("origin", own.as_str()), ("origin", own.as_str())]].concat();
        let outcome = site.ask(version, ("POST", "ws1", "/"), &twice).await;
        outcome.is_refused("origin");
        assert_eq!(outcome.status(), Some(StatusCode::BAD_REQUEST), "{outcome:?}");
    }
    // What a client can send twice in raw bytes only.
    for (name, value) in [
        ("host", host("bobs").as_str()),
        ("content-length", "0\r\ncontent-length: 1"),
        ("content-length", "1\r\ntransfer-encoding: chunked"),
        ("x-forwarded-host ", "ws1"),
        (" folded", "1"),
        ("sec-fetch-site\u{b}", "none"),
    ] {
        let headers = [(name, value), ("cookie", &cookie)];
        let (answer, reached) = site.watched(site.site.raw("bobs", "/lab", &headers)).await;
        assert_eq!(reached, [""; 0], "{name}: {value}: {answer}");
        assert!(!answer.starts_with("HTTP/1.1 2"), "{name}: {value}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_that_a_client_makes_up_and_their_aliases_neither_open_nor_misdirect() {
    let site = BehindTraefik::start(RoutingMode::Subdomain).await;
    let cookie = site.cookie(&site.ticket("alice", "ws1").await);
    let own = format!("ws1.{BASE}");
    let page = own_page(&cookie);
    site.opens("ws1", &page).await;
    let claims = [
        ("x-forwarded-host", own.as_str()),
        ("x-forwarded-uri", "/_workspace/callback"),
        ("x-forwarded-method", "GET"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-original-url", own.as_str()),
        ("forwarded", "for=127.0.0.1;host=ws1;proto=https"),
    ];
    for version in VERSIONS {
        for separator in ["-", "_", "."] {
            let renamed: Vec<(String, &str)> = claims
                .iter()
                .map(|(name, value)| (name.replace('-', separator), *value))
                .collect();
            let renamed: Vec<(&str, &str)> = renamed
                .iter()
                .map(|(name, value)| (name.as_str(), *value))
                .collect();
            for hop in [
                None,
                Some("x-forwarded-host"),
                Some("x-forwarded-host, x-forwarded-uri, x-forwarded-method, x-forwarded-proto"),
                Some("cookie, sec-fetch-site, origin"),
                Some("x_forwarded_host, keep-alive"),
            ] {
                // HTTP/2 has no such header.
                if hop.is_some() && version == Version::HTTP_2 {
                    continue;
                }
                let hop: Vec<(&str, &str)> = hop.iter().map(|names| ("connection", *names)).collect();
                let all = [&renamed[..], &hop].concat();
                let what = format!("{version:?} {all:?}");
                // Her ticket at another's host, with everything said to be of her own.
                let theirs = site
                    .ask(version, ("GET", "bobs", "/lab"), &[&page[..], &all].concat())
                    .await;
                theirs.is_refused(&what);
                // And nothing at all.
                site.ask(version, ("GET", "ws1", "/lab"), &all)
                    .await
                    .is_refused(&what);
                // At her own workspace they change neither the authorization request nor the pod that is reached.
                let hers = site
                    .ask(version, ("GET", "ws1", "/lab"), &[&page[..], &all].concat())
                    .await;
                if hers.status() == Some(StatusCode::OK) {
                    assert_eq!(hers.reached, ["ws1"], "{what}");
                    let seen = site.pod("ws1").last().to_ascii_lowercase();
                    assert!(seen.starts_with("get /lab http/1.1\r\n"), "{seen}");
                    assert!(!seen.contains("_workspace/callback"), "{what}: {seen}");
                } else {
                    hers.is_refused(&what);
                }
            }
        }
    }
}
