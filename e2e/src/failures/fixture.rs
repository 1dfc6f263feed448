//! Failure -> its namespace, its workspace, and the product's reports about it (IO).

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use api::{
    Workspace,
    condition::{self, AVAILABLE, reason},
    names,
    workspace::Phase,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    NamespaceResourceScope,
    api::{core::v1::Pod, events::v1::Event},
};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    checks::{self, degraded},
    explained::{OWNER, Readings},
    history::Histories,
    moment::{Moment, Moments},
    node::{SilentNode, end_pods},
};
use crate::{
    Environment,
    cluster::{self, Scratch, cleanup::remove_cluster_objects},
    objects::workspace,
    portal::Portal,
    wait,
};

/// Maximum time from evidence to status, by the API server's audit log: below all periods of the product after which a report could come
/// by chance.
const MAX_DELAY: SignedDuration = SignedDuration::from_secs(10);
/// Maximum time for a failure to appear at all.
const TIMEOUT: Duration = Duration::from_secs(100);
/// Maximum time from a status to its Events.
const EVENTS_LIMIT: Duration = Duration::from_secs(10);

/// Observations of a row so far.
#[derive(Debug, Default)]
struct Seen {
    /// Reported reasons, with their delays since the evidence.
    delays: Vec<(&'static str, SignedDuration)>,
    also: Vec<&'static str>,
}

/// The surroundings of one failure.
pub struct Fixture {
    /// Name of the workspace.
    pub name: String,
    /// Namespace of the workspace.
    pub scratch: Scratch,
    /// Client with the identity of an administrator.
    pub admin: Client,
    /// API client for the namespace's workspaces, as the user alice, who owns the workspace.
    pub alice: Api<Workspace>,
    /// Recorded versions of the objects.
    pub histories: Histories,
    moments: Moments,
    readings: Readings,
    nodes: Mutex<Vec<Arc<SilentNode>>>,
    seen: Mutex<Seen>,
}

impl Fixture {
    pub(super) async fn new(row: &str, portal: Portal) -> anyhow::Result<Self> {
        let name = row.replace('_', "-");
        let scratch = Scratch::new(&format!("why-{name}"), &[OWNER]).await?;
        let admin = cluster::admin().await?;
        Ok(Self {
            alice: Api::namespaced(cluster::user(OWNER).await?, &scratch.namespace),
            histories: Histories::of(&admin, &scratch.namespace),
            moments: Moments::of(&scratch.namespace)?,
            readings: Readings::new(portal, &scratch.namespace, &name),
            name,
            scratch,
            admin,
            nodes: Mutex::default(),
            seen: Mutex::new(Seen {
                // The cluster is one small node. It may be full for a short time, and the product reports that, too.
                also: vec![reason::UNSCHEDULABLE],
                ..Seen::default()
            }),
        })
    }

    /// Name of the namespace.
    pub fn namespace(&self) -> &str {
        &self.scratch.namespace
    }

    /// Creates the workspace as alice: the echo server without a disk, with `rest` merged into its spec.
    pub async fn create(&self, rest: Value) -> anyhow::Result<()> {
        self.create_in(&self.alice, rest, BTreeMap::new()).await
    }

    /// The same as administrator, for alice, because the references need permissions that users do not have.
    pub async fn create_as_admin(&self, rest: Value) -> anyhow::Result<()> {
        let owner = (names::CREATED_BY.to_owned(), OWNER.to_owned());
        self.create_in(&self.scratch.api(), rest, [owner].into()).await
    }

    async fn create_in(
        &self,
        api: &Api<Workspace>,
        rest: Value,
        annotations: BTreeMap<String, String>,
    ) -> anyhow::Result<()> {
        let mut spec = json!({
            "displayName": self.name,
            "image": Environment::get()?.images.echo,
            "resources": {
                "requests": {"cpu": "10m", "memory": "32Mi"},
                "limits": {"cpu": "500m", "memory": "128Mi"},
            },
        });
        merge(&mut spec, rest);
        let mut workspace = Workspace::new(&self.name, serde_json::from_value(spec)?);
        workspace.annotations_mut().extend(annotations);
        api.create(&PostParams::default(), &workspace).await?;
        Ok(())
    }

    /// Creates an object in the namespace, as administrator.
    pub async fn make<K>(&self, object: Value) -> anyhow::Result<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
        K: Clone + std::fmt::Debug + Serialize + DeserializeOwned,
    {
        let object: K = serde_json::from_value(object)?;
        Ok(self
            .scratch
            .api::<K>()
            .create(&PostParams::default(), &object)
            .await?)
    }

    /// Deletes an object of the namespace, as administrator.
    pub async fn delete<K>(&self, name: &str) -> anyhow::Result<()>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
        K: Clone + std::fmt::Debug + DeserializeOwned,
    {
        self.scratch
            .api::<K>()
            .delete(name, &DeleteParams::default())
            .await?;
        Ok(())
    }

    /// Changes an object of the namespace by a merge patch, as administrator.
    pub async fn change<K>(&self, name: &str, change: Value) -> anyhow::Result<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
        K: Clone + std::fmt::Debug + DeserializeOwned,
    {
        let patch = Patch::Merge(change);
        Ok(self
            .scratch
            .api::<K>()
            .patch(name, &PatchParams::default(), &patch)
            .await?)
    }

    /// A Node that only this row writes.
    pub async fn silent_node(&self) -> anyhow::Result<Arc<SilentNode>> {
        let node = Arc::new(SilentNode::new(&self.admin, self.namespace()).await?);
        self.nodes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(node.clone());
        Ok(node)
    }

    /// The pod of the workspace, once it is bound to a node.
    pub async fn bound_pod(&self) -> anyhow::Result<Pod> {
        let pods = self.scratch.api::<Pod>();
        wait::until("a pod to be bound", wait::USUAL, || async {
            let all = pods
                .list(&ListParams::default())
                .await
                .map_err(|error| error.to_string())?;
            let live = all.items.into_iter().filter(|pod| {
                let failed = pod
                    .status
                    .as_ref()
                    .is_some_and(|status| status.phase.as_deref() == Some("Failed"));
                pod.metadata.deletion_timestamp.is_none() && !failed
            });
            live.max_by_key(|pod| pod.metadata.creation_timestamp.clone())
                .filter(|pod| pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some()))
                .ok_or_else(|| "no pod is bound".to_owned())
        })
        .await
    }

    /// Writes a pod's status like its kubelet would.
    pub async fn write_pod(&self, pod: &Pod, status: Value) -> anyhow::Result<()> {
        let patch = Patch::Merge(json!({"status": status}));
        let pods = self.scratch.api::<Pod>();
        pods.patch_status(&pod.name_any(), &PatchParams::default(), &patch)
            .await?;
        Ok(())
    }

    /// Waits until `Degraded` has this reason and a message with all of these texts. Checks the maximum time since the evidence, and then
    /// that portal, plugin and gateway give the same explanation.
    pub async fn reports(
        &self,
        reason: &'static str,
        parts: &[&str],
        evidence: impl Fn(&Histories) -> Option<Moment>,
    ) -> anyhow::Result<()> {
        let first = wait::until(&format!("{reason} to be reported"), TIMEOUT, || async {
            let says = |workspace: &Workspace| degraded(workspace).is_some_and(|it| it.reason == reason);
            self.histories.workspaces.first(says).ok_or_else(|| self.latest())
        })
        .await?;
        let message = degraded(&first)
            .map(|condition| condition.message.clone())
            .unwrap_or_default();
        for part in parts {
            anyhow::ensure!(message.contains(part), "{part:?} is missing in: {message}");
        }
        let held = evidence(&self.histories)
            .with_context(|| format!("{reason} is reported without evidence: {message}"))?;
        let (evidence_at, reported) = (
            self.moments.evidence(&held).await?,
            self.written_at(&first).await?,
        );
        let delay = reported.duration_since(evidence_at);
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.delays.push((reason, delay));
        }
        anyhow::ensure!(
            delay <= MAX_DELAY,
            "{reason} was reported {delay:?} after the API server got the evidence, at {evidence_at}"
        );
        let versions = || self.histories.workspaces.all();
        self.readings.explain(reason, versions).await
    }

    /// When the API server had stored the status of this version.
    pub async fn written_at(&self, version: &Workspace) -> anyhow::Result<Timestamp> {
        let written = Moment::written(version).context("no times on the workspace")?;
        self.moments.reported(&written).await
    }

    /// Waits until portal and plugin explain what the status says without `Degraded`.
    pub async fn explained(&self, reason: &str, message: &str) -> anyhow::Result<()> {
        let statement = (reason.to_owned(), message.to_owned());
        self.readings.tell(|| vec![vec![statement.clone()]]).await
    }

    /// Waits until the portal no longer explains the failure.
    async fn no_longer_explained(&self) -> anyhow::Result<()> {
        let reasons = self.reasons();
        if reasons.is_empty() {
            return Ok(());
        }
        self.readings.no_longer_tell(&reasons).await
    }

    /// Allows a reason that the product may report while the failure develops.
    pub fn may_also_report(&self, reason: &'static str) {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .also
            .push(reason);
    }

    /// Waits until the workspace is in `phase`.
    pub async fn reached(&self, phase: Phase) -> anyhow::Result<Workspace> {
        workspace::reached(&self.alice, &self.name, phase).await
    }

    /// Changes the spec, as alice.
    pub async fn edit(&self, change: Value) -> anyhow::Result<()> {
        workspace::set(&self.alice, &self.name, change).await.map(drop)
    }

    /// Changes the spec and restarts the workspace, as alice.
    pub async fn restart_with(&self, change: Value) -> anyhow::Result<()> {
        let mut spec = change;
        spec["desiredStatus"] = json!("Stopped");
        self.edit(spec).await?;
        self.reached(Phase::Stopped).await?;
        self.edit(json!({"desiredStatus": "Running"})).await
    }

    /// Waits until no problem is reported, and checks that the failure was reported once and without a flood.
    pub async fn wait_cleared(&self) -> anyhow::Result<()> {
        wait::until("nothing to be wrong", wait::USUAL, || async {
            let last = self.histories.workspaces.last();
            let fine = last
                .as_ref()
                .is_some_and(|workspace| degraded(workspace).is_none());
            if fine { Ok(()) } else { Err(self.latest()) }
        })
        .await?;
        self.no_longer_explained().await?;
        let reasons = self.reasons();
        let also = {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.also.clone()
        };
        // Events are written after the status, one after the other.
        let events = self.scratch.api::<Event>();
        wait::until("one Event for each reason", EVENTS_LIMIT, || async {
            let listed = events
                .list(&ListParams::default())
                .await
                .map_err(|error| error.to_string())?;
            checks::check_one_event_each(&listed.items, &reasons, &also).map_err(|error| error.to_string())
        })
        .await?;
        checks::check_condition_changes(&self.histories.workspaces.all())
    }

    /// Waits until it runs and no problem is reported.
    pub async fn recovered(&self) -> anyhow::Result<()> {
        self.reached(Phase::Running).await?;
        self.wait_cleared().await
    }

    /// The reported reasons, with their delays since the evidence.
    pub(super) fn delays(&self) -> Vec<(&'static str, SignedDuration)> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .delays
            .clone()
    }

    fn reasons(&self) -> Vec<String> {
        let delays = self.delays();
        delays.into_iter().map(|(reason, _)| reason.to_owned()).collect()
    }

    /// The last observations, for a row that fails.
    pub(super) fn final_message(&self) -> String {
        let pod = self.histories.pods.last().and_then(|pod| pod.status);
        let pod = serde_json::to_string(&pod).unwrap_or_default();
        format!("{}; pod: {pod}", self.latest())
    }

    fn latest(&self) -> String {
        let Some(workspace) = self.histories.workspaces.last() else {
            return "no workspace".to_owned();
        };
        let status = workspace.status.clone().unwrap_or_default();
        let available = condition::find(&status.conditions, AVAILABLE).map(|it| it.reason.clone());
        format!(
            "phase {:?}, reason {:?}, message {:?}, Available {available:?}",
            status.phase, status.reason, status.message
        )
    }

    /// Deletes all objects. Pods on a node without a machine are deleted by force, because no kubelet ends them.
    pub(super) async fn finish(self, keep: bool) -> anyhow::Result<()> {
        let nodes = std::mem::take(&mut *self.nodes.lock().unwrap_or_else(PoisonError::into_inner));
        let keep = keep && std::env::var_os("KEEP_FAILED").is_some();
        if keep {
            return Ok(());
        }
        let (admin, name) = (self.admin.clone(), self.scratch.namespace.clone());
        let pods = self.scratch.api::<Pod>();
        let result = tokio::select! {
            // A row with strict times counts as working until its end.
            result = self.scratch.finish() => result,
            () = end_pods(&pods, &nodes) => Ok(()),
        };
        for node in &nodes {
            node.delete().await?;
        }
        remove_cluster_objects(&admin, &[name]).await?;
        result
    }
}

/// Writes the keys of `over` over those of `base`.
fn merge(base: &mut Value, over: Value) {
    if let (Some(base), Value::Object(over)) = (base.as_object_mut(), over) {
        base.extend(over);
    }
}
