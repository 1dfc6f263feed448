//! Workspace on its way out, world -> children deleted, then the finalizer released (IO).

use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::Deployment,
        core::v1::{PersistentVolumeClaim, Service},
        networking::v1::NetworkPolicy,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{DeleteParams, Preconditions, PropagationPolicy},
};
use serde::de::DeserializeOwned;

use crate::{
    context::Context,
    failure::message_of,
    finalizer,
    world::{Identity, World},
};

/// A child could not be deleted, or the finalizer not released, in a way that passes by itself.
#[derive(Debug, thiserror::Error)]
#[error("the workspace cannot be cleaned up: {}", message_of(.0))]
pub struct Error(#[from] pub kube::Error);

/// Deletes what belongs to the workspace and says, for people, what is left; nothing is left once the finalizer is
/// released. `object` is the workspace, of which only metadata is looked at, `world` what the API server holds now.
pub async fn retire<K>(context: &Context, object: &K, world: &World) -> Result<Option<String>, Error>
where
    K: Resource<DynamicType = ()>,
{
    if !finalizer::is_held(object) {
        return Ok(None);
    }
    let (client, identity) = (&context.client, &world.identity);
    let left = left(world);
    futures::try_join!(
        delete::<Deployment>(client, identity, world.deployment.as_deref()),
        delete::<Service>(client, identity, world.service.as_deref()),
        delete::<PersistentVolumeClaim>(client, identity, world.claim.as_deref()),
    )?;
    if has_no_pods(world) {
        // Last: a pod that is still ending stays walled in.
        delete::<NetworkPolicy>(client, identity, world.policy.as_deref()).await?;
    }
    if let Some(left) = left {
        return Ok(Some(left));
    }
    finalizer::release(context, object).await?;
    Ok(None)
}

/// What is left of the workspace, in words.
fn left(world: &World) -> Option<String> {
    let ours = |meta: &ObjectMeta| world.identity.owns(meta);
    let pods = world
        .pods
        .iter()
        .filter(|pod| world.identity.marked(&pod.metadata))
        .map(|pod| pod.name_any());
    let mut left: Vec<String> = pods.map(|name| format!("pod {name}")).collect();
    let children = [
        (
            "Deployment",
            world.deployment.as_ref().is_some_and(|it| ours(&it.metadata)),
        ),
        ("disk", world.claim.as_ref().is_some_and(|it| ours(&it.metadata))),
        (
            "Service",
            world.service.as_ref().is_some_and(|it| ours(&it.metadata)),
        ),
        (
            "NetworkPolicy",
            world.policy.as_ref().is_some_and(|it| ours(&it.metadata)),
        ),
        (
            "ReplicaSet",
            world
                .replica_sets
                .iter()
                .any(|it| world.identity.marked(&it.metadata)),
        ),
    ];
    left.extend(
        children
            .into_iter()
            .filter(|(_, exists)| *exists)
            .map(|(kind, _)| kind.to_owned()),
    );
    (!left.is_empty()).then(|| left.join(", "))
}

fn has_no_pods(world: &World) -> bool {
    let marked = |meta: &ObjectMeta| world.identity.marked(meta);
    !world.pods.iter().any(|pod| marked(&pod.metadata))
        && !world.replica_sets.iter().any(|it| marked(&it.metadata))
}

/// Deletes a child that is ours and not yet on its way out, together with what it owns, and no other of its name.
async fn delete<K>(client: &Client, identity: &Identity, live: Option<&K>) -> Result<(), kube::Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug,
{
    let Some(live) = live else { return Ok(()) };
    if live.meta().deletion_timestamp.is_some() || !identity.owns(live.meta()) {
        return Ok(());
    }
    let children: Api<K> = Api::namespaced(client.clone(), &identity.namespace);
    let params = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Foreground),
        preconditions: Some(Preconditions {
            uid: live.meta().uid.clone(),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    match children.delete(&identity.child_name(), &params).await {
        // Gone already, or another object by now.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        result => result.map(|_| ()),
    }
}
