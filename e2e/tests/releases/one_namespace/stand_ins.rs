//! Namespace -> policies like those of a platform with strict rules (IO).
//!
//! The cluster chooses the users of pods, as in [`crate::assigned_ids`]; images come from one registry; Deployments have few replicas.

use anyhow::{Context as _, ensure};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    command::administered,
    wait,
};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    Resource, ResourceExt as _,
    api::{ListParams, PostParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::assigned_ids::{self, RANGE};

/// Value of the chart that leaves users of the release's pods to the cluster.
pub(super) const UNSET: &str =
    r#"pods.podSecurityContext={"runAsUser":null,"runAsGroup":null,"fsGroup":null}"#;
/// Most replicas of a Deployment.
const REPLICAS: usize = 2;
/// Messages of the refusals.
const REGISTRY: &str = "images come from one registry alone";
const TOO_MANY: &str = "a Deployment has too many replicas";

/// Puts the rules into force.
pub(super) async fn start(scratch: &Scratch) -> anyhow::Result<()> {
    let apply = ["apply", "--server-side", "-f", "-"];
    administered(&apply, &assigned_ids::policy(&scratch.namespace)).await?;
    administered(&apply, &bounds(&scratch.namespace)?).await?;
    assigned_ids::assigns(scratch).await?;
    let image = &Environment::get()?.images.echo;
    is_refused::<Pod>(scratch, pod("registry.example.com/other"), REGISTRY).await?;
    let mut deployment = json!({
        "metadata": {"name": "unset"},
        "spec": {
            "replicas": REPLICAS + 1,
            "selector": {"matchLabels": {"app": "unset"}},
            "template": {"metadata": {"labels": {"app": "unset"}}, "spec": pod(image)["spec"]},
        },
    });
    is_refused::<Deployment>(scratch, deployment.clone(), TOO_MANY).await?;
    // The control: the number alone is refused.
    deployment["spec"]["replicas"] = json!(REPLICAS);
    create::<Deployment>(scratch, deployment).await?;
    Ok(())
}

/// Takes them away.
pub(super) async fn end(scratch: &Scratch) -> anyhow::Result<()> {
    let delete = ["delete", "--ignore-not-found", "-f", "-"];
    administered(&delete, &assigned_ids::policy(&scratch.namespace)).await?;
    administered(&delete, &bounds(&scratch.namespace)?)
        .await
        .map(drop)
}

/// Every pod of the release runs as the user that the cluster chose.
pub(super) async fn chose_users(scratch: &Scratch) -> anyhow::Result<()> {
    let of_release = format!("app.kubernetes.io/instance={}", Environment::get()?.release);
    let pods = scratch.api::<Pod>();
    let pods = pods.list(&ListParams::default().labels(&of_release)).await?.items;
    ensure!(pods.len() > 4, "{} pods", pods.len());
    for pod in &pods {
        ensure!(
            assigned_ids::user(pod) == Some(RANGE),
            "{}: {:?}",
            pod.name_any(),
            pod.spec
        );
    }
    Ok(())
}

async fn is_refused<K>(scratch: &Scratch, object: Value, message: &str) -> anyhow::Result<()>
where
    K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    K: Clone + std::fmt::Debug + Serialize + DeserializeOwned,
{
    wait::until(&format!("a refusal: {message}"), wait::USUAL, || async {
        match create::<K>(scratch, object.clone()).await {
            Err(error) if error.to_string().contains(message) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

/// What the API server makes of the object in a dry run.
async fn create<K>(scratch: &Scratch, object: Value) -> anyhow::Result<K>
where
    K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    K: Clone + std::fmt::Debug + Serialize + DeserializeOwned,
{
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let object: K = serde_json::from_value(object)?;
    Ok(scratch.api::<K>().create(&dry_run, &object).await?)
}

/// A pod that breaks no other rule of the namespace.
fn pod(image: &str) -> Value {
    let container = json!({"image": image, "resources": {"limits": {"cpu": "1", "memory": "64Mi"}}});
    cluster::restricted_pod("unset", container, &json!([]))
}

/// A policy that bounds registries and replicas in one namespace, and its binding.
fn bounds(namespace: &str) -> anyhow::Result<String> {
    let image = &Environment::get()?.images.jupyter;
    let (registry, _) = image.rsplit_once('/').context("an image without registry")?;
    let (name, label) = (format!("{namespace}-bounds"), json!({"e2e.test/scratch": "true"}));
    let version = "admissionregistration.k8s.io/v1";
    let images = format!(
        "request.resource.resource != 'pods' || (object.spec.containers + object.spec.?initContainers.orValue([]))\
         .all(container, container.image.startsWith('{registry}/'))"
    );
    let replicas = format!(
        "request.resource.resource != 'deployments' || object.spec.?replicas.orValue(1) <= {REPLICAS}"
    );
    let rules = json!([
        {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]},
        {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["deployments"]},
    ]);
    Ok(json!({"apiVersion": "v1", "kind": "List", "items": [
        {
            "apiVersion": version, "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": name, "labels": label},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": rules},
                "validations": [
                    {"expression": images, "message": REGISTRY},
                    {"expression": replicas, "message": TOO_MANY},
                ],
            },
        },
        {
            "apiVersion": version, "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": name, "labels": label},
            "spec": {
                "policyName": name,
                "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}},
            },
        },
    ]})
    .to_string())
}
