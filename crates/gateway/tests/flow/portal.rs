//! The portal as a site of the gateway: who has access, what the portal receives about users, and what it never accepts.

use api::manager::RoutingMode;
use api::workspace::{AccessType, Phase};
use assertion::{InvalidAssertion, Verifier};
use gateway::index::{Domain, Target};
use gateway::tokens::cookies;
use http::{HeaderMap, Method, StatusCode};
use rules::access::Policy;
use serde_json::json;

use super::assertion::claims;
use crate::support::browser::{Answer, Browser, NAVIGATION, headers};
use crate::support::fixture::{AUTH, Fixture, ISSUER, LAB, NOW, key_set, origin, target};
use crate::support::tokens::Tokens;

const HOST: &str = "portal.ws.example";
pub(super) const ORIGIN: &str = "https://portal.ws.example:8443";
const GATEWAY: &str = api::names::GATEWAY;
/// Ticket of a host, whatever the mode.
const TICKET: &str = "__Host-ws";

fn lab() -> Target {
    target(LAB, "alice", AccessType::OwnerOnly)
}

fn domain() -> Domain {
    Domain::new("ws.example", 8443).with_portal(true)
}

pub(super) fn switch_on(fixture: &Fixture) {
    fixture.serve(domain(), Policy::default(), [lab()]);
}

async fn fixture() -> Fixture {
    let fixture = Fixture::new().await;
    switch_on(&fixture);
    fixture
}

pub(super) fn page() -> String {
    format!("{ORIGIN}/w/team/lab?tab=logs")
}

pub(super) async fn signed_in<'w>(fixture: &'w Fixture, name: &'static str) -> Browser<'w> {
    let browser = fixture.browser(name);
    let landing = browser.open(&page()).await;
    assert!(landing.is_inside(), "{landing:?}");
    browser
}

/// A page's own request.
pub(super) async fn fetch(browser: &Browser<'_>, method: &str, url: &str) -> Answer {
    let own = headers(&[("sec-fetch-site", "same-origin"), ("origin", ORIGIN)]);
    browser.send(method, url, own).await
}

fn assertion(answer: &Answer) -> &str {
    answer.headers[api::names::ASSERTION_HEADER].to_str().unwrap()
}

#[tokio::test]
async fn a_login_leads_back_to_the_page_and_tells_the_portal_who_the_user_is_in_both_routing_modes() {
    for mode in [RoutingMode::Subdomain, RoutingMode::Path] {
        let fixture = Fixture::new().await;
        fixture.serve(domain().in_mode(mode), Policy::default(), None::<Target>);
        let alice = fixture.browser("alice");
        let landing = alice.open(&page()).await;
        assert!(landing.is_inside(), "{landing:?}");
        assert_eq!(landing.url, page());
        let [enter, login, callback] = [
            format!("{AUTH}/enter?t="),
            ISSUER.to_owned(),
            format!("{ORIGIN}/_workspace/callback?code="),
        ];
        for step in [enter, login, callback] {
            assert!(
                landing.trail.iter().any(|url| url.starts_with(&step)),
                "{step}: {:?}",
                landing.trail
            );
        }
        assert!(alice.cookie(HOST, TICKET).is_some());
        assert_eq!(alice.cookie(HOST, "__Host-ws-pre"), None, "used up");
        assert_eq!(alice.cookie("ws.example", TICKET), None);

        let forged = headers(&[
            ("sec-fetch-site", "same-origin"),
            (api::names::ASSERTION_HEADER, "forged"),
        ]);
        alice.set_cookie(HOST, "mine", Some("1"));
        let answer = alice.send("GET", &format!("{ORIGIN}/events"), forged).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(
            answer.headers["cookie"], "mine=1",
            "tickets stay with the gateway"
        );
        let verifier = Verifier::new(&key_set()).unwrap();
        let known = verifier
            .check(assertion(&answer), GATEWAY, "portal", NOW)
            .unwrap();
        assert_eq!(
            (known.subject.as_str(), &known.groups),
            ("alice", &vec!["oidc:users".to_owned()])
        );
        assert!(known.session_end.unwrap() > NOW && !known.bearer);
        assert_eq!(known.ends, NOW + 60);
    }
}

#[tokio::test]
async fn nothing_of_a_workspace_counts_at_the_portal_and_nothing_of_the_portal_at_a_workspace() {
    let fixture = fixture().await;
    let alice = signed_in(&fixture, "alice").await;
    assert!(alice.open(&format!("{}/", origin(LAB))).await.is_inside());
    let verifier = Verifier::new(&key_set()).unwrap();
    let check = |answer: &Answer, audience: &str| {
        let checked = verifier.check(assertion(answer), GATEWAY, audience, NOW);
        checked.map(|known| known.subject)
    };
    let uid = format!("uid-of-{LAB}");
    let at_portal = fetch(&alice, "GET", &page()).await;
    let at_lab = alice
        .send(
            "GET",
            &format!("{}/", origin(LAB)),
            headers(&[("sec-fetch-site", "same-origin")]),
        )
        .await;
    assert_eq!(check(&at_portal, "portal").as_deref(), Ok("alice"));
    assert_eq!(check(&at_portal, &uid), Err(InvalidAssertion::Other));
    assert_eq!(check(&at_lab, "portal"), Err(InvalidAssertion::Other));
    assert!(
        claims(&at_lab.headers).get("groups").is_none(),
        "workspaces receive no groups"
    );
    assert_eq!(fixture.app.assertions.subject(assertion(&at_portal), &uid), None);

    let (portal, workspace) = (alice.cookie(HOST, TICKET), alice.cookie(LAB, TICKET));
    alice.set_cookie(HOST, TICKET, workspace.as_deref());
    alice.set_cookie(LAB, TICKET, portal.as_deref());
    assert_eq!(
        fetch(&alice, "GET", &page()).await.status,
        StatusCode::UNAUTHORIZED
    );
    let own = headers(&[("sec-fetch-site", "same-origin")]);
    let answer = alice.send("GET", &format!("{}/api", origin(LAB)), own).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_code_for_a_workspace_gives_no_ticket_at_the_portal() {
    let fixture = fixture().await;
    let alice = fixture.browser("alice");
    let is_code = |url: &str| url.contains("/_workspace/callback?code=");
    let landing = alice.open_until(&format!("{}/", origin(LAB)), is_code).await;
    let code = landing.answer.location().unwrap().to_owned();
    assert!(is_code(&code));
    let pre = alice.cookie(LAB, "__Host-ws-pre");
    alice.set_cookie(HOST, "__Host-ws-pre", pre.as_deref());
    let answer = alice.step(&code.replace(&origin(LAB), ORIGIN)).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(alice.cookie(HOST, TICKET), None);
}

#[tokio::test]
async fn without_a_session_pages_lead_to_the_login_and_other_requests_are_refused() {
    let fixture = fixture().await;
    let stranger = fixture.browser("stranger");
    let answer = stranger.step(&page()).await;
    assert_eq!(answer.status, StatusCode::FOUND);
    assert!(
        answer
            .location()
            .unwrap()
            .starts_with(&format!("{AUTH}/enter?t="))
    );
    for method in ["GET", "POST"] {
        let answer = fetch(&stranger, method, &page()).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method}");
        assert_eq!(answer.json()["loginUrl"], format!("{ORIGIN}/"));
        assert!(!answer.headers.contains_key(api::names::ASSERTION_HEADER));
    }
}

#[tokio::test]
async fn a_form_that_is_sent_without_a_session_says_how_to_keep_what_was_typed() {
    let fixture = fixture().await;
    let stranger = fixture.browser("stranger");
    let mut lines = headers(&[("sec-fetch-site", "same-origin"), ("origin", ORIGIN)]);
    lines.extend(headers(&NAVIGATION[1..]));
    let url = format!("{ORIGIN}/w/team/lab/edit");
    let answer = stranger.send("POST", &url, lines).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    for part in [
        "nothing was saved",
        "go back one page",
        &format!("href=\"{ORIGIN}/\" target=\"_blank\" rel=\"noopener\""),
    ] {
        assert!(answer.body.contains(part), "{part}: {}", answer.body);
    }
    assert!(!answer.body.contains("/w/team/lab"), "{}", answer.body);
    let script = fetch(&stranger, "POST", &url).await;
    assert_eq!(script.json()["error"], "SignInRequired");
}

#[tokio::test]
async fn no_page_of_another_origin_acts_with_a_user_s_ticket() {
    let fixture = fixture().await;
    let alice = signed_in(&fixture, "alice").await;
    let url = format!("{ORIGIN}/w/team/lab/delete");
    assert_eq!(fetch(&alice, "POST", &url).await.status, StatusCode::OK);
    let form = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
    for (site, from) in [
        ("same-site", origin(LAB)),
        ("same-site", AUTH.to_owned()),
        ("cross-site", "https://evil.example".to_owned()),
        ("cross-site", "null".to_owned()),
    ] {
        let mut lines = headers(&[("sec-fetch-site", site), ("origin", &from)]);
        lines.extend(headers(&form));
        let answer = alice.send("POST", &url, lines).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{site} {from}");
    }
    for lines in [headers(&[("origin", &origin(LAB))]), HeaderMap::new()] {
        assert_eq!(
            alice.send("POST", &url, lines).await.status,
            StatusCode::FORBIDDEN
        );
    }
}

/// Sends the button of the portal's pages, as a browser does from a page of `from`.
async fn press_sign_out(browser: &Browser<'_>, at: &str, from: &str) -> Answer {
    let mut lines = headers(&[("sec-fetch-site", "same-origin"), ("origin", from)]);
    lines.extend(headers(&NAVIGATION[1..]));
    browser
        .send("POST", &format!("{at}/_workspace/sign-out"), lines)
        .await
}

#[tokio::test]
async fn one_click_in_the_portal_signs_out_here_and_at_the_provider() {
    let fixture = fixture().await;
    fixture.watch().await;
    let alice = signed_in(&fixture, "alice").await;
    let elsewhere = signed_in(&fixture, "alice").await;
    let held = || alice.cookies("auth.ws.example").unwrap();
    alice.step(&format!("{AUTH}/sign-in?as=another")).await;
    assert!(held().contains(cookies::LOGIN), "{}", held());
    let answer = press_sign_out(&alice, ORIGIN, ORIGIN).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let next = answer.headers["refresh"].to_str().unwrap();
    assert!(
        next.starts_with(&format!("0;url={ISSUER}/logout?client_id=gateway&")),
        "{next}"
    );
    assert_eq!(answer.cookie(TICKET), Some(""));
    assert_eq!(fixture.sessions().len(), 1, "the other browser stays signed in");
    assert_eq!(alice.step(&page()).await.status, StatusCode::FOUND);
    assert!(
        alice
            .step(&format!("{AUTH}/"))
            .await
            .body
            .contains("You are signed out")
    );
    assert!(!held().contains(cookies::LOGIN), "{}", held());
    assert_eq!(fetch(&elsewhere, "GET", &page()).await.status, StatusCode::OK);
}

#[tokio::test]
async fn no_other_page_presses_the_portal_s_sign_out() {
    let fixture = fixture().await;
    let alice = signed_in(&fixture, "alice").await;
    assert!(alice.open(&format!("{}/", origin(LAB))).await.is_inside());
    let lab = origin(LAB);
    for (at, from) in [
        (ORIGIN, &*lab),
        (ORIGIN, AUTH),
        (ORIGIN, "null"),
        (ORIGIN, "https://evil.example"),
        (&*lab, &*lab),
    ] {
        let answer = press_sign_out(&alice, at, from).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{at} {from}");
    }
    let answer = press_sign_out(&alice, &lab, ORIGIN).await;
    assert_eq!(
        answer.status,
        StatusCode::NOT_FOUND,
        "a workspace has no sign-out"
    );
    let read = alice.step(&format!("{ORIGIN}/_workspace/sign-out")).await;
    assert_eq!(read.location(), Some(&*format!("{AUTH}/")), "it changes nothing");
    assert_eq!(fixture.sessions().len(), 1);
    assert_eq!(fetch(&alice, "GET", &page()).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_sign_out_with_an_old_ticket_leads_to_the_page_that_has_a_button() {
    let fixture = fixture().await;
    let alice = signed_in(&fixture, "alice").await;
    fixture.pass(20 * 60);
    let answer = press_sign_out(&alice, ORIGIN, ORIGIN).await;
    assert_eq!(answer.headers["refresh"], format!("0;url={AUTH}/"));
    assert_eq!(fixture.sessions().len(), 1);
}

#[tokio::test]
async fn a_switched_off_portal_is_like_a_workspace_that_does_not_exist() {
    let fixture = fixture().await;
    let alice = signed_in(&fixture, "alice").await;
    fixture.publish(vec![lab()]);
    let answer = fetch(&alice, "GET", &page()).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(answer.json()["error"], "NoAccess");
    let bob = fixture.browser("bob");
    let landing = bob.open(&page()).await;
    assert_eq!(landing.answer.status, StatusCode::FORBIDDEN);
    assert_eq!(bob.cookie(HOST, TICKET), None);
}

#[tokio::test]
async fn names_that_the_portal_cannot_act_as_are_refused_with_the_reason() {
    let fixture = fixture().await;
    for (name, groups, reason) in [
        (
            "alice ",
            json!(["users"]),
            "the user name &quot;alice &quot; begins or ends with a space",
        ),
        (
            "alice",
            json!(["users", "staff "]),
            "the group &quot;oidc:staff &quot; begins or ends with a space",
        ),
    ] {
        let mut alice = fixture.browser("alice");
        alice.claims.insert("preferred_username".into(), name.into());
        alice.claims.insert("groups".into(), groups);
        let landing = alice.open(&page()).await;
        assert_eq!(landing.answer.status, StatusCode::FORBIDDEN, "{landing:?}");
        assert!(landing.answer.body.contains(reason), "{}", landing.answer.body);
        assert!(!landing.answer.headers.contains_key(api::names::ASSERTION_HEADER));
    }
    let records = fixture.records("denied", 2).await;
    assert!(!fixture.log.text().contains("portal_opened"));
    assert!(
        records
            .iter()
            .all(|record| record["rule"] == "identity" && record["host"] == HOST)
    );
}

#[tokio::test]
async fn the_audit_log_names_each_session_at_the_portal_once() {
    let fixture = fixture().await;
    let alice = signed_in(&fixture, "alice").await;
    assert_eq!(fetch(&alice, "GET", &page()).await.status, StatusCode::OK);
    signed_in(&fixture, "bob").await;
    let records = fixture.records("portal_opened", 2).await;
    let users: Vec<_> = records.iter().map(|record| &record["user"]).collect();
    assert_eq!(users, ["alice", "bob"]);
    assert!(records.iter().all(|record| record["session"].is_string()));
}

#[tokio::test]
async fn tokens_of_scripts_do_not_count_at_the_portal() {
    let tokens = Tokens::new().await;
    switch_on(&tokens.fixture);
    let token = tokens.user_token("alice", &json!({}));
    let bearer = format!("Bearer {token}");
    let lines = || headers(&[("authorization", &bearer)]);
    let at_lab = tokens
        .fixture
        .verify("GET", &format!("{}/", origin(LAB)), lines())
        .await;
    assert_eq!(at_lab.status, StatusCode::OK, "the token itself is good");
    let answer = tokens.fixture.verify("GET", &page(), lines()).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(
        !answer.headers.contains_key("www-authenticate"),
        "no token would help"
    );
    let alice = signed_in(&tokens.fixture, "alice").await;
    let mut both = lines();
    both.extend(headers(&[("sec-fetch-site", "same-origin")]));
    let answer = alice.send("GET", &page(), both).await;
    assert_eq!(answer.status, StatusCode::OK, "the cookie decides");
    assert!(claims(&answer.headers).get("bearer").is_none());
}

#[tokio::test]
async fn the_portal_has_no_websockets_and_no_service_worker_and_leaves_the_gateway_its_own_paths() {
    let fixture = fixture().await;
    let alice = signed_in(&fixture, "alice").await;
    let cookie = alice.cookies(HOST).unwrap();
    let handshake = http::Request::get("/events")
        .header("host", format!("{HOST}:8443"))
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("origin", ORIGIN)
        .header("cookie", &cookie)
        .body(axum::body::Body::empty())
        .unwrap();
    let answer = fixture.ask_verify(handshake).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{answer:?}");
    assert!(
        fixture
            .handshake(HOST, &headers(&[("cookie", &cookie), ("origin", ORIGIN)]))
            .await
            .is_none()
    );
    for path in ["/sw.js", "/assets/sw.js"] {
        let lines = headers(&[("sec-fetch-site", "same-origin"), ("service-worker", "script")]);
        let answer = alice.send("GET", &format!("{ORIGIN}{path}"), lines).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
    }
    for path in ["/_workspace/x", "/_workspace%2fx", "/x/../_workspace/"] {
        let lines = headers(&[("cookie", &cookie), ("sec-fetch-site", "same-origin")]);
        let answer = fixture.verify("GET", &format!("{ORIGIN}{path}"), lines).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    }
    let lines = headers(&[("cookie", &cookie)]);
    let answer = fixture
        .page(Method::GET, &page(), lines.clone(), String::new())
        .await;
    assert_eq!(
        answer.status,
        StatusCode::SERVICE_UNAVAILABLE,
        "the portal itself is elsewhere"
    );
}

#[tokio::test]
async fn the_start_form_does_not_name_the_portal() {
    let fixture = fixture().await;
    let alice = signed_in(&fixture, "alice").await;
    let answer = alice.step(&format!("{AUTH}/start?host={HOST}")).await;
    assert!(answer.status.is_client_error(), "{answer:?}");
}

#[tokio::test]
async fn pages_of_the_gateway_lead_to_the_portal_while_it_is_on() {
    let fixture = fixture().await;
    let alice = signed_in(&fixture, "alice").await;
    assert!(alice.open(&format!("{}/", origin(LAB))).await.is_inside());
    let link = format!("href=\"{ORIGIN}/\"");
    let home = alice.step(&format!("{AUTH}/")).await;
    assert!(
        home.body.contains(&link) && home.body.contains("Sign out"),
        "{}",
        home.body
    );
    let details = format!("href=\"{ORIGIN}/w/team/lab-a\"");
    for phase in [Phase::Stopped, Phase::Failed, Phase::Invalid] {
        let stopped = Target { phase, ..lab() };
        fixture.serve(domain(), Policy::default(), [stopped.clone()]);
        let answer = alice.step(&format!("{}/", origin(LAB))).await;
        assert!(answer.body.contains(&details), "{phase:?}: {}", answer.body);
        let start = format!("action=\"{AUTH}/start\"");
        assert_eq!(answer.body.contains(&start), phase == Phase::Stopped, "{phase:?}");
        fixture.publish(vec![stopped]);
        let answer = alice.step(&format!("{}/", origin(LAB))).await;
        assert!(!answer.body.contains("portal"), "{phase:?}: {}", answer.body);
    }
    assert!(!alice.step(&format!("{AUTH}/")).await.body.contains(&link));
}
