//! Several identity providers: which users each confirms, and that none affects or delays another.

use std::cell::Cell;

use gateway::oidc::Mapping;
use gateway::oidc::Registered;
use http::{Method, StatusCode};
use serde_json::json;

use super::backchannel::send_logout;
use crate::flow::renewal::until;
use crate::support::browser::{Browser, headers};
use crate::support::fixture::{AUTH, BOBS, Fixture, ISSUER, LAB, PARTNERS, origin, target};

/// What the chooser calls them.
const MAIN: &str = "Staff";
const OTHER: &str = "Partners";

/// A gateway with two providers, of which none is found. A lab belongs to the alice of each.
fn both() -> Fixture {
    let mapping =
        |issuer, prefix| Mapping::new(issuer, "preferred_username", Some(prefix), Some("groups"), prefix);
    let fixture = Fixture::with_providers(vec![
        Registered::new("main", MAIN, ISSUER, mapping(ISSUER, "m:"), "/callback"),
        Registered::new(
            "partners",
            OTHER,
            PARTNERS,
            mapping(PARTNERS, "p:"),
            "/callback/partners",
        ),
    ]);
    let owned = |host, owner| target(host, owner, api::workspace::AccessType::OwnerOnly);
    fixture.publish(vec![owned(LAB, "m:alice"), owned(BOBS, "p:alice")]);
    fixture
}

async fn both_found() -> Fixture {
    let fixture = both();
    fixture.find_provider().await;
    fixture.find_partners().await;
    fixture.watch().await;
    fixture.issuer.take_requests();
    fixture.partners.take_requests();
    fixture
}

fn page(host: &str) -> String {
    format!("{}/", origin(host))
}

/// Where the browser is sent when its user chooses.
async fn sent_to(browser: &Browser<'_>, host: &str, choice: &str) -> String {
    let chooser = browser.open(&page(host)).await.answer;
    assert_eq!(chooser.status, StatusCode::OK, "{}", chooser.body);
    let link = chooser.link(choice).unwrap_or_else(|| panic!("{}", chooser.body));
    browser.step(&link).await.location().unwrap().to_owned()
}

async fn signed_in<'w>(fixture: &'w Fixture, host: &str, choice: &str) -> Browser<'w> {
    let browser = fixture.browser("alice");
    let at = sent_to(&browser, host, choice).await;
    browser.open(&at).await;
    browser
}

async fn is_in(browser: &Browser<'_>, host: &str) -> bool {
    browser.step(&page(host)).await.status == StatusCode::OK
}

fn asked_for_tokens(fixture: &Fixture) -> (usize, usize) {
    let count = |issuer: &testkit::issuer::Issuer| {
        let requests = issuer.take_requests();
        requests.iter().filter(|path| *path == "/token").count()
    };
    (count(&fixture.issuer), count(&fixture.partners))
}

#[tokio::test]
async fn users_choose_and_one_name_at_two_providers_is_two_users() {
    let fixture = both_found().await;
    for (choice, own, others, callback) in [
        (MAIN, LAB, BOBS, "%2Fcallback&"),
        (OTHER, BOBS, LAB, "%2Fcallback%2Fpartners&"),
    ] {
        let browser = fixture.browser("alice");
        let at = sent_to(&browser, own, choice).await;
        assert!(format!("{at}&").contains(callback), "{at}");
        assert!(browser.open(&at).await.is_inside(), "{choice}");
        let refused = browser.open(&page(others)).await.answer;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{choice}");
    }
    let message = fixture.records("login", 2).await;
    let users: Vec<_> = message
        .iter()
        .map(|send_logout| send_logout["user"].as_str().unwrap())
        .collect();
    assert_eq!(users, ["m:alice", "p:alice"]);
    assert_eq!(message[1]["groups"], json!(["p:users"]));
}

#[tokio::test]
async fn a_code_of_one_provider_is_refused_at_the_callback_of_another() {
    for names_issuers in [true, false] {
        for (choice, host, wrong_door) in [(MAIN, LAB, "/callback/partners"), (OTHER, BOBS, "/callback")] {
            let fixture = both();
            for issuer in [&fixture.issuer, &fixture.partners] {
                issuer.change(|issuer| {
                    issuer.announces_issuer = names_issuers;
                    if !names_issuers {
                        issuer.response_issuer = None;
                    }
                });
            }
            fixture.find_provider().await;
            fixture.find_partners().await;
            asked_for_tokens(&fixture);
            let browser = fixture.browser("alice");
            let at = sent_to(&browser, host, choice).await;
            let back = browser.step(&at).await.location().unwrap().to_owned();
            let (_, query) = back.split_once('?').unwrap();
            for (callback, status) in [
                (wrong_door, StatusCode::BAD_REQUEST),
                // The attempt is over.
                ("/callback/nobody", StatusCode::NOT_FOUND),
                ("/callback/main", StatusCode::NOT_FOUND),
            ] {
                let answer = browser.step(&format!("{AUTH}{callback}?{query}")).await;
                assert_eq!(answer.status, status, "{callback}");
            }
            // The attempt is over: its code is worth nothing at the right callback either.
            assert_eq!(browser.step(&back).await.status, StatusCode::BAD_REQUEST);
            assert_eq!(asked_for_tokens(&fixture), (0, 0));
            assert!(fixture.sessions().is_empty());
        }
    }
}

#[tokio::test]
async fn a_provider_cannot_attest_in_the_name_of_another() {
    let fixture = both_found().await;
    fixture.partners.change(|partners| {
        partners.wrong.insert("iss".into(), json!(ISSUER));
    });
    let browser = signed_in(&fixture, LAB, OTHER).await;
    assert!(!is_in(&browser, LAB).await);
    assert!(fixture.sessions().is_empty());
    // Nor by naming it in its answer.
    fixture
        .partners
        .change(|partners| partners.response_issuer = Some(ISSUER.into()));
    asked_for_tokens(&fixture);
    signed_in(&fixture, LAB, OTHER).await;
    assert_eq!(asked_for_tokens(&fixture), (0, 0));
}

#[tokio::test]
async fn a_session_is_renewed_by_its_own_provider_and_a_silent_one_delays_only_its_users() {
    let fixture = both_found().await;
    let staff = signed_in(&fixture, LAB, MAIN).await;
    let partner = signed_in(&fixture, BOBS, OTHER).await;
    asked_for_tokens(&fixture);
    fixture.pass(5 * 60);
    assert!(is_in(&staff, LAB).await && is_in(&partner, BOBS).await);
    let asked = Cell::new((0, 0));
    until(&fixture, "both are asked", || {
        let (one, other) = asked_for_tokens(&fixture);
        asked.set((asked.get().0 + one, asked.get().1 + other));
        asked.get() == (1, 1)
    })
    .await;

    // The partners' provider fails for longer than its word counts.
    fixture.partners.change(|partners| partners.failure = Some(503));
    for _ in 0..13 {
        fixture.pass(5 * 60);
        assert!(is_in(&staff, LAB).await);
        partner.step(&page(BOBS)).await;
        asked_for_tokens(&fixture);
    }
    assert_eq!(
        partner.step(&page(BOBS)).await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert!(is_in(&staff, LAB).await);
}

#[tokio::test]
async fn a_provider_that_is_not_found_stops_no_other_and_the_page_says_which() {
    let fixture = both();
    fixture.find_provider().await;
    let browser = fixture.browser("alice");
    let chooser = browser.open(&page(LAB)).await.answer;
    assert!(
        chooser.body.contains("Partners does not answer"),
        "{}",
        chooser.body
    );
    assert!(chooser.link(OTHER).is_none());
    let link = chooser.link(MAIN).unwrap();
    let answer = browser.step(&link.replace("with=main", "with=partners")).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        answer.body.contains(OTHER) && !answer.body.contains(MAIN),
        "{}",
        answer.body
    );
    let at = browser.step(&link).await.location().unwrap().to_owned();
    assert!(browser.open(&at).await.is_inside());
    // One that goes away in the middle of a login is named, too.
    fixture.find_partners().await;
    let late = fixture.browser("alice");
    let at = sent_to(&late, BOBS, OTHER).await;
    let back = late.step(&at).await.location().unwrap().to_owned();
    fixture.partners.change(|partners| partners.failure = Some(502));
    let answer = late.open(&back).await.answer;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.body.contains(OTHER), "{}", answer.body);
}

#[tokio::test]
async fn signing_out_ends_the_session_of_the_provider_that_attested() {
    let fixture = both_found().await;
    for (choice, host, issuer) in [(MAIN, LAB, ISSUER), (OTHER, BOBS, PARTNERS)] {
        let browser = signed_in(&fixture, host, choice).await;
        let cookies = browser.cookies("auth.ws.example").unwrap();
        let home = browser.step(&format!("{AUTH}/")).await;
        let policy = home.headers["content-security-policy"].to_str().unwrap();
        let (origin, _) = issuer.split_once("/realms").unwrap();
        assert!(policy.contains(origin), "{policy}");
        let lines = headers(&[
            ("content-type", "application/x-www-form-urlencoded"),
            ("cookie", &cookies),
            ("origin", AUTH),
        ]);
        let answer = fixture
            .page(Method::POST, &format!("{AUTH}/sign-out"), lines, String::new())
            .await;
        let location = answer.location().unwrap();
        assert!(location.starts_with(&format!("{issuer}/logout?")), "{location}");
    }
}

#[tokio::test]
async fn a_providers_message_ends_its_own_sessions_by_its_own_keys() {
    let fixture = both();
    fixture.partners.change(|partners| partners.second_key = true);
    fixture.find_provider().await;
    fixture.find_partners().await;
    fixture.watch().await;
    let staff = signed_in(&fixture, LAB, MAIN).await;
    let partner = signed_in(&fixture, BOBS, OTHER).await;
    // Keys were fetched just now; a message that names others would be asked for again.
    fixture.pass(60);
    // Both know an id-of-alice. Neither speaks for the other, and neither uses up the other's message.
    let forged = fixture
        .partners
        .logout_token(&json!({"sub": "id-of-alice", "iss": ISSUER}));
    assert_eq!(
        send_logout(&fixture, &forged).await.status,
        StatusCode::BAD_REQUEST
    );
    let unknown_user = fixture
        .partners
        .logout_token(&json!({"sub": "id-of-alice", "iss": "https://evil.example"}));
    assert_eq!(
        send_logout(&fixture, &unknown_user).await.status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(fixture.sessions().len(), 2);
    let first = fixture
        .partners
        .logout_token(&json!({"sub": "id-of-alice", "jti": "1"}));
    assert_eq!(send_logout(&fixture, &first).await.status, StatusCode::OK);
    assert!(is_in(&staff, LAB).await && !is_in(&partner, BOBS).await);
    assert_eq!(
        send_logout(&fixture, &first).await.status,
        StatusCode::BAD_REQUEST
    );
    let second = fixture
        .issuer
        .logout_token(&json!({"sub": "id-of-alice", "jti": "1"}));
    assert_eq!(send_logout(&fixture, &second).await.status, StatusCode::OK);
    assert!(!is_in(&staff, LAB).await);
}
