//! Template or children of a workspace -> many of them, created, counted, deleted (IO).

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures::future::try_join_all;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, PostParams};
use kube::discovery::{ApiGroup, Discovery, Scope, verbs};
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

use super::objects::BARE;
use super::{LIMIT, PARALLEL};

/// Name of the workspace that stays: a template in use and a namespace's keys are not made anew at each start. In a pattern, it stands for
/// the name of each other workspace.
const KEPT: &str = "bench-kept";
/// What the cluster sets in specs.
const SET: [&str; 4] = ["nodeName", "volumeName", "clusterIP", "clusterIPs"];

/// Objects that differ in a name.
struct Pattern {
    resource: ApiResource,
    name: String,
    /// All but kind and metadata, as JSON.
    data: String,
}

impl Pattern {
    /// What a client must send for an object like this one, without owner and labels.
    fn of(resource: ApiResource, mut object: DynamicObject) -> Self {
        if let Some(data) = object.data.as_object_mut() {
            data.remove("status");
        }
        if let Some(spec) = object.data.get_mut("spec").and_then(Value::as_object_mut) {
            spec.retain(|field, _| !SET.contains(&field.as_str()));
        }
        Self {
            resource,
            name: object.name_any(),
            data: object.data.to_string(),
        }
    }

    fn named(&self, name: &str) -> anyhow::Result<DynamicObject> {
        let mut object = DynamicObject::new(&self.name.replace(KEPT, name), &self.resource);
        object.data = serde_json::from_str(&self.data.replace(KEPT, name))?;
        Ok(object)
    }
}

/// Seconds of each object, and of all of a turn, from the request until it is done.
#[derive(Debug, Default)]
pub(super) struct Times {
    pub(super) each: Vec<f64>,
    pub(super) all: Vec<f64>,
}

/// One client's objects.
pub(super) struct Side {
    client: Client,
    namespace: &'static str,
    /// Created first, all at once.
    before: Vec<Pattern>,
    object: Pattern,
    /// The condition of the object that ends the wait for it.
    done: &'static str,
}

impl Side {
    /// Workspaces, until they have a condition.
    pub(super) fn workspaces(
        client: Client,
        namespace: &'static str,
        spec: &Value,
        done: &'static str,
    ) -> Self {
        let object = Pattern {
            resource: ApiResource::erase::<api::Workspace>(&()),
            name: KEPT.to_owned(),
            data: json!({"spec": spec}).to_string(),
        };
        Self {
            client,
            namespace,
            before: Vec::new(),
            object,
            done,
        }
    }

    /// Starts the workspace that stays. Its children, until their pod is ready: like the operator, the client creates the pod last.
    pub(super) async fn children(&self) -> anyhow::Result<Self> {
        self.create(vec![KEPT.to_owned()], &mut Times::default()).await?;
        let (mut before, mut pod) = (Vec::new(), None);
        for resource in kinds(&self.client).await? {
            for object in self.api(&resource).list(&ListParams::default()).await? {
                let mut owners = object.owner_references().iter();
                if !owners.any(|owner| owner.kind == "Workspace" && owner.name == KEPT) {
                    continue;
                }
                let pattern = Pattern::of(resource.clone(), object);
                if resource.kind == "Pod" {
                    pod = Some(pattern);
                } else {
                    before.push(pattern);
                }
            }
        }
        Ok(Self {
            client: self.client.clone(),
            namespace: BARE,
            before,
            object: pod.context("a workspace is Available without a pod")?,
            done: "Ready",
        })
    }

    /// Objects of each, and claims among them.
    pub(super) fn size(&self) -> [usize; 2] {
        let is_claim = |child: &&Pattern| child.resource.kind == "PersistentVolumeClaim";
        [self.before.len() + 1, self.before.iter().filter(is_claim).count()]
    }

    fn api(&self, resource: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), self.namespace, resource)
    }

    /// Creates objects as fast as the API server takes them, and waits until all are done.
    pub(super) async fn create(&self, names: Vec<String>, times: &mut Times) -> anyhow::Result<()> {
        let (api, count) = (self.api(&self.object.resource), names.len());
        let mut events = watcher(api, Config::default()).boxed();
        while !matches!(events.try_next().await?, Some(Event::InitDone) | None) {}
        let begin = Instant::now();
        let asked = stream::iter(names)
            .map(|name| async move {
                let sent = Instant::now();
                try_join_all(self.before.iter().map(|child| self.send(child, &name))).await?;
                anyhow::Ok((self.send(&self.object, &name).await?, sent))
            })
            .buffer_unordered(PARALLEL)
            .try_collect::<HashMap<_, _>>();
        let arrived = async {
            let mut arrived = HashMap::new();
            while arrived.len() < count {
                match events.try_next().await?.context("the watch ended")? {
                    Event::Apply(object) | Event::InitApply(object) if holds(&object, self.done) => {
                        arrived.entry(object.name_any()).or_insert_with(Instant::now);
                    }
                    _ => {}
                }
            }
            anyhow::Ok(arrived)
        };
        let both = tokio::time::timeout(LIMIT, async { tokio::try_join!(asked, arrived) }).await;
        let (asked, arrived) = both.with_context(|| format!("not all of {count} objects are done"))??;
        for (name, at) in arrived {
            times.each.push(at.duration_since(asked[&name]).as_secs_f64());
        }
        times.all.push(begin.elapsed().as_secs_f64());
        Ok(())
    }

    /// Creates one object, and returns its name.
    async fn send(&self, pattern: &Pattern, name: &str) -> anyhow::Result<String> {
        let object = pattern.named(name)?;
        let api = self.api(&pattern.resource);
        let created = api.create(&PostParams::default(), &object).await;
        created.with_context(|| format!("cannot create {} {}", pattern.resource.kind, object.name_any()))?;
        Ok(object.name_any())
    }

    /// Deletes all objects of a side but the one that stays, and waits until they, their pods and their claims are gone.
    pub(super) async fn delete(&self) -> anyhow::Result<()> {
        let begin = Instant::now();
        let others = ListParams::default().fields(&format!("metadata.name!={KEPT}"));
        let delete = async || {
            for pattern in self.before.iter().chain([&self.object]) {
                let api = self.api(&pattern.resource);
                api.delete_collection(&DeleteParams::background(), &others)
                    .await?;
            }
            Ok::<_, kube::Error>(())
        };
        let mut failure = delete().await.err();
        while !self.is_empty().await? {
            ensure!(
                begin.elapsed() < LIMIT,
                "objects of {} are not gone: {failure:?}",
                self.namespace
            );
            // The API server ends a request after a minute, when it has deleted a part.
            if failure.is_some() {
                failure = delete().await.err();
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        Ok(())
    }

    /// Whether nothing is left but the workspace that stays, with its children.
    async fn is_empty(&self) -> anyhow::Result<bool> {
        let (pods, claims) = (
            ApiResource::erase::<Pod>(&()),
            ApiResource::erase::<PersistentVolumeClaim>(&()),
        );
        for resource in [&self.object.resource, &pods, &claims] {
            let list = self.api(resource).list_metadata(&ListParams::default()).await?;
            if list.iter().any(|object| !object.name_any().contains(KEPT)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Objects in a side's namespace, and Events.
    pub(super) async fn count_objects(&self) -> anyhow::Result<[usize; 2]> {
        let mut counts = [0; 2];
        for resource in kinds(&self.client).await? {
            let list = self.api(&resource).list_metadata(&ListParams::default()).await?;
            counts[usize::from(resource.kind == "Event")] += list.items.len();
        }
        Ok(counts)
    }
}

/// What can be listed in a namespace.
async fn kinds(client: &Client) -> anyhow::Result<Vec<ApiResource>> {
    // Metrics are not stored, and both groups of Events have the same ones.
    let discovery = Discovery::new(client.clone()).exclude(&["metrics.k8s.io", "events.k8s.io"]);
    let discovery = discovery.run().await?;
    let all = discovery.groups().flat_map(ApiGroup::recommended_resources);
    let listed = all.filter(|(_, can)| can.scope == Scope::Namespaced && can.supports_operation(verbs::LIST));
    Ok(listed.map(|(resource, _)| resource).collect())
}

fn holds(object: &DynamicObject, condition: &str) -> bool {
    let conditions = object.data["status"]["conditions"].as_array();
    conditions.is_some_and(|all| {
        let mut all = all.iter();
        all.any(|one| one["type"] == condition && one["status"] == "True")
    })
}
