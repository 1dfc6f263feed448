//! Reconciles with an in-memory API server -> stored certificates and bundles (tests).

use http::Method;
use kit::pki;
use kit::readiness::Readiness;
use kit::shared_secret::Data;
use prometheus_client::registry::Registry;
use testkit::api_server::{ApiServer, Call};

use super::*;

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn configurations(server: &ApiServer) {
    let object = json!({
        "metadata": {"name": "r-webhook"},
        "webhooks": [{
            "name": "workspaces.workspaces.jupyter.org",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "clientConfig": {"service": {"name": "r-webhook", "namespace": "sys"}},
        }],
    });
    server.put::<MutatingWebhookConfiguration>(&serde_json::from_value(object.clone()).unwrap());
    server.put::<ValidatingWebhookConfiguration>(&serde_json::from_value(object).unwrap());
}

fn reconciler(client: Client) -> (Reconciler, Readiness) {
    let (reconciler, readiness, _) = measured(client);
    (reconciler, readiness)
}

fn measured(client: Client) -> (Reconciler, Readiness, Registry) {
    let readiness = Readiness::default();
    let gate = readiness.gate("the certificate");
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let reconciler = Reconciler::new(client, "sys", "r", Certificate::default(), gate, metrics);
    (reconciler, readiness, registry)
}

#[tokio::test]
async fn the_ends_of_what_is_served_and_trusted_are_metrics() {
    let (server, client) = ApiServer::start();
    configurations(&server);
    let (reconciler, _, registry) = measured(client);
    let metrics = || {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        text
    };
    assert!(
        !metrics().contains("certificate=\"server\""),
        "nothing is served yet"
    );
    for at in [now(), now() + pki::LEAF_VALIDITY] {
        reconciler.reconcile(at).await.unwrap();
        let text = metrics();
        let authority = now() + pki::AUTHORITY_VALIDITY;
        for (name, end) in [("server", at + pki::LEAF_VALIDITY), ("authority", authority)] {
            let line = format!(
                "end_timestamp_seconds{{certificate=\"{name}\"}} {}",
                end.as_second()
            );
            assert!(text.contains(&line), "{line}: {text}");
        }
    }
}

fn stored(server: &ApiServer) -> Data {
    let secret: Secret = server.get(Some("sys"), "r-webhook-cert").unwrap();
    secret
        .data
        .unwrap()
        .into_iter()
        .map(|(key, value)| (key, value.0))
        .collect()
}

fn trusted(server: &ApiServer) -> [String; 2] {
    let text = |bytes: Option<ByteString>| String::from_utf8(bytes.unwrap().0).unwrap();
    let mutating: MutatingWebhookConfiguration = server.get(None, "r-webhook").unwrap();
    let validating: ValidatingWebhookConfiguration = server.get(None, "r-webhook").unwrap();
    [
        text(mutating.webhooks.unwrap().remove(0).client_config.ca_bundle),
        text(validating.webhooks.unwrap().remove(0).client_config.ca_bundle),
    ]
}

#[tokio::test]
async fn the_first_reconcile_writes_everything_and_the_next_nothing() {
    let (server, client) = ApiServer::start();
    configurations(&server);
    let (reconciler, readiness) = reconciler(client);
    assert!(!readiness.missing().is_empty());
    reconciler.reconcile(now()).await.unwrap();
    assert!(readiness.missing().is_empty());
    let secret: Secret = server.get(Some("sys"), "r-webhook-cert").unwrap();
    let labels = secret.metadata.labels.unwrap();
    assert_eq!(labels[api::names::APP_COMPONENT_LABEL], "webhook");
    assert!(
        !labels.contains_key(api::names::APP_INSTANCE_LABEL),
        "Argo CD deletes what carries it and is not in Git"
    );
    let data = stored(&server);
    assert_eq!(trusted(&server), [renewal::bundle(&data), renewal::bundle(&data)]);
    assert!(pki::is_for(
        &renewal::serving(&data).certificate,
        &renewal::bundle(&data),
        &["r-webhook.sys.svc".to_owned()]
    ));
    server.take_calls();
    reconciler.reconcile(now()).await.unwrap();
    assert!(!server.take_calls().iter().any(Call::is_write));
}

#[tokio::test]
async fn a_lost_bundle_is_put_back() {
    let (server, client) = ApiServer::start();
    configurations(&server);
    let (reconciler, _) = reconciler(client);
    reconciler.reconcile(now()).await.unwrap();
    let before = trusted(&server);
    configurations(&server);
    reconciler.reconcile(now()).await.unwrap();
    assert_eq!(trusted(&server), before);
}

#[tokio::test]
async fn nothing_is_served_before_the_api_server_trusts_it() {
    let (server, client) = ApiServer::start();
    let (reconciler, readiness) = reconciler(client);
    let error = reconciler.reconcile(now()).await.unwrap_err().to_string();
    assert!(
        error.starts_with(r#"MutatingWebhookConfiguration "r-webhook""#),
        "{error}"
    );
    assert!(!readiness.missing().is_empty());
    configurations(&server);
    reconciler.reconcile(now()).await.unwrap();
    assert!(readiness.missing().is_empty());
}

#[tokio::test]
async fn no_key_leaves_the_secret() {
    let (server, client) = ApiServer::start();
    configurations(&server);
    let (reconciler, _) = reconciler(client);
    reconciler.reconcile(now()).await.unwrap();
    for call in server
        .take_calls()
        .iter()
        .filter(|call| call.method == Method::PATCH)
    {
        assert!(!call.body.to_string().contains("PRIVATE"), "{}", call.line());
    }
}
