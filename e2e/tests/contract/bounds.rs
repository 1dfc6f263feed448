//! Templates and their bounds.

use api::{
    Workspace, WorkspaceTemplate,
    condition::{VALID, reason},
    workspace::Phase,
};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    objects::{template, workspace},
};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::{
    Api,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::json;

const GIBIBYTE: u64 = 1 << 30;

/// A template named after the namespace, since templates are cluster-scoped.
fn bounded(scratch: &Scratch) -> anyhow::Result<WorkspaceTemplate> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "workspaces.jupyter.org/v1alpha1",
        "kind": "WorkspaceTemplate",
        "metadata": {"name": scratch.namespace},
        "spec": {
            "displayName": "Bounded",
            "defaultImage": Environment::get()?.images.echo,
            "defaultResources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "500m", "memory": "256Mi"}},
            "resourceBounds": {
                "cpu": {"min": "50m", "max": "1"},
                "memory": {"min": "64Mi", "max": "512Mi"},
                "gpu": {"min": "0", "max": "0"},
            },
            "primaryStorage": {"defaultSize": "1Gi", "minSize": "1Gi", "maxSize": "2Gi"},
        },
    }))?)
}

fn of_template(scratch: &Scratch, name: &str, rest: serde_json::Value) -> anyhow::Result<Workspace> {
    let mut spec = json!({"displayName": name, "templateRef": scratch.namespace});
    for (key, value) in rest.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    Ok(Workspace::new(name, serde_json::from_value(spec)?))
}

async fn finish(scratch: Scratch) -> anyhow::Result<()> {
    let template = scratch.namespace.clone();
    scratch.finish().await?;
    let templates = Api::<WorkspaceTemplate>::all(cluster::admin().await?);
    templates.delete(&template, &DeleteParams::default()).await?;
    Ok(())
}

#[tokio::test]
async fn a_workspace_starts_when_its_template_arrives_and_every_violation_of_its_bounds_is_reported()
-> anyhow::Result<()> {
    let scratch = Scratch::new("order", &["alice"]).await?;
    let templates = Api::<WorkspaceTemplate>::all(cluster::admin().await?);
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    alice
        .create(
            &PostParams::default(),
            &of_template(&scratch, "early", json!({}))?,
        )
        .await?;
    let waiting = workspace::reached(&alice, "early", Phase::Invalid).await?;
    let (status, reason, message) = workspace::condition(&waiting, VALID).unwrap_or_default();
    assert_eq!(
        (status.as_str(), reason.as_str()),
        ("False", reason::TEMPLATE_NOT_FOUND)
    );
    assert!(message.contains(&scratch.namespace), "{message}");
    let pods = scratch.api::<Pod>();
    assert!(pods.list(&ListParams::default()).await?.items.is_empty());
    templates
        .create(&PostParams::default(), &bounded(&scratch)?)
        .await?;
    workspace::reached(&alice, "early", Phase::Running).await?;
    has_the_default_size(&scratch).await?;
    sizes_are_bounded_to_the_byte(&scratch, &alice).await?;
    Box::pin(every_violation_is_reported_and_values_equal_to_a_bound_pass(
        &scratch, &alice,
    ))
    .await?;
    finish(scratch).await
}

/// The claim of a workspace that asks for no size asks for the template's default one.
async fn has_the_default_size(scratch: &Scratch) -> anyhow::Result<()> {
    let claims = scratch.api::<PersistentVolumeClaim>();
    let claims = claims.list(&ListParams::default()).await?.items;
    let sizes: Vec<_> = claims
        .iter()
        .map(|claim| json!(claim.spec)["resources"]["requests"]["storage"].clone())
        .collect();
    assert_eq!(sizes, [json!("1Gi")]);
    Ok(())
}

async fn sizes_are_bounded_to_the_byte(scratch: &Scratch, alice: &Api<Workspace>) -> anyhow::Result<()> {
    for (bytes, bound) in [
        (GIBIBYTE - 1, Some("1Gi")),
        (GIBIBYTE, None),
        (2 * GIBIBYTE, None),
        (2 * GIBIBYTE + 1, Some("2Gi")),
    ] {
        let sized = of_template(scratch, "sized", json!({"storage": {"size": bytes.to_string()}}))?;
        let refusal = template::refusal(alice, &sized).await;
        let is_expected = match (&refusal, bound) {
            (None, None) => true,
            (Some(refusal), Some(bound)) => {
                refusal.contains("spec.storage.size")
                    && refusal.contains(&bytes.to_string())
                    && refusal.contains(bound)
            }
            _ => false,
        };
        assert!(is_expected, "{bytes} bytes: {refusal:?}");
    }
    Ok(())
}

async fn every_violation_is_reported_and_values_equal_to_a_bound_pass(
    scratch: &Scratch,
    alice: &Api<Workspace>,
) -> anyhow::Result<()> {
    let greedy = of_template(
        scratch,
        "greedy",
        json!({
            "image": "registry.example/other:1",
            "resources": {
                "requests": {"cpu": "1001m", "memory": "1Mi", "nvidia.com/gpu": "1"},
                "limits": {"cpu": "1001m", "memory": "513Mi", "nvidia.com/gpu": "1"},
            },
            "storage": {"size": "2049Mi"},
        }),
    )?;
    let refused = alice.create(&PostParams::default(), &greedy).await;
    let refusal = refused.err().map(|error| error.to_string()).unwrap_or_default();
    for part in [
        "spec.image",
        "registry.example/other:1",
        "spec.resources.requests.cpu",
        "spec.resources.limits.cpu",
        "1001m",
        "spec.resources.requests.memory",
        "1Mi",
        "64Mi",
        "spec.resources.limits.memory",
        "513Mi",
        "512Mi",
        "nvidia.com/gpu",
        "spec.storage.size",
        "2049Mi",
        "2Gi",
    ] {
        assert!(refusal.contains(part), "{part} is missing in: {refusal}");
    }
    // A limit of 0 would be none at all.
    let unlimited = of_template(
        scratch,
        "unlimited",
        json!({"resources": {"limits": {"cpu": "0", "memory": 0}}}),
    )?;
    let refused = alice.create(&PostParams::default(), &unlimited).await;
    let refusal = refused.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(
        refusal.contains("spec.resources.limits.cpu") && refusal.contains("no limit at all"),
        "{refusal}"
    );
    let at_the_bound = of_template(
        scratch,
        "equal",
        json!({
            "resources": {"requests": {"cpu": "50m", "memory": "512Mi"}, "limits": {"cpu": "1000m", "memory": "0.5Gi"}},
            "storage": {"size": "2Gi"}, "desiredStatus": "Stopped",
        }),
    )?;
    alice.create(&PostParams::default(), &at_the_bound).await?;
    let equal = workspace::reached(alice, "equal", Phase::Stopped).await?;
    let valid = workspace::condition(&equal, VALID);
    assert!(
        valid.as_ref().is_some_and(|(status, ..)| status == "True"),
        "{valid:?}"
    );
    Ok(())
}
