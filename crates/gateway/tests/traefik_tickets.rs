//! Valid and invalid tickets at the real gateway behind a real Traefik, in both versions of HTTP that browsers use.

use api::manager::RoutingMode;
use gateway::tokens::TICKET_LIFE;
use http::StatusCode;
use tokio::time::{Duration, Instant};

use crate::support::behind_traefik::{BehindTraefik, VERSIONS, own_page};
use crate::support::proxy::BASE;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cookies_that_are_bent_doubled_or_of_another_kind_are_refused() {
    let site = BehindTraefik::start(RoutingMode::Subdomain).await;
    let jar = site.sign_in("alice", "ws1").await;
    let (host, auth) = (format!("ws1.{BASE}"), format!("auth.{BASE}"));
    let ticket = jar.get(&host, "/", "__Host-ws").unwrap();
    let session = jar.get(&auth, "/", "__Host-session").unwrap();
    let bobs = site.ticket("bob", "bobs").await;
    let foreign_ticket = site.ticket("alice", "ws10").await;
    site.opens("ws1", &own_page(&format!("__Host-ws={ticket}"))).await;
    let middle = ticket.len() / 2;
    let flipped = if ticket.as_bytes()[middle] == b'A' {
        'B'
    } else {
        'A'
    };
    let mut refused = vec![
        "__Host-ws=".to_owned(),
        "__Host-ws".to_owned(),
        "__Host-ws=x".to_owned(),
        format!(
            "__Host-ws={}{flipped}{}",
            &ticket[..middle],
            &ticket[middle + 1..]
        ),
        format!("__Host-ws={ticket}="),
        format!("__Host-ws={ticket}{ticket}"),
        format!("__Host-ws=\"{ticket}\""),
        format!("__Host-ws={ticket}; __Host-ws={ticket}"),
        format!("__Host-ws={ticket}; __Host-ws=x"),
        format!("__Host-ws=x; __Host-ws={ticket}"),
        format!("__host-ws={ticket}"),
        format!("__Host-ws-pre={ticket}"),
        format!("__Secure-ws={ticket}"),
        format!("__Host-session={ticket}"),
        format!("__Host-ws={session}"),
        format!("__Host-ws={bobs}"),
        format!("__Host-ws={foreign_ticket}"),
        format!("_xsrf=__Host-ws={ticket}"),
        format!("__Host-ws=%{:02X}{}", ticket.as_bytes()[0], &ticket[1..]),
    ];
    for length in [1, 10, middle, ticket.len() - 1] {
        refused.push(format!("__Host-ws={}", &ticket[..length]));
    }
    for version in VERSIONS {
        for cookie in &refused {
            let outcome = site.ask(version, ("GET", "ws1", "/lab"), &own_page(cookie)).await;
            outcome.is_refused(&format!("{version:?} {cookie}"));
        }
        // In two headers, which HTTP/2 allows for one cookie each.
        let valid = format!("__Host-ws={ticket}");
        for second in [valid.as_str(), "__Host-ws=x"] {
            let headers = [&own_page(&valid)[..], &[("cookie", second)]].concat();
            site.ask(version, ("GET", "ws1", "/lab"), &headers)
                .await
                .is_refused(second);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_counts_at_its_own_workspace_alone_in_hosts_and_in_folders() {
    for mode in [RoutingMode::Subdomain, RoutingMode::Path] {
        let site = BehindTraefik::start(mode).await;
        let jar = site.sign_in("alice", "ws1").await;
        let (host, path) = site.place("ws1");
        // All cookies of the browser, with no regard to where they belong.
        let cookies = jar.header(&host, &path).unwrap();
        let page = own_page(&cookies);
        site.opens("ws1", &page).await;
        for version in VERSIONS {
            // Another's, her own others, and names that begin as this one does.
            for name in ["ws10", "ws", "bobs"] {
                for path in ["/", "/lab", "/api/contents"] {
                    let outcome = site.ask(version, ("GET", name, path), &page).await;
                    outcome.is_refused(&format!("{mode:?} {version:?} {name} {path}"));
                }
            }
            let label = if mode == RoutingMode::Path { "" } else { "ws1x" };
            for path in [
                "/workspaces/team/ws100/",
                "/workspaces/team/ws1x/",
                "/workspaces/teams/ws1/",
                "/workspaces/team/w/",
            ] {
                let outcome = site.ask_at(version, ("GET", label, path), &page).await;
                outcome.is_refused(&format!("{mode:?} {version:?} {label} {path}"));
            }
        }
        // The same name and place, made anew.
        site.publish(|target| target.uid.push_str("-anew"));
        for version in VERSIONS {
            site.ask(version, ("GET", "ws1", "/lab"), &page)
                .await
                .is_refused("another workspace by now");
        }
        site.publish(|_| ());
        site.opens("ws1", &page).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_is_over_with_its_time_its_session_and_its_right() {
    let site = BehindTraefik::start(RoutingMode::Subdomain).await;
    let cookie = site.cookie(&site.ticket("alice", "ws1").await);
    let page = own_page(&cookie);
    site.opens("ws1", &page).await;
    // Another owner.
    site.publish(|target| "bob".clone_into(&mut target.owner));
    for version in VERSIONS {
        let outcome = site.ask(version, ("GET", "ws1", "/lab"), &page).await;
        outcome.is_refused("no longer hers");
        assert_eq!(outcome.status(), Some(StatusCode::FORBIDDEN), "{outcome:?}");
    }
    site.publish(|_| ());
    site.opens("ws1", &page).await;
    site.end_all_sessions();
    let start = Instant::now();
    while site
        .ask(VERSIONS[0], ("GET", "ws1", "/lab"), &page)
        .await
        .status()
        == Some(StatusCode::OK)
    {
        assert!(start.elapsed() < Duration::from_secs(1), "the session counts");
    }
    for version in VERSIONS {
        let outcome = site.ask(version, ("GET", "ws1", "/lab"), &page).await;
        outcome.is_refused("no session");
    }
    let cookie = site.cookie(&site.ticket("alice", "ws1").await);
    let page = own_page(&cookie);
    site.opens("ws1", &page).await;
    site.fixture.pass(TICKET_LIFE);
    for version in VERSIONS {
        site.ask(version, ("GET", "ws1", "/lab"), &page)
            .await
            .is_refused("too old");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_is_used_only_by_pages_of_its_workspace_and_navigations() {
    let site = BehindTraefik::start(RoutingMode::Subdomain).await;
    let cookie = site.cookie(&site.ticket("alice", "ws1").await);
    site.opens("ws1", &own_page(&cookie)).await;
    let own = format!("https://ws1.{BASE}");
    let sibling = format!("https://bobs.{BASE}");
    // Method, Sec-Fetch-Site, -Mode and -Dest, Origin; whether it passes.
    let table: [(&str, [&str; 4], bool); 20] = [
        ("GET", ["same-origin", "cors", "empty", ""], true),
        ("DELETE", ["same-origin", "cors", "empty", "own"], true),
        ("GET", ["same-origin", "navigate", "iframe", ""], true),
        ("GET", ["cross-site", "navigate", "document", ""], true),
        ("GET", ["none", "navigate", "document", ""], true),
        ("GET", ["", "", "", ""], true),
        ("POST", ["", "", "", "own"], true),
        ("GET", ["same-site", "cors", "empty", "sibling"], false),
        ("GET", ["same-site", "no-cors", "image", ""], false),
        ("GET", ["same-site", "no-cors", "script", ""], false),
        ("GET", ["same-site", "navigate", "iframe", ""], false),
        ("GET", ["cross-site", "cors", "empty", "sibling"], false),
        ("POST", ["same-site", "navigate", "document", "sibling"], false),
        ("POST", ["none", "navigate", "document", ""], false),
        ("OPTIONS", ["same-site", "cors", "empty", "sibling"], false),
        ("POST", ["", "", "", ""], false),
        ("POST", ["", "", "", "sibling"], false),
        ("GET", ["", "", "", "sibling"], false),
        ("DELETE", ["", "", "", "null"], false),
        ("PUT", ["same-site", "", "", "own"], false),
    ];
    for version in VERSIONS {
        for (method, text, passes) in table {
            let names = ["sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest", "origin"];
            let mut headers: Vec<(&str, &str)> = names
                .into_iter()
                .zip(text)
                .filter(|(_, text)| !text.is_empty())
                .collect();
            for (name, value) in &mut headers {
                if *name == "origin" {
                    *value = match *value {
                        "own" => own.as_str(),
                        "sibling" => sibling.as_str(),
                        other => other,
                    };
                }
            }
            headers.push(("cookie", &cookie));
            let outcome = site
                .ask(version, (method, "ws1", "/api/contents"), &headers)
                .await;
            let what = format!("{version:?} {method} {text:?}: {outcome:?}");
            if passes {
                assert_eq!(
                    (outcome.status(), &outcome.reached[..]),
                    (Some(StatusCode::OK), &["ws1"][..]),
                    "{what}"
                );
            } else {
                outcome.is_refused(&what);
                assert_eq!(outcome.status(), Some(StatusCode::FORBIDDEN), "{what}");
                let (_, headers, _) = outcome.answer.unwrap();
                assert!(
                    headers
                        .keys()
                        .all(|name| !name.as_str().starts_with("access-control-")),
                    "{what}"
                );
            }
        }
    }
}
