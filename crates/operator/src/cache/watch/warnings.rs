//! Watches of warning Events, Nodes and foreign claims -> warnings, workspaces to reconcile (IO).
//!
//! Nothing waits for these watches. Without them, or without the right to watch, the operator works and reports less.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use api::names;
use futures::{Stream, StreamExt as _, stream};
use k8s_openapi::api::core::v1::{Event, Node as NodeObject, PersistentVolumeClaim as Claim};
use kit::scope::Scope;
use kube::{
    Api, Client, Resource as _, ResourceExt as _,
    core::PartialObjectMeta,
    runtime::watcher::{self, Event as Change},
};

use super::{Trigger, all_workspaces, events, parent};
use crate::cache::{
    observed::claims_of,
    partial::Pod,
    stores::{Stores, get_parsed, select},
    warnings::{ClusterWarnings, Node, POD, node_state},
};

/// Selects Events about pods and claims, except the most frequent ones of kubelet and scheduler and those that a pod's status shows.
/// There is one watch only: for each open watch of Events, the API server gets every Event of the cluster from etcd once more. A
/// selector cannot say "one of two kinds", so it excludes the other kinds with the most warnings.
const WARNINGS: &str = "type=Warning,involvedObject.kind!=Workspace,involvedObject.kind!=ReplicaSet,\
                        involvedObject.kind!=Deployment,involvedObject.kind!=Job,involvedObject.kind!=Node,\
                        involvedObject.kind!=HorizontalPodAutoscaler,\
                        reason!=BackOff,reason!=Failed,reason!=Unhealthy,reason!=FailedScheduling";
/// Node objects are large: tens of kilobytes each.
const NODES_PER_PAGE: u32 = 50;

/// Fills `cluster_warnings` while the stream is polled, and yields which workspaces to reconcile. It never ends and never fails.
pub(super) fn start(
    client: &Client,
    scope: &Scope,
    cluster_warnings: &Arc<ClusterWarnings>,
    stores: &Stores,
) -> impl Stream<Item = Vec<Trigger>> + Send + use<> {
    let claims = claims(
        scope.api(client.clone()),
        cluster_warnings.clone(),
        stores.clone(),
    );
    let nodes = match scope {
        Scope::Cluster => nodes(client, cluster_warnings.clone(), stores.clone()).boxed(),
        Scope::Namespace(_) => stream::empty().boxed(),
    };
    let warnings = warnings(
        scope.api(client.clone()),
        cluster_warnings.clone(),
        stores.clone(),
    );
    stream::select(warnings, stream::select(nodes, claims))
}

/// Watches claims. Workspaces may mount any claim by its name. Of claims that are no workspace's disk, only those that are being deleted
/// are kept.
fn claims(
    claims: Api<PartialObjectMeta<Claim>>,
    cluster_warnings: Arc<ClusterWarnings>,
    stores: Stores,
) -> impl Stream<Item = Vec<Trigger>> + Send + use<> {
    let config = watcher::Config::default().labels(&format!("!{}", names::WORKSPACE_LABEL));
    let mut listed: HashSet<(String, String)> = HashSet::new();
    let is_terminating = |claim: &PartialObjectMeta<Claim>| claim.metadata.deletion_timestamp.is_some();
    events(claims, config).map(move |change| match change {
        Change::Init => {
            listed.clear();
            Vec::new()
        }
        Change::InitApply(claim) => {
            if is_terminating(&claim) {
                listed.insert((claim.namespace().unwrap_or_default(), claim.name_any()));
            }
            Vec::new()
        }
        Change::InitDone => {
            cluster_warnings.replace_terminating(std::mem::take(&mut listed));
            all_workspaces(&stores)
        }
        Change::Apply(claim) => note_claim_change(&cluster_warnings, &stores, &claim, is_terminating(&claim)),
        Change::Delete(claim) => note_claim_change(&cluster_warnings, &stores, &claim, false),
    })
}

fn note_claim_change(
    cluster_warnings: &ClusterWarnings,
    stores: &Stores,
    claim: &PartialObjectMeta<Claim>,
    terminating: bool,
) -> Vec<Trigger> {
    let (namespace, name) = (claim.namespace().unwrap_or_default(), claim.name_any());
    if cluster_warnings.note_claim(&namespace, &name, terminating) {
        workspaces_at(&namespace, &name, stores)
    } else {
        Vec::new()
    }
}

fn warnings(
    warnings: Api<Event>,
    cluster_warnings: Arc<ClusterWarnings>,
    stores: Stores,
) -> impl Stream<Item = Vec<Trigger>> + Send + use<> {
    let config = watcher::Config::default().fields(WARNINGS);
    events(warnings, config).map(move |change| match change {
        Change::Apply(event) | Change::InitApply(event) if cluster_warnings.note(&event) => {
            workspace_of(&event, &stores).into_iter().collect()
        }
        Change::Delete(event) => {
            cluster_warnings.drop_event(&event);
            Vec::new()
        }
        Change::Apply(_) | Change::InitApply(_) | Change::Init | Change::InitDone => Vec::new(),
    })
}

fn nodes(
    client: &Client,
    cluster_warnings: Arc<ClusterWarnings>,
    stores: Stores,
) -> impl Stream<Item = Vec<Trigger>> + Send + use<> {
    let config = watcher::Config::default().page_size(NODES_PER_PAGE);
    let mut listed: HashMap<String, Node> = HashMap::new();
    events(Api::<NodeObject>::all(client.clone()), config).map(move |change| match change {
        Change::Init => {
            listed.clear();
            Vec::new()
        }
        Change::InitApply(node) => {
            listed.insert(node.name_any(), node_state(&node));
            Vec::new()
        }
        Change::InitDone => {
            // No event reports nodes that vanished meanwhile.
            cluster_warnings.replace_nodes(std::mem::take(&mut listed));
            all_workspaces(&stores)
        }
        Change::Apply(node) => note_node_change(
            &cluster_warnings,
            &stores,
            &node.name_any(),
            Some(node_state(&node)),
        ),
        Change::Delete(node) => note_node_change(&cluster_warnings, &stores, &node.name_any(), None),
    })
}

fn note_node_change(
    cluster_warnings: &ClusterWarnings,
    stores: &Stores,
    name: &str,
    node: Option<Node>,
) -> Vec<Trigger> {
    if cluster_warnings.note_node(name, node) {
        workspaces_on(name, stores)
    } else {
        Vec::new()
    }
}

/// The workspace whose pod or claim an Event is about.
fn workspace_of(event: &Event, stores: &Stores) -> Option<Trigger> {
    let about = &event.involved_object;
    let (namespace, name) = (about.namespace.as_deref(), about.name.as_deref()?);
    match about.kind.as_deref()? {
        POD => parent(get_parsed(&stores.pods, namespace, name)?.meta()),
        _ => parent(get_parsed(&stores.claims, namespace, name)?.meta()),
    }
}

/// The workspaces that have a pod on a node.
fn workspaces_on(node: &str, stores: &Stores) -> Vec<Trigger> {
    workspaces_of(stores, |pod| {
        pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == Some(node)
    })
}

/// The workspaces of a namespace that have a pod which mounts a claim.
fn workspaces_at(namespace: &str, claim: &str, stores: &Stores) -> Vec<Trigger> {
    workspaces_of(stores, |pod| {
        pod.metadata.namespace.as_deref() == Some(namespace)
            && claims_of(pod.spec.as_ref()).any(|mounted| mounted == claim)
    })
}

/// The workspaces of the pods for which `wanted` holds.
fn workspaces_of(stores: &Stores, wanted: impl Fn(&Pod) -> bool) -> Vec<Trigger> {
    let pods = select(&stores.pods, wanted);
    pods.iter().filter_map(|pod| parent(&pod.metadata)).collect()
}
