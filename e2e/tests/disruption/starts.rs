//! The operator is killed at each step of a start: the next one completes it.
//!
//! An admission rule blocks a step by refusing its write, in its own namespace. So the start is at that step when the operator is killed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use api::{
    Workspace, WorkspaceExecutionProfile, WorkspaceManager, WorkspaceTemplate,
    condition::{self, AVAILABLE},
    names,
    workspace::Phase,
};
use e2e::{
    Environment,
    cluster::{
        self, Scratch,
        audit::{self, Call, Log},
    },
    installation::component,
    objects::{template, workspace, write_block::WriteBlock},
    wait,
};
use futures::{StreamExt as _, TryStreamExt as _, future::try_join_all, stream};
use k8s_openapi::api::{
    core::v1::{PersistentVolumeClaim, Pod, Service, ServiceAccount},
    networking::v1::{Ingress, NetworkPolicy},
};
use kube::{
    Api, Resource, ResourceExt,
    api::{DeleteParams, ListParams, PostParams},
};
use serde::de::DeserializeOwned;
use serde_json::json;

/// Interval of reads of the audit log.
const POLL: Duration = Duration::from_millis(200);
/// The workspace of every step.
const NAME: &str = "lab";
/// The objects that the workspace uses. A finalizer protects them before its first child is created. None of these is a child.
const USED: [&str; 3] = [
    "workspacetemplates",
    "workspacemanagers",
    "workspaceexecutionprofiles",
];
/// What a run needs first. These are created concurrently, so while one is blocked the others exist.
const LASTING: [&str; 3] = ["persistentvolumeclaims", "serviceaccounts", "services"];

/// A write of a start, in the order of the writes.
struct Step {
    group: &'static str,
    version: &'static str,
    resource: &'static str,
}

const fn step(group: &'static str, version: &'static str, resource: &'static str) -> Step {
    Step {
        group,
        version,
        resource,
    }
}

/// In this order, without those of [`LASTING`].
const STEPS: [Step; 10] = [
    step(names::GROUP, "v1alpha1", "workspacetemplates"),
    step(names::GROUP, "v1alpha1", "workspacemanagers"),
    step(names::GROUP, "v1alpha1", "workspaceexecutionprofiles"),
    step("", "v1", "serviceaccounts"),
    step("", "v1", "persistentvolumeclaims"),
    step("", "v1", "services"),
    step("networking.k8s.io", "v1", "networkpolicies"),
    step("", "v1", "pods"),
    // The route, which is created once the pod is ready.
    step("networking.k8s.io", "v1", "ingresses"),
    step(names::GROUP, "v1alpha1", "workspaces/status"),
];

/// The kinds of children, in the order of the steps.
fn kinds() -> impl Iterator<Item = &'static str> {
    let all = STEPS.iter().map(|step| step.resource);
    all.filter(|resource| !USED.contains(resource) && !resource.ends_with("/status"))
}

impl Step {
    /// The kinds with an existing child while this step is blocked.
    fn before(&self) -> BTreeSet<&'static str> {
        if USED.contains(&self.resource) {
            return BTreeSet::new();
        }
        if LASTING.contains(&self.resource) {
            let others = LASTING.into_iter().filter(|other| *other != self.resource);
            return others.collect();
        }
        kinds().take_while(|other| *other != self.resource).collect()
    }

    /// Whether this call was blocked.
    fn has_in_use_finalizer(&self, call: &Call) -> bool {
        call.resource == self.resource && call.is_write() && call.code == 422
    }
}

/// A workspace whose start is blocked at a step.
struct Blocked {
    step: &'static Step,
    scratch: Scratch,
    write_block: WriteBlock,
    /// The children when the operator was killed.
    there: Children,
}

/// UIDs of a workspace's children by kind, without kinds that have none.
type Children = BTreeMap<&'static str, Vec<String>>;

async fn uids<K>(scratch: &Scratch, of: &ListParams) -> anyhow::Result<Vec<String>>
where
    K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    K: Clone + std::fmt::Debug + DeserializeOwned,
{
    let list = scratch.api::<K>().list(of).await?;
    Ok(list.iter().filter_map(ResourceExt::uid).collect())
}

async fn children(scratch: &Scratch) -> anyhow::Result<Children> {
    let own = ListParams::default().labels(&format!("{}={NAME}", names::WORKSPACE_LABEL));
    // The one that denies, of the two of the namespace.
    let isolated = ListParams::default().fields("metadata.name=workspace--isolated");
    let all: Children = [
        ("serviceaccounts", uids::<ServiceAccount>(scratch, &own).await?),
        (
            "persistentvolumeclaims",
            uids::<PersistentVolumeClaim>(scratch, &own).await?,
        ),
        (
            "networkpolicies",
            uids::<NetworkPolicy>(scratch, &isolated).await?,
        ),
        ("services", uids::<Service>(scratch, &own).await?),
        ("ingresses", uids::<Ingress>(scratch, &own).await?),
        ("pods", uids::<Pod>(scratch, &own).await?),
    ]
    .into();
    Ok(all.into_iter().filter(|(_, uids)| !uids.is_empty()).collect())
}

/// Creates a template, a manager with routes as objects, and a profile with an account per workspace, all with the namespace's name.
async fn make_used(scratch: &Scratch) -> anyhow::Result<()> {
    let name = scratch.namespace.as_str();
    template::make(scratch, &json!({"defaultImage": Environment::get()?.images.echo})).await?;
    let route = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": "{service.name}"},
        "spec": {"rules": [{"host": "{workspace.host}", "http": {"paths": [{
            "path": "/", "pathType": "Prefix",
            "backend": {"service": {"name": "{service.name}", "port": {"name": "http"}}},
        }]}}]},
    });
    let manager: WorkspaceManager = serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {
            "routing": {"baseDomain": format!("{name}.example.org"), "custom": {"resources": [route]}},
            "authentication": {"none": {}},
        },
    }))?;
    managers().await?.create(&PostParams::default(), &manager).await?;
    let profile: WorkspaceExecutionProfile = serde_json::from_value(
        json!({"metadata": {"name": name}, "spec": {"serviceAccount": {"perWorkspace": {}}}}),
    )?;
    let profiles = scratch.api::<WorkspaceExecutionProfile>();
    profiles.create(&PostParams::default(), &profile).await?;
    Ok(())
}

async fn managers() -> anyhow::Result<Api<WorkspaceManager>> {
    Ok(Api::all(cluster::admin().await?))
}

/// Waits until the workspace runs and can be opened: one with a blocked route already runs.
async fn available(scratch: &Scratch, held_at: &str) -> anyhow::Result<Workspace> {
    let workspaces = scratch.api::<Workspace>();
    let what = format!("the start held at {held_at} to end");
    wait::until(&what, wait::USUAL, || async {
        let lab = workspaces.get(NAME).await.map_err(|error| error.to_string())?;
        let status = lab.status.clone().unwrap_or_default();
        if status.phase == Some(Phase::Running) && condition::holds(&status.conditions, AVAILABLE) {
            Ok(lab)
        } else {
            Err(format!("{status:?}"))
        }
    })
    .await
}

/// Whether the object has the finalizer exactly once.
fn is_in_use(object: &impl ResourceExt) -> bool {
    let finalizers = object.finalizers().iter();
    finalizers.filter(|it| *it == names::IN_USE_FINALIZER).count() == 1
}

/// Starts a workspace that stops at this step.
async fn begin(step: &'static Step) -> anyhow::Result<Blocked> {
    let scratch = Scratch::new("killed", &["alice"]).await?;
    make_used(&scratch).await?;
    let write_block = WriteBlock::start(&scratch, step.group, step.version, step.resource).await?;
    let mut wanted = json!(workspace::echo(NAME)?);
    wanted["spec"]["storage"] = json!({"size": "100Mi"});
    for reference in ["templateRef", "managerRef", "executionProfileRef"] {
        wanted["spec"][reference] = json!(scratch.namespace);
    }
    wanted["spec"]["resources"] =
        json!({"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "500m", "memory": "128Mi"}});
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    alice
        .create(&PostParams::default(), &serde_json::from_value(wanted)?)
        .await?;
    Ok(Blocked {
        step,
        scratch,
        write_block,
        there: Children::new(),
    })
}

/// Waits until each of these starts was blocked, in a call as `met` says.
async fn all_met(
    blocked: impl Iterator<Item = &Blocked>,
    log: &mut Log,
    met: impl Fn(&Call) -> bool,
) -> anyhow::Result<()> {
    let mut waiting: Vec<_> = blocked.collect();
    let end = Instant::now() + wait::USUAL;
    while !waiting.is_empty() {
        for call in log.calls(|line| line.contains("\"killed-"))? {
            waiting.retain(|one| !(one.is_met_by(&call) && met(&call)));
        }
        let left: Vec<_> = waiting.iter().map(|one| one.step.resource).collect();
        ensure!(Instant::now() < end, "no start was blocked at {left:?}");
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

impl Blocked {
    /// Whether this call was blocked.
    fn is_met_by(&self, call: &Call) -> bool {
        let (own, at) = (&self.scratch.namespace, &call.namespace);
        // Cluster-scoped objects have the namespace's name.
        self.step.has_in_use_finalizer(call) && (at == own || (at.is_empty() && call.name == *own))
    }

    /// Waits until exactly the objects before this step exist.
    async fn partial(&self) -> anyhow::Result<Children> {
        let (resource, expected) = (self.step.resource, self.step.before());
        wait::until(&format!("the start held at {resource}"), wait::USUAL, || async {
            let found = children(&self.scratch)
                .await
                .map_err(|error| format!("{error:#}"))?;
            let single = found.values().all(|uids| uids.len() == 1);
            if single && found.keys().copied().collect::<BTreeSet<_>>() == expected {
                return Ok(found);
            }
            Err(format!("{found:?} in place of {expected:?}"))
        })
        .await
    }

    /// Unblocks the start, and compares the children with the earlier ones.
    async fn finishes(self) -> anyhow::Result<()> {
        let Self {
            step,
            scratch,
            write_block,
            there,
        } = self;
        write_block.end().await?;
        let resource = step.resource;
        let running = available(&scratch, resource).await?;
        let status = running.status.clone().unwrap_or_default();
        let now = children(&scratch).await?;
        let (all, each): (BTreeSet<_>, bool) = (
            now.keys().copied().collect(),
            now.values().all(|uids| uids.len() == 1),
        );
        let expected: BTreeSet<_> = kinds().collect();
        ensure!(each && all == expected, "killed at {resource}: {now:?}");
        for (kind, before) in &there {
            ensure!(
                now.get(kind) == Some(before),
                "killed at {resource}: another of {kind}: {before:?}, {now:?}"
            );
        }

        let child = format!("workspace-{NAME}");
        let pod = scratch.api::<Pod>().get(&child).await?;
        ensure!(
            pod.labels().get(names::RUN_ID_LABEL) == status.run_id.as_ref(),
            "{resource}: {:?}",
            pod.labels()
        );
        let claim = scratch.api::<PersistentVolumeClaim>().get(&child).await?;
        ensure!(
            Some(&claim.owner_references()[0].uid) == running.uid().as_ref(),
            "{resource}: {claim:?}"
        );
        let (own, templates) = (
            scratch.namespace.clone(),
            Api::<WorkspaceTemplate>::all(cluster::admin().await?),
        );
        let (managers, profiles) = (managers().await?, scratch.api::<WorkspaceExecutionProfile>());
        ensure!(
            is_in_use(&templates.get(&own).await?)
                && is_in_use(&managers.get(&own).await?)
                && is_in_use(&profiles.get(&own).await?),
            "{resource}: what it uses is not held"
        );
        template::finish(scratch).await?;
        managers.delete(&own, &DeleteParams::default()).await?;
        Ok(())
    }
}

#[tokio::test]
async fn an_operator_killed_at_each_step_of_a_start_leaves_one_of_each_child() -> anyhow::Result<()> {
    let _exclusive = crate::EXCLUSIVE.lock().await;
    let (mut log, operator) = (Log::open()?, audit::user_of("operator")?);
    let mut blocked: Vec<Blocked> = try_join_all(STEPS.iter().map(begin)).await?;
    let by_operator = |call: &Call| call.user == operator;
    all_met(blocked.iter(), &mut log, by_operator).await?;
    for one in &mut blocked {
        one.there = one.partial().await?;
    }
    let last = blocked.last().context("no step")?;
    let reported = last.scratch.api::<Workspace>().get(NAME).await?;
    ensure!(
        reported.status.is_none(),
        "its status was to be held: {:?}",
        reported.status
    );

    let killed = component::kill("operator").await?;
    component::are_ready("operator", 2).await?;
    // The next operator reaches the same step, and no further.
    let next = |call: &Call| call.pod.as_ref().is_some_and(|pod| !killed.contains(pod));
    all_met(blocked.iter(), &mut log, |call| by_operator(call) && next(call)).await?;
    for one in &blocked {
        let now = one.partial().await?;
        ensure!(
            now == one.there,
            "{}: {:?}, then {now:?}",
            one.step.resource,
            one.there
        );
    }
    let finishing = blocked.into_iter().map(Blocked::finishes);
    stream::iter(finishing)
        .buffer_unordered(STEPS.len())
        .try_collect::<Vec<()>>()
        .await?;
    Ok(())
}
