//! Programs that act as a user: the page that asks, codes, tokens, and their ends.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use gateway::tokens::{KeyId, KeyRing, ProgramToken, SealingKey, Token as _, cookies};
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::sign_out::sign_out;
use crate::support::browser::{Answer, Browser, NAVIGATION, headers};
use crate::support::fixture::{AUTH, Fixture, ISSUER, LAB, fixed_keys, lab, origin};

pub(super) const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters";
const STATE: &str = "a-state-of-22-characters";

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

pub(super) async fn ask(fixture: &Fixture, path: &str, token: Option<&str>, body: &Value) -> Answer {
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
pub(super) async fn admitted(browser: &Browser<'_>) -> String {
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

pub(super) fn with(ticket: &str) -> HeaderMap {
    headers(&[("workspace-ticket", ticket)])
}

pub(super) async fn get(fixture: &Fixture, host: &str, lines: HeaderMap) -> Answer {
    fixture
        .verify("GET", &format!("{}/api/status", origin(host)), lines)
        .await
}

pub(super) fn error(answer: &Answer) -> (u16, String) {
    let error = answer.json()["error"].as_str().unwrap_or_default().to_owned();
    (answer.status.as_u16(), error)
}

pub(super) fn is(status: u16, error: &str) -> (u16, String) {
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
