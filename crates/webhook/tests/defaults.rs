//! New workspaces that name no template.

use api::WorkspaceTemplate;
use api::names::{ATTESTED_TEMPLATE, DEFAULT_TEMPLATE, DEFAULT_TEMPLATE_LABEL};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::support::{Webhook, workspace};

fn template(name: &str, is_default: &str) -> WorkspaceTemplate {
    let mut template = testkit::objects::template(name);
    template.metadata.labels = Some([(DEFAULT_TEMPLATE_LABEL.to_owned(), is_default.to_owned())].into());
    template
}

fn cluster(templates: &[(&str, &str)]) -> Cluster {
    let mut cluster = Cluster::with(testkit::objects::template("plain"));
    cluster.watched.extend(
        templates
            .iter()
            .map(|(name, is_default)| template(name, is_default)),
    );
    cluster
}

fn bare() -> Value {
    workspace(json!({}))
}

async fn made(webhook: &Webhook, new: &Value) -> Value {
    let (object, answer) = webhook.create("alice", new).await;
    assert!(answer.allowed, "{answer:?}");
    object
}

#[tokio::test]
async fn the_labelled_template_is_written_into_a_workspace_that_names_none() {
    let mut cluster = cluster(&[("standard", "true"), ("other", "false")]);
    cluster.requires_template = true;
    let webhook = cluster.webhook();
    let object = made(&webhook, &bare()).await;
    assert_eq!(object["spec"]["templateRef"], "standard");
    assert_eq!(
        object["metadata"]["annotations"][ATTESTED_TEMPLATE],
        "uid-of-standard"
    );
    let named = made(&webhook, &workspace(json!({"templateRef": "plain"}))).await;
    assert_eq!(named["spec"]["templateRef"], "plain");
}

#[tokio::test]
async fn a_namespace_s_own_default_wins() {
    let mut cluster = cluster(&[("standard", "true"), ("second", "true")]);
    cluster.namespace_annotations = vec![(DEFAULT_TEMPLATE, "plain")];
    let object = made(&cluster.webhook(), &bare()).await;
    assert_eq!(object["spec"]["templateRef"], "plain");
}

#[tokio::test]
async fn of_two_defaults_neither_is_guessed() {
    let webhook = cluster(&[("standard", "true"), ("second", "true")]).webhook();
    let refused = webhook.mutate_create("alice", &bare()).await;
    assert_eq!(refused.code, 422, "{refused:?}");
    assert!(
        refused
            .message
            .contains("the default template is ambiguous: second, standard all have the label"),
        "{refused:?}"
    );
    let third = serde_json::to_value(template("third", "true")).unwrap();
    let answer = webhook.validate_create("root", &third).await;
    assert!(answer.allowed, "{answer:?}");
    assert!(
        answer.warnings[0].contains("second, standard has it too"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn without_a_default_nothing_is_written() {
    let webhook = cluster(&[]).webhook();
    let object = made(&webhook, &bare()).await;
    assert_eq!(object["spec"]["templateRef"], Value::Null);
}

#[tokio::test]
async fn a_default_that_one_may_not_use_or_that_does_not_exist_is_no_way_round_it() {
    let mut hidden = cluster(&[("standard", "true")]);
    hidden.grants.clear();
    let (_, refused) = hidden.webhook().create("alice", &bare()).await;
    assert_eq!(refused.code, 403, "{refused:?}");
    assert!(
        refused
            .message
            .starts_with(r#"spec.templateRef: "standard" does not exist, or you may not use it"#),
        "{refused:?}"
    );
    let mut hidden = cluster(&[]);
    hidden.grants.clear();
    hidden.namespace_annotations = vec![(DEFAULT_TEMPLATE, "plain")];
    let webhook = hidden.webhook();
    let (_, refused) = webhook.create("alice", &bare()).await;
    assert!(
        refused
            .message
            .starts_with(r#"spec.templateRef: "plain" does not exist, or you may not use it"#),
        "{refused:?}"
    );
    let mut missing = cluster(&[]);
    missing.namespace_annotations = vec![(DEFAULT_TEMPLATE, "later")];
    let (object, answer) = missing.webhook().create("alice", &bare()).await;
    assert!(answer.allowed && !answer.warnings.is_empty(), "{answer:?}");
    assert_eq!(object["spec"]["templateRef"], "later");
}

#[tokio::test]
async fn a_replace_by_the_manifest_that_names_no_template_changes_nothing() {
    let mut cluster = cluster(&[("standard", "true")]);
    cluster.requires_template = true;
    let webhook = cluster.webhook();
    let mut stored = made(&webhook, &bare()).await;
    stored["spec"]["desiredStatus"] = json!("Stopped");
    let mut replaced = bare();
    let mutated = webhook.mutate_update("alice", &stored, &replaced).await;
    assert!(mutated.allowed && mutated.warnings.is_empty(), "{mutated:?}");
    json_patch::patch(&mut replaced, &mutated.patch.unwrap()).unwrap();
    assert_eq!(replaced["spec"], stored["spec"]);
    let answer = webhook.validate_update("alice", &stored, &replaced).await;
    assert!(answer.allowed && answer.warnings.is_empty(), "{answer:?}");
}
