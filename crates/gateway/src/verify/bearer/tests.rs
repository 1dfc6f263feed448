//! Unit tests of `bearer`: tokens -> users, with an API server in memory.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use http::{HeaderValue, Method};
use serde_json::{Value, json};
use testkit::api_server::{ApiServer, Disruption, Fault};
use tokio::task::yield_now;

use super::*;
use crate::oidc::claims::Mapping;

const SITE: &str = "https://auth.ws.example";
const CLUSTER: &str = "https://kubernetes.default.svc.cluster.local";
const NOW: i64 = 1_800_000_000;

/// A gateway's token checker, and the API server that it asks.
struct Rig {
    server: ApiServer,
    clock: Clock,
    bearer: Bearer,
}

impl Rig {
    fn new() -> Self {
        let (server, client) = ApiServer::start();
        server.authenticate(|spec| known(spec, true));
        let clock = Clock::manual(NOW);
        let mapping = Mapping::new("https://identity.example", "sub", None, None, "");
        let providers = Providers::new(vec![Registered::only("https://identity.example", mapping)]);
        let settings = BearerSettings {
            audiences: vec!["scripts".into()],
            cluster: vec![CLUSTER.into()],
        };
        let bearer = Bearer::new(
            settings,
            Arc::new(providers),
            client,
            clock.clone(),
            Metrics::default(),
        );
        Self {
            server,
            clock,
            bearer,
        }
    }

    async fn verify(&self, token: &str) -> Result<String, TokenError> {
        let verified = self.bearer.verify(token, SITE, || Ok(())).await;
        verified.map(|accepted| accepted.session.identity.user_name.clone())
    }

    /// Number of reviews since the last call.
    fn asked(&self) -> usize {
        let calls = self.server.take_calls();
        let reviews = calls.iter().filter(|call| call.path.ends_with("/tokenreviews"));
        reviews.count()
    }

    fn open_socket(&self, token: &str, accepted: Accepted) -> SocketToken {
        SocketToken::new(self.bearer.clone(), token, SITE.to_owned(), accepted)
    }
}

/// The status of a review: the identity that the token itself states.
fn known(spec: &Value, authenticated: bool) -> Value {
    let claims = oidc::payload(spec["token"].as_str().unwrap()).unwrap();
    json!({
        "authenticated": authenticated,
        "audiences": spec["audiences"],
        "user": {"username": claims["sub"], "uid": "u-1", "groups": ["system:serviceaccounts"]},
    })
}

fn token_of(account: &str, ends: i64) -> String {
    let claims = json!({"iss": CLUSTER, "aud": [SITE], "exp": ends, "sub": format!("system:serviceaccount:ci:{account}")});
    format!("e30.{}.c2ln", BASE64URL.encode(claims.to_string()))
}

const SERVICE_ACCOUNT: &str = "system:serviceaccount:ci:robot";

#[tokio::test]
async fn the_api_server_is_asked_once_a_minute_and_for_this_site_alone() {
    let (rig, token) = (Rig::new(), token_of("robot", NOW + 3600));
    assert_eq!(rig.verify(&token).await.unwrap(), SERVICE_ACCOUNT);
    let calls = rig.server.take_calls();
    assert_eq!(calls.len(), 1);
    assert_eq!(
        calls[0].body["spec"],
        json!({"token": token, "audiences": [SITE]})
    );
    for _ in 0..59 {
        rig.clock.advance(1);
        assert_eq!(rig.verify(&token).await.unwrap(), SERVICE_ACCOUNT);
    }
    assert_eq!(rig.asked(), 0);
    rig.clock.advance(1);
    assert_eq!(rig.verify(&token).await.unwrap(), SERVICE_ACCOUNT);
    assert_eq!(rig.asked(), 1);
    // The same bytes at a site of another name need their own review.
    let elsewhere = rig
        .bearer
        .verify(&token, "https://auth.other.example", || Ok(()))
        .await;
    assert_eq!(
        elsewhere.unwrap_err(),
        TokenRefusal::ServiceAccountAudience.into()
    );
    assert_eq!(rig.asked(), 0);
}

#[tokio::test]
async fn a_token_counts_no_second_longer_than_it_says() {
    let (rig, token) = (Rig::new(), token_of("robot", NOW + 20));
    rig.clock.advance(19);
    assert!(rig.verify(&token).await.is_ok());
    rig.clock.advance(1);
    assert_eq!(
        rig.verify(&token).await.unwrap_err(),
        TokenRefusal::Expired.into()
    );
}

#[tokio::test]
async fn a_refused_token_is_refused_for_five_seconds_and_then_asked_about_again() {
    let (rig, token) = (Rig::new(), token_of("robot", NOW + 3600));
    rig.server.authenticate(|spec| known(spec, false));
    for _ in 0..5 {
        assert_eq!(
            rig.verify(&token).await.unwrap_err(),
            TokenRefusal::Unknown.into()
        );
        rig.clock.advance(1);
    }
    assert_eq!(rig.asked(), 1);
    rig.server.authenticate(|spec| known(spec, true));
    assert_eq!(rig.verify(&token).await.unwrap(), SERVICE_ACCOUNT);
    assert_eq!(rig.asked(), 1);
    // The reverse: a revoked token stops working within a minute.
    rig.server.authenticate(|spec| known(spec, false));
    rig.clock.advance(59);
    assert!(rig.verify(&token).await.is_ok());
    rig.clock.advance(1);
    assert_eq!(
        rig.verify(&token).await.unwrap_err(),
        TokenRefusal::Unknown.into()
    );
}

#[tokio::test]
async fn a_failing_api_server_gives_neither_access_nor_a_refusal() {
    let (rig, token) = (Rig::new(), token_of("robot", NOW + 3600));
    rig.server.fail(Fault::internal(Method::POST, "tokenreviews", 2));
    for _ in 0..2 {
        assert_eq!(rig.verify(&token).await.unwrap_err(), Failure::Unavailable.into());
    }
    assert_eq!(rig.asked(), 2);
    assert_eq!(rig.verify(&token).await.unwrap(), SERVICE_ACCOUNT);
    // An answer that is a minute old is not used while the API server fails.
    rig.clock.advance(60);
    rig.server.fail(Fault::internal(Method::POST, "tokenreviews", 1));
    assert_eq!(rig.verify(&token).await.unwrap_err(), Failure::Unavailable.into());
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_says_nothing_is_waited_for_five_seconds() {
    let (rig, token) = (Rig::new(), token_of("robot", NOW + 3600));
    rig.server
        .disrupt(Method::POST, "tokenreviews", Disruption::NoAnswer);
    let started = tokio::time::Instant::now();
    assert_eq!(rig.verify(&token).await.unwrap_err(), Failure::Unavailable.into());
    assert_eq!(started.elapsed().as_secs(), 5);
}

#[tokio::test]
async fn concurrent_requests_share_one_review() {
    let (rig, token) = (Rig::new(), token_of("robot", NOW + 3600));
    let all = futures::future::join_all((0..50).map(|_| rig.verify(&token))).await;
    assert!(all.iter().all(|one| one.as_deref() == Ok(SERVICE_ACCOUNT)));
    assert_eq!(rig.asked(), 1);
    rig.server.authenticate(|spec| known(spec, false));
    let other = token_of("other", NOW + 3600);
    let all = futures::future::join_all((0..50).map(|_| rig.verify(&other))).await;
    assert!(all.iter().all(Result::is_err));
    assert_eq!(rig.asked(), 1);
}

#[tokio::test]
async fn invalid_tokens_are_refused_without_a_review() {
    let rig = Rig::new();
    let other = json!({"iss": "https://evil.example", "aud": [SITE], "exp": NOW + 60});
    for token in [
        String::new(),
        "lab-a".to_owned(),
        token_of("robot", NOW),
        "a".repeat(MAX_TOKEN + 1),
        format!("e30.{}.c2ln", BASE64URL.encode(other.to_string())),
    ] {
        let pay = || -> Result<(), Failure> { panic!("paid") };
        let verified = rig.bearer.verify(&token, SITE, pay).await;
        assert!(matches!(verified, Err(TokenError::Refused(_))), "{token}");
    }
    assert_eq!(rig.asked(), 0);
}

#[tokio::test]
async fn a_token_that_counted_is_asked_about_again_though_forged_ones_used_up_the_allowance() {
    let (rig, token) = (Rig::new(), token_of("robot", NOW + 7200));
    let broke = || Err(Failure::RateLimited(Duration::from_secs(7)));
    let asked_again = async || rig.bearer.verify(&token, SITE, broke).await.is_ok();
    rig.verify(&token).await.unwrap();
    for _ in 0..30 {
        rig.clock.advance(60);
        assert!(asked_again().await);
    }
    assert_eq!(rig.asked(), 31);
    rig.clock.advance(15 * 60 - 1);
    assert!(asked_again().await);
    rig.clock.advance(15 * 60);
    assert!(!asked_again().await, "forgotten");
    rig.verify(&token).await.unwrap();
    // A known token admits no one by itself, and a refusal ends that state.
    rig.clock.advance(60);
    rig.server.authenticate(|spec| known(spec, false));
    let again = rig.bearer.verify(&token, SITE, broke).await;
    assert_eq!(again.unwrap_err(), TokenRefusal::Unknown.into());
    rig.clock.advance(5);
    let again = rig.bearer.verify(&token, SITE, broke).await;
    assert_eq!(
        again.unwrap_err(),
        Failure::RateLimited(Duration::from_secs(7)).into()
    );
    // This is no refusal, and is not cached.
    rig.server.authenticate(|spec| known(spec, true));
    assert!(rig.verify(&token).await.is_ok());
}

#[tokio::test]
async fn before_its_discovery_a_provider_refuses_no_token() {
    let rig = Rig::new();
    let claims = json!({"iss": "https://identity.example", "aud": "scripts", "exp": NOW + 60, "sub": "1"});
    let token = format!("e30.{}.c2ln", BASE64URL.encode(claims.to_string()));
    assert_eq!(rig.verify(&token).await.unwrap_err(), Failure::Unavailable.into());
}

#[tokio::test]
async fn each_token_has_its_own_session_id() {
    let rig = Rig::new();
    let of = async |token: &str| {
        rig.bearer
            .verify(token, SITE, || Ok(()))
            .await
            .unwrap()
            .session
            .id
    };
    let (one, two) = (token_of("robot", NOW + 3600), token_of("robot", NOW + 3601));
    let before = of(&one).await;
    rig.clock.advance(60);
    assert_eq!(of(&one).await, before, "asked about again");
    assert_ne!(of(&two).await, before);
}

#[tokio::test]
async fn a_socket_s_token_is_asked_about_again_and_ends_with_its_account() {
    let (rig, token) = (Rig::new(), token_of("robot", NOW + 3600));
    let accepted = rig.bearer.verify(&token, SITE, || Ok(())).await.unwrap();
    let open_socket = rig.open_socket(&token, accepted);
    let grace = Duration::from_mins(2);
    let settle = async || {
        for _ in 0..100 {
            yield_now().await;
        }
    };
    rig.asked();
    rig.clock.advance(59);
    assert!(open_socket.session(grace).is_some());
    settle().await;
    assert_eq!(rig.asked(), 0);
    // The socket stays until the answer.
    rig.clock.advance(1);
    assert!(open_socket.session(grace).is_some());
    settle().await;
    assert_eq!(rig.asked(), 1);
    rig.server.authenticate(|spec| known(spec, false));
    rig.clock.advance(60);
    assert!(open_socket.session(grace).is_some());
    settle().await;
    assert!(open_socket.session(grace).is_none());
    // Permanently.
    rig.server.authenticate(|spec| known(spec, true));
    rig.clock.advance(10);
    assert!(open_socket.session(grace).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_socket_stays_for_the_grace_without_reviews_and_ends_with_its_token() {
    let (rig, token) = (Rig::new(), token_of("robot", NOW + 250));
    let accepted = rig.bearer.verify(&token, SITE, || Ok(())).await.unwrap();
    let open_socket = rig.open_socket(&token, accepted.clone());
    rig.server.partition(true);
    let grace = Duration::from_mins(2);
    rig.clock.advance(60 + 119);
    assert!(open_socket.session(grace).is_some());
    rig.clock.advance(1);
    assert!(
        open_socket.session(grace).is_none(),
        "not confirmed for three minutes"
    );
    rig.server.partition(false);
    let open_socket = rig.open_socket(&token, accepted);
    rig.clock.advance(69);
    open_socket.session(grace);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(open_socket.session(grace).is_some(), "asked again");
    rig.clock.advance(1);
    assert!(open_socket.session(grace).is_none(), "its end");
}

#[test]
fn one_header_of_the_scheme_bearer_is_a_token_and_no_other_scheme_is() {
    let of_values = |values: &[&str]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        from_headers(&headers).map(|token| token.map(str::to_owned))
    };
    for value in ["Bearer a.b.c", "bearer a.b.c", "BEARER a.b.c"] {
        assert_eq!(of_values(&[value]), Ok(Some("a.b.c".to_owned())), "{value}");
    }
    for value in ["token a.b.c", "Basic YTpi", "a.b.c", "Bearera.b.c", ""] {
        assert_eq!(of_values(&[value]), Ok(None), "{value}");
    }
    assert_eq!(of_values(&["Bearer"]), Ok(Some(String::new())));
    assert_eq!(of_values(&["Bearer  a.b.c"]), Ok(Some(" a.b.c".to_owned())));
    assert_eq!(of_values(&["Bearer a.b.c", "Bearer a.b.c"]), Err(Malformed));
    assert_eq!(of_values(&["Basic YTpi", "Bearer a.b.c"]), Err(Malformed));
}
