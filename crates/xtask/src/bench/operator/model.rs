//! The operator's children of one workspace -> the same objects under any name (IO).
//!
//! The reference is not written by hand. It is exactly what the measured operator creates.

use std::time::Duration;

use anyhow::{Context as _, bail};
use kube::api::{DynamicObject, GroupVersionKind};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::objects::NAMESPACE;
use super::requests::{Phase, api, request, resource, workspaces};

/// Name of the model workspace. It has the same length as the other names.
const NAME: &str = "w-model";
/// Timeout of one step.
const LIMIT: Duration = Duration::from_mins(1);
/// `clusterIP` of a Service without address.
const HEADLESS: &str = "None";
/// Metadata that only the API server sets.
const SET_BY_SERVER: [&str; 6] = [
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "managedFields",
    "selfLink",
];

/// The children and statuses of one workspace.
#[derive(Debug)]
pub(super) struct Model {
    /// Network policy, Service and Deployment, in the order of their creation.
    children: Vec<Value>,
    /// Its status while it runs, and when it has stopped.
    running: Value,
    stopped: Value,
}

impl Model {
    /// Creates one workspace with the running operator, stops it and deletes it.
    pub(super) async fn take(client: &Client) -> anyhow::Result<Self> {
        request(client, Phase::Create, NAME).await?;
        let running = settled(client, "Running").await?;
        let mut children = Vec::new();
        for (group, version, kind) in [
            ("networking.k8s.io", "v1", "NetworkPolicy"),
            ("", "v1", "Service"),
            ("apps", "v1", "Deployment"),
        ] {
            let kind = resource(&GroupVersionKind::gvk(group, version, kind));
            let child = api(client, &kind, Some(NAMESPACE))
                .get(&child_name(NAME))
                .await
                .with_context(|| format!("the operator has made no {}", kind.kind))?;
            children.push(request_of(serde_json::to_value(child)?));
        }
        request(client, Phase::Stop, NAME).await?;
        let stopped = settled(client, "Stopped").await?;
        request(client, Phase::Delete, NAME).await?;
        gone(client).await?;
        Ok(Self {
            children,
            running,
            stopped,
        })
    }

    /// The children of the workspace of that name, in that namespace. Their owner is the workspace of that UID, as with the
    /// operator's; without a UID they have no owner.
    pub(super) fn children(&self, name: &str, namespace: &str, owner: Option<&str>) -> Vec<Value> {
        let children = self.children.iter();
        let named = children.map(|child| {
            let mut child = renamed(child, name);
            let metadata = &mut child["metadata"];
            metadata["namespace"] = namespace.into();
            match owner {
                Some(uid) if metadata.get("ownerReferences").is_some() => {
                    metadata["ownerReferences"][0]["uid"] = uid.into();
                }
                _ => {
                    metadata
                        .as_object_mut()
                        .map(|metadata| metadata.remove("ownerReferences"));
                }
            }
            child
        });
        named.collect()
    }

    /// The status of the workspace of that name after a phase, as the operator writes it.
    pub(super) fn status(&self, name: &str, phase: Phase) -> Value {
        let mut status = renamed(
            if phase == Phase::Stop {
                &self.stopped
            } else {
                &self.running
            },
            name,
        );
        if phase != Phase::Stop {
            // Each run has an identifier of its own.
            status["runID"] = format!("{}-{name}", phase.name()).into();
        }
        json!({
            "apiVersion": format!("{}/{}", ::api::names::GROUP, ::api::names::VERSION),
            "kind": "Workspace",
            "metadata": {"name": name},
            "status": status,
        })
    }
}

/// The common name of a workspace's children.
pub(super) fn child_name(workspace: &str) -> String {
    format!("workspace-{workspace}")
}

/// The status of the model once it is in that phase, and stays there.
async fn settled(client: &Client, phase: &'static str) -> anyhow::Result<Value> {
    let workspaces: Api<DynamicObject> = workspaces(client);
    let is_there = move |object: Option<&DynamicObject>| {
        object.is_some_and(|object| object.data["status"]["phase"] == phase)
    };
    let reached = await_condition(workspaces, NAME, is_there);
    let Ok(reached) = tokio::time::timeout(LIMIT, reached).await else {
        bail!("the model is not {phase} after {LIMIT:?}");
    };
    let object = reached?.context("the model is gone")?;
    Ok(object.data["status"].clone())
}

async fn gone(client: &Client) -> anyhow::Result<()> {
    let workspaces: Api<DynamicObject> = workspaces(client);
    let uid = workspaces.get_opt(NAME).await?.and_then(|it| it.metadata.uid);
    let Some(uid) = uid else { return Ok(()) };
    let deleted = await_condition(workspaces, NAME, conditions::is_deleted(&uid));
    let Ok(deleted) = tokio::time::timeout(LIMIT, deleted).await else {
        bail!("the model is not gone after {LIMIT:?}");
    };
    deleted?;
    Ok(())
}

/// A stored object -> the request that creates it (pure).
fn request_of(mut object: Value) -> Value {
    if let Some(object) = object.as_object_mut() {
        object.remove("status");
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.retain(|key, _| !SET_BY_SERVER.contains(&key.as_str()));
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.retain(|key, _| !key.starts_with("deployment.kubernetes.io/"));
        }
    }
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut)
        && spec.get("clusterIP").is_some_and(|address| address != HEADLESS)
    {
        spec.retain(|key, _| key != "clusterIP" && key != "clusterIPs");
    }
    object
}

/// The same for a workspace of another name (pure).
fn renamed(value: &Value, name: &str) -> Value {
    match value {
        Value::String(text) => text.replace(NAME, name).into(),
        Value::Array(values) => values.iter().map(|value| renamed(value, name)).collect(),
        Value::Object(fields) => {
            let fields = fields.iter();
            let fields = fields.map(|(key, value)| (key.replace(NAME, name), renamed(value, name)));
            Value::Object(fields.collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> Model {
        let stored = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": "workspace-w-model",
                "namespace": "bench",
                "uid": "1",
                "resourceVersion": "7",
                "managedFields": [{"manager": "operator"}],
                "labels": {"workspaces.jupyter.org/workspace": "w-model"},
                "ownerReferences": [{"kind": "Workspace", "name": "w-model", "uid": "2"}],
            },
            "spec": {"clusterIP": "10.0.0.7", "clusterIPs": ["10.0.0.7"], "selector": {"workspaces.jupyter.org/workspace": "w-model"}},
            "status": {"loadBalancer": {}},
        });
        Model {
            children: vec![request_of(stored)],
            running: json!({"phase": "Running", "runID": "abc", "url": "https://w-model.example.org/"}),
            stopped: json!({"phase": "Stopped"}),
        }
    }

    #[test]
    fn a_child_of_another_name_is_the_same_but_for_what_the_server_sets() {
        let children = model().children("w-00001", "elsewhere", Some("9"));
        assert_eq!(
            children,
            [json!({
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {
                    "name": "workspace-w-00001",
                    "namespace": "elsewhere",
                    "labels": {"workspaces.jupyter.org/workspace": "w-00001"},
                    "ownerReferences": [{"kind": "Workspace", "name": "w-00001", "uid": "9"}],
                },
                "spec": {"selector": {"workspaces.jupyter.org/workspace": "w-00001"}},
            })]
        );
        let bare = model().children("w-00001", "elsewhere", None);
        assert!(bare[0]["metadata"].get("ownerReferences").is_none());
    }

    #[test]
    fn a_service_without_an_address_asks_for_none() {
        let spec = json!({"clusterIP": "None", "clusterIPs": ["None"]});
        let service = json!({"metadata": {"name": "workspace-w-model"}, "spec": spec});
        assert_eq!(request_of(service)["spec"], spec);
    }

    #[test]
    fn a_status_is_that_of_the_phase_and_of_its_run() {
        let model = model();
        let status = |phase| model.status("w-00001", phase)["status"].clone();
        assert_eq!(status(Phase::Stop), json!({"phase": "Stopped"}));
        assert_eq!(status(Phase::Create)["url"], "https://w-00001.example.org/");
        assert_ne!(status(Phase::Create)["runID"], status(Phase::Start)["runID"]);
    }
}
