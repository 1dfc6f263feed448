//! Names of workspaces -> their ReplicaSets and pods from the API server (IO), in merged requests.
//!
//! That no pod is left must be read from the API server before it is reported or relied upon (docs/decisions/0032). When many workspaces
//! stop at a time, that would be two lists per workspace, each over all pods of the namespace. So a caller that comes during lists of
//! the namespace waits for the next ones, which serve all waiting callers. No caller gets an answer that is older than its request.

use std::{
    collections::HashMap,
    fmt::Debug,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use api::names;
use k8s_openapi::{
    NamespaceResourceScope,
    api::{apps::v1::ReplicaSet, core::v1::Pod},
};
use kube::{Api, Client, Resource, api::ListParams};
use tokio::{sync::oneshot, time::Instant};

use crate::cache::stores::{Parsed, trim::Trim};

/// Workspaces in one request: a selector has to fit into a URL.
const MOST: usize = 64;
/// Gap between two requests about a namespace. A list costs the API server the same for one workspace as for many. So requests that
/// follow each other wait and are merged.
const REST: Duration = Duration::from_millis(150);
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

/// Collects requests by namespace.
#[derive(Debug, Default)]
pub struct Lister {
    desks: Mutex<HashMap<String, Arc<Desk>>>,
}

/// The requests about one namespace. The task that holds `turn` sends one request for all waiting tasks.
#[derive(Debug, Default)]
struct Desk {
    waiting: Mutex<Vec<Question>>,
    /// Locked by the task that sends the request. Holds the time of the last request.
    turn: tokio::sync::Mutex<Option<Instant>>,
}

#[derive(Debug)]
struct Question {
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
        let place = Place {
            lister: self,
            namespace,
            desk: lock(&self.desks).entry(namespace.to_owned()).or_default().clone(),
        };
        let desk = &place.desk;
        loop {
            let (sender, mut answer) = oneshot::channel();
            lock(&desk.waiting).push(Question {
                workspace: workspace.to_owned(),
                answer: sender,
            });
            let mut turn = tokio::select! {
                biased;
                // The task that sent our request may have been dropped. Then we send it again.
                answered = &mut answer => match answered {
                    Ok(found) => return found,
                    Err(_) => continue,
                },
                turn = desk.turn.lock() => turn,
            };
            match *turn {
                Some(last) => tokio::time::sleep_until(last + REST).await,
                // Other reconciles that the same change triggered join this request.
                None => tokio::task::yield_now().await,
            }
            desk.ask(client, namespace).await;
            *turn = Some(Instant::now());
            drop(turn);
            // More tasks may wait than fit into one request.
            if let Ok(found) = answer.try_recv() {
                return found;
            }
        }
    }
}

/// A caller of a desk. The last caller that is dropped removes the desk.
struct Place<'a> {
    lister: &'a Lister,
    namespace: &'a str,
    desk: Arc<Desk>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut desks = lock(&self.lister.desks);
        // One reference is ours and one is in the map. A new caller finds the map locked.
        if Arc::strong_count(&self.desk) == 2 {
            desks.remove(self.namespace);
        }
    }
}

impl Desk {
    /// Sends the request for the tasks that wait now, the longest-waiting first.
    async fn ask(&self, client: &Client, namespace: &str) {
        let questions: Vec<Question> = {
            let mut waiting = lock(&self.waiting);
            // Dropped callers need no answer.
            waiting.retain(|question| !question.answer.is_closed());
            let count = waiting.len().min(MOST);
            waiting.drain(..count).collect()
        };
        if questions.is_empty() {
            return;
        }
        let names: Vec<&str> = questions
            .iter()
            .map(|question| question.workspace.as_str())
            .collect();
        let found = ask(client, namespace, &selector(&names)).await;
        match found {
            Ok(found) => {
                let (sets, pods) = (by_workspace(found.sets), by_workspace(found.pods));
                for Question { workspace, answer } in questions {
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
                for question in questions {
                    let _ = question.answer.send(Err(same(&error)));
                }
            }
        }
    }
}

async fn ask(client: &Client, namespace: &str, selector: &str) -> Result<Found, kube::Error> {
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
fn same(error: &kube::Error) -> kube::Error {
    match error {
        kube::Error::Api(status) => kube::Error::Api(status.clone()),
        other => kube::Error::Service(other.to_string().into()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
    async fn who_asks_at_the_same_time_is_answered_together_and_each_with_its_own() {
        let (server, client) = server(&["a", "b", "c"]);
        let lister = Lister::default();
        let asked = ["a", "b", "none", "c"];
        let found = futures::future::join_all(asked.map(|name| lister.of(&client, NAMESPACE, name))).await;
        for (name, found) in asked.iter().zip(found) {
            let found = found.unwrap();
            let expected: Vec<&str> = if *name == "none" { vec![] } else { vec![*name] };
            assert_eq!(names_of(&found), (expected.clone(), expected), "{name}");
        }
        // All had sent their requests before the first one got the turn.
        assert_eq!(server.take_calls().len(), 3);
        assert!(lock(&lister.desks).is_empty(), "nobody waits any more");
    }

    #[tokio::test]
    async fn a_question_that_comes_while_one_is_under_way_is_asked_anew() {
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
            "makers first"
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
    async fn many_are_asked_for_in_parts() {
        let (server, client) = server(&["w-7", "w-99"]);
        let lister = Lister::default();
        let questions = (0..150).map(|number| format!("w-{number}"));
        let questions: Vec<String> = questions.collect();
        let found = questions.iter().map(|name| lister.of(&client, NAMESPACE, name));
        let found = futures::future::join_all(found).await;
        let pods: usize = found.into_iter().map(|found| found.unwrap().pods.len()).sum();
        assert_eq!(pods, 2);
        assert_eq!(server.take_calls().len(), 3 * 150_usize.div_ceil(MOST));
    }

    #[tokio::test]
    async fn a_failure_is_told_to_all_who_wait_and_passes() {
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
    async fn a_pod_that_cannot_be_read_is_not_taken_for_gone() {
        let (server, client) = server(&["a"]);
        server.edit::<Pod>(Some(NAMESPACE), "a", |pod| pod["spec"] = 7.into());
        let found = Lister::default().of(&client, NAMESPACE, "a").await;
        let error = found.unwrap_err().to_string();
        assert!(error.contains("integer `7`"), "{error}");
    }

    #[tokio::test]
    async fn who_waits_for_somebody_who_gave_up_asks_itself() {
        let (server, client) = server(&["a", "b"]);
        let lister = Lister::default();
        let mut dropped = Box::pin(lister.of(&client, NAMESPACE, "a"));
        // It takes the turn, and soon sends a request for both.
        assert!(futures::poll!(&mut dropped).is_pending());
        let mut waiting = Box::pin(lister.of(&client, NAMESPACE, "b"));
        assert!(futures::poll!(&mut waiting).is_pending());
        assert!(futures::poll!(&mut dropped).is_pending());
        drop(dropped);
        assert_eq!(names_of(&waiting.await.unwrap()).1, ["b"]);
        assert!(lock(&lister.desks).is_empty(), "nobody waits any more");
        drop(server);
    }
}
