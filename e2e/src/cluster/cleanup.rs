//! Namespaces of tests that ended before their cleanup -> deleted (IO).
//!
//! A failed test keeps its objects for inspection, and the next run deletes them. Objects of a running test stay.
//! A label of the namespace identifies the process and its machine. Each machine deletes only its own leftovers.

use std::fmt::Debug;

use api::{WorkspaceManager, WorkspaceTemplate};
use k8s_openapi::{
    ClusterResourceScope,
    api::{
        admissionregistration::v1::{
            MutatingWebhookConfiguration, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
            ValidatingWebhookConfiguration,
        },
        core::v1::{Namespace, Node, PersistentVolume, Pod},
        networking::v1::IngressClass,
        node::v1::RuntimeClass,
        rbac::v1::{ClusterRole, ClusterRoleBinding},
        scheduling::v1::PriorityClass,
        storage::v1::StorageClass,
    },
    kube_aggregator::pkg::apis::apiregistration::v1::APIService,
};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams},
};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::{cluster, test_run::process};

/// Deletes leftovers of ended tests, and returns the names of their namespaces. Does not wait until they are gone.
///
/// # Errors
/// The cluster does not answer, or refuses a deletion.
pub async fn cleanup() -> anyhow::Result<Vec<String>> {
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
    remove_cluster_objects(&admin, &left).await?;
    // While one has no server, no namespace ends.
    remove_api_services(&admin).await?;
    let nodes = remove::<Node>(&admin, &left).await?;
    for name in &left {
        done(namespaces.delete(name, &DeleteParams::default()).await.map(drop))?;
        release_pods(&admin, name, &nodes).await?;
    }
    Ok(left)
}

/// Deletes what tests make outside of their namespaces, by whose names it is named. Does not wait.
///
/// # Errors
/// The cluster does not answer, or refuses a deletion.
pub async fn remove_cluster_objects(client: &Client, namespaces: &[String]) -> anyhow::Result<()> {
    // Admission policies come first, because they could block other deletions.
    remove::<ValidatingAdmissionPolicyBinding>(client, namespaces).await?;
    remove::<ValidatingAdmissionPolicy>(client, namespaces).await?;
    remove_mutating_policies(client, namespaces).await?;
    remove::<MutatingWebhookConfiguration>(client, namespaces).await?;
    remove::<ValidatingWebhookConfiguration>(client, namespaces).await?;
    remove::<WorkspaceTemplate>(client, namespaces).await?;
    remove::<WorkspaceManager>(client, namespaces).await?;
    remove::<StorageClass>(client, namespaces).await?;
    remove::<PriorityClass>(client, namespaces).await?;
    remove::<RuntimeClass>(client, namespaces).await?;
    remove::<IngressClass>(client, namespaces).await?;
    remove::<ClusterRoleBinding>(client, namespaces).await?;
    remove::<ClusterRole>(client, namespaces).await?;
    // No controller removes the finalizers of a volume that was never attached.
    let none = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    let volumes = Api::<PersistentVolume>::all(client.clone());
    for volume in remove_of(&volumes, namespaces).await? {
        done(
            volumes
                .patch(&volume, &PatchParams::default(), &none)
                .await
                .map(drop),
        )?;
    }
    Ok(())
}

/// Deletes cluster-scoped objects with the name of one of these namespaces, and returns their names.
async fn remove<K>(client: &Client, namespaces: &[String]) -> anyhow::Result<Vec<String>>
where
    K: Resource<DynamicType = (), Scope = ClusterResourceScope>,
    K: Clone + Debug + DeserializeOwned,
{
    remove_of(&Api::<K>::all(client.clone()), namespaces).await
}

/// Deletes mutating admission policies and their bindings. API servers before Kubernetes 1.36 need not serve these.
async fn remove_mutating_policies(client: &Client, namespaces: &[String]) -> anyhow::Result<()> {
    for kind in ["MutatingAdmissionPolicyBinding", "MutatingAdmissionPolicy"] {
        let kind = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind);
        let objects = Api::<DynamicObject>::all_with(client.clone(), &ApiResource::from_gvk(&kind));
        match objects.list_metadata(&ListParams::default().limit(1)).await {
            Err(kube::Error::Api(answer)) if answer.code == 404 => {}
            _ => drop(remove_of(&objects, namespaces).await?),
        }
    }
    Ok(())
}

/// Deletes registrations of API groups, which have no test's namespace in their names.
async fn remove_api_services(client: &Client) -> anyhow::Result<()> {
    let objects = Api::<APIService>::all(client.clone());
    let made_by_tests = ListParams::default().labels(process::LABEL);
    for object in objects.list(&made_by_tests).await? {
        if process::has_ended(&object.labels()[process::LABEL]) {
            let name = object.name_any();
            done(objects.delete(&name, &DeleteParams::default()).await.map(drop))?;
        }
    }
    Ok(())
}

async fn remove_of<K>(objects: &Api<K>, namespaces: &[String]) -> anyhow::Result<Vec<String>>
where
    K: Clone + Debug + DeserializeOwned,
{
    let mut names = Vec::new();
    for object in objects.list_metadata(&ListParams::default()).await? {
        let name = object.metadata.name.unwrap_or_default();
        if namespaces.iter().any(|namespace| name.contains(namespace)) {
            done(objects.delete(&name, &DeleteParams::default()).await.map(drop))?;
            names.push(name);
        }
    }
    Ok(names)
}

/// Deletes pods on these nodes by force, because no kubelet ends them.
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

/// An object that is already gone is no error.
fn done(result: Result<(), kube::Error>) -> anyhow::Result<()> {
    match result {
        Err(kube::Error::Api(answer)) if answer.code == 404 => Ok(()),
        other => Ok(other?),
    }
}
