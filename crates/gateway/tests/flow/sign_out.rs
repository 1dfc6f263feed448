//! Signing out of the gateway, at the provider, and everywhere. No user can sign out another one.

use gateway::tokens::cookies;
use http::{Method, StatusCode};
use testkit::api_server::Fault;

use crate::support::browser::{Answer, Browser, headers};
use crate::support::fixture::{AUTH, BOBS, Fixture, ISSUER, LAB, OPEN, lab, origin};

/// Sends the form as a browser does, from a page of `from`.
pub(super) async fn sign_out(browser: &Browser<'_>, from: Option<&str>, body: &str) -> Answer {
    let cookies = browser.cookies("auth.ws.example").unwrap_or_default();
    let mut lines = headers(&[
        ("content-type", "application/x-www-form-urlencoded"),
        ("cookie", &cookies),
    ]);
    if let Some(from) = from {
        lines.extend(headers(&[("origin", from)]));
    }
    let url = format!("{AUTH}/sign-out");
    let answer = browser.fixture.page(Method::POST, &url, lines, body.into()).await;
    if answer.cookie(cookies::SESSION) == Some("") {
        browser.set_cookie("auth.ws.example", cookies::SESSION, None);
    }
    answer
}

#[tokio::test]
async fn signing_out_ends_the_session_and_redirects_to_the_provider() {
    let fixture = Fixture::new().await;
    fixture.watch().await;
    let alice = fixture.signed_in("alice", LAB).await;
    let answer = sign_out(&alice, Some(AUTH), "").await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    let location = answer.location().unwrap();
    assert!(
        location.starts_with(&format!("{ISSUER}/logout?client_id=gateway&")),
        "{location}"
    );
    let back = "post_logout_redirect_uri=https%3A%2F%2Fauth.ws.example%3A8443%2F";
    assert!(
        location.contains(back) && location.contains("&id_token_hint=ey"),
        "{location}"
    );
    assert!(!location.contains("refresh"), "{location}");
    assert_eq!(answer.cookie(cookies::SESSION), Some(""));
    assert_eq!(answer.headers["referrer-policy"], "no-referrer");
    assert_eq!(answer.headers["cache-control"], "no-store");

    // The session is gone, and with it every ticket.
    assert!(fixture.sessions().is_empty());
    assert_eq!(alice.step(&lab()).await.status, StatusCode::FOUND);
    let home = alice.step(&format!("{AUTH}/")).await;
    assert!(home.body.contains("You are signed out"), "{}", home.body);
    let again = alice.open(&lab()).await;
    assert!(again.trail.iter().any(|url| url.starts_with(ISSUER)));
}

#[tokio::test]
async fn no_page_of_another_origin_signs_anybody_out() {
    let fixture = Fixture::new().await;
    let alice = fixture.signed_in("alice", OPEN).await;
    for from in [
        None,
        Some("null"),
        Some("https://evil.example"),
        Some(origin(OPEN).as_str()),
        Some("https://auth.ws.example"),
        Some("http://auth.ws.example:8443"),
    ] {
        let answer = sign_out(&alice, from, "").await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{from:?}");
    }
    // Opened as a page, it only shows the buttons.
    let read = alice.step(&format!("{AUTH}/sign-out")).await;
    assert_eq!(read.status, StatusCode::OK);
    assert_eq!(fixture.sessions().len(), 1);
}

#[tokio::test]
async fn a_session_that_cannot_be_deleted_is_not_called_ended() {
    let fixture = Fixture::new().await;
    let alice = fixture.signed_in("alice", LAB).await;
    fixture
        .server
        .fail(Fault::internal(Method::DELETE, "gatewaysessions", 1));
    let answer = sign_out(&alice, Some(AUTH), "").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.cookie(cookies::SESSION), None);
    assert_eq!(alice.step(&lab()).await.status, StatusCode::OK);
    assert_eq!(
        sign_out(&alice, Some(AUTH), "").await.status,
        StatusCode::SEE_OTHER
    );
}

#[tokio::test]
async fn signing_out_everywhere_can_be_repeated_until_all_sessions_are_gone() {
    let fixture = Fixture::new().await;
    let (here, there) = (
        fixture.signed_in("alice", LAB).await,
        fixture.signed_in("alice", LAB).await,
    );
    let bob = fixture.signed_in("bob", BOBS).await;
    fixture
        .server
        .fail(Fault::internal(Method::DELETE, "gatewaysessions", 1));
    let answer = sign_out(&here, Some(AUTH), "everywhere=yes").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(fixture.sessions().len(), 3);
    let answer = sign_out(&here, Some(AUTH), "everywhere=yes").await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(fixture.sessions().len(), 1);
    assert_eq!(there.step(&lab()).await.status, StatusCode::FOUND);
    assert_eq!(
        bob.step(&format!("{}/", origin(BOBS))).await.status,
        StatusCode::OK
    );
    let message = fixture.records("logout", 2).await;
    assert!(
        message
            .iter()
            .all(|record| record["user"] == "alice" && record["by"] == "user_everywhere"),
        "{message:?}"
    );
}

/// Two tabs of one browser that begin to sign in before either has: each makes a session of its own.
async fn two_tabs(fixture: &Fixture) -> Browser<'_> {
    let browser = fixture.browser("alice");
    let mut login_pages = Vec::new();
    for host in [LAB, OPEN] {
        let address = format!("{}/", origin(host));
        let landing = browser.open_until(&address, |url| url.starts_with(ISSUER)).await;
        login_pages.push(landing.answer.location().unwrap().to_owned());
    }
    for page in &login_pages {
        assert!(browser.open(page).await.is_inside());
    }
    assert_eq!(fixture.sessions().len(), 2);
    browser
}

#[tokio::test]
async fn signing_out_ends_every_session_of_the_browser() {
    let fixture = Fixture::new().await;
    let browser = two_tabs(&fixture).await;
    let elsewhere = fixture.signed_in("alice", LAB).await;
    assert_eq!(
        sign_out(&browser, Some(AUTH), "").await.status,
        StatusCode::SEE_OTHER
    );
    assert_eq!(fixture.sessions().len(), 1);
    for host in [LAB, OPEN] {
        let address = format!("{}/", origin(host));
        assert_eq!(browser.step(&address).await.status, StatusCode::FOUND, "{host}");
    }
    assert_eq!(elsewhere.step(&lab()).await.status, StatusCode::OK);
}

#[tokio::test]
async fn browsers_in_one_session_of_the_provider_are_signed_out_together() {
    let fixture = Fixture::new().await;
    fixture.issuer.change(|issuer| {
        issuer.wrong.insert("sid".into(), "one".into());
    });
    let (one, two) = (
        fixture.signed_in("alice", LAB).await,
        fixture.signed_in("alice", LAB).await,
    );
    sign_out(&one, Some(AUTH), "").await;
    assert!(fixture.sessions().is_empty());
    assert_eq!(two.step(&lab()).await.status, StatusCode::FOUND);
}

#[tokio::test]
async fn without_a_sign_out_at_the_provider_the_browser_comes_straight_back() {
    let fixture = Fixture::without_provider();
    fixture.issuer.change(|issuer| issuer.ends_sessions = false);
    fixture.find_provider().await;
    let alice = fixture.signed_in("alice", LAB).await;
    let answer = sign_out(&alice, Some(AUTH), "").await;
    assert_eq!(answer.location(), Some(format!("{AUTH}/").as_str()));
    // Once more does no harm.
    let answer = sign_out(&alice, Some(AUTH), "").await;
    assert_eq!(answer.location(), Some(format!("{AUTH}/").as_str()));
}

#[tokio::test]
async fn an_id_token_that_is_too_long_for_an_address_is_left_out_of_it() {
    let fixture = Fixture::new().await;
    let mut alice = fixture.browser("alice");
    let groups: Vec<String> = (0..300).map(|number| format!("group-number-{number}")).collect();
    alice.claims.insert("groups".into(), groups.into());
    assert!(alice.open(&lab()).await.is_inside());
    let location = sign_out(&alice, Some(AUTH), "")
        .await
        .location()
        .unwrap()
        .to_owned();
    assert!(location.contains("client_id=gateway") && !location.contains("id_token_hint"));
}
