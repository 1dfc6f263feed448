//! Watches of Warning Events and Nodes -> signs, and which workspaces to look at (IO).
//!
//! Nothing waits for these watches: without them (or without the right to watch) the operator works, and says less.

use std::{collections::HashMap, sync::Arc};

use api::names;
use futures::{Stream, StreamExt as _, stream};
use k8s_openapi::api::core::v1::{Event, Node as NodeObject};
use kube::{
    Api, Client, ResourceExt as _,
    runtime::{
        WatchStreamExt as _,
        reflector::ObjectRef,
        watcher::{self, Event as Change, watcher},
    },
};

use super::{Wake, everybody};
use crate::{
    signs::{Node, POD, Signs, stand_of},
    stores::{Glance, Stores},
};

/// Those about pods and claims, but for what the kubelet and the scheduler repeat most, and what every pod's status tells. In one watch:
/// the API server has etcd tell it of every Event of the cluster once for each watch of Events that anybody has open. A selector cannot
/// say "one of two kinds", so it names the kinds that have warnings most often besides.
const WARNINGS: &str = "type=Warning,involvedObject.kind!=Workspace,involvedObject.kind!=ReplicaSet,\
                        involvedObject.kind!=Deployment,involvedObject.kind!=Job,involvedObject.kind!=Node,\
                        involvedObject.kind!=HorizontalPodAutoscaler,\
                        reason!=BackOff,reason!=Failed,reason!=Unhealthy,reason!=FailedScheduling";
/// Node objects are large: tens of kilobytes each.
const NODES_PER_PAGE: u32 = 50;

/// Fills `signs` for as long as the stream is polled, and yields what to look at. It never ends and never fails.
pub(super) fn start(
    client: &Client,
    signs: &Arc<Signs>,
    stores: &Stores,
) -> impl Stream<Item = Wake> + Send + use<> {
    stream::select(
        warnings(client, signs.clone(), stores.clone()),
        nodes(client, signs.clone(), stores.clone()),
    )
}

fn warnings(client: &Client, signs: Arc<Signs>, stores: Stores) -> impl Stream<Item = Wake> + Send + use<> {
    let config = watcher::Config::default().fields(WARNINGS);
    watcher(Api::<Event>::all(client.clone()), config)
        .default_backoff()
        .filter_map(move |change| {
            let wake = match change {
                Ok(Change::Apply(event) | Change::InitApply(event)) => signs
                    .note(&event)
                    .then(|| workspace_of(&event, &stores))
                    .flatten(),
                Ok(Change::Delete(event)) => {
                    signs.drop_event(&event);
                    None
                }
                Ok(Change::Init | Change::InitDone) => None,
                Err(error) => {
                    tracing::warn!(%error, kind = "Event", "the watch broke and is begun anew");
                    None
                }
            };
            std::future::ready(wake)
        })
}

fn nodes(client: &Client, signs: Arc<Signs>, stores: Stores) -> impl Stream<Item = Wake> + Send + use<> {
    let config = watcher::Config::default().page_size(NODES_PER_PAGE);
    let mut listed: HashMap<String, Node> = HashMap::new();
    watcher(Api::<NodeObject>::all(client.clone()), config)
        .default_backoff()
        .map(move |change| match change {
            Ok(Change::Init) => {
                listed.clear();
                Vec::new()
            }
            Ok(Change::InitApply(node)) => {
                listed.insert(node.name_any(), stand_of(&node));
                Vec::new()
            }
            Ok(Change::InitDone) => {
                // Nodes that vanished meanwhile are reported by no event.
                signs.replace_nodes(std::mem::take(&mut listed));
                everybody(&stores)
            }
            Ok(Change::Apply(node)) => told(&signs, &stores, &node.name_any(), Some(stand_of(&node))),
            Ok(Change::Delete(node)) => told(&signs, &stores, &node.name_any(), None),
            Err(error) => {
                tracing::warn!(%error, kind = "Node", "the watch broke and is begun anew");
                Vec::new()
            }
        })
        .flat_map(stream::iter)
}

fn told(signs: &Signs, stores: &Stores, name: &str, node: Option<Node>) -> Vec<Wake> {
    if signs.note_node(name, node) {
        workspaces_on(name, stores)
    } else {
        Vec::new()
    }
}

/// The workspace whose pod or claim an Event is about.
fn workspace_of(event: &Event, stores: &Stores) -> Option<Wake> {
    let about = &event.involved_object;
    let (namespace, name) = (about.namespace.as_deref(), about.name.as_deref()?);
    let labels = match about.kind.as_deref()? {
        POD => stores.pods.get(namespace?, name)?.labels().clone(),
        _ => stores.claims.get(namespace?, name)?.labels().clone(),
    };
    let workspace = labels.get(names::WORKSPACE_LABEL)?;
    Some(ObjectRef::new(workspace).within(namespace?))
}

/// The workspaces that have a pod on a node.
fn workspaces_on(node: &str, stores: &Stores) -> Vec<Wake> {
    let on_it = |pod: &Glance<'_>| pod.says("nodeName", node);
    let parents = stores.pods.parents(on_it).into_iter();
    parents
        .map(|(namespace, workspace)| ObjectRef::new(&workspace).within(&namespace))
        .collect()
}

#[cfg(test)]
mod tests {
    use kube::runtime::watcher::Event as Change;
    use serde_json::json;

    use super::*;
    use crate::{
        fixtures,
        stores::{Guarded, Writers},
    };

    #[test]
    fn an_event_wakes_the_workspace_of_its_pod_and_a_node_those_on_it() {
        let mut writers = Writers::default();
        let mut pod = fixtures::running().pods[0].as_ref().clone();
        pod.spec.as_mut().unwrap().node_name = Some("n1".to_owned());
        writers.pods.apply(Change::Apply(Guarded::of(pod.clone())));
        let stores = writers.stores();
        let event: Event = serde_json::from_value(json!({
            "metadata": {},
            "involvedObject": {"kind": "Pod", "namespace": pod.metadata.namespace, "name": pod.metadata.name},
        }))
        .unwrap();
        assert_eq!(workspace_of(&event, &stores).unwrap().name, "demo");
        assert_eq!(workspaces_on("n1", &stores).len(), 1);
        assert_eq!(workspaces_on("n2", &stores).len(), 0);
    }
}
