//! Bounds that only warn. The test run configures the webhook so (stage `settings`).

use api::{
    Workspace, WorkspaceTemplate,
    condition::{VALID, reason},
    names::CREATED_BY,
    workspace::Phase,
};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    command,
    objects::workspace,
};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::{Value, json};

#[tokio::test]
async fn a_workspace_out_of_bounds_is_stored_with_warnings_and_gets_no_pod() -> anyhow::Result<()> {
    let scratch = Scratch::new("warned", &["alice"]).await?;
    let templates = Api::<WorkspaceTemplate>::all(cluster::admin().await?);
    let echo = &Environment::get()?.images.echo;
    let template: WorkspaceTemplate = serde_json::from_value(json!({
        "metadata": {"name": scratch.namespace},
        "spec": {
            "displayName": "Bounded",
            "defaultImage": echo,
            "resourceBounds": {"cpu": {"max": "1"}},
            "primaryStorage": {"defaultSize": "1Gi", "maxSize": "1Gi"},
        },
    }))?;
    templates.create(&PostParams::default(), &template).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);

    let mut forged = manifest(&scratch, &json!({}));
    forged["metadata"]["annotations"] = json!({CREATED_BY: "bob"});
    let secret =
        json!({"env": [{"name": "S", "valueFrom": {"secretKeyRef": {"name": "theirs", "key": "k"}}}]});
    for (refused, expected) in [
        (forged, "is another owner"),
        (manifest(&scratch, &secret), "needs a permission that you lack"),
    ] {
        let outcome = command::kubectl_with("alice", &["create", "-f", "-"], &refused.to_string()).await?;
        anyhow::ensure!(
            outcome.code != 0 && outcome.stderr.contains(expected),
            "{outcome:?}"
        );
    }
    let limits = json!({"resources": {"limits": {"cpu": "2"}}});
    let greedy = manifest(&scratch, &limits);
    let outcome = command::kubectl_with("alice", &["create", "-f", "-"], &greedy.to_string()).await?;
    anyhow::ensure!(outcome.code == 0, "{outcome:?}");
    for expected in ["Warning: spec.image", "Warning: spec.resources.limits.cpu"] {
        anyhow::ensure!(outcome.stderr.contains(expected), "{expected}: {outcome:?}");
    }
    let stored = workspace::reached(&alice, "greedy", Phase::Invalid).await?;
    let (status, why, message) = workspace::condition(&stored, VALID).unwrap_or_default();
    assert_eq!((status.as_str(), why.as_str()), ("False", reason::RULES_VIOLATED));
    assert!(message.contains("spec.image"), "{message}");
    let pods: Api<Pod> = scratch.api();
    assert!(pods.list(&ListParams::default()).await?.items.is_empty());
    workspace::set(&alice, "greedy", json!({"image": null, "resources": null})).await?;
    workspace::reached(&alice, "greedy", Phase::Running).await?;
    scratch.finish().await?;
    templates
        .delete(
            &template.metadata.name.unwrap_or_default(),
            &DeleteParams::default(),
        )
        .await?;
    Ok(())
}

fn manifest(scratch: &Scratch, rest: &Value) -> Value {
    let mut manifest = json!({
        "apiVersion": "workspaces.jupyter.org/v1alpha1",
        "kind": "Workspace",
        "metadata": {"name": "greedy", "namespace": scratch.namespace},
        "spec": {"displayName": "Greedy", "templateRef": scratch.namespace, "image": "other:1"},
    });
    for (key, value) in rest.as_object().into_iter().flatten() {
        manifest["spec"][key] = value.clone();
    }
    manifest
}
