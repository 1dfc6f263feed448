//! Numbers of workspaces and shares -> an API server that lists them page by page (IO in process).
//!
//! It generates each page and stores no object, so that the memory of this process is the gateway's. All other requests
//! go to the API server in memory.

use std::fmt::Write as _;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

const API: &str = "workspaces.jupyter.org/v1alpha1";
/// Namespaces that workspaces are spread over.
const NAMESPACES: usize = 50;

/// What there is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Workspaces {
    /// Workspaces, and shares of one each.
    pub(crate) count: usize,
    /// How many of them, the first ones, are stopped.
    pub(crate) stopped: usize,
    /// The address of every running workspace's pod.
    pub(crate) pod: SocketAddr,
}

type Answered = http_body_util::combinators::UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// A client whose lists of workspaces and shares are made up, and whose other calls `other` answers.
pub(crate) fn client(other: Client, workspaces: Workspaces) -> Client {
    let service = tower::service_fn(move |request: Request<Body>| {
        let other = other.clone();
        async move {
            if let Some(list) = made_up(&request, workspaces) {
                let body = Full::from(list).map_err(|never| match never {});
                return Ok(Response::new(body.boxed_unsync()));
            }
            let answer = other.send(request).await?;
            Ok::<Response<Answered>, tower::BoxError>(
                answer.map(|body| body.map_err(Into::into).boxed_unsync()),
            )
        }
    });
    Client::new(service, "default")
}

/// Name and UID of workspace `number`, with its namespace.
pub(crate) fn named(number: usize) -> [String; 3] {
    [
        format!("team-{}", number % NAMESPACES),
        format!("lab-{number}"),
        format!("7f3c1a52-9d0e-4b7b-8a3e-{number:012}"),
    ]
}

fn made_up(request: &Request<Body>, workspaces: Workspaces) -> Option<String> {
    let query = request.uri().query().unwrap_or_default();
    let value = |name: &str| {
        form_urlencoded::parse(query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    };
    if value("watch").is_some() {
        return None;
    }
    let Workspaces { count, stopped, pod } = workspaces;
    let object = |number: usize| workspace(number, (number >= stopped).then_some(pod));
    let pods = |number: usize| pod_of(number, pod);
    let (kind, object): (_, &dyn Fn(usize) -> Value) = match request.uri().path().rsplit('/').next()? {
        "workspaces" => ("WorkspaceList", &object),
        "workspaceshares" => ("WorkspaceShareList", &share),
        "pods" => ("PodList", &pods),
        _ => return None,
    };
    let from: usize = value("continue").and_then(|at| at.parse().ok()).unwrap_or(0);
    let most: usize = value("limit")
        .and_then(|limit| limit.parse().ok())
        .unwrap_or(count);
    let to = (from + most).min(count);
    let next = if to < count { to.to_string() } else { String::new() };
    let metadata = json!({"resourceVersion": "1000000", "continue": next});
    // Text from the beginning: a page of parsed objects would be the larger part of what this process ever holds.
    let mut list = format!(r#"{{"apiVersion":"{API}","kind":"{kind}","metadata":{metadata},"items":["#);
    for number in from..to {
        let comma = if number > from { "," } else { "" };
        let _ = write!(list, "{comma}{}", object(number));
    }
    list.push_str("]}");
    Some(list)
}

/// A workspace whose pod is there, or which is stopped.
pub(crate) fn workspace(number: usize, pod: Option<SocketAddr>) -> Value {
    let [namespace, name, uid] = named(number);
    let endpoint = pod.map(
        |pod| json!({"podName": format!("workspace-{name}-0"), "podIP": pod.ip().to_string(), "port": pod.port()}),
    );
    let phase = if endpoint.is_some() { "Running" } else { "Stopped" };
    json!({
        "apiVersion": API,
        "kind": "Workspace",
        "metadata": {
            "name": name, "namespace": namespace, "uid": uid, "generation": 1, "resourceVersion": "1000",
            "creationTimestamp": "2026-01-02T03:04:05Z",
            "annotations": {api::names::CREATED_BY: "alice"},
            "finalizers": [api::names::CLEANUP_FINALIZER],
            "managedFields": [managed("kubectl-create"), managed("jupyter-k8s-operator-status")],
        },
        "spec": {"displayName": name, "templateRef": "production", "storage": {"size": "5Gi"}},
        "status": {
            "observedGeneration": 1, "phase": phase, "message": "",
            "url": format!("https://{name}.workspaces.localhost:8443/"),
            "podName": format!("workspace-{name}"), "serviceName": format!("workspace-{name}"),
            "runID": "b5c1d7", "owner": "alice", "endpoint": endpoint,
            "resolved": {"manager": "main", "accessType": "OwnerOnly", "image": "registry.example/jupyter:1"},
        },
    })
}

fn pod_of(number: usize, pod: SocketAddr) -> Value {
    let [namespace, name, uid] = named(number);
    let ip = pod.ip().to_string();
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": format!("workspace-{name}-0"), "namespace": namespace, "uid": format!("pod-of-{uid}"),
            "labels": {api::names::WORKSPACE_LABEL: name},
        },
        "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]},
    })
}

fn share(number: usize) -> Value {
    let [namespace, name, uid] = named(number);
    json!({
        "apiVersion": API,
        "kind": "WorkspaceShare",
        "metadata": {
            "name": format!("{name}-for-the-team"), "namespace": namespace, "uid": format!("share-{number}"), "generation": 1,
            "creationTimestamp": "2026-01-02T03:04:05Z",
            "annotations": {api::names::CREATED_BY: "alice"},
            "managedFields": [managed("kubectl-create"), managed("jupyter-k8s-operator-status")],
        },
        "spec": {
            "workspaceRef": name, "workspaceUID": uid, "role": "Connect",
            "subjects": [
                {"kind": "User", "name": format!("bob-{number}")},
                {"kind": "Group", "name": format!("oidc:project-{}", number % 500)},
            ],
        },
        "status": {"observedGeneration": 1, "conditions": [{
            "type": "Active", "status": "True", "reason": "Shared", "message": "Two subjects may connect.",
            "observedGeneration": 1, "lastTransitionTime": "2026-01-02T03:04:06Z",
        }]},
    })
}

fn managed(by: &str) -> Value {
    json!({
        "manager": by, "operation": "Apply", "apiVersion": API,
        "time": "2026-01-02T03:04:05Z", "fieldsType": "FieldsV1",
        "fieldsV1": {"f:metadata": {"f:annotations": {".": {}}}, "f:spec": {"f:displayName": {}, "f:storage": {".": {}, "f:size": {}}}},
    })
}
