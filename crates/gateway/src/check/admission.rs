//! Dry run of a Workspace that breaks a rule -> whether the webhook refuses it (IO).

use api::Workspace;
use api::names::RUN_ID_VARIABLE;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;

use super::MANAGER;
use super::workspace::Trial;

/// Name of the webhook in both of its configurations (charts/jupyter-k8s/templates/webhook.yaml).
const WEBHOOK: &str = "\"workspaces.workspaces.jupyter.org\"";

/// Asks the API server to store a Workspace that neither the schema nor an admission policy refuses, but the webhook does. Nothing
/// is stored, whatever the answer.
pub(super) async fn check(
    api: &Api<Workspace>,
    trial: &Trial,
    port: u16,
    release: &str,
) -> Result<String, String> {
    let params = PostParams {
        dry_run: true,
        field_manager: Some(MANAGER.to_owned()),
    };
    let mut workspace = trial.workspace();
    let variable = json!({"name": RUN_ID_VARIABLE, "value": "x"});
    workspace.spec.env = serde_json::from_value(json!([variable])).unwrap_or_default();
    match api.create(&params, &workspace).await {
        Ok(_) => Err(format!(
            "the API server accepts a Workspace that breaks a rule (env), so it does not ask the webhook: restore the \
             ValidatingWebhookConfiguration {release}-webhook by helm upgrade"
        )),
        Err(error) => meaning(&kit::api_error::for_users(&error), port, release),
    }
}

/// What the API server's refusal means.
fn meaning(refusal: &str, port: u16, release: &str) -> Result<String, String> {
    let is_ours = refusal.contains(WEBHOOK);
    let has = |part: &str| refusal.contains(part);
    if is_ours && has("denied the request") {
        return Ok("a Workspace that breaks a rule is refused by the webhook".to_owned());
    }
    let pods = format!(
        "kubectl get pods -A -l app.kubernetes.io/instance={release},app.kubernetes.io/component=webhook"
    );
    Err(if !has("failed calling webhook") {
        format!("the API server gives another answer than the webhook's refusal: {refusal}")
    } else if !is_ours {
        format!(
            "a webhook of another product does not work: repair it, or exclude Workspaces from it: {refusal}"
        )
    } else if has("no endpoints available") || has("not found") {
        format!("no pod of the webhook is ready: look at them, {pods} ({refusal})")
    } else if has("x509") || has("tls: ") {
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
    use super::*;

    #[test]
    fn the_webhook_s_refusal_is_right_and_every_other_answer_has_its_own_remedy() {
        let denied =
            r#"admission webhook "workspaces.workspaces.jupyter.org" denied the request: spec.env[0].name: "#;
        meaning(denied, 10250, "demo").unwrap();
        let calling =
            r#"Internal error occurred: failed calling webhook "workspaces.workspaces.jupyter.org": "#;
        for (refusal, remedy) in [
            (
                format!("{calling}dial tcp 10.0.0.1:10250: connect: connection refused"),
                "does not reach port 10250 of the webhook: open it",
            ),
            (
                format!("{calling}context deadline exceeded"),
                "does not reach port 10250 of the webhook: open it",
            ),
            (
                format!("{calling}no endpoints available for service \"demo-webhook\""),
                "no pod of the webhook is ready",
            ),
            (
                format!("{calling}tls: failed to verify certificate: x509: unknown authority"),
                "does not trust the certificate of the webhook",
            ),
            (
                "failed calling webhook \"x.example.com\": refused".to_owned(),
                "a webhook of another product does not work",
            ),
            (
                "workspaces.workspaces.jupyter.org is forbidden: User \"x\" cannot create".to_owned(),
                "another answer than the webhook's refusal",
            ),
        ] {
            let text = meaning(&refusal, 10250, "demo").unwrap_err();
            assert!(text.contains(remedy) && text.contains(&refusal), "{text}");
        }
    }
}
