//! Caches -> references and observed state (in memory); the pod read from the API server (IO).

use std::{collections::BTreeSet, sync::Arc};

use api::{Workspace, WorkspaceStatus, WorkspaceTemplate};
use k8s_openapi::{
    NamespaceResourceScope, api::core::v1::PersistentVolumeClaim,
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client, Resource,
    api::{ApiResource, DynamicObject},
    core::PartialObjectMeta,
};

use crate::{
    cache::{
        observed::{Identity, Observed, claims_of},
        partial::Pod,
        references::References,
        stores::{self, Parsed, Stores, Trim},
        warnings::{ClusterWarnings, Warning},
    },
    support::failure::message_of,
};

/// The request to the API server failed.
#[derive(Debug, thiserror::Error)]
#[error("the children cannot be read: {}", message_of(.0))]
pub struct ReadError(#[from] pub kube::Error);

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

/// Adds claims under the names of the further disks that the template lists, or that the workspace had before, and warnings about them.
pub(crate) fn add_further_claims(
    observed: &mut Observed,
    workspace: &Workspace,
    template: Option<&WorkspaceTemplate>,
    stores: &Stores,
) {
    let identity = &observed.identity;
    let disks = template.iter().flat_map(|template| &template.spec.volume_claims);
    let names = disks.map(|disk| rules::names::further_claim(&disk.name, &identity.name));
    let had = workspace.status.iter().flat_map(|status| &status.claims);
    let had = had
        .map(|status| status.claim.clone())
        .filter(|claim| rules::names::is_further_claim(claim, &identity.name));
    let names: BTreeSet<_> = names.chain(had).collect();
    observed.further_claims = named_claims(identity, names.into_iter(), stores);
    let further = observed.further_claims.iter().map(|claim| &claim.metadata);
    let warnings = warnings(&identity.namespace, further, &stores.cluster_warnings);
    observed.warnings.extend(warnings);
}

/// Adds the further disks that its pods mount.
pub(crate) fn add_mounted_claims(observed: &mut Observed, stores: &Stores) {
    let identity = &observed.identity;
    let mounted = observed.live_pods().flat_map(|pod| claims_of(pod.spec.as_ref()));
    let further = mounted.filter(|claim| rules::names::is_further_claim(claim, &identity.name));
    observed.further_claims = named_claims(identity, further.map(str::to_owned), stores);
}

fn named_claims(
    identity: &Identity,
    names: impl Iterator<Item = String>,
    stores: &Stores,
) -> Vec<Arc<PersistentVolumeClaim>> {
    names
        .filter_map(|name| stores::get(&stores.claims, Some(&identity.namespace), &name))
        .collect()
}

/// All further disks of a workspace, whatever its template lists today.
pub(crate) fn all_further_claims(identity: &Identity, stores: &Stores) -> Vec<Arc<PersistentVolumeClaim>> {
    let is_own = |claim: &Parsed<PersistentVolumeClaim>| {
        let meta = claim.meta();
        let name = meta.name.as_deref().unwrap_or_default();
        meta.namespace.as_ref() == Some(&identity.namespace)
            && rules::names::is_further_claim(name, &identity.name)
            && identity.owns(meta)
    };
    let own = stores.claims.state_filter(is_own);
    own.iter().filter_map(|claim| claim.object()).collect()
}

/// The children, from the caches. Without further disks.
pub(crate) fn from_caches(identity: &Identity, stores: &Stores) -> Observed {
    let (name, namespace) = (identity.child_name(), &identity.namespace);
    let mut observed = Observed {
        claim: stores::get(&stores.claims, Some(namespace), &name),
        service: stores::get(&stores.services, Some(namespace), &name),
        account: stores::get(&stores.accounts, Some(namespace), &identity.account_name()),
        pods: stores::get(&stores.pods, Some(namespace), &name)
            .into_iter()
            .collect(),
        storage_classes: stores::select(&stores.storage_classes, |_| true),
        ..Observed::empty(identity.clone())
    };
    add_warnings(&mut observed, &stores.cluster_warnings);
    observed
}

/// What Events warn of about these objects.
fn warnings<'a>(
    namespace: &str,
    objects: impl Iterator<Item = &'a ObjectMeta>,
    cluster_warnings: &ClusterWarnings,
) -> Vec<Warning> {
    let uids = objects.filter_map(|meta| meta.uid.as_deref());
    uids.flat_map(|uid| cluster_warnings.about(namespace, uid))
        .collect()
}

/// Adds warnings about the pods, their nodes and the home.
fn add_warnings(observed: &mut Observed, cluster_warnings: &ClusterWarnings) {
    let pods = observed.pods.iter().map(|pod| &pod.metadata);
    let objects = pods.chain(observed.claim.iter().map(|claim| &claim.metadata));
    let namespace = &observed.identity.namespace;
    observed.warnings = warnings(namespace, objects, cluster_warnings);
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

/// The observed state with the pod read from the API server now: the cache shows none, and may be late.
///
/// # Errors
/// The request to the API server failed.
pub(crate) async fn with_live_pod(known: Observed, client: &Client) -> Result<Observed, ReadError> {
    let name = known.identity.child_name();
    let pod = get::<Pod>(client, &known.identity.namespace, &name).await?;
    Ok(Observed {
        pods: pod.into_iter().collect(),
        ..known
    })
}

/// Version and status of a workspace whose spec cannot be parsed.
pub(crate) async fn unreadable(
    identity: &Identity,
    client: &Client,
) -> Result<(Option<String>, WorkspaceStatus), ReadError> {
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
