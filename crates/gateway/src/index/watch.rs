//! watches on Workspaces, their shares, managers and pods -> the index (IO).

use std::pin::pin;
use std::sync::Arc;

use futures::{Stream, StreamExt as _, stream};
use kit::scope::Scope;
use kube::api::ObjectMeta;
use kube::runtime::watcher;
use kube::{Api, Client};
use tracing::warn;

use crate::index::facts::{ManagerFacts, Observed, WorkspaceFacts};
use crate::index::following::Follower;
use crate::index::freshness::Watched;
use crate::index::partial::{Key, Partial};
use crate::index::pods::{Pod, PodFacts};
use crate::index::sharing::ShareFacts;
use crate::index::store::Event;
use crate::index::{Index, Served};
use crate::metrics::Metrics;

/// Maximum number of waiting changes that are applied together, so that a burst makes one snapshot.
const BATCH: usize = 512;

/// Keeps `index` up to date forever. The first snapshot is published when all lists are complete.
pub async fn feed(client: Client, scope: Scope, served: Served, index: Arc<Index>, follower: Follower) {
    let workspaces = scope.api::<Partial<WorkspaceFacts>>(client.clone());
    let managers = Api::<Partial<ManagerFacts>>::all(client.clone());
    let shares = scope.api::<Partial<Arc<ShareFacts>>>(client.clone());
    let pods = scope.api::<Pod>(client);
    let all = watcher::Config::default;
    let (workspaces, of_workspaces) = follower.follow("workspaces", workspaces, all());
    let (managers, of_managers) = follower.follow("workspacemanagers", managers, all());
    let (shares, of_shares) = follower.follow("workspaceshares", shares, all());
    let of_workspace = all().labels(api::names::WORKSPACE_LABEL);
    let (pods, of_pods) = follower.follow("pods", pods, of_workspace);
    let changes = stream::select(
        stream::select(
            workspaces.map(|event| Change::Workspace(into_event(event, workspace))),
            pods.map(|event| Change::Pod(into_event(event, pod))),
        ),
        stream::select(
            managers.map(|event| Change::Manager(into_event(event, manager))),
            shares.map(|event| Change::Share(into_event(event, share))),
        ),
    );
    let watched = [of_workspaces, of_managers, of_shares, of_pods];
    Box::pin(take_in(
        changes,
        watched,
        Observed::new(served),
        &index,
        &follower.metrics,
    ))
    .await;
}

/// One event of a watch.
enum Change {
    Workspace(Event<WorkspaceFacts>),
    Manager(Event<ManagerFacts>),
    Share(Event<Arc<ShareFacts>>),
    Pod(Event<PodFacts>),
}

async fn take_in(
    changes: impl Stream<Item = Change>,
    watched: [Arc<Watched>; 4],
    mut observed: Observed,
    index: &Index,
    metrics: &Metrics,
) {
    let mut changes = pin!(changes.ready_chunks(BATCH));
    let mut homeless = false;
    while let Some(batch) = changes.next().await {
        for change in batch {
            match change {
                Change::Workspace(event) => observed.workspaces.apply(event),
                Change::Manager(event) => observed.managers.apply(event),
                Change::Share(event) => observed.shares.apply(event),
                Change::Pod(event) => observed.pods.apply(event),
            }
        }
        if observed.is_complete() {
            let snapshot = observed.snapshot();
            if snapshot.domain().is_none() && !std::mem::replace(&mut homeless, true) {
                warn!(
                    "no WorkspaceManager to serve: name one with --manager, or annotate exactly one as the default"
                );
            }
            metrics.index_size(snapshot.targets().count());
            index.publish(snapshot);
            for (has_ended, watched) in observed.take_ended().into_iter().zip(&watched) {
                if has_ended {
                    watched.mark_complete();
                }
            }
        }
    }
}

fn workspace(object: Partial<WorkspaceFacts>) -> (Key, Option<WorkspaceFacts>) {
    object.into_facts(|(namespace, name), error| {
        warn!(workspace.namespace = namespace, workspace.name = name, %error, "workspace cannot be read and is not served");
    })
}

fn manager(object: Partial<ManagerFacts>) -> (Key, Option<ManagerFacts>) {
    object.into_facts(|(_, name), error| {
        warn!(manager.name = name, %error, "manager cannot be read and is not served");
    })
}

fn share(object: Partial<Arc<ShareFacts>>) -> (Key, Option<Arc<ShareFacts>>) {
    object.into_facts(|(namespace, name), error| {
        warn!(share.namespace = namespace, share.name = name, %error, "share cannot be read and does not count");
    })
}

fn pod(object: Pod) -> (Key, Option<PodFacts>) {
    let facts = PodFacts::from_pod(&object);
    let ObjectMeta { name, namespace, .. } = object.metadata;
    ((namespace.unwrap_or_default(), name.unwrap_or_default()), facts)
}

fn into_event<K, T>(event: watcher::Event<K>, facts: fn(K) -> (Key, Option<T>)) -> Event<T> {
    match event {
        watcher::Event::Init => watcher::Event::Init,
        watcher::Event::InitApply(object) => watcher::Event::InitApply(facts(object)),
        watcher::Event::InitDone => watcher::Event::InitDone,
        watcher::Event::Apply(object) => watcher::Event::Apply(facts(object)),
        watcher::Event::Delete(object) => watcher::Event::Delete(facts(object)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use api::{Workspace, WorkspaceManager, WorkspaceShare};
    use http::Method;
    use kube::core::DeserializeGuard;
    use serde_json::json;
    use testkit::api_server::{ApiServer, Disruption, Fault};
    use testkit::unknown::statuses;
    use tokio::time::sleep;
    use watcher::Event;

    use super::*;
    use crate::index::freshness::{Age, Freshness};

    fn seen(name: &str) -> (Key, Option<WorkspaceFacts>) {
        let object = json!({
            "apiVersion": "workspaces.jupyter.org/v1alpha1",
            "kind": "Workspace",
            "metadata": {"name": name, "namespace": "team", "uid": name},
            "spec": {"displayName": name},
        });
        workspace(serde_json::from_value(object).unwrap())
    }

    fn default_manager() -> (Key, Option<ManagerFacts>) {
        manager(DeserializeGuard(Ok(testkit::objects::manager("main"))).into())
    }

    fn workspaces(events: impl IntoIterator<Item = Event<(Key, Option<WorkspaceFacts>)>>) -> Vec<Change> {
        events.into_iter().map(Change::Workspace).collect()
    }

    /// The lists of one manager, and of no share and no pod.
    fn managers() -> Vec<Change> {
        let managers = [Event::Init, Event::InitApply(default_manager()), Event::InitDone];
        let shares = [Event::Init, Event::InitDone];
        let pods = [Event::Init, Event::InitDone];
        let others = shares.map(Change::Share).into_iter().chain(pods.map(Change::Pod));
        managers.map(Change::Manager).into_iter().chain(others).collect()
    }

    /// Names in the index after these batches of changes, and how often it changed.
    async fn names_after(batches: impl IntoIterator<Item = Vec<Change>>) -> (Vec<String>, u64) {
        let index = Index::default();
        // A pending item ends a batch, as a silent API server does.
        let changes = stream::iter(batches).then(|batch| async {
            tokio::task::yield_now().await;
            stream::iter(batch)
        });
        let freshness = Arc::new(Freshness::new(Duration::from_mins(1)));
        let watched = || Arc::new(freshness.watch());
        let watched = [watched(), watched(), watched(), watched()];
        let changes = changes.flatten();
        take_in(changes, watched, Observed::default(), &index, &Metrics::default()).await;
        let mut names: Vec<_> = index.load().targets().map(|target| target.name.clone()).collect();
        names.sort();
        (names, *index.subscribe().borrow())
    }

    #[tokio::test]
    async fn nothing_is_published_before_all_lists_are_complete() {
        let listing = || workspaces([Event::Init, Event::InitApply(seen("a")), Event::InitDone]);
        assert_eq!(names_after([listing()]).await, (vec![], 0));
        assert_eq!(names_after([managers()]).await, (vec![], 0));
        for left in [3, 5] {
            let mut without = managers();
            without.truncate(left);
            assert_eq!(names_after([listing(), without]).await, (vec![], 0), "{left}");
        }
        assert_eq!(names_after([listing(), managers()]).await, (vec!["a".into()], 1));
    }

    #[tokio::test]
    async fn a_new_list_replaces_the_old_one_at_its_end_and_not_before() {
        let relist = |events: Vec<Event<(Key, Option<WorkspaceFacts>)>>| {
            let first = workspaces([Event::Init, Event::InitApply(seen("a")), Event::InitDone]);
            [managers(), first, workspaces(events)]
        };
        let started = relist(vec![Event::Init, Event::InitApply(seen("b"))]);
        assert_eq!(names_after(started).await.0, ["a"]);
        let done = relist(vec![Event::Init, Event::InitApply(seen("b")), Event::InitDone]);
        assert_eq!(names_after(done).await.0, ["b"]);
    }

    #[tokio::test]
    async fn an_object_that_cannot_be_read_is_left_out_and_the_others_stay() {
        let broken = json!({
            "apiVersion": "workspaces.jupyter.org/v1alpha1",
            "kind": "Workspace",
            "metadata": {"name": "a", "namespace": "team", "uid": "a"},
            "spec": {"displayName": 7},
        });
        let broken = workspace(serde_json::from_value(broken).unwrap());
        let list = workspaces([
            Event::Init,
            Event::InitApply(seen("a")),
            Event::InitApply(seen("b")),
            Event::InitDone,
        ]);
        let changes = [
            managers(),
            list,
            workspaces([Event::Apply(broken), Event::Apply(seen("c"))]),
        ];
        assert_eq!(names_after(changes).await.0, ["b", "c"]);
    }

    #[test]
    fn unknown_status_values_do_not_end_access() {
        let (full, unknown) = statuses::<Workspace>(&json!(testkit::objects::workspace("demo")));
        let facts = |object| workspace(serde_json::from_value(object).unwrap()).1;
        let full = facts(full).unwrap();
        assert!(unknown.len() > 300);
        for one in unknown {
            let facts = facts(one.object).unwrap_or_else(|| panic!("{} is not served", one.path));
            assert!(
                facts.leads_as(&full) || ["endpoint", "phase", "resolved"].contains(&one.field.as_str()),
                "{}",
                one.path
            );
        }
        let (_, unknown) = statuses::<WorkspaceManager>(&json!(testkit::objects::manager("main")));
        for one in unknown {
            let facts = manager(serde_json::from_value(one.object).unwrap()).1;
            assert!(facts.is_some(), "{}", one.path);
        }
        let share = json!({
            "apiVersion": "workspaces.jupyter.org/v1alpha1", "kind": "WorkspaceShare",
            "metadata": {"name": "s", "namespace": "team", "annotations": {api::names::CREATED_BY: "alice", api::names::SHARED_FOR: "alice"}},
            "spec": {"workspaceRef": "demo", "workspaceUID": "u", "subjects": [{"kind": "User", "name": "bob"}]},
        });
        let (_, unknown) = statuses::<WorkspaceShare>(&share);
        for one in unknown {
            let event: Partial<Arc<ShareFacts>> = serde_json::from_value(one.object).unwrap();
            event.into_facts(|_, error| panic!("{}: {error}", one.path));
        }
    }

    #[tokio::test]
    async fn a_burst_makes_one_change() {
        let mut burst = managers();
        burst.extend(workspaces([Event::Init, Event::InitDone]));
        burst.extend(workspaces(
            (0..100).map(|number| Event::Apply(seen(&format!("w{number}")))),
        ));
        burst.extend(workspaces([Event::Delete(seen("w7"))]));
        let (names, changes) = names_after([burst]).await;
        assert_eq!((names.len(), changes), (99, 1));
    }

    /// An API server, and the index's freshness after the first lists.
    async fn fed() -> (ApiServer, Arc<Freshness>) {
        let (server, client) = ApiServer::start();
        // Its parts that are too deep to be read keep no watch from going on.
        server.put(&testkit::objects::too_deep(testkit::objects::manager("main")));
        let freshness = Arc::new(Freshness::new(Duration::from_mins(1)));
        let follower = Follower::new(freshness.clone(), Metrics::default());
        tokio::spawn(feed(
            api::response::readable(client),
            Scope::Cluster,
            Served::default(),
            Arc::default(),
            follower,
        ));
        sleep(Duration::from_secs(1)).await;
        (server, freshness)
    }

    #[tokio::test(start_paused = true)]
    async fn one_kind_that_cannot_be_read_makes_the_index_old_until_it_is_read_again() {
        // The first one affects shares, too.
        for (part, times) in [
            ("v1alpha1/workspaces", 32),
            ("/workspaceshares", 16),
            ("/workspacemanagers", 16),
            ("/pods", 16),
        ] {
            let (server, freshness) = fed().await;
            assert_eq!(freshness.age(), Age::Fresh, "{part}");
            server.fail(Fault {
                method: Method::GET,
                path_part: part,
                code: 500,
                reason: "InternalError",
                message: "away".into(),
                times,
            });
            server.forget_history();
            sleep(Duration::from_secs(10)).await;
            assert_eq!(freshness.age(), Age::Late, "{part}");
            sleep(Duration::from_secs(55)).await;
            assert_eq!(freshness.age(), Age::Stale, "{part}");
            sleep(Duration::from_mins(1)).await;
            assert_eq!(freshness.age(), Age::Fresh, "{part}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn missing_heartbeats_restart_every_watch() {
        let (server, freshness) = fed().await;
        freshness.sent(1);
        sleep(Duration::from_secs(15)).await;
        assert_eq!(freshness.age(), Age::Late);
        // Heartbeats return before the shares do.
        server.disrupt(
            Method::GET,
            "/workspaceshares",
            Disruption::Late(Duration::from_secs(5)),
        );
        freshness.seen(1);
        let beat = |number| {
            freshness.sent(number);
            freshness.seen(number);
        };
        sleep(Duration::from_secs(4)).await;
        beat(2);
        assert_eq!(freshness.age(), Age::Late);
        sleep(Duration::from_secs(2)).await;
        beat(3);
        assert_eq!(freshness.age(), Age::Fresh);
    }
}
