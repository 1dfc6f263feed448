//! Answers instead of a workspace: each is a page or JSON, with an identifier that is in the audit log.

use std::sync::Arc;

use api::manager::Start;
use api::workspace::{AccessType, Phase};
use gateway::index::{Domain, StatusDetail, Target};
use http::{Method, StatusCode};
use rules::access::Policy;

use crate::support::browser::{Answer, NAVIGATION, headers};
use crate::support::fixture::{AUTH, Fixture, LAB, NONE, OPEN, origin, target};
use crate::support::page::check;

const SCRIPT: [(&str, &str); 3] = [
    ("sec-fetch-site", "same-origin"),
    ("sec-fetch-mode", "cors"),
    ("sec-fetch-dest", "empty"),
];

fn stuck(host: &str, owner: &str, access: AccessType) -> Target {
    Target {
        phase: Phase::Starting,
        message: "The image \"lab:v9\" cannot be pulled.".into(),
        status_detail: Some(Arc::new(StatusDetail {
            reason: "ImagePullFailed".into(),
            ..StatusDetail::default()
        })),
        ..target(host, owner, access)
    }
}

fn is_page(answer: &Answer) {
    let policy = answer.headers["content-security-policy"].to_str().unwrap();
    check(&answer.body, policy);
    assert_eq!(answer.headers["cache-control"], "no-store");
}

#[tokio::test]
async fn strangers_learn_nothing_of_a_workspace_that_does_not_run() {
    let fixture = Fixture::new().await;
    let bob = fixture.signed_in("bob", OPEN).await;
    fixture.publish(vec![stuck(LAB, "alice", AccessType::OwnerOnly)]);
    let private = bob.open(&format!("{}/", origin(LAB))).await.answer;
    let none = bob.open(&format!("{}/", origin(NONE))).await.answer;
    assert_eq!(private.status, StatusCode::FORBIDDEN);
    assert_eq!(private.visible_answer(), none.visible_answer());
    let stranger = fixture
        .verify("GET", &format!("{}/", origin(LAB)), headers(&SCRIPT))
        .await;
    let nothing = fixture
        .verify("GET", &format!("{}/", origin(NONE)), headers(&SCRIPT))
        .await;
    assert_eq!(stranger.status, StatusCode::UNAUTHORIZED);
    assert_eq!(stranger.body.replace(LAB, ""), nothing.body.replace(NONE, ""));
}

#[tokio::test]
async fn a_refusal_has_an_identifier_that_stands_in_the_audit_log() {
    let fixture = Fixture::new().await;
    let bob = fixture.browser("bob");
    let refused = bob.open(&format!("{}/", origin(LAB))).await.answer;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    is_page(&refused);
    let records = fixture.records("denied", 1).await;
    assert_eq!(records[0]["request"], refused.request.clone().unwrap());
    let again = bob.open(&format!("{}/", origin(LAB))).await.answer;
    assert_ne!(again.request, refused.request);
}

#[tokio::test]
async fn no_refusal_is_blank_for_any_client_and_request() {
    let fixture = Fixture::new().await;
    let lab = origin(LAB);
    let paths = [
        "/",
        "/enter",
        "/callback",
        "/start",
        "/sign-out",
        "/backchannel-logout",
        "/nothing",
        "/enter?t=1&t=2",
    ];
    let addresses = paths.map(|path| format!("{AUTH}{path}"));
    let own = ["/_workspace/callback", "/_workspace/x"].map(|path| format!("{lab}{path}"));
    let mut seen = std::collections::BTreeSet::new();
    for method in [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::OPTIONS,
    ] {
        for address in addresses.iter().chain(&own) {
            for (lines, is_person) in [(&NAVIGATION[..], true), (&SCRIPT[..], false)] {
                let ask =
                    async |body: String| fixture.page(method.clone(), address, headers(lines), body).await;
                for answer in [ask(String::new()).await, ask("x".repeat(300_000)).await] {
                    let status = answer.status;
                    if status.is_success() || status.is_redirection() {
                        continue;
                    }
                    assert!(answer.request.is_some(), "{method} {address}: {status}");
                    seen.insert(status.as_u16());
                    if method == Method::HEAD {
                        assert!(answer.body.is_empty());
                    } else if is_person {
                        is_page(&answer);
                    } else {
                        let visible_answer = answer.json();
                        assert!(
                            visible_answer["error"].is_string() && visible_answer["message"].is_string(),
                            "{visible_answer}"
                        );
                    }
                }
            }
        }
    }
    for status in [400, 403, 404, 405, 413] {
        assert!(seen.contains(&status), "{status} in {seen:?}");
    }
}

#[tokio::test]
async fn our_own_answers_keep_browsers_to_https_and_pages_of_the_sign_in_host_give_no_window_a_handle() {
    let fixture = Fixture::new().await;
    let alice = fixture.browser("alice");
    let lost = alice.step(&format!("{AUTH}/nowhere")).await;
    assert_eq!(lost.status, StatusCode::NOT_FOUND);
    is_page(&lost);
    assert!(
        lost.body.contains("href=\"/\">Your account and workspaces</a>"),
        "{}",
        lost.body
    );
    let signs_in = alice.step(&format!("{AUTH}/sign-in")).await;
    assert!(signs_in.status.is_redirection());
    let own_path = alice.step(&format!("{}/_workspace/other", origin(LAB))).await;
    assert_eq!(own_path.status, StatusCode::NOT_FOUND);
    let first = alice.step(&format!("{AUTH}/")).await;
    assert_eq!(first.status, StatusCode::OK);
    for (answer, alone) in [
        (&lost, true),
        (&first, true),
        (&signs_in, false),
        (&own_path, false),
    ] {
        let transport = answer.headers.get("strict-transport-security").unwrap();
        assert_eq!(transport, "max-age=31536000");
        let opener = answer.headers.get("cross-origin-opener-policy");
        assert_eq!(opener.is_some_and(|policy| policy == "same-origin"), alone);
    }
}

#[tokio::test]
async fn where_the_portal_acts_only_guests_have_the_start_button() {
    let fixture = Fixture::new().await;
    let alice = fixture.signed_in("alice", LAB).await;
    let start = format!("action=\"{AUTH}/start\"");
    let link =
        "<a class=\"button\" href=\"https://portal.ws.example:8443/w/team/lab-a\">Start in the portal</a>";
    let connectors = Policy {
        start: Start::Connectors,
        ..Policy::default()
    };
    for (namespaces, acts) in [
        (&["*"][..], true),
        (&["other", "team"], true),
        (&["other"], false),
        (&[], false),
    ] {
        let acting_in = namespaces.iter().copied().map(str::to_owned).collect();
        let domain = Domain::new("ws.example", 8443)
            .with_portal(true)
            .with_portal_acting_in(acting_in);
        for (owner, is_guest) in [("alice", false), ("bob", true)] {
            let stopped = Target {
                phase: Phase::Stopped,
                ..target(LAB, owner, AccessType::Public)
            };
            fixture.serve(domain.clone(), connectors.clone(), [stopped]);
            let page = alice.step(&format!("{}/", origin(LAB))).await;
            assert!(page.body.contains("is stopped"), "{}", page.body);
            let has_button = is_guest || !acts;
            assert_eq!(
                page.body.contains(&start),
                has_button,
                "{namespaces:?} {owner}: {}",
                page.body
            );
            assert_eq!(
                page.body.contains(link),
                !has_button,
                "{namespaces:?} {owner}: {}",
                page.body
            );
            assert_eq!(page.body.contains("portal"), !is_guest, "{}", page.body);
            let form_action = page.headers["content-security-policy"].to_str().unwrap();
            assert_eq!(
                form_action.contains("form-action 'none'"),
                !has_button,
                "{form_action}"
            );
        }
    }
}
