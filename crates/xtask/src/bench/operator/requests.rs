//! Phase and name of a workspace -> the request of its user (IO).

use anyhow::Context as _;
use kube::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

use super::objects::{NAMESPACE, workspace};

/// Number of concurrent requests.
pub(in crate::bench) const PARALLEL: usize = 32;

/// The phases. Every object goes through each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    Create,
    Stop,
    Start,
    Delete,
}

impl Phase {
    pub(super) const ALL: [Self; 4] = [Self::Create, Self::Stop, Self::Start, Self::Delete];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Stop => "stop",
            Self::Start => "start",
            Self::Delete => "delete",
        }
    }
}

/// Creates an object and returns its UID.
pub(in crate::bench) async fn make(client: &Client, object: &Value) -> anyhow::Result<String> {
    let object: DynamicObject = serde_json::from_value(object.clone())?;
    let kind = object.types.clone().context("the object says no kind")?;
    let kind = GroupVersionKind::try_from(&kind)?;
    let api = api(client, &resource(&kind), object.metadata.namespace.as_deref());
    let created = api.create(&PostParams::default(), &object).await;
    let created = created.with_context(|| format!("cannot create {}", object.name_any()))?;
    Ok(created.uid().unwrap_or_default())
}

/// Sends the user's request of a phase for one workspace, and returns its UID.
pub(super) async fn request(client: &Client, phase: Phase, name: &str) -> anyhow::Result<String> {
    let workspaces = workspaces(client);
    let desired = match phase {
        Phase::Create => return make(client, &workspace(name, "Running")).await,
        Phase::Delete => {
            let deleted = workspaces.delete(name, &DeleteParams::default()).await?;
            return Ok(deleted.left().and_then(|it| it.uid()).unwrap_or_default());
        }
        Phase::Stop => "Stopped",
        Phase::Start => "Running",
    };
    let change = Patch::Merge(json!({"spec": {"desiredStatus": desired}}));
    let changed = workspaces.patch(name, &PatchParams::default(), &change).await?;
    Ok(changed.uid().unwrap_or_default())
}

/// All workspaces of the benchmark.
pub(super) fn workspaces(client: &Client) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk(::api::names::GROUP, ::api::names::VERSION, "Workspace");
    api(client, &resource(&kind), Some(NAMESPACE))
}

/// Objects of a resource, in a namespace or in the whole cluster.
pub(in crate::bench) fn api(
    client: &Client,
    resource: &ApiResource,
    namespace: Option<&str>,
) -> Api<DynamicObject> {
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
        None => Api::all_with(client.clone(), resource),
    }
}

/// The resource of a kind; plurals are guessed, which is right for all used here.
pub(in crate::bench) fn resource(kind: &GroupVersionKind) -> ApiResource {
    ApiResource::from_gvk(kind)
}
