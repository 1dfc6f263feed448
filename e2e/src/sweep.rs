//! Namespaces of tests that ended before they cleaned up -> nothing of them (IO).
//!
//! A failed test leaves its objects for inspection; the next run takes them away. What a running test made stays: the
//! namespace says which process that is, and on which machine. What other machines left is for them to take away.

use std::fmt::Debug;

use api::{WorkspaceManager, WorkspaceTemplate};
use k8s_openapi::{
    ClusterResourceScope,
    api::{
        admissionregistration::v1::{
            ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration,
        },
        core::v1::{Namespace, Node, PersistentVolume, Pod},
        networking::v1::IngressClass,
        rbac::v1::{ClusterRole, ClusterRoleBinding},
        storage::v1::StorageClass,
    },
};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::{cluster, process};

/// Deletes what ended tests left, and returns the names of their namespaces. Does not wait until they are gone.
///
/// # Errors
/// When the cluster cannot be asked, or refuses a deletion.
pub async fn sweep() -> anyhow::Result<Vec<String>> {
    let admin = cluster::admin().await?;
    let namespaces = Api::<Namespace>::all(admin.clone());
    let made_by_tests = ListParams::default().labels(process::LABEL);
    let all = namespaces.list(&made_by_tests).await?.items;
    let ended = |namespace: &Namespace| {
        let process = namespace.labels().get(process::LABEL);
        process.is_some_and(|process| process::has_ended(process))
    };
    let left: Vec<_> = all
        .iter()
        .filter(|it| ended(it))
        .map(kube::ResourceExt::name_any)
        .collect();
    if left.is_empty() {
        return Ok(left);
    }
    // Rules first: they could keep anything else from going.
    remove::<ValidatingAdmissionPolicyBinding>(&admin, &left).await?;
    remove::<ValidatingAdmissionPolicy>(&admin, &left).await?;
    remove::<ValidatingWebhookConfiguration>(&admin, &left).await?;
    let nodes = remove::<Node>(&admin, &left).await?;
    for name in &left {
        done(namespaces.delete(name, &DeleteParams::default()).await.map(drop))?;
        release_pods(&admin, name, &nodes).await?;
    }
    remove::<WorkspaceTemplate>(&admin, &left).await?;
    remove::<WorkspaceManager>(&admin, &left).await?;
    remove::<StorageClass>(&admin, &left).await?;
    remove::<IngressClass>(&admin, &left).await?;
    remove::<ClusterRoleBinding>(&admin, &left).await?;
    remove::<ClusterRole>(&admin, &left).await?;
    let volumes = remove::<PersistentVolume>(&admin, &left).await?;
    // Nobody takes the finalizers off a volume that nobody attached.
    let none = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    let api = Api::<PersistentVolume>::all(admin);
    for volume in volumes {
        done(api.patch(&volume, &PatchParams::default(), &none).await.map(drop))?;
    }
    Ok(left)
}

/// Deletes objects of the whole cluster that carry the name of one of these namespaces, and returns their names.
async fn remove<K>(client: &Client, namespaces: &[String]) -> anyhow::Result<Vec<String>>
where
    K: Resource<DynamicType = (), Scope = ClusterResourceScope>,
    K: Clone + Debug + DeserializeOwned,
{
    let objects = Api::<K>::all(client.clone());
    let mut names = Vec::new();
    for object in objects.list_metadata(&ListParams::default()).await? {
        let name = object.name_any();
        if namespaces.iter().any(|namespace| name.contains(namespace)) {
            done(objects.delete(&name, &DeleteParams::default()).await.map(drop))?;
            names.push(name);
        }
    }
    Ok(names)
}

/// Deletes by force the pods on these nodes, on which nobody ends them.
async fn release_pods(client: &Client, namespace: &str, nodes: &[String]) -> anyhow::Result<()> {
    let pods = Api::<Pod>::namespaced(client.clone(), namespace);
    for pod in pods.list(&ListParams::default()).await? {
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref());
        if node.is_some_and(|node| nodes.contains(node)) {
            let now = DeleteParams::default().grace_period(0);
            done(pods.delete(&pod.name_any(), &now).await.map(drop))?;
        }
    }
    Ok(())
}

/// What is gone already is as it should be.
fn done(result: Result<(), kube::Error>) -> anyhow::Result<()> {
    match result {
        Err(kube::Error::Api(answer)) if answer.code == 404 => Ok(()),
        other => Ok(other?),
    }
}
