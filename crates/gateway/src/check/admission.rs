//! Dry run of a Workspace that breaks a rule -> whether the webhook refuses it (IO).

use api::Workspace;
use api::names::OWN_VARIABLES;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;

use super::MANAGER;
use super::report::Outcome;
use super::workspace::Trial;

/// Name of the webhook in both of its configurations (charts/jupyter-k8s/templates/webhook.yaml).
const WEBHOOK: &str = "\"workspaces.workspaces.jupyter.org\"";

/// Asks the API server to store a Workspace that neither the schema nor an admission policy refuses, but the webhook does. Nothing
/// is stored, whatever the answer.
pub(super) async fn check(api: &Api<Workspace>, trial: &Trial, port: u16, release: &str) -> Outcome {
    let params = PostParams {
        dry_run: true,
        field_manager: Some(MANAGER.to_owned()),
    };
    let mut workspace = trial.workspace();
    let variable = json!({"name": OWN_VARIABLES[0], "value": "x"});
    workspace.spec.env = serde_json::from_value(json!([variable])).unwrap_or_default();
    match api.create(&params, &workspace).await {
        Ok(_) => Outcome::Fail(format!(
            "the API server accepts a Workspace that breaks a rule (env), so it does not ask the webhook: restore the \
             ValidatingWebhookConfiguration {release}-webhook by helm upgrade"
        )),
        Err(error) => judge(&kit::api_error::for_users(&error), port, release),
    }
}

/// What the API server's refusal means (pure).
fn judge(refusal: &str, port: u16, release: &str) -> Outcome {
    let is_ours = refusal.contains(WEBHOOK);
    let has = |parts: &[&str]| parts.iter().any(|part| refusal.contains(part));
    if is_ours && has(&["denied the request"]) {
        return Outcome::Ok("a Workspace that breaks a rule is refused by the webhook".to_owned());
    }
    if !has(&["failed calling webhook"]) {
        return Outcome::Fail(format!(
            "the API server gives another answer than the webhook's refusal: {refusal}"
        ));
    }
    if !is_ours {
        return Outcome::Fail(format!(
            "a webhook of another product does not work: repair it, or exclude Workspaces from it: {refusal}"
        ));
    }
    let pods = format!(
        "kubectl get pods -A -l app.kubernetes.io/instance={release},app.kubernetes.io/component=webhook"
    );
    Outcome::Fail(if has(&["no endpoints available", "not found"]) {
        format!("no pod of the webhook is ready: look at them, {pods} ({refusal})")
    } else if has(&["x509", "tls: "]) {
        format!(
            "the API server does not trust the certificate of the webhook: restart its pods, {pods} ({refusal})"
        )
    } else {
        format!(
            "the API server does not reach port {port} of the webhook: open it (firewall, webhook.apiServerNetworks), or set \
             webhook.port to one that is open ({refusal})"
        )
    })
}

#[cfg(test)]
mod tests {
    use http::Method;
    use testkit::api_server::{ApiServer, Fault};

    use super::*;
    use crate::check::workspace::tests::{NAMESPACE, trial};

    /// The outcome where the API server answers with this message, or accepts.
    async fn outcome(message: Option<&str>) -> Outcome {
        let (server, client) = ApiServer::start();
        if let Some(message) = message {
            server.fail(Fault {
                message: message.to_owned(),
                ..Fault::internal(Method::POST, "/workspaces", 1)
            });
        }
        let api = Api::namespaced(client, NAMESPACE);
        let outcome = check(&api, &trial(), 10250, "demo").await;
        let calls = server.take_calls();
        assert_eq!(calls.len(), 1);
        assert!(calls[0].query.contains("dryRun=All"), "{}", calls[0].query);
        assert_eq!(calls[0].body["spec"]["env"][0]["name"], OWN_VARIABLES[0]);
        assert_eq!(calls[0].body["spec"]["templateRef"], "jupyterlab");
        outcome
    }

    #[tokio::test]
    async fn a_refusal_in_the_webhook_s_words_is_right() {
        let refusal = r#"admission webhook "workspaces.workspaces.jupyter.org" denied the request: spec.env[0].name: "WORKSPACE_RUN_ID" is set by the operator: choose another name"#;
        assert!(matches!(outcome(Some(refusal)).await, Outcome::Ok(_)));
    }

    #[tokio::test]
    async fn every_other_answer_fails_with_its_own_remedy() {
        let calling = r#"Internal error occurred: failed calling webhook "workspaces.workspaces.jupyter.org": failed to call webhook: "#;
        let failed = |reason: &str| Some(format!("{calling}{reason}"));
        let table = [
            (None, "restore the ValidatingWebhookConfiguration demo-webhook"),
            (
                failed(
                    r#"Post "https://demo-webhook.s.svc:443/mutate?timeout=5s": dial tcp 10.0.0.1:10250: connect: connection refused"#,
                ),
                "does not reach port 10250 of the webhook: open it",
            ),
            (
                failed(
                    r#"Post "https://demo-webhook.s.svc:443/mutate?timeout=5s": context deadline exceeded"#,
                ),
                "does not reach port 10250 of the webhook: open it",
            ),
            (
                failed(r#"no endpoints available for service "demo-webhook""#),
                "no pod of the webhook is ready",
            ),
            (
                failed("tls: failed to verify certificate: x509: certificate signed by unknown authority"),
                "does not trust the certificate of the webhook",
            ),
            (
                Some(
                    r#"Internal error occurred: failed calling webhook "x.example.com": refused"#.to_owned(),
                ),
                "a webhook of another product does not work",
            ),
            (
                Some("admission webhook \"x.example.com\" denied the request: no".to_owned()),
                "another answer than the webhook's refusal",
            ),
            (
                Some("workspaces.workspaces.jupyter.org is forbidden: User \"x\" cannot create".to_owned()),
                "another answer than the webhook's refusal",
            ),
        ];
        for (message, part) in table {
            let outcome = outcome(message.as_deref()).await;
            let Outcome::Fail(text) = &outcome else {
                panic!("{message:?}: {outcome:?}")
            };
            assert!(text.contains(part), "{text}");
        }
    }
}
