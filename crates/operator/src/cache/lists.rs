//! Workspaces -> their ReplicaSets and pods from the API server (IO), in merged requests.
//!
//! That no pod is left must be read from the API server before it is reported or relied upon (docs/decisions/0032). When many workspaces
//! stop at a time, that would be two lists per workspace, each over all pods of the namespace. So a caller that comes during lists of
//! the namespace waits for the next ones, which serve all waiting callers. No caller gets an answer that is older than its request.
//!
//! Users may remove or overwrite labels, so all pods of the namespace are read, in pages. Of each page, only pods that concern a waiting
//! caller are kept. Ended pods are read as well: one that is being deleted may still use the disk.

use std::{collections::HashMap, sync::Arc, time::Duration};

use api::names;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Api, Client, Resource as _, api::ListParams};
use parking_lot::Mutex;
use tokio::{sync::oneshot, time::Instant};

use crate::cache::{
    observed::Observed,
    partial::{Pod, ReplicaSet},
    stores::Parsed,
};

/// Workspaces in one batch: a selector has to fit into a URL.
const MAX_BATCH: usize = 64;
/// Gap between two batches about a namespace. A list costs the API server the same for one workspace as for many. So requests that
/// follow each other wait and are merged.
const BATCH_GAP: Duration = Duration::from_millis(150);
/// Pods in one page of a list.
const PAGE: u32 = 500;

/// The objects of one workspace in the API server.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// ReplicaSets with the workspace's label.
    pub sets: Vec<Arc<ReplicaSet>>,
    /// Pods with the workspace's label, and other pods that concern it.
    pub pods: Vec<Arc<Pod>>,
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
    /// The workspace and its Deployment, and the ReplicaSets and pods that the current batch has found.
    observed: Observed,
    /// Why a pod cannot be parsed that may concern the workspace.
    unreadable: Option<kube::Error>,
    answer: oneshot::Sender<Result<Found, kube::Error>>,
}

impl Lister {
    /// ReplicaSets and pods of the workspace. ReplicaSets are read first. So a pod that is missing in the answer cannot come from a
    /// ReplicaSet that was not scaled to 0 yet. `known`: the workspace and its Deployment.
    ///
    /// # Errors
    /// The request to the API server failed, or an object that may concern the workspace cannot be parsed.
    pub async fn of(&self, client: &Client, known: &Observed) -> Result<Found, kube::Error> {
        let namespace = known.identity.namespace.as_str();
        let queue = self.queue(namespace);
        loop {
            let (sender, mut answer) = oneshot::channel();
            queue.waiting.lock().push(Request {
                observed: Observed {
                    deployment: known.deployment.clone(),
                    ..Observed::empty(known.identity.clone())
                },
                unreadable: None,
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
        let mut batch: Vec<Request> = {
            let mut waiting = self.waiting.lock();
            // Dropped callers need no answer.
            waiting.retain(|request| !request.answer.is_closed());
            let count = waiting.len().min(MAX_BATCH);
            waiting.drain(..count).collect()
        };
        if batch.is_empty() {
            return;
        }
        let listed = list(client, namespace, &mut batch).await;
        for request in batch {
            let found = match (&listed, request.unreadable) {
                (Err(error), _) => Err(copy_of(error)),
                (Ok(()), Some(error)) => Err(error),
                (Ok(()), None) => Ok(Found {
                    sets: request.observed.replica_sets,
                    pods: request.observed.pods,
                }),
            };
            let _ = request.answer.send(found);
        }
    }
}

impl Request {
    fn is_labelled(&self, meta: &ObjectMeta) -> bool {
        let labels = meta.labels.as_ref();
        labels.and_then(|labels| labels.get(names::WORKSPACE_LABEL)) == Some(&self.observed.identity.name)
    }

    /// Keeps a pod that concerns the workspace. One that cannot be parsed is an error, because it may be a running pod.
    fn take(&mut self, pod: &Parsed<Pod>) {
        let is_labelled = self.is_labelled(pod.meta());
        match &pod.0 {
            Ok(pod) if is_labelled || self.observed.concerns(pod) => self.observed.pods.push(pod.clone()),
            Err(unreadable) if is_labelled || self.observed.may_concern(&unreadable.text) => {
                self.unreadable = Parsed::read(pod.clone()).err();
            }
            Ok(_) | Err(_) => {}
        }
    }
}

/// Adds to each request the ReplicaSets and pods of its workspace. The same workspace may be listed twice: a caller may have been dropped
/// and started again.
async fn list(client: &Client, namespace: &str, batch: &mut [Request]) -> Result<(), kube::Error> {
    let sets: Api<Parsed<ReplicaSet>> = Api::namespaced(client.clone(), namespace);
    for set in sets
        .list(&ListParams::default().labels(&selector(batch)))
        .await?
        .items
    {
        let set = set.read()?;
        for request in batch.iter_mut().filter(|it| it.is_labelled(&set.metadata)) {
            request.observed.replica_sets.push(set.clone());
        }
    }
    let pods: Api<Parsed<Pod>> = Api::namespaced(client.clone(), namespace);
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let page = pods.list(&params).await?;
        for pod in &page.items {
            for request in batch.iter_mut() {
                request.take(pod);
            }
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(()),
        }
    }
}

fn selector(batch: &[Request]) -> String {
    let workspaces: Vec<_> = batch
        .iter()
        .map(|it| it.observed.identity.name.as_str())
        .collect();
    match workspaces[..] {
        [one] => format!("{}={one}", names::WORKSPACE_LABEL),
        _ => format!("{} in ({})", names::WORKSPACE_LABEL, workspaces.join(",")),
    }
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
    use serde_json::{Value, json};
    use testkit::{
        api_server::{ApiServer, Fault},
        objects::{self, NAMESPACE},
    };

    use super::*;
    use crate::{cache::observed::Identity, testing};

    /// A server with a ReplicaSet and its pod for each of these workspaces. The UID of a workspace is its name.
    fn server(workspaces: &[&str]) -> (ApiServer, Client) {
        let (server, client) = ApiServer::start();
        for workspace in workspaces {
            let text = |text: &str| text.to_owned();
            let mut set = objects::replica_set_of(&testing::deployment());
            set.metadata.uid = Some(format!("set-{workspace}"));
            let mut pod = objects::pod_of(&set);
            pod.metadata.uid = Some(format!("pod-{workspace}"));
            pod.spec.get_or_insert_default().volumes = None;
            for meta in [&mut set.metadata, &mut pod.metadata] {
                meta.name = Some(text(workspace));
                let labels = meta.labels.get_or_insert_default();
                labels.insert(text(names::WORKSPACE_LABEL), text(workspace));
                let annotations = meta.annotations.get_or_insert_default();
                annotations.insert(text(names::WORKSPACE_UID), text(workspace));
            }
            server.put(&set);
            server.put(&pod);
        }
        (server, client)
    }

    fn known(workspace: &str) -> Observed {
        Observed::empty(Identity {
            namespace: NAMESPACE.to_owned(),
            name: workspace.to_owned(),
            uid: workspace.to_owned(),
        })
    }

    async fn listed(lister: &Lister, client: &Client, workspace: &str) -> Result<Found, kube::Error> {
        lister.of(client, &known(workspace)).await
    }

    fn names_of(Found { sets, pods }: &Found) -> (Vec<&str>, Vec<&str>) {
        fn names<K: kube::Resource>(objects: &[Arc<K>]) -> Vec<&str> {
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
        let found = futures::future::join_all(names.map(|name| listed(&lister, &client, name))).await;
        for (name, found) in names.iter().zip(found) {
            let found = found.unwrap();
            let expected: Vec<&str> = if *name == "none" { vec![] } else { vec![*name] };
            assert_eq!(names_of(&found), (expected.clone(), expected), "{name}");
        }
        // All had queued their requests before the first one sent the batch.
        assert_eq!(server.take_calls().len(), 2);
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
            listed(&lister, &client, "a").await.unwrap();
        }
        let calls = server.take_calls();
        let paths: Vec<_> = calls
            .iter()
            .filter_map(|call| call.path.split('/').next_back())
            .collect();
        assert_eq!(
            paths,
            ["replicasets", "pods", "replicasets", "pods"],
            "ReplicaSets first"
        );
    }

    #[tokio::test]
    async fn a_pod_whose_label_was_removed_or_overwritten_is_found_by_what_else_ties_it_to_the_workspace() {
        let by_mark = |pod: &mut Value| pod["metadata"]["ownerReferences"] = Value::Null;
        let by_set = |pod: &mut Value| pod["metadata"]["annotations"] = Value::Null;
        let by_disk = |pod: &mut Value| {
            pod["metadata"]["ownerReferences"] = Value::Null;
            pod["metadata"]["annotations"] = Value::Null;
            let claim = json!({"claimName": known("a").identity.child_name()});
            pod["spec"]["volumes"] = json!([{"name": "v", "persistentVolumeClaim": claim}]);
        };
        let ties: [fn(&mut Value); 3] = [by_mark, by_set, by_disk];
        for (tie, label) in ties
            .iter()
            .flat_map(|tie| [Value::Null, json!("z"), json!("b")].map(|it| (tie, it)))
        {
            let (server, client) = server(&["a", "b"]);
            server.edit::<Pod>(Some(NAMESPACE), "a", |pod| {
                pod["metadata"]["labels"] = json!({names::WORKSPACE_LABEL: label});
                pod["metadata"]["labels"]
                    .as_object_mut()
                    .unwrap()
                    .retain(|_, it| !it.is_null());
                tie(pod);
            });
            let lister = Lister::default();
            let (a, b) = tokio::join!(listed(&lister, &client, "a"), listed(&lister, &client, "b"));
            assert_eq!(names_of(&a.unwrap()).1, ["a"], "{label}");
            let expected: &[&str] = if label == "b" { &["a", "b"] } else { &["b"] };
            assert_eq!(names_of(&b.unwrap()).1, expected, "{label}");
        }
    }

    #[tokio::test]
    async fn pods_are_read_in_pages_and_none_is_missed() {
        let (server, client) = server(&["a", "z"]);
        let stranger = |number: u32| -> Pod {
            let name = format!("m-{number:03}");
            serde_json::from_value(json!({"metadata": {"name": name, "namespace": NAMESPACE}})).unwrap()
        };
        (0..2 * PAGE).for_each(|number| server.put(&stranger(number)));
        let lister = Lister::default();
        let (a, z) = tokio::join!(listed(&lister, &client, "a"), listed(&lister, &client, "z"));
        assert_eq!(names_of(&a.unwrap()).1, ["a"]);
        assert_eq!(names_of(&z.unwrap()).1, ["z"], "on the last page");
        let pages = server
            .take_calls()
            .iter()
            .filter(|call| call.path.ends_with("/pods"))
            .count();
        assert_eq!(pages, 3);
    }

    #[tokio::test]
    async fn many_requests_are_several_batches() {
        let (server, client) = server(&["w-7", "w-99"]);
        let lister = Lister::default();
        let requested = (0..150).map(|number| format!("w-{number}"));
        let requested: Vec<String> = requested.collect();
        let found = requested.iter().map(|name| listed(&lister, &client, name));
        let found = futures::future::join_all(found).await;
        let pods: usize = found.into_iter().map(|found| found.unwrap().pods.len()).sum();
        assert_eq!(pods, 2);
        assert_eq!(server.take_calls().len(), 2 * 150_usize.div_ceil(MAX_BATCH));
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
        let (first, second) = tokio::join!(listed(&lister, &client, "a"), listed(&lister, &client, "b"));
        for error in [first.unwrap_err(), second.unwrap_err()] {
            assert!(
                matches!(&error, kube::Error::Api(status) if status.code == 500),
                "{error}"
            );
        }
        assert_eq!(listed(&lister, &client, "a").await.unwrap().pods.len(), 1);
    }

    #[tokio::test]
    async fn a_pod_that_cannot_be_parsed_fails_the_request_that_it_may_concern_and_no_other() {
        let disk = known("a").identity.child_name();
        for (label, content) in [("a", "-"), ("-", "a"), ("-", disk.as_str()), ("-", "set-a")] {
            let (server, client) = server(&["a", "b"]);
            server.edit::<Pod>(Some(NAMESPACE), "a", |pod| {
                let labels = json!({names::WORKSPACE_LABEL: label});
                *pod = json!({"metadata": {"name": "p", "labels": labels}, "spec": 7, "more": content});
            });
            let lister = Lister::default();
            let (a, b) = tokio::join!(listed(&lister, &client, "a"), listed(&lister, &client, "b"));
            let error = a.unwrap_err().to_string();
            assert!(error.contains("integer `7`"), "{label} {content}: {error}");
            assert_eq!(names_of(&b.unwrap()).1, ["b"], "{label} {content}");
        }
    }

    #[tokio::test]
    async fn a_request_is_sent_again_if_the_task_that_sends_the_batch_is_dropped() {
        let (server, client) = server(&["a", "b"]);
        let lister = Lister::default();
        let mut dropped = Box::pin(listed(&lister, &client, "a"));
        // It locks the queue, and then sends a batch of both.
        assert!(futures::poll!(&mut dropped).is_pending());
        let mut waiting = Box::pin(listed(&lister, &client, "b"));
        assert!(futures::poll!(&mut waiting).is_pending());
        assert!(futures::poll!(&mut dropped).is_pending());
        drop(dropped);
        assert_eq!(names_of(&waiting.await.unwrap()).1, ["b"]);
        drop(server);
    }
}
