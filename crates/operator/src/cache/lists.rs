//! Names of workspaces -> their ReplicaSets and pods from the API server (IO), in merged requests.
//!
//! That no pod is left must be read from the API server before it is reported or relied upon (docs/decisions/0032). When many workspaces
//! stop at a time, that would be two lists per workspace, each over all pods of the namespace. So a caller that comes during lists of
//! the namespace waits for the next ones, which serve all waiting callers. No caller gets an answer that is older than its request.

use std::{collections::HashMap, fmt::Debug, sync::Arc, time::Duration};

use api::names;
use k8s_openapi::{
    NamespaceResourceScope,
    api::{apps::v1::ReplicaSet, core::v1::Pod},
};
use kube::{Api, Client, Resource, api::ListParams};
use parking_lot::Mutex;
use tokio::{sync::oneshot, time::Instant};

use crate::cache::stores::{Parsed, trim::Trim};

/// Workspaces in one batch: a selector has to fit into a URL.
const MAX_BATCH: usize = 64;
/// Gap between two batches about a namespace. A list costs the API server the same for one workspace as for many. So requests that
/// follow each other wait and are merged.
const BATCH_GAP: Duration = Duration::from_millis(150);
/// Pods that may still use a disk.
const NOT_ENDED: &str = "status.phase!=Succeeded,status.phase!=Failed";

/// The objects of one workspace in the API server.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// ReplicaSets with the workspace's label.
    pub sets: Vec<Arc<ReplicaSet>>,
    /// Pods with the workspace's label.
    pub pods: Vec<Arc<Pod>>,
    /// Pods of the namespace that have not ended, whatever their labels: users may remove or overwrite labels.
    pub running: Arc<[Parsed<Pod>]>,
}

/// Merges requests by namespace.
#[derive(Debug, Default)]
pub struct Lister {
    queues: Mutex<HashMap<String, Arc<Queue>>>,
}

/// The requests about one namespace. The task that holds `sending` sends one batch for all waiting tasks.
#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Vec<Request>>,
    /// Locked by the task that sends the batch. Holds the time of the last batch.
    sending: tokio::sync::Mutex<Option<Instant>>,
}

#[derive(Debug)]
struct Request {
    workspace: String,
    answer: oneshot::Sender<Result<Found, kube::Error>>,
}

impl Lister {
    /// ReplicaSets and pods with the label of this workspace, and all pods that have not ended. ReplicaSets are read first. So a pod that
    /// is missing in the answer cannot come from a ReplicaSet that was not scaled to 0 yet.
    ///
    /// # Errors
    /// The request to the API server failed.
    pub async fn of(&self, client: &Client, namespace: &str, workspace: &str) -> Result<Found, kube::Error> {
        let queue = self.queue(namespace);
        loop {
            let (sender, mut answer) = oneshot::channel();
            queue.waiting.lock().push(Request {
                workspace: workspace.to_owned(),
                answer: sender,
            });
            let mut sending = tokio::select! {
                biased;
                // The task that sent our request may have been dropped. Then we send it again.
                answered = &mut answer => match answered {
                    Ok(found) => return found,
                    Err(_) => continue,
                },
                sending = queue.sending.lock() => sending,
            };
            match *sending {
                Some(last) => tokio::time::sleep_until(last + BATCH_GAP).await,
                // Other reconciles that the same change triggered join this batch.
                None => tokio::task::yield_now().await,
            }
            queue.send_batch(client, namespace).await;
            *sending = Some(Instant::now());
            drop(sending);
            // More tasks may wait than fit into one batch.
            if let Ok(found) = answer.try_recv() {
                return found;
            }
        }
    }

    /// The queue of this namespace. Queues without a caller are dropped.
    fn queue(&self, namespace: &str) -> Arc<Queue> {
        let mut queues = self.queues.lock();
        queues.retain(|_, queue| Arc::strong_count(queue) > 1);
        queues.entry(namespace.to_owned()).or_default().clone()
    }
}

impl Queue {
    /// Sends the request for the tasks that wait now, the longest-waiting first.
    async fn send_batch(&self, client: &Client, namespace: &str) {
        let batch: Vec<Request> = {
            let mut waiting = self.waiting.lock();
            // Dropped callers need no answer.
            waiting.retain(|request| !request.answer.is_closed());
            let count = waiting.len().min(MAX_BATCH);
            waiting.drain(..count).collect()
        };
        if batch.is_empty() {
            return;
        }
        let names: Vec<&str> = batch.iter().map(|request| request.workspace.as_str()).collect();
        match list_all(client, namespace, &selector(&names)).await {
            Ok(found) => {
                let (sets, pods) = (by_workspace(found.sets), by_workspace(found.pods));
                for Request { workspace, answer } in batch {
                    // The same workspace may be listed twice: a caller may have been dropped and started again.
                    let found = Found {
                        sets: sets.get(&workspace).cloned().unwrap_or_default(),
                        pods: pods.get(&workspace).cloned().unwrap_or_default(),
                        running: found.running.clone(),
                    };
                    let _ = answer.send(Ok(found));
                }
            }
            Err(error) => {
                for request in batch {
                    let _ = request.answer.send(Err(copy_of(&error)));
                }
            }
        }
    }
}

async fn list_all(client: &Client, namespace: &str, selector: &str) -> Result<Found, kube::Error> {
    let labelled = ListParams::default().labels(selector);
    Ok(Found {
        sets: read(list(client, namespace, &labelled).await?)?,
        pods: read(list(client, namespace, &labelled).await?)?,
        running: list(client, namespace, &ListParams::default().fields(NOT_ENDED))
            .await?
            .into(),
    })
}

async fn list<K>(client: &Client, namespace: &str, params: &ListParams) -> Result<Vec<Parsed<K>>, kube::Error>
where
    K: Trim + Resource<Scope = NamespaceResourceScope>,
{
    let api: Api<Parsed<K>> = Api::namespaced(client.clone(), namespace);
    Ok(api.list(params).await?.items)
}

/// The objects of a list. One that cannot be parsed is an error, because it may be a running pod.
fn read<K>(objects: Vec<Parsed<K>>) -> Result<Vec<Arc<K>>, kube::Error> {
    objects.into_iter().map(Parsed::read).collect()
}

fn selector(workspaces: &[&str]) -> String {
    match workspaces {
        [one] => format!("{}={one}", names::WORKSPACE_LABEL),
        many => format!("{} in ({})", names::WORKSPACE_LABEL, many.join(",")),
    }
}

fn by_workspace<K: Resource>(objects: Vec<Arc<K>>) -> HashMap<String, Vec<Arc<K>>> {
    let mut sorted: HashMap<String, Vec<Arc<K>>> = HashMap::new();
    for object in objects {
        let labels = object.meta().labels.as_ref();
        if let Some(workspace) = labels.and_then(|labels| labels.get(names::WORKSPACE_LABEL)) {
            sorted.entry(workspace.clone()).or_default().push(object);
        }
    }
    sorted
}

/// A copy of an error for another caller: the answer of the API server, or that the request failed.
fn copy_of(error: &kube::Error) -> kube::Error {
    match error {
        kube::Error::Api(status) => kube::Error::Api(status.clone()),
        other => kube::Error::Service(other.to_string().into()),
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use testkit::{
        api_server::{ApiServer, Fault},
        objects::{self, NAMESPACE},
    };

    use super::*;
    use crate::testing;

    /// A server with a pod for each of these workspaces.
    fn server(workspaces: &[&str]) -> (ApiServer, Client) {
        let (server, client) = ApiServer::start();
        for workspace in workspaces {
            let mut set = objects::replica_set_of(testing::running().deployment.as_deref().unwrap());
            let mut pod = objects::pod_of(&set);
            for meta in [&mut set.metadata, &mut pod.metadata] {
                meta.name = Some((*workspace).to_owned());
                let labels = meta.labels.get_or_insert_default();
                labels.insert(names::WORKSPACE_LABEL.to_owned(), (*workspace).to_owned());
            }
            server.put(&set);
            server.put(&pod);
        }
        (server, client)
    }

    fn names_of(Found { sets, pods, .. }: &Found) -> (Vec<&str>, Vec<&str>) {
        fn names<K: Resource>(objects: &[Arc<K>]) -> Vec<&str> {
            let names = objects.iter().map(|object| object.meta().name.as_deref());
            names.map(Option::unwrap_or_default).collect()
        }
        (names(sets), names(pods))
    }

    #[tokio::test]
    async fn requests_at_the_same_time_are_one_batch_and_each_gets_its_own_objects() {
        let (server, client) = server(&["a", "b", "c"]);
        let lister = Lister::default();
        let names = ["a", "b", "none", "c"];
        let found = futures::future::join_all(names.map(|name| lister.of(&client, NAMESPACE, name))).await;
        for (name, found) in names.iter().zip(found) {
            let found = found.unwrap();
            let expected: Vec<&str> = if *name == "none" { vec![] } else { vec![*name] };
            assert_eq!(names_of(&found), (expected.clone(), expected), "{name}");
        }
        // All had queued their requests before the first one sent the batch.
        assert_eq!(server.take_calls().len(), 3);
        lister.queue("other");
        assert_eq!(
            lister.queues.lock().len(),
            1,
            "queues without a caller are dropped"
        );
    }

    #[tokio::test]
    async fn a_later_request_is_listed_again_replica_sets_first() {
        let (server, client) = server(&["a"]);
        let lister = Lister::default();
        for _ in 0..2 {
            lister.of(&client, NAMESPACE, "a").await.unwrap();
        }
        let calls = server.take_calls();
        let paths: Vec<_> = calls
            .iter()
            .filter_map(|call| call.path.split('/').next_back())
            .collect();
        assert_eq!(
            paths,
            ["replicasets", "pods", "pods", "replicasets", "pods", "pods"],
            "ReplicaSets first"
        );
    }

    #[tokio::test]
    async fn a_pod_whose_label_was_removed_or_overwritten_is_in_every_answer() {
        for labels in [
            serde_json::json!({}),
            serde_json::json!({names::WORKSPACE_LABEL: "b"}),
            serde_json::json!({names::WORKSPACE_LABEL: "z"}),
        ] {
            let (server, client) = server(&["a", "b"]);
            server.edit::<Pod>(Some(NAMESPACE), "a", |pod| {
                pod["metadata"]["labels"] = labels.clone();
            });
            let lister = Lister::default();
            for name in ["a", "b"] {
                let found = lister.of(&client, NAMESPACE, name).await.unwrap();
                let is_it = |pod: &Parsed<Pod>| pod.meta().name.as_deref() == Some("a");
                assert!(found.running.iter().any(is_it), "{labels} {name}");
            }
        }
    }

    #[tokio::test]
    async fn many_requests_are_several_batches() {
        let (server, client) = server(&["w-7", "w-99"]);
        let lister = Lister::default();
        let requested = (0..150).map(|number| format!("w-{number}"));
        let requested: Vec<String> = requested.collect();
        let found = requested.iter().map(|name| lister.of(&client, NAMESPACE, name));
        let found = futures::future::join_all(found).await;
        let pods: usize = found.into_iter().map(|found| found.unwrap().pods.len()).sum();
        assert_eq!(pods, 2);
        assert_eq!(server.take_calls().len(), 3 * 150_usize.div_ceil(MAX_BATCH));
    }

    #[tokio::test]
    async fn a_failure_reaches_the_whole_batch_and_the_next_request_is_sent() {
        let (server, client) = server(&["a"]);
        server.fail(Fault {
            method: Method::GET,
            path_part: "pods",
            code: 500,
            reason: "InternalError",
            message: "not now".to_owned(),
            times: 1,
        });
        let lister = Lister::default();
        let (first, second) = tokio::join!(
            lister.of(&client, NAMESPACE, "a"),
            lister.of(&client, NAMESPACE, "b")
        );
        for error in [first.unwrap_err(), second.unwrap_err()] {
            assert!(
                matches!(&error, kube::Error::Api(status) if status.code == 500),
                "{error}"
            );
        }
        assert_eq!(lister.of(&client, NAMESPACE, "a").await.unwrap().pods.len(), 1);
    }

    #[tokio::test]
    async fn a_pod_that_cannot_be_parsed_is_an_error() {
        let (server, client) = server(&["a"]);
        server.edit::<Pod>(Some(NAMESPACE), "a", |pod| pod["spec"] = 7.into());
        let found = Lister::default().of(&client, NAMESPACE, "a").await;
        let error = found.unwrap_err().to_string();
        assert!(error.contains("integer `7`"), "{error}");
    }

    #[tokio::test]
    async fn a_request_is_sent_again_if_the_task_that_sends_the_batch_is_dropped() {
        let (server, client) = server(&["a", "b"]);
        let lister = Lister::default();
        let mut dropped = Box::pin(lister.of(&client, NAMESPACE, "a"));
        // It locks the queue, and then sends a batch of both.
        assert!(futures::poll!(&mut dropped).is_pending());
        let mut waiting = Box::pin(lister.of(&client, NAMESPACE, "b"));
        assert!(futures::poll!(&mut waiting).is_pending());
        assert!(futures::poll!(&mut dropped).is_pending());
        drop(dropped);
        assert_eq!(names_of(&waiting.await.unwrap()).1, ["b"]);
        drop(server);
    }
}
