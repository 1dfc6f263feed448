//! An identity provider that fails, answers that are not its own, and tokens for another client.

use gateway::tokens::cookies;
use http::StatusCode;
use serde_json::{Map, Value, json};
use testkit::issuer::{Behaviour, Signature};

use super::lost_logins::{at_callback, sent};
use crate::support::browser::{Answer, parameter};
use crate::support::fixture::{AUTH, Fixture, ISSUER, NOW, lab};

/// What alice's login comes to when the provider behaves like this.
async fn outcome(change: impl FnOnce(&mut Behaviour)) -> (Fixture, Answer) {
    let fixture = Fixture::new().await;
    fixture.issuer.change(change);
    let answer = {
        let alice = fixture.browser("alice");
        let landing = alice.open(&lab()).await;
        assert!(alice.cookie("auth.ws.example", "__Host-login-0").is_none());
        landing.answer
    };
    (fixture, answer)
}

/// Asserts that no user is signed in, and the status of the answer.
fn refused(fixture: &Fixture, answer: &Answer, status: StatusCode, what: &str) {
    assert_eq!(answer.status, status, "{what}");
    assert_eq!(fixture.sessions().len(), 0, "{what}");
    assert_eq!(answer.cookie(cookies::SESSION), None, "{what}");
}

fn claim(name: &str, value: Value) -> Map<String, Value> {
    Map::from_iter([(name.to_owned(), value)])
}

#[tokio::test]
async fn an_id_token_with_a_wrong_claim_is_refused() {
    let table = [
        ("iss", json!("https://identity.example/realms/other")),
        ("iss", Value::Null),
        ("iss", json!(format!("{ISSUER}/"))),
        ("aud", json!("another")),
        ("aud", json!(["gateway", "another"])),
        ("aud", json!([])),
        ("aud", Value::Null),
        ("azp", json!("another")),
        ("nonce", json!("another")),
        ("nonce", Value::Null),
        ("exp", json!(NOW - 60)),
        ("exp", json!("2099-01-01")),
        ("exp", json!([NOW + 300])),
        ("exp", Value::Null),
        ("iat", json!(NOW + 61)),
        ("nbf", json!(NOW + 61)),
        ("nbf", json!("soon")),
        ("at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA")),
        ("sub", Value::Null),
    ];
    for (name, value) in table {
        let what = format!("{name}={value}");
        let (fixture, answer) = outcome(|issuer| issuer.wrong = claim(name, value)).await;
        refused(&fixture, &answer, StatusCode::FORBIDDEN, &what);
        // Nothing of the token shows.
        assert!(!answer.body.contains("another"), "{what}: {}", answer.body);
    }
}

#[tokio::test]
async fn an_id_token_with_a_wrong_signature_is_refused() {
    for signature in [
        Signature::ForeignKey,
        Signature::UnknownKeyId,
        Signature::PublicKeyAsSecret,
        Signature::ClientSecret,
        Signature::None,
    ] {
        let (fixture, answer) = outcome(|issuer| issuer.signature = signature).await;
        refused(
            &fixture,
            &answer,
            StatusCode::FORBIDDEN,
            &format!("{signature:?}"),
        );
    }
}

#[tokio::test]
async fn headers_of_a_token_do_not_choose_its_key_or_its_rules() {
    let table = [
        ("crit", json!(["exp"])),
        ("alg", json!("RS384")),
        ("alg", json!("none")),
        ("alg", json!("HS256")),
        ("typ", json!("at+jwt")),
        ("cty", json!("JWT")),
        ("kid", json!("../../dev/null")),
    ];
    for (name, value) in table {
        let what = format!("{name}={value}");
        let (fixture, answer) = outcome(|issuer| issuer.header = claim(name, value)).await;
        refused(&fixture, &answer, StatusCode::FORBIDDEN, &what);
    }
    for name in ["jku", "x5u", "jwk"] {
        let (fixture, answer) = outcome(|issuer| {
            issuer.header = claim(name, json!("https://evil.example/keys"));
            issuer.signature = Signature::ForeignKey;
        })
        .await;
        refused(&fixture, &answer, StatusCode::FORBIDDEN, name);
        assert!(
            !fixture
                .issuer
                .take_requests()
                .iter()
                .any(|path| path.contains("evil"))
        );
    }
}

#[tokio::test]
async fn clocks_may_differ_by_a_minute() {
    for now in [NOW - 60 - 299, NOW + 60] {
        let (fixture, answer) = outcome(|issuer| issuer.now = now).await;
        assert_eq!(
            (answer.status, fixture.sessions().len()),
            (StatusCode::OK, 1),
            "{}",
            now - NOW
        );
    }
}

#[tokio::test]
async fn clocks_that_differ_by_five_minutes_are_refused_with_a_page_that_says_so() {
    for now in [NOW - 300 - 300, NOW + 300] {
        let (fixture, answer) = outcome(|issuer| issuer.now = now).await;
        refused(
            &fixture,
            &answer,
            StatusCode::FORBIDDEN,
            &format!("{} s", now - NOW),
        );
        assert!(answer.body.contains("clocks"), "{}", answer.body);
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_is_silent_is_asked_twice_within_seconds_and_worth_another_try() {
    let fixture = Fixture::new().await;
    let alice = fixture.browser("alice");
    fixture.issuer.change(|issuer| issuer.silent = true);
    let start = tokio::time::Instant::now();
    let answer = alice.open(&lab()).await.answer;
    // Ten seconds each.
    assert!((20..25).contains(&start.elapsed().as_secs()));
    refused(&fixture, &answer, StatusCode::SERVICE_UNAVAILABLE, "silent");
    assert!(answer.headers.contains_key("retry-after"));
    fixture.issuer.change(|issuer| issuer.silent = false);
    assert!(alice.open(&lab()).await.is_inside());
}

#[tokio::test]
async fn a_token_that_is_too_large_is_refused() {
    for size in [70_000, 400_000] {
        let (fixture, answer) =
            outcome(|issuer| issuer.wrong = claim("padding", json!("x".repeat(size)))).await;
        refused(&fixture, &answer, StatusCode::FORBIDDEN, &size.to_string());
    }
}

#[tokio::test]
async fn claims_that_give_no_name_are_refused_with_the_setting_that_says_so() {
    let table = [
        ("preferred_username", Value::Null, "oidc.usernameClaim"),
        ("preferred_username", json!("system:admin"), "system:"),
        ("groups", json!(vec!["g"; 1001]), "groups filter"),
        ("_claim_names", json!({"groups": "elsewhere"}), "groups filter"),
        ("groups", json!({"a": 1}), "oidc.groupsClaim"),
    ];
    for (name, value, hint) in table {
        let (fixture, answer) = outcome(|issuer| issuer.wrong = claim(name, value)).await;
        refused(&fixture, &answer, StatusCode::FORBIDDEN, name);
        assert!(answer.body.contains(hint), "{name}: {}", answer.body);
    }
}

#[tokio::test]
async fn an_answer_that_names_another_issuer_or_none_is_refused_before_its_code_is_used() {
    for sender in [
        None,
        Some("https://evil.example".to_owned()),
        Some(format!("{ISSUER}/")),
    ] {
        let (fixture, answer) = outcome(|issuer| issuer.response_issuer = sender.clone()).await;
        refused(&fixture, &answer, StatusCode::BAD_REQUEST, &format!("{sender:?}"));
        assert!(!fixture.issuer.take_requests().contains(&"/token".to_owned()));
    }
}

#[tokio::test]
async fn a_provider_that_does_not_announce_issuer_names_may_leave_them_out_but_not_lie() {
    for (sender, accepted) in [
        (None, true),
        (Some(ISSUER.to_owned()), true),
        (Some("https://evil.example".into()), false),
    ] {
        let fixture = Fixture::without_provider();
        fixture.issuer.change(|issuer| {
            issuer.announces_issuer = false;
            issuer.response_issuer.clone_from(&sender);
        });
        fixture.find_provider().await;
        let landing = fixture.browser("alice").open(&lab()).await;
        assert_eq!(landing.is_inside(), accepted, "{sender:?}");
    }
}

#[tokio::test]
async fn an_answer_counts_only_in_the_browser_that_asked() {
    let fixture = Fixture::new().await;
    let (alice, mallory) = (fixture.browser("alice"), fixture.browser("mallory"));
    let hers = sent(&mallory, &lab(), at_callback).await;
    // Mallory's answer in alice's browser would sign alice in as mallory.
    let answer = alice.step(&hers).await;
    assert_eq!(
        (answer.status, answer.cookie(cookies::SESSION)),
        (StatusCode::BAD_REQUEST, None)
    );
    // Nor with a login of alice's own under way.
    let own = sent(&alice, &lab(), at_callback).await;
    assert_eq!(alice.step(&hers).await.status, StatusCode::BAD_REQUEST);
    // Mallory's code with alice's state fails at the provider: it was made for another verifier.
    let mixed = own.replace(&parameter(&own, "code"), &parameter(&hers, "code"));
    let answer = alice.step(&mixed).await;
    assert_eq!(
        (answer.status, answer.cookie(cookies::SESSION)),
        (StatusCode::FORBIDDEN, None)
    );
    assert_eq!(fixture.sessions().len(), 0);
}

#[tokio::test]
async fn an_answer_counts_once() {
    let fixture = Fixture::new().await;
    let alice = fixture.browser("alice");
    let url = sent(&alice, &lab(), at_callback).await;
    assert!(alice.step(&url).await.cookie(cookies::SESSION).is_some());
    fixture.issuer.take_requests();
    let second = alice.step(&url).await;
    // Only the way on, as the user who is signed in.
    let on = second.location().unwrap();
    assert!(on.starts_with(&format!("{AUTH}/enter?t=")), "{on}");
    assert_eq!(second.cookie(cookies::SESSION), None);
    assert!(fixture.issuer.take_requests().is_empty());
    assert_eq!(fixture.sessions().len(), 1);
}

#[tokio::test]
async fn repeated_parameters_are_refused() {
    let fixture = Fixture::new().await;
    let alice = fixture.browser("alice");
    let url = sent(&alice, &lab(), at_callback).await;
    for extra in ["code=x", "iss=https://identity.example/realms/demo", "state=x"] {
        let answer = alice.step(&format!("{url}&{extra}")).await;
        assert_eq!(
            (answer.status, answer.cookie(cookies::SESSION)),
            (StatusCode::BAD_REQUEST, None),
            "{extra}"
        );
        alice.open_until(&lab(), at_callback).await;
    }
}

#[tokio::test]
async fn a_refusal_of_the_provider_is_shown_without_its_text() {
    let fixture = Fixture::new().await;
    let alice = fixture.browser("alice");
    let landing = alice.open_until(&lab(), |url| url.starts_with(ISSUER)).await;
    let state = parameter(landing.answer.location().unwrap(), "state");
    let url = format!(
        "{AUTH}/callback?error=access_denied&error_description=%3Cscript%3Ealert(1)%3C/script%3E&state={state}&iss={ISSUER}"
    );
    let answer = alice.step(&url).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(
        !answer.body.contains("alert") && !answer.body.contains("access_denied"),
        "{}",
        answer.body
    );
}

#[tokio::test]
async fn wrong_client_credentials_are_reported_as_a_configuration_error() {
    let (fixture, answer) = outcome(|issuer| issuer.token_error = Some("invalid_client")).await;
    refused(
        &fixture,
        &answer,
        StatusCode::INTERNAL_SERVER_ERROR,
        "invalid_client",
    );
    assert!(answer.body.contains("administrator"));
}

#[tokio::test]
async fn credentials_go_into_the_body_where_the_provider_wants_them_there() {
    let fixture = Fixture::without_provider();
    fixture.issuer.change(|issuer| issuer.credentials_in_body = true);
    fixture.find_provider().await;
    assert!(fixture.browser("alice").open(&lab()).await.is_inside());
}

#[tokio::test]
async fn new_signing_keys_are_fetched_by_the_first_sign_in_and_at_most_every_five_seconds() {
    let fixture = Fixture::new().await;
    fixture.issuer.change(|issuer| issuer.second_key = true);
    let fetches = || {
        let requests = fixture.issuer.take_requests();
        requests.iter().filter(|path| *path == "/jwks").count()
    };
    // The provider restarted with another key in the second in which the gateway discovered it.
    assert!(fixture.browser("alice").open(&lab()).await.is_inside());
    assert_eq!(fetches(), 1);

    // A storm of unknown key ids.
    fixture
        .issuer
        .change(|issuer| issuer.signature = Signature::UnknownKeyId);
    for expected in [0, 1] {
        for _ in 0..5 {
            assert!(!fixture.browser("alice").open(&lab()).await.is_inside());
        }
        assert_eq!(fetches(), expected);
        fixture.pass(5);
    }
    // The keys stay good while the provider cannot be asked for new ones.
    fixture
        .issuer
        .change(|issuer| issuer.signature = Signature::Valid);
    assert!(fixture.browser("alice").open(&lab()).await.is_inside());
    assert_eq!(fetches(), 0);
}

#[tokio::test]
async fn a_scope_that_only_some_providers_know_is_requested_where_it_is_listed() {
    for (listed, expected) in [
        (None, "openid profile"),
        (Some(&["openid", "profile"][..]), "openid profile"),
        (Some(&["openid", "groups"]), "openid profile groups"),
    ] {
        let fixture = Fixture::without_provider();
        fixture.issuer.change(|issuer| issuer.scopes = listed);
        fixture.find_provider().await;
        let alice = fixture.browser("alice");
        let landing = alice.open(&lab()).await;
        assert!(landing.is_inside(), "{:?}", landing.trail);
        let request = landing
            .trail
            .iter()
            .find(|url| url.starts_with(&format!("{ISSUER}/authorize?")));
        let (_, query) = request.unwrap().split_once('?').unwrap();
        let scope = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "scope");
        assert_eq!(scope.unwrap().1, expected, "{listed:?}");
    }
}
