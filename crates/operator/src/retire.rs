//! Workspace on its way out, world -> children deleted, then the finalizer released (IO).

use k8s_openapi::{NamespaceResourceScope, apimachinery::pkg::apis::meta::v1::ObjectMeta};
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
    // A Deployment goes after its pods; the others have nothing to wait for.
    let deployment = delete(
        client,
        identity,
        world.deployment.as_deref(),
        PropagationPolicy::Foreground,
    );
    let (_, service, claim) = futures::try_join!(
        deployment,
        delete(
            client,
            identity,
            world.service.as_deref(),
            PropagationPolicy::Background
        ),
        delete(
            client,
            identity,
            world.claim.as_deref(),
            PropagationPolicy::Background
        ),
    )?;
    let mut left = makers(world);
    let mut wait_for = |kind: &str, gone: bool| {
        if !gone {
            left.push(kind.to_owned());
        }
    };
    wait_for("disk", claim);
    wait_for("Service", service);
    if seems_bare(world) {
        // Last: a pod that is still ending stays walled in.
        let policy = delete(
            client,
            identity,
            world.policy.as_deref(),
            PropagationPolicy::Background,
        );
        wait_for("NetworkPolicy", policy.await?);
    }
    if !left.is_empty() {
        return Ok(Some(left.join(", ")));
    }
    finalizer::release(context, object).await?;
    Ok(None)
}

/// Whether nothing of the workspace is left that is a pod or makes one.
pub fn seems_bare(world: &World) -> bool {
    makers(world).is_empty()
}

/// Pods of the workspace and what makes them, in words.
fn makers(world: &World) -> Vec<String> {
    let marked = |meta: &ObjectMeta| world.identity.marked(meta);
    let pods = world.pods.iter().filter(|pod| marked(&pod.metadata));
    let mut left: Vec<String> = pods.map(|pod| format!("pod {}", pod.name_any())).collect();
    if world.replica_sets.iter().any(|it| marked(&it.metadata)) {
        left.push("ReplicaSet".to_owned());
    }
    if world.own_deployment().is_some() {
        left.push("Deployment".to_owned());
    }
    left
}

/// Deletes a child that is ours and not yet on its way out, and no other of its name; whether none of ours is left.
async fn delete<K>(
    client: &Client,
    identity: &Identity,
    live: Option<&K>,
    propagation: PropagationPolicy,
) -> Result<bool, kube::Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug,
{
    let Some(live) = live.filter(|live| identity.owns(live.meta())) else {
        return Ok(true);
    };
    if live.meta().deletion_timestamp.is_some() {
        return Ok(false);
    }
    let children: Api<K> = Api::namespaced(client.clone(), &identity.namespace);
    let params = DeleteParams {
        propagation_policy: Some(propagation),
        preconditions: Some(Preconditions {
            uid: live.meta().uid.clone(),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    match children.delete(&identity.child_name(), &params).await {
        // What is only marked for deletion is shown with its mark.
        Ok(answer) => Ok(answer
            .left()
            .is_none_or(|it| it.meta().deletion_timestamp.is_none())),
        // Gone already, or another object by now.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(true),
        Err(error) => Err(error),
    }
}
