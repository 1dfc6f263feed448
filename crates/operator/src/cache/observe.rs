//! Caches -> references and observed state (in memory); parts read again from the API server (IO).

use std::sync::Arc;

use api::{Workspace, WorkspaceStatus};
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        core::v1::{PersistentVolumeClaim, Service},
        networking::v1::NetworkPolicy,
    },
};
use kube::{
    Api, Client, Resource,
    api::{ApiResource, DynamicObject},
    core::PartialObjectMeta,
};

use crate::{
    cache::{
        lists::Lister,
        observed::{Identity, Observed, claims_of},
        partial::Deployment,
        references::References,
        stores::{self, Parsed, Stores, Trim},
        warnings::ClusterWarnings,
    },
    support::failure::message_of,
};

/// The request to the API server failed.
#[derive(Debug, thiserror::Error)]
#[error("the children cannot be read: {}", message_of(.0))]
pub struct Error(#[from] pub kube::Error);

/// The objects that the workspace refers to, from the caches.
pub(crate) fn references(workspace: &Workspace, stores: &Stores) -> References {
    let mut references = References::default();
    if let Some(name) = &workspace.spec.template_ref
        && let Some(template) = stores::get_parsed(&stores.templates, None, name)
    {
        match &template.0 {
            Ok(template) => references.template = Some(template.clone()),
            Err(error) => {
                references.unreadable = Some(format!("WorkspaceTemplate {name:?} cannot be read: {error}."));
            }
        }
    }
    let template = references.template.as_ref().map(|template| &template.spec);
    if let Some(name) = rules::profile_name(&workspace.spec, template)
        && let Some(profile) =
            stores::get_parsed(&stores.profiles, workspace.metadata.namespace.as_deref(), name)
    {
        match &profile.0 {
            Ok(profile) => references.profile = Some(profile.clone()),
            Err(error) => {
                references.unreadable = Some(format!(
                    "WorkspaceExecutionProfile {name:?} cannot be read: {error}."
                ));
            }
        }
    }
    for manager in stores.managers.state() {
        match &manager.0 {
            Ok(manager) => references.managers.push(manager.clone()),
            Err(error) => {
                let name = error.metadata.name.as_deref().unwrap_or_default();
                references.unreadable = Some(format!("WorkspaceManager {name:?} cannot be read: {error}."));
            }
        }
    }
    references
}

/// The children, from the caches.
pub(crate) fn observed(identity: &Identity, stores: &Stores) -> Observed {
    let (name, namespace) = (identity.child_name(), &identity.namespace);
    let mut observed = Observed {
        claim: stores.claims.get(namespace, &name),
        deployment: stores.deployments.get(namespace, &name),
        service: stores.services.get(namespace, &name),
        policy: stores.policies.get(namespace, &name),
        account: stores.accounts.get(namespace, &identity.account_name()),
        replica_sets: stores.replica_sets.of(namespace, &identity.name),
        pods: stores.pods.of(namespace, &identity.name),
        storage_classes: stores::select(&stores.storage_classes, |_| true),
        ..Observed::empty(identity.clone())
    };
    add_warnings(&mut observed, &stores.cluster_warnings);
    observed
}

/// Adds warnings about the pods, their nodes and the disk.
fn add_warnings(observed: &mut Observed, cluster_warnings: &ClusterWarnings) {
    let pods = observed.pods.iter().map(|pod| &pod.metadata);
    let uids = pods
        .chain(observed.claim.iter().map(|claim| &claim.metadata))
        .filter_map(|meta| meta.uid.as_deref());
    let namespace = &observed.identity.namespace;
    observed.warnings = uids
        .flat_map(|uid| cluster_warnings.about(namespace, uid))
        .collect();
    let claims = observed.live_pods().flat_map(|pod| claims_of(pod.spec.as_ref()));
    let terminating = claims.filter(|claim| cluster_warnings.is_terminating(namespace, claim));
    observed.terminating = terminating.map(str::to_owned).collect();
    let nodes = observed
        .pods
        .iter()
        .filter_map(|pod| pod.spec.as_ref()?.node_name.clone());
    observed.nodes = nodes
        .filter_map(|name| Some((name.clone(), cluster_warnings.node(&name)?)))
        .collect();
}

/// What is read from the API server. ReplicaSets and pods always are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// ReplicaSets and pods. Use it when the state of the Deployment is already certain.
    Pods,
    /// Deployment, ReplicaSets and pods.
    DeploymentAndPods,
    /// All children.
    All,
}

/// The observed state with these children read from the API server now. The rest stays as it was. Deployment and ReplicaSets are read
/// first. So a pod that is missing in the list cannot come from one that was not scaled to 0 yet.
///
/// # Errors
/// A request to the API server failed.
pub(crate) async fn reread(
    mut known: Observed,
    scope: Scope,
    client: &Client,
    lister: &Lister,
) -> Result<Observed, Error> {
    let (namespace, name) = (&known.identity.namespace, &known.identity.child_name());
    if scope == Scope::All {
        (known.claim, known.service, known.policy) = futures::try_join!(
            get::<PersistentVolumeClaim>(client, namespace, name),
            get::<Service>(client, namespace, name),
            get::<NetworkPolicy>(client, namespace, name),
        )?;
    }
    if scope != Scope::Pods {
        known.deployment = get::<Deployment>(client, namespace, name).await?;
    }
    let found = lister.of(client, &known).await?;
    Ok(Observed {
        replica_sets: found.sets,
        pods: found.pods,
        ..known
    })
}

/// Version and status of a workspace whose spec cannot be parsed.
pub(crate) async fn unreadable(
    identity: &Identity,
    client: &Client,
) -> Result<(Option<String>, WorkspaceStatus), Error> {
    let resource = ApiResource::erase::<Workspace>(&());
    let workspaces: Api<DynamicObject> = Api::namespaced_with(client.clone(), &identity.namespace, &resource);
    let object = workspaces.get(&identity.name).await?;
    let status = object.data.get("status").cloned().unwrap_or_default();
    let status = serde_json::from_value(status).map_err(kube::Error::SerdeError)?;
    Ok((object.metadata.resource_version, status))
}

/// Whether the workspace with this UID exists. The caches may not show it, or still show it.
pub(crate) async fn exists(
    client: &Client,
    namespace: &str,
    name: &str,
    uid: &str,
) -> Result<bool, kube::Error> {
    let workspaces: Api<PartialObjectMeta<Workspace>> = Api::namespaced(client.clone(), namespace);
    let found = workspaces.get_metadata_opt(name).await?;
    Ok(found.is_some_and(|found| found.metadata.uid.as_deref() == Some(uid)))
}

/// The object of this name in the API server, reduced to what reconciles read.
pub(crate) async fn get<K>(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<Option<Arc<K>>, kube::Error>
where
    K: Trim + Resource<Scope = NamespaceResourceScope>,
{
    let objects: Api<Parsed<K>> = Api::namespaced(client.clone(), namespace);
    objects.get_opt(name).await?.map(Parsed::read).transpose()
}
