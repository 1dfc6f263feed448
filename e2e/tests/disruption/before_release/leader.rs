//! The leading operator is killed while many workspaces start.
//!
//! The other replica leads within the lease's duration and completes each start.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use api::{Workspace, names, workspace::Phase};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    objects::workspace,
    wait,
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        coordination::v1::Lease,
        core::v1::{Pod, Service},
        networking::v1::NetworkPolicy,
    },
};
use kube::{
    Api, Resource, ResourceExt as _,
    api::{DeleteParams, ListParams, PostParams},
};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::{replaced, replicas::Replica};

/// Workspaces that start.
const ALL: usize = 40;
/// Number of started workspaces when the leader is killed.
const STARTED: usize = 10;
/// Additional time of the other replica to notice the expiry and write its own lease.
const TAKEOVER: Duration = Duration::from_secs(5);

async fn lease() -> anyhow::Result<Lease> {
    let environment = Environment::get()?;
    let leases = Api::<Lease>::namespaced(cluster::admin().await?, &environment.system_namespace);
    Ok(leases.get(&format!("{}-operator", environment.release)).await?)
}

/// The pod that leads.
fn holder(lease: &Lease) -> String {
    let spec = lease.spec.as_ref();
    spec.and_then(|spec| spec.holder_identity.clone())
        .unwrap_or_default()
}

async fn create(scratch: &Scratch, number: usize) -> anyhow::Result<()> {
    let mut wanted = json!(workspace::echo(&format!("many-{number:02}"))?);
    wanted["spec"]["resources"] =
        json!({"requests": {"cpu": "5m", "memory": "16Mi"}, "limits": {"cpu": "200m", "memory": "64Mi"}});
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    alice
        .create(&PostParams::default(), &serde_json::from_value(wanted)?)
        .await?;
    Ok(())
}

/// Number of children of this kind by workspace.
async fn count<K>(scratch: &Scratch, is_there: impl Fn(&K) -> bool) -> anyhow::Result<BTreeMap<String, usize>>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    K: Clone + std::fmt::Debug + DeserializeOwned,
{
    let of_workspaces = ListParams::default().labels(names::WORKSPACE_LABEL);
    let mut counts = BTreeMap::new();
    for child in scratch
        .api::<K>()
        .list(&of_workspaces)
        .await?
        .iter()
        .filter(|child| is_there(child))
    {
        let of = child.labels()[names::WORKSPACE_LABEL].clone();
        *counts.entry(of).or_default() += 1;
    }
    Ok(counts)
}

fn is_one_each(counts: &BTreeMap<String, usize>) -> bool {
    counts.len() == ALL && counts.values().all(|count| *count == 1)
}

#[tokio::test]
async fn a_leader_killed_while_many_workspaces_start_is_replaced_and_each_starts_once() -> anyhow::Result<()>
{
    let _exclusive = crate::EXCLUSIVE.lock().await;
    let scratch = Scratch::new("leader", &["alice"]).await?;
    let before = lease().await?;
    let leader = holder(&before);
    let duration = before.spec.as_ref().and_then(|spec| spec.lease_duration_seconds);
    let duration = Duration::from_secs(duration.context("a lease without duration")?.try_into()?);

    let creations = stream::iter(0..ALL)
        .map(|number| create(&scratch, number))
        .buffer_unordered(8)
        .try_collect::<Vec<()>>();
    let kill = async {
        let started = wait::until("some starts to begin", wait::USUAL, || async {
            let started = count::<Pod>(&scratch, |_| true).await;
            let started = started.map_err(|error| format!("{error:#}"))?.len();
            (started >= STARTED)
                .then_some(started)
                .ok_or_else(|| format!("{started} started"))
        })
        .await?;
        ensure!(started < ALL, "all had started");
        let system = &Environment::get()?.system_namespace;
        let pods = Api::<Pod>::namespaced(cluster::admin().await?, system);
        // A frozen process cannot release its lease until the kubelet kills it. If this test killed it, the kubelet would start it again
        // before its pod is gone.
        Replica::of(&pods.get(&leader).await?)?.signal("STOP")?;
        pods.delete(&leader, &DeleteParams::default().grace_period(0))
            .await?;
        anyhow::Ok(Instant::now())
    };
    let (_, killed) = tokio::try_join!(creations, kill)?;
    let next = wait::until("another leader", duration + TAKEOVER, || async {
        let now = lease().await.map_err(|error| format!("{error:#}"))?;
        let name = holder(&now);
        if name.is_empty() || name == leader {
            Err(name)
        } else {
            Ok(name)
        }
    })
    .await?;
    let without = killed.elapsed();
    println!("{next} leads {:.1} s after the kill", without.as_secs_f64());
    anyhow::ensure!(without < duration + TAKEOVER, "no operator led for {without:?}");

    let workspaces = scratch.api::<Workspace>();
    for number in 0..ALL {
        workspace::reached(&workspaces, &format!("many-{number:02}"), Phase::Running).await?;
    }
    let pods = count::<Pod>(&scratch, |pod| !cluster::has_ended(pod)).await?;
    for (kind, counts) in [
        ("Services", count::<Service>(&scratch, |_| true).await?),
        (
            "NetworkPolicies",
            count::<NetworkPolicy>(&scratch, |_| true).await?,
        ),
        ("Pods", pods),
    ] {
        ensure!(is_one_each(&counts), "{kind}: {counts:?}");
    }
    replaced("operator", &[leader]).await?;
    scratch.finish().await
}
