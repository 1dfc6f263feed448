//! Programs that act as a user: the page that asks, codes, tokens, tickets for workspaces, and their ends.

use api::manager::Ssh;
use api::workspace::{AccessType, Phase};
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use gateway::index::{Domain, Target};
use gateway::tokens::{KeyId, KeyRing, ProgramToken, SealingKey, Token as _, cookies};
use gateway::verify::Authorizer as _;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt as _;
use rules::access::{Policy, Shared};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::assertion::claims;
use super::sign_out::sign_out;
use crate::support::browser::{Answer, Browser, NAVIGATION, headers};
use crate::support::fixture::{
    AUTH, BOBS, Fixture, ISSUER, LAB, NONE, OPEN, fixed_keys, lab, origin, target,
};

pub(super) const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters";
const STATE: &str = "a-state-of-22-characters";
const SSH: &str = "/jupyter-k8s/ssh";

fn challenge(verifier: &str) -> String {
    BASE64URL.encode(Sha256::digest(verifier))
}

/// The fields of a program that listens on this port, or has the user copy the code.
fn fields(port: Option<u16>) -> String {
    let port = port.map(|port| format!("port={port}&")).unwrap_or_default();
    format!(
        "{port}challenge={}&state={STATE}&name=kubectl",
        challenge(VERIFIER)
    )
}

fn page(port: Option<u16>) -> String {
    format!("{AUTH}/programs?{}", fields(port))
}

/// Presses the page's button, in a page of `from`.
async fn press(browser: &Browser<'_>, from: Option<&str>, body: &str) -> Answer {
    let cookies = browser.cookies("auth.ws.example").unwrap_or_default();
    let mut lines = headers(&[
        ("content-type", "application/x-www-form-urlencoded"),
        ("cookie", &cookies),
    ]);
    lines.extend(headers(&NAVIGATION));
    if let Some(from) = from {
        lines.extend(headers(&[("origin", from)]));
    }
    let url = format!("{AUTH}/programs");
    browser.fixture.page(Method::POST, &url, lines, body.into()).await
}

/// A code for a program that listens on port 4000.
pub(super) async fn code(browser: &Browser<'_>) -> String {
    let answer = press(browser, Some(AUTH), &fields(Some(4000))).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{answer:?}");
    let query = answer.location().unwrap().strip_prefix("http://127.0.0.1:4000/?");
    let query = query.unwrap().strip_suffix(&format!("&state={STATE}"));
    query.unwrap().strip_prefix("code=").unwrap().to_owned()
}

async fn ask(fixture: &Fixture, path: &str, token: Option<&str>, body: &Value) -> Answer {
    let mut lines = headers(&[("content-type", "application/json")]);
    if let Some(token) = token {
        lines.extend(headers(&[("authorization", &format!("Bearer {token}"))]));
    }
    let url = format!("{AUTH}/programs/{path}");
    fixture.page(Method::POST, &url, lines, body.to_string()).await
}

pub(super) async fn redeem(fixture: &Fixture, code: &str, verifier: &str) -> Answer {
    ask(
        fixture,
        "token",
        None,
        &json!({"code": code, "verifier": verifier}),
    )
    .await
}

/// The token of a program that this browser's user admitted.
async fn admitted(browser: &Browser<'_>) -> String {
    let answer = redeem(browser.fixture, &code(browser).await, VERIFIER).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    answer.json()["token"].as_str().unwrap().to_owned()
}

pub(super) async fn ask_ticket(fixture: &Fixture, token: &str, host: &str) -> Answer {
    ask(fixture, "ticket", Some(token), &json!({"host": host})).await
}

/// A program's ticket for this workspace.
pub(super) async fn ticket(fixture: &Fixture, token: &str, host: &str) -> String {
    let answer = ask_ticket(fixture, token, &format!("{host}:8443")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    answer.json()["ticket"].as_str().unwrap().to_owned()
}

fn with(ticket: &str) -> HeaderMap {
    headers(&[("workspace-ticket", ticket)])
}

fn beside(ticket: &str, lines: &[(&str, &str)]) -> HeaderMap {
    let mut all = with(ticket);
    all.extend(headers(lines));
    all
}

async fn get(fixture: &Fixture, host: &str, lines: HeaderMap) -> Answer {
    fixture
        .verify("GET", &format!("{}/api/status", origin(host)), lines)
        .await
}

fn error(answer: &Answer) -> (u16, String) {
    let error = answer.json()["error"].as_str().unwrap_or_default().to_owned();
    (answer.status.as_u16(), error)
}

fn is(status: u16, error: &str) -> (u16, String) {
    (status, error.to_owned())
}

#[tokio::test]
async fn a_link_asks_and_only_the_button_of_our_page_gives_a_code() {
    let fixture = Fixture::new().await;
    let alice = fixture.browser("alice");
    // Not signed in: signs in as ever, and comes back.
    let landing = alice.open(&page(Some(4000))).await;
    assert!(landing.trail.iter().any(|url| url.starts_with(ISSUER)));
    assert_eq!(landing.url.split('?').next(), Some(&*format!("{AUTH}/programs")));
    let asked = landing.answer;
    assert_eq!(asked.status, StatusCode::OK);
    for said in ["“kubectl”", "as alice", "2027-01-15 20:00 UTC"] {
        assert!(asked.body.contains(said), "{said}: {}", asked.body);
    }
    let policy = asked.headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.contains(" form-action 'self' http://127.0.0.1:4000;"),
        "{policy}"
    );
    assert!(!asked.body.contains("code="), "{}", asked.body);
    assert_eq!(asked.headers["cross-origin-opener-policy"], "same-origin");
    // By hand: the form leads nowhere else.
    let by_hand = alice.open(&page(None)).await.answer;
    let policy = by_hand.headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.contains(" form-action 'self' ;") && !policy.contains("127.0.0.1"),
        "{policy}"
    );

    // Pages of others, and of none.
    let form = fields(Some(4000));
    for from in [
        None,
        Some("null"),
        Some("https://evil.example"),
        Some("http://127.0.0.1:4000"),
        Some(origin(LAB).as_str()),
    ] {
        let answer = press(&alice, from, &form).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{from:?}");
        assert_eq!(answer.location(), None);
    }
    // A page that embeds ours, or fetches it.
    for (mode, dest) in [("navigate", "iframe"), ("cors", "empty"), ("no-cors", "image")] {
        let lines = headers(&[("sec-fetch-mode", mode), ("sec-fetch-dest", dest)]);
        assert_eq!(
            alice.send("GET", &page(Some(4000)), lines).await.status,
            StatusCode::FORBIDDEN
        );
    }
    // The control.
    assert_eq!(
        press(&alice, Some(AUTH), &form).await.status,
        StatusCode::SEE_OTHER
    );
    let copied = press(&alice, Some(AUTH), &fields(None)).await;
    assert_eq!(copied.status, StatusCode::OK);
    assert!(copied.body.contains("<code>"), "{}", copied.body);
    let (_, rest) = copied.body.split_once("<code>").unwrap();
    let by_hand = rest.split_once("</code>").unwrap().0;
    assert_eq!(redeem(&fixture, by_hand, VERIFIER).await.status, StatusCode::OK);
    assert!(
        fixture.records("program_admitted", 1).await.len() == 1,
        "the pages alone admit nothing"
    );
}

#[tokio::test]
async fn a_wrong_link_leads_nowhere_and_says_what_is_wrong() {
    let fixture = Fixture::new().await;
    let alice = fixture.signed_in("alice", LAB).await;
    for (wrong, field) in [
        (fields(Some(80)), "port"),
        (
            fields(Some(4000)).replace("challenge=", "challenge=x"),
            "challenge",
        ),
        (fields(Some(4000)).replace(STATE, "short"), "state"),
        (fields(Some(4000)).replace("kubectl", ""), "name"),
        (fields(Some(4000)).replace("4000", "4000@evil.example"), "port"),
        // The page would end the quotation marks around it, or show it as markup.
        (fields(Some(4000)).replace("kubectl", "evil%E2%80%9D"), "name"),
        (
            fields(Some(4000)).replace("kubectl", "%3Cscript%3Eevil%3C/script%3E"),
            "name",
        ),
    ] {
        for answer in [
            alice.step(&format!("{AUTH}/programs?{wrong}")).await,
            press(&alice, Some(AUTH), &wrong).await,
        ] {
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}");
            assert!(
                answer.body.contains(&format!("<code>{field}</code>")),
                "{wrong}: {}",
                answer.body
            );
            assert!(!answer.body.contains("evil"), "{}", answer.body);
        }
    }
    let plain = fields(Some(4000)).replace("kubectl", "kubectl+workspace+on+host_1.example");
    let shown = alice.step(&format!("{AUTH}/programs?{plain}")).await;
    assert_eq!(shown.status, StatusCode::OK);
    let quoted = "calls itself “kubectl workspace on host_1.example” asks";
    assert!(shown.body.contains(quoted), "{}", shown.body);
}

#[tokio::test]
async fn a_code_counts_once_for_its_challenge_for_a_minute_and_on_all_replicas_together() {
    let fixture = Fixture::new().await;
    let alice = fixture.signed_in("alice", LAB).await;
    let invalid = is(400, "InvalidCode");

    let first = code(&alice).await;
    let answer = redeem(&fixture, &first, VERIFIER).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert!(!answer.headers.contains_key("access-control-allow-origin"));
    let got = answer.json();
    assert_eq!(
        (got["user"].as_str(), got["expiresAt"].as_str()),
        (Some("alice"), Some("2027-01-15T20:00:00Z"))
    );
    let record = fixture.records("program_admitted", 1).await.remove(0);
    assert_eq!(
        (&record["user"], &record["program"]),
        (&json!("alice"), &json!("kubectl"))
    );

    let replica = fixture.replica().await;
    for at in [&fixture, &replica] {
        assert_eq!(error(&redeem(at, &first, VERIFIER).await), invalid, "used");
    }
    // Seen by another program: it becomes invalid for the right one, too.
    let seen = code(&alice).await;
    assert_eq!(error(&redeem(&replica, &seen, "another").await), invalid);
    assert_eq!(error(&redeem(&fixture, &seen, VERIFIER).await), invalid);
    let late = code(&alice).await;
    fixture.pass(60);
    assert_eq!(error(&redeem(&fixture, &late, VERIFIER).await), invalid);
    let in_time = code(&alice).await;
    fixture.pass(59);
    assert_eq!(redeem(&replica, &in_time, VERIFIER).await.status, StatusCode::OK);

    // Values of the gateway's that are no code.
    let session = alice.cookie("auth.ws.example", cookies::SESSION).unwrap();
    let other = alice.cookie(LAB, cookies::TICKET).unwrap();
    for wrong in ["", "x", &session, &other, got["token"].as_str().unwrap()] {
        assert_eq!(error(&redeem(&fixture, wrong, VERIFIER).await), invalid);
    }
    for body in [json!({}), json!([]), json!({"code": 1, "verifier": VERIFIER})] {
        let answer = ask(&fixture, "token", None, &body).await;
        assert_eq!(error(&answer), is(400, "BadRequest"), "{body}");
    }
    let long = json!({"code": "x".repeat(5000), "verifier": VERIFIER});
    let answer = ask(&fixture, "token", None, &long).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    // Its session is gone.
    let orphan = code(&alice).await;
    sign_out(&alice, Some(AUTH), "").await;
    let answer = redeem(&fixture, &orphan, VERIFIER).await;
    assert_eq!(error(&answer), is(401, "SignInRequired"));
}

#[tokio::test]
async fn a_ticket_opens_one_workspace_and_names_the_user_as_a_script() {
    let fixture = Fixture::new().await;
    fixture.watch().await;
    let alice = fixture.signed_in("alice", LAB).await;
    let token = admitted(&alice).await;
    let given = ask_ticket(&fixture, &token, &format!("{LAB}:8443")).await;
    let body = given.json();
    assert_eq!(body["ssh"], "Enabled");
    assert_eq!(body["expiresAt"], "2027-01-15T08:15:00Z");
    let ticket = body["ticket"].as_str().unwrap();

    let answer = get(&fixture, LAB, with(ticket)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let attested = claims(&answer.headers);
    assert_eq!(
        (&attested["sub"], &attested["bearer"]),
        (&json!("alice"), &json!(true))
    );
    // The browser's own stays what it was.
    let own = alice.send("GET", &lab(), headers(&NAVIGATION)).await;
    assert_eq!(own.status, StatusCode::OK);
    assert_eq!(claims(&own.headers).get("bearer"), None);
    for name in ["set-cookie", "workspace-ticket", "authorization"] {
        assert!(!answer.headers.contains_key(name), "{name}");
    }
    let opened = fixture.records("opened", 2).await;
    let by: Vec<_> = opened.iter().map(|record| record["by"].clone()).collect();
    assert_eq!(by, [json!(null), json!("program")]);
    // Never renewed.
    fixture.pass(14 * 60);
    let late = get(&fixture, LAB, with(ticket)).await;
    assert_eq!(late.status, StatusCode::OK);
    assert!(!late.headers.contains_key("set-cookie"));
    fixture.pass(60);
    let over = get(&fixture, LAB, with(ticket)).await;
    assert_eq!(error(&over), is(401, "SignInRequired"));
}

#[tokio::test]
async fn a_ticket_counts_for_its_host_alone_and_never_in_a_browser() {
    let fixture = Fixture::new().await;
    fixture.watch().await;
    let alice = fixture.signed_in("alice", LAB).await;
    alice.open(&format!("{}/", origin(OPEN))).await;
    let token = admitted(&alice).await;
    let ticket = ticket(&fixture, &token, LAB).await;
    let cookie = alice.cookie(LAB, cookies::TICKET).unwrap();
    let session = alice.cookie("auth.ws.example", cookies::SESSION).unwrap();
    let kept = |pair: String| [("cookie".to_owned(), pair)];
    let ws = cookies::TICKET;
    let refused = [
        (OPEN, with(&ticket)),
        (NONE, with(&ticket)),
        // Sealed for another purpose.
        (LAB, with(&cookie)),
        (LAB, with(&session)),
        (LAB, with(&token)),
        (LAB, with("")),
        (LAB, headers(&[("cookie", &format!("{ws}={ticket}"))])),
        (LAB, headers(&[("authorization", &format!("Bearer {ticket}"))])),
        (LAB, headers(&[("authorization", &format!("Bearer {token}"))])),
    ];
    for (host, lines) in refused {
        let answer = get(&fixture, host, lines.clone()).await;
        assert_eq!(error(&answer), is(401, "SignInRequired"), "{host} {lines:?}");
        assert!(
            fixture.handshake(host, &lines).await.is_none(),
            "{host} {lines:?}"
        );
    }
    // With something that only browsers send.
    for (name, value) in [
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-site", "none"),
        ("sec-fetch-mode", "cors"),
        ("sec-fetch-dest", "empty"),
        ("sec-purpose", "prefetch"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into_iter()
    .chain(kept(format!("{ws}=x")))
    .chain(kept(format!("_xsrf=1; {}=x", cookies::PRE)))
    .chain(kept(format!("{}=x", cookies::SESSION)))
    {
        let lines = beside(&ticket, &[(&name, &value)]);
        let answer = get(&fixture, LAB, lines.clone()).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{name}: {value}");
        assert!(fixture.handshake(LAB, &lines).await.is_none(), "{name}: {value}");
    }
    // The cookie decides, as if the ticket were absent.
    let both = beside(&ticket, &[("cookie", &format!("{ws}={cookie}"))]);
    assert_eq!(
        claims(&get(&fixture, LAB, both).await.headers).get("bearer"),
        None
    );
    // Pages of other origins, and of the workspace.
    for sender in [&origin(OPEN), "null", "https://evil.example"] {
        let lines = beside(&ticket, &[("origin", sender)]);
        assert_eq!(
            error(&get(&fixture, LAB, lines.clone()).await),
            is(403, "CrossOrigin")
        );
        assert!(fixture.handshake(LAB, &lines).await.is_none(), "{sender}");
    }
    let mut twice = with(&ticket);
    twice.append("workspace-ticket", ticket.parse().unwrap());
    assert_eq!(get(&fixture, LAB, twice).await.status, StatusCode::BAD_REQUEST);
    // A page load is not redirected.
    let load = get(&fixture, NONE, beside(&ticket, &[("accept", "text/html")])).await;
    assert_eq!(load.status, StatusCode::UNAUTHORIZED);
    // The controls.
    for lines in [
        with(&ticket),
        beside(&ticket, &[("origin", &origin(LAB))]),
        beside(&ticket, &[("cookie", "_xsrf=1")]),
    ] {
        assert_eq!(get(&fixture, LAB, lines.clone()).await.status, StatusCode::OK);
        assert!(fixture.handshake(LAB, &lines).await.is_some());
    }
}

#[tokio::test]
async fn a_denial_says_nothing_of_what_exists() {
    let fixture = Fixture::new().await;
    fixture.watch().await;
    let alice = fixture.signed_in("alice", LAB).await;
    let token = admitted(&alice).await;
    let theirs = ask_ticket(&fixture, &token, &format!("{BOBS}:8443")).await;
    assert_eq!(error(&theirs), is(403, "NoAccess"));
    for other in [
        format!("{NONE}:8443"),
        format!("{NONE}:8443/lab"),
        "auth.ws.example:8443".to_owned(),
        "evil.example".to_owned(),
        format!("{LAB}:443"),
        LAB.to_owned(),
        format!("https://{LAB}:8443/"),
        String::new(),
    ] {
        let answer = ask_ticket(&fixture, &token, &other).await;
        assert_eq!(
            (answer.status, &answer.body),
            (theirs.status, &theirs.body),
            "{other}"
        );
    }
    // Browsers are told the same.
    let bobs = fixture.signed_in("bob", BOBS).await;
    let strange = bobs.cookie(BOBS, cookies::TICKET).unwrap();
    fixture.publish(vec![
        target(LAB, "alice", AccessType::OwnerOnly),
        target(BOBS, "carol", AccessType::OwnerOnly),
    ]);
    let browsers = headers(&[("cookie", &format!("{}={strange}", cookies::TICKET))]);
    let browsers = get(&fixture, BOBS, browsers).await;
    assert_eq!(browsers.json()["message"], theirs.json()["message"]);
    // The controls: a path is no part of the question, and letters may be large.
    for own in [
        format!("{LAB}:8443/lab/tree?x"),
        format!("{}:8443", LAB.to_uppercase()),
    ] {
        assert_eq!(
            ask_ticket(&fixture, &token, &own).await.status,
            StatusCode::OK,
            "{own}"
        );
    }
    let wrong = ask(&fixture, "ticket", Some(&token), &json!({"hosts": []})).await;
    assert_eq!(error(&wrong), is(400, "BadRequest"));
}

#[tokio::test]
async fn a_token_ends_with_its_session_and_can_end_it() {
    let fixture = Fixture::new().await;
    fixture.watch().await;
    let ended = is(401, "SignInRequired");
    // Signed out in the browser.
    let alice = fixture.signed_in("alice", LAB).await;
    let token = admitted(&alice).await;
    let header = ticket(&fixture, &token, LAB).await;
    let grant = fixture.handshake(LAB, &with(&header)).await.unwrap();
    assert!(fixture.app.is_valid(&grant));
    sign_out(&alice, Some(AUTH), "").await;
    assert!(!fixture.app.is_valid(&grant));
    assert_eq!(
        error(&ask_ticket(&fixture, &token, &format!("{LAB}:8443")).await),
        ended
    );
    assert_eq!(error(&get(&fixture, LAB, with(&header)).await), ended);

    // Signed out by the program.
    let alice = fixture.signed_in("alice", LAB).await;
    let token = admitted(&alice).await;
    let header = ticket(&fixture, &token, LAB).await;
    for (wrong, name) in [("x", "forged"), (&*header, "a ticket")] {
        let answer = ask(&fixture, "sign-out", Some(wrong), &json!({})).await;
        assert_eq!(error(&answer), ended, "{name}");
    }
    assert_eq!(error(&ask(&fixture, "sign-out", None, &json!({})).await), ended);
    assert_eq!(get(&fixture, LAB, with(&header)).await.status, StatusCode::OK);
    let answer = ask(&fixture, "sign-out", Some(&token), &json!({})).await;
    assert_eq!((answer.status, &*answer.body), (StatusCode::NO_CONTENT, ""));
    assert!(fixture.sessions().is_empty());
    assert_eq!(alice.step(&lab()).await.status, StatusCode::FOUND, "all of it");
    assert_eq!(error(&get(&fixture, LAB, with(&header)).await), ended);

    // Its time is over.
    let alice = fixture.signed_in("alice", LAB).await;
    let token = admitted(&alice).await;
    assert_eq!(
        ask_ticket(&fixture, &token, &format!("{LAB}:8443")).await.status,
        StatusCode::OK
    );
    fixture.pass(12 * 3600);
    assert_eq!(
        error(&ask_ticket(&fixture, &token, &format!("{LAB}:8443")).await),
        ended
    );
    // No cookie stands for a token.
    let session = alice.cookie("auth.ws.example", cookies::SESSION).unwrap();
    assert_eq!(
        error(&ask_ticket(&fixture, &session, &format!("{LAB}:8443")).await),
        ended
    );
}

#[tokio::test]
async fn a_token_of_another_installation_is_none() {
    let fixture = Fixture::new().await;
    let alice = fixture.signed_in("alice", LAB).await;
    let now = fixture.clock.now();
    let own = admitted(&alice).await;
    let own = ProgramToken::open(&fixed_keys(), &own, now).unwrap();
    let foreign = KeyRing::new(vec![SealingKey::derive(KeyId::new([1; 8]), 0, &[2; 32]).unwrap()]);
    let elsewhere = ProgramToken {
        host: "auth.other.example".to_owned(),
        ..own.clone()
    };
    let ended = is(401, "SignInRequired");
    for (token, what) in [
        (own.seal(&foreign, now), "its keys"),
        (elsewhere.seal(&fixed_keys(), now), "its host"),
    ] {
        let answer = ask_ticket(&fixture, &token.unwrap(), &format!("{LAB}:8443")).await;
        assert_eq!(error(&answer), ended, "{what}");
        assert!(answer.body.contains("Sign in again"), "{}", answer.body);
    }
    let same = own.seal(&fixed_keys(), now).unwrap();
    let answer = ask_ticket(&fixture, &same, &format!("{LAB}:8443")).await;
    assert_eq!(answer.status, StatusCode::OK, "the control");
}

#[tokio::test]
async fn guests_get_tickets_until_their_share_ends() {
    let fixture = Fixture::new().await;
    fixture.watch().await;
    let bob = fixture.signed_in("bob", BOBS).await;
    let token = admitted(&bob).await;
    let host = format!("{LAB}:8443");
    assert_eq!(
        error(&ask_ticket(&fixture, &token, &host).await),
        is(403, "NoAccess")
    );
    let mut shared = Shared::default();
    shared.add(
        &serde_json::from_value(json!({"kind": "User", "name": "bob"})).unwrap(),
        None,
    );
    fixture.publish(vec![Target {
        shared: shared.into(),
        ..target(LAB, "alice", AccessType::OwnerOnly)
    }]);
    let header = ticket(&fixture, &token, LAB).await;
    assert_eq!(get(&fixture, LAB, with(&header)).await.status, StatusCode::OK);
    let grant = fixture.handshake_at(LAB, SSH, &with(&header)).await.unwrap();
    assert!(fixture.app.is_valid(&grant));
    // Of the browser, of the program's request, and of its connection.
    let opened = fixture.records("opened", 3).await;
    assert!(
        opened
            .iter()
            .any(|record| record["by"] == "ssh" && record["rule"] == "share")
    );
    fixture.publish(vec![target(LAB, "alice", AccessType::OwnerOnly)]);
    assert!(!fixture.app.is_valid(&grant), "the relay cuts it");
    assert_eq!(
        error(&get(&fixture, LAB, with(&header)).await),
        is(403, "NoAccess")
    );
    // Made anew under the same name: the ticket was for another workspace.
    fixture.publish(vec![Target {
        uid: "another".into(),
        ..target(LAB, "bob", AccessType::OwnerOnly)
    }]);
    assert_eq!(
        error(&get(&fixture, LAB, with(&header)).await),
        is(401, "SignInRequired")
    );
}

#[tokio::test]
async fn a_manager_without_ssh_refuses_it_to_all_and_closes_what_is_open() {
    let fixture = Fixture::new().await;
    fixture.watch().await;
    let alice = fixture.signed_in("alice", LAB).await;
    let token = admitted(&alice).await;
    let header = ticket(&fixture, &token, LAB).await;
    let open = fixture.handshake_at(LAB, SSH, &with(&header)).await.unwrap();
    let other = fixture.handshake(LAB, &with(&header)).await.unwrap();
    let targets = [
        target(LAB, "alice", AccessType::OwnerOnly),
        target(BOBS, "bob", AccessType::OwnerOnly),
    ];
    let policy = |ssh| Policy {
        ssh,
        ..Policy::default()
    };
    let domain = || Domain::new("ws.example", 8443);
    fixture.serve(domain(), policy(Ssh::Disabled), targets.clone());
    assert!(!fixture.app.is_valid(&open) && fixture.app.is_valid(&other));
    let cookie = alice.cookie(LAB, cookies::TICKET).unwrap();
    let page = headers(&[
        ("cookie", &format!("{}={cookie}", cookies::TICKET)),
        ("origin", &origin(LAB)),
    ]);
    for lines in [with(&header), page] {
        for path in [
            SSH,
            "/jupyter-k8s/ssh?x",
            "/jupyter-k8s//ssh/",
            "/x/../jupyter-k8s/%73sh",
        ] {
            let Err(refusal) = fixture.handshake_at(LAB, path, &lines).await else {
                panic!("{path}")
            };
            assert_eq!(refusal.status(), StatusCode::FORBIDDEN, "{path}");
            // Where a proxy leads websockets to pods itself.
            let answer = fixture
                .verify("GET", &format!("{}{path}", origin(LAB)), lines.clone())
                .await;
            assert_eq!(error(&answer), is(403, "SSHDisabled"), "{path}");
            let text = answer.json()["message"].to_string();
            assert!(text.contains("ssh is disabled by the WorkspaceManager"), "{text}");
        }
        for path in ["/", "/jupyter-k8s/activity", "/lab/jupyter-k8s/ssh"] {
            assert!(fixture.handshake_at(LAB, path, &lines).await.is_ok(), "{path}");
        }
    }
    let denied = fixture.records("denied", 1).await.remove(0);
    assert_eq!(
        (&denied["rule"], &denied["user"]),
        (&json!("ssh_disabled"), &json!("alice"))
    );
    let given = ask_ticket(&fixture, &token, &format!("{LAB}:8443")).await;
    assert_eq!(given.json()["ssh"], "Disabled");
    // Who may not connect learns nothing of it.
    let bob = fixture.signed_in("bob", BOBS).await;
    let stolen = with(&ticket(&fixture, &admitted(&bob).await, BOBS).await);
    let Err(refusal) = fixture.handshake_at(LAB, SSH, &stolen).await else {
        panic!("not his")
    };
    let refusal = Body::new(refusal.into_body()).collect().await.unwrap().to_bytes();
    assert!(!String::from_utf8_lossy(&refusal).contains("ssh"), "{refusal:?}");
    fixture.serve(domain(), policy(Ssh::Enabled), targets);
    assert!(fixture.handshake_at(LAB, SSH, &with(&header)).await.is_ok());
}

#[tokio::test]
async fn the_relay_asks_with_the_path_and_says_in_which_state_a_workspace_is() {
    let fixture = Fixture::new().await;
    fixture.watch().await;
    let alice = fixture.signed_in("alice", LAB).await;
    let token = admitted(&alice).await;
    let stopped = || Target {
        phase: Phase::Stopped,
        ..target(LAB, "alice", AccessType::OwnerOnly)
    };
    fixture.publish(vec![stopped()]);
    let header = ticket(&fixture, &token, LAB).await;
    let handshake = || {
        let request = http::Request::get(SSH)
            .header("host", format!("{LAB}:8443"))
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("workspace-ticket", &header)
            .body(Body::empty());
        fixture.ask_verify(request.unwrap())
    };
    for answer in [handshake().await, get(&fixture, LAB, with(&header)).await] {
        assert_eq!(error(&answer), is(503, "WorkspaceNotReady"));
        assert_eq!(answer.json()["phase"], "Stopped");
    }
    let policy = Policy {
        ssh: Ssh::Disabled,
        ..Policy::default()
    };
    fixture.serve(Domain::new("ws.example", 8443), policy, [stopped()]);
    assert_eq!(error(&handshake().await), is(403, "SSHDisabled"));
}

#[tokio::test]
async fn no_address_of_programs_answers_a_page_of_another_origin() {
    let fixture = Fixture::new().await;
    let alice = fixture.signed_in("alice", LAB).await;
    let token = admitted(&alice).await;
    let url = format!("{AUTH}/programs/ticket");
    let body = json!({"host": format!("{LAB}:8443")}).to_string();
    for line in [
        ("origin", "https://evil.example"),
        ("origin", &origin(LAB)),
        ("sec-fetch-mode", "cors"),
    ] {
        let mut lines = headers(&[("authorization", &format!("Bearer {token}")), line]);
        let answer = fixture
            .page(Method::POST, &url, lines.clone(), body.clone())
            .await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{line:?}");
        lines.extend(headers(&[("access-control-request-method", "POST")]));
        let asked = fixture.page(Method::OPTIONS, &url, lines, String::new()).await;
        let allows = |name: &http::HeaderName| name.as_str().starts_with("access-control");
        assert!(
            !asked.headers.keys().any(allows) && !asked.status.is_success(),
            "{asked:?}"
        );
    }
    let lines = headers(&[("authorization", &format!("Bearer {token}"))]);
    let answer = fixture.page(Method::POST, &url, lines, body).await;
    assert_eq!(answer.status, StatusCode::OK, "the control");
}
