//! The home page of the sign-in host for new users, and the links that follow each failed login.

use std::sync::Arc;
use std::time::Duration;

use api::workspace::{AccessType, Phase};
use gateway::index::Target;
use http::{Method, StatusCode};
use rules::access::Shared;
use serde_json::json;
use tokio::time::advance;

use super::sign_out::sign_out;
use crate::support::browser::{Answer, NAVIGATION, headers, parameter};
use crate::support::fixture::{AUTH, BOBS, Fixture, ISSUER, LAB, OPEN, lab, target};
use crate::support::page::check;

fn home() -> String {
    format!("{AUTH}/")
}

fn is_page(answer: &Answer) {
    check(
        &answer.body,
        answer.headers["content-security-policy"].to_str().unwrap(),
    );
    assert!(!answer.body.contains("<script"), "{}", answer.body);
    assert_eq!(answer.headers["cache-control"], "no-store");
}

/// Path of the provider's answer to the login that this redirect begins.
fn answered(redirect: &Answer, how: &str) -> String {
    let state = parameter(redirect.location().unwrap(), "state");
    format!("{AUTH}/callback?{how}&state={state}&iss={ISSUER}")
}

#[tokio::test]
async fn a_newcomer_signs_in_on_the_first_page_and_comes_back_to_a_list_of_their_workspaces() {
    let fixture = Fixture::new().await;
    let mut guests = Shared::default();
    let alice = json!({"kind": "User", "name": "alice"});
    guests.add(&serde_json::from_value(alice).unwrap(), None);
    let with_alice = Target {
        shared: Arc::new(guests),
        phase: Phase::Stopped,
        ..target("given-c.ws.example", "bob", AccessType::OwnerOnly)
    };
    fixture.publish(vec![
        target(LAB, "alice", AccessType::OwnerOnly),
        target(BOBS, "bob", AccessType::OwnerOnly),
        target(OPEN, "bob", AccessType::Public),
        with_alice,
    ]);
    let alice = fixture.browser("alice");
    let first = alice.step(&home()).await;
    assert_eq!(first.status, StatusCode::OK);
    is_page(&first);
    assert!(first.body.contains("You are signed out"), "{}", first.body);
    let landing = alice.open(&first.link("Sign in").unwrap()).await;
    assert_eq!(landing.url, home(), "{:?}", landing.trail);
    let page = landing.answer;
    is_page(&page);
    for visible_answer in [
        "You are alice, signed in with ",
        "Your workspaces",
        &format!("<a href=\"{}\">lab-a</a>", lab()),
        "Running",
        "Shared with you",
        "<a href=\"https://given-c.ws.example:8443/\">given-c</a>",
        "owned by bob",
        "Stopped",
        "open to everybody are not listed",
        "action=\"/sign-out\"",
        "Sign out everywhere",
    ] {
        assert!(
            page.body.contains(visible_answer),
            "{visible_answer} in {}",
            page.body
        );
    }
    for hidden in ["lab-b", "open-b"] {
        assert!(!page.body.contains(hidden), "{hidden} in {}", page.body);
    }
    let asked = fixture.server.take_calls();
    let asked = asked
        .iter()
        .filter(|call| format!("{call:?}").contains("subjectaccessreviews"));
    assert_eq!(asked.count(), 0, "the list asks for no right");
    // From the list into a workspace without another login.
    let into = alice.open(&lab()).await;
    assert!(into.is_inside() && !into.trail.iter().any(|url| url.starts_with(ISSUER)));
}

#[tokio::test]
async fn signing_in_again_leads_home_and_as_another_user_to_the_provider() {
    let fixture = Fixture::new().await;
    let alice = fixture.browser("alice");
    let sign_in = format!("{AUTH}/sign-in");
    assert_eq!(alice.open(&sign_in).await.url, home());
    assert_eq!(alice.step(&sign_in).await.location(), Some(home().as_str()));
    let other = alice.step(&format!("{sign_in}?as=another")).await;
    let location = other.location().unwrap();
    assert!(
        location.starts_with(ISSUER) && location.contains("prompt=select_account"),
        "{location}"
    );
    let frame = headers(&[
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "iframe"),
    ]);
    assert_eq!(
        alice.send("GET", &sign_in, frame).await.status,
        StatusCode::FORBIDDEN
    );
    for method in [Method::HEAD, Method::POST] {
        let answer = fixture
            .page(method.clone(), &sign_in, headers(&NAVIGATION), String::new())
            .await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert!(!answer.headers.contains_key("set-cookie"));
    }
}

#[tokio::test]
async fn the_first_page_says_that_the_provider_does_not_answer() {
    let fixture = Fixture::without_provider();
    let page = fixture.browser("alice").step(&home()).await;
    is_page(&page);
    assert_eq!(page.link("Sign in"), None);
    assert!(
        page.body.contains("does not answer at the moment"),
        "{}",
        page.body
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_is_listed_on_an_index_that_may_be_out_of_date() {
    let fixture = Fixture::new().await;
    let alice = fixture.signed_in("alice", LAB).await;
    fixture.app.freshness.sent(1);
    advance(Duration::from_secs(61)).await;
    let page = alice.step(&home()).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(
        page.body.contains("cannot be listed at the moment"),
        "{}",
        page.body
    );
    assert!(!page.body.contains("lab-a"), "{}", page.body);
    fixture.app.freshness.sent(2);
    fixture.app.freshness.seen(2);
    assert!(alice.step(&home()).await.body.contains("lab-a"));
}

#[tokio::test]
async fn a_failed_login_has_a_link_that_starts_it_again() {
    let fixture = Fixture::new().await;
    let alice = fixture.browser("alice");
    for (how, status) in [
        ("error=access_denied", StatusCode::FORBIDDEN),
        ("code=made-up", StatusCode::FORBIDDEN),
    ] {
        let sent = alice
            .open_until(&format!("{}lab/tree?x=1", lab()), |url| url.starts_with(ISSUER))
            .await;
        let failed = alice.step(&answered(&sent.answer, how)).await;
        assert_eq!(failed.status, status, "{how}: {}", failed.body);
        is_page(&failed);
        let landing = alice.open(&failed.link("Try again").unwrap()).await;
        assert!(landing.is_inside(), "{how}: {:?}", landing.trail);
        assert_eq!(landing.url, format!("{}lab/tree?x=1", lab()));
        alice.set_cookie(LAB, "__Host-ws", None);
        alice.set_cookie("auth.ws.example", "__Host-session", None);
    }
}

#[tokio::test]
async fn a_refusal_on_the_sign_in_host_names_the_user_and_leads_to_another_account_and_nowhere_else_does() {
    let fixture = Fixture::new().await;
    let mut bob = fixture.browser("bob");
    let refused = bob.open(&lab()).await;
    assert!(refused.url.starts_with(AUTH));
    let page = refused.answer;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    is_page(&page);
    assert!(
        page.body.contains("You are bob, signed in with "),
        "{}",
        page.body
    );
    assert!(page.body.contains("action=\"/sign-out\""), "{}", page.body);
    for hidden in ["alice", "team"] {
        assert!(!page.body.contains(hidden), "{hidden} in {}", page.body);
    }
    let another = page.link("Use another account").unwrap();
    bob.claims = fixture.browser("alice").claims;
    let landing = bob.open(&another).await;
    assert!(landing.is_inside(), "{:?}", landing.trail);
    assert_eq!(landing.url, lab());

    // Her own workspace gets another owner. Its host shares its origin with content of its users, so the page names no user.
    fixture.publish(vec![target(LAB, "carol", AccessType::OwnerOnly)]);
    let there = bob.step(&lab()).await;
    assert_eq!(there.status, StatusCode::FORBIDDEN);
    is_page(&there);
    for hidden in ["alice", "bob", "<form"] {
        assert!(!there.body.contains(hidden), "{hidden} in {}", there.body);
    }
    assert!(
        there.body.contains(&format!("<a href=\"{}\">", home())),
        "{}",
        there.body
    );
}

/// Keycloak's: a user who is signed in there can only sign in again as the same user.
const ONE_ACCOUNT: &[&str] = &["none", "login", "consent"];

#[tokio::test]
async fn at_a_provider_that_knows_one_account_another_signs_out_there_and_goes_on_to_the_same_address() {
    let fixture = Fixture::without_provider();
    fixture.issuer.change(|issuer| issuer.prompts = Some(ONE_ACCOUNT));
    fixture.find_provider().await;
    let mut bob = fixture.browser("bob");
    let refused = bob.open(&lab()).await.answer;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    is_page(&refused);
    assert_eq!(refused.link("Use another account"), None);
    let (_, field) = refused.body.split_once("name=\"then\" value=\"").unwrap();
    let sealed = field.split('"').next().unwrap().to_owned();
    let policy = refused.headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.contains("form-action 'self' https://identity.example;"),
        "{policy}"
    );

    // Not by a form of another origin's, which could sign him out.
    let form = format!("then={sealed}");
    let foreign = sign_out(&bob, Some("https://evil.example"), &form).await;
    assert_eq!(foreign.status, StatusCode::FORBIDDEN);
    let out = sign_out(&bob, Some(AUTH), &form).await;
    assert_eq!(out.status, StatusCode::SEE_OTHER);
    let there = out.location().unwrap();
    assert!(there.starts_with(&format!("{ISSUER}/logout?")), "{there}");
    assert!(there.contains("&id_token_hint=ey"), "{there}");
    assert!(there.ends_with(&format!("&state={sealed}")), "{there}");
    assert!(fixture.sessions().is_empty());

    // The provider leads back with what it was given, and from there a login of another user begins by itself.
    let back = bob.step(&format!("{AUTH}/?state={sealed}")).await;
    assert_eq!(back.status, StatusCode::OK);
    is_page(&back);
    let next = format!("/enter?t={sealed}&as=another");
    assert_eq!(back.headers["refresh"], format!("0;url={next}"));
    assert_eq!(back.link("Sign in"), Some(format!("{AUTH}{next}")));
    let login = bob.step(&format!("{AUTH}{next}")).await;
    assert!(login.location().unwrap().contains("prompt=login"), "{login:?}");
    bob.claims = fixture.browser("alice").claims;
    let landing = bob.open(&format!("{AUTH}{next}")).await;
    assert!(landing.is_inside(), "{:?}", landing.trail);
    assert_eq!(landing.url, lab());
}

#[tokio::test]
async fn an_invalid_state_from_the_provider_changes_nothing() {
    let fixture = Fixture::without_provider();
    fixture.issuer.change(|issuer| issuer.prompts = Some(ONE_ACCOUNT));
    fixture.find_provider().await;
    let bob = fixture.browser("bob");
    let refused = bob.open(&lab()).await.answer;
    let (_, field) = refused.body.split_once("name=\"then\" value=\"").unwrap();
    let sealed = field.split('"').next().unwrap().to_owned();
    let page = bob.step(&format!("{AUTH}/?state={sealed}")).await;
    assert!(page.body.contains("You are bob"), "{}", page.body);
    assert!(!page.headers.contains_key("refresh"));
    for foreign in [
        "",
        "x",
        "https://evil.example/",
        "%2F%2Fevil.example",
        &sealed[1..],
    ] {
        let page = fixture
            .browser("carol")
            .step(&format!("{AUTH}/?state={foreign}"))
            .await;
        assert_eq!(page.status, StatusCode::OK, "{foreign}");
        assert!(!page.headers.contains_key("refresh"), "{foreign}");
        assert!(!page.body.contains("evil"), "{}", page.body);
    }
    // It lay about for too long.
    fixture.pass(3600);
    let late = fixture
        .browser("carol")
        .step(&format!("{AUTH}/?state={sealed}"))
        .await;
    assert!(!late.headers.contains_key("refresh"));
    // A sign-out with a foreign target does not redirect there.
    let dave = fixture.browser("dave");
    dave.open(&lab()).await;
    let out = sign_out(&dave, Some(AUTH), "then=https%3A%2F%2Fevil.example%2F").await;
    let location = out.location().unwrap();
    assert!(
        !location.contains("state=") && !location.contains("evil"),
        "{location}"
    );
}
