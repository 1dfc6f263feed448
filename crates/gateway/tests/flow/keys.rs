//! Encryption keys that rotate, and replicas that start and stop, while users work.

use std::collections::BTreeMap;

use gateway::tokens::KeyStore;
use http::StatusCode;
use kube::Api;

use crate::support::fixture::{Fixture, ISSUER, LAB, NOW, SYSTEM, origin};

async fn store(fixture: &Fixture) -> KeyStore {
    let spec = kit::shared_secret::Spec {
        name: "jupyter-k8s-gateway-keys".into(),
        type_: "Opaque",
        labels: BTreeMap::new(),
        manager: api::names::GATEWAY,
    };
    let secrets = Api::namespaced(fixture.app.client.clone(), SYSTEM);
    let public = Api::namespaced(fixture.app.client.clone(), SYSTEM);
    let metrics = fixture.app.metrics.clone();
    KeyStore::open(secrets, spec, public, fixture.clock.clone(), metrics)
        .await
        .unwrap()
}

/// For three days a user works at two replicas that look for new keys at different moments, up to 45 seconds apart, and each
/// of them is replaced by a new one every few hours. No request fails, and users sign in again only at the end of a session.
#[tokio::test]
async fn keys_change_and_replicas_restart_and_no_request_fails() {
    let origin_of_all = Fixture::new().await;
    let (one, two) = (store(&origin_of_all).await, store(&origin_of_all).await);
    let mut replicas = [
        origin_of_all.replica_with(one.ring()).await,
        origin_of_all.replica_with(two.ring()).await,
    ];
    let mut stores = [one, two];
    for replica in &replicas {
        replica.watch().await;
    }
    let lab = format!("{}/", origin(LAB));
    let mut jar = {
        let alice = replicas[0].browser("alice");
        assert!(alice.open(&lab).await.is_inside());
        alice.jar.lock().unwrap().clone()
    };
    let mut logins = 0;
    let mut key_ids = std::collections::BTreeSet::new();
    let step = 5 * 60;
    for turn in 1..=(3 * 24 * 60 * 60 / step) {
        origin_of_all.pass(step - 45);
        stores[0].refresh().await.unwrap();
        origin_of_all.pass(45);
        stores[1].refresh().await.unwrap();
        let at = usize::try_from(turn % 2).unwrap();
        if turn % 40 == 0 {
            // A rolling restart: a new process with nothing but what the API server holds.
            stores[at] = store(&origin_of_all).await;
            replicas[at] = origin_of_all.replica_with(stores[at].ring()).await;
            replicas[at].watch().await;
        }
        let browser = replicas[at].browser("alice");
        *browser.jar.lock().unwrap() = jar;
        let landing = browser.open(&lab).await;
        assert!(landing.is_inside(), "turn {turn}: {landing:#?}");
        if landing.trail.iter().any(|url| url.starts_with(ISSUER)) {
            logins += 1;
        } else {
            assert_eq!(landing.answer.status, StatusCode::OK);
            assert_eq!(
                landing.trail.len(),
                1,
                "turn {turn}: the ticket was good: {landing:#?}"
            );
        }
        jar = browser.jar.lock().unwrap().clone();
        key_ids.extend(
            replicas[at]
                .sessions()
                .into_iter()
                .map(|session| session.spec.key_id),
        );
    }
    // Twelve hours each, the first one at the start.
    assert!(
        (5..=6).contains(&logins),
        "{logins} logins in {} s",
        origin_of_all.clock.now() - NOW
    );
    assert!(key_ids.len() >= 3, "{key_ids:?}");
}
