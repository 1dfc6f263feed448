//! The provider's signing keys: cached until it publishes new ones, which replace all of them.

use http::StatusCode;
use serde_json::json;
use testkit::issuer::Signature;

use super::backchannel::send_logout;
use crate::support::fixture::{Fixture, lab};

async fn signs_in(fixture: &Fixture) -> bool {
    let landing = fixture.browser("alice").open(&lab()).await;
    landing.is_inside()
}

fn fetches(fixture: &Fixture) -> usize {
    let requests = fixture.issuer.take_requests();
    requests.iter().filter(|path| *path == "/jwks").count()
}

#[tokio::test]
async fn after_a_rotation_the_old_key_is_refused_wherever_it_signs() {
    let fixture = Fixture::new().await;
    fixture.pass(60);
    let message = || fixture.issuer.logout_token(&json!({"sub": "id-of-alice"}));
    let (before, after) = (message(), message());
    assert_eq!(send_logout(&fixture, &before).await.status, StatusCode::OK);

    // Who signs in within the second of the message is meant by it.
    fixture.pass(1);
    fixture.issuer.change(|issuer| issuer.second_key = true);
    assert!(signs_in(&fixture).await, "the new key is fetched");
    assert_eq!(fetches(&fixture), 1);
    // A message of before the rotation that was not used yet.
    assert_eq!(
        send_logout(&fixture, &after).await.status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(fixture.sessions().len(), 1);
    // Within a minute of the last look it may be a key that is new, and the provider is to come again.
    for expected in [StatusCode::SERVICE_UNAVAILABLE, StatusCode::BAD_REQUEST] {
        fixture
            .issuer
            .change(|issuer| issuer.signature = Signature::RetiredKey);
        assert!(!signs_in(&fixture).await, "the old key counts beside the new one");
        assert_eq!(send_logout(&fixture, &message()).await.status, expected);
        assert_eq!(fixture.sessions().len(), 1);
        // Nor after another look at the key set.
        fixture.pass(60);
    }
    fixture
        .issuer
        .change(|issuer| issuer.signature = Signature::Valid);
    assert!(signs_in(&fixture).await);
}
