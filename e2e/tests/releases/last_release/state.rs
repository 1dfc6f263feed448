//! What an upgrade leaves as it is: pods and runs of workspaces, sessions, keys.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, ensure};
use api::{GatewaySession, Workspace, names, workspace::Phase};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    objects::workspace,
};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::{Api, ResourceExt as _, api::ListParams};
use serde_json::{Value, json};

use super::users::WORKSPACES;

/// Of the two users and the release.
#[derive(Debug)]
pub(crate) struct State {
    /// Name and UID of each pod, and how often its containers were restarted.
    pods: BTreeMap<String, (String, i32)>,
    runs: BTreeMap<&'static str, String>,
    /// Sessions of the users, and those that were there before.
    sessions: BTreeSet<String>,
    earlier: BTreeSet<String>,
    /// Content of each Secret of the release, by its name: keys of sessions and assertions, certificates.
    secrets: BTreeMap<String, Value>,
    /// Public keys of assertions, as the proxy's and the workspaces' sides read them.
    public_keys: Vec<Value>,
}

impl State {
    /// Reads it. `earlier`: sessions that are none of these users'.
    pub(crate) async fn of(scratch: &Scratch, earlier: &BTreeSet<String>) -> anyhow::Result<Self> {
        let sessions: BTreeSet<_> = sessions().await?.difference(earlier).cloned().collect();
        ensure!(sessions.len() == 2, "not one session each: {sessions:?}");
        Ok(Self {
            pods: pods(scratch).await?,
            runs: runs(scratch).await?,
            sessions,
            earlier: earlier.clone(),
            secrets: secrets().await?,
            public_keys: public_keys(scratch).await?,
        })
    }

    /// All of it is as it was: workspaces may be created meanwhile, but no user signs in.
    pub(crate) async fn is_kept(&self, scratch: &Scratch) -> anyhow::Result<()> {
        let pods = pods(scratch).await?;
        for (name, before) in &self.pods {
            let now = pods.get(name);
            ensure!(now == Some(before), "the pod {name}: {before:?} became {now:?}");
        }
        let runs = runs(scratch).await?;
        ensure!(runs == self.runs, "{:?} became {runs:?}", self.runs);
        let sessions = sessions().await?;
        ensure!(
            self.sessions.is_subset(&sessions),
            "{:?} ended: {sessions:?}",
            self.sessions
        );
        let mut new = sessions.difference(&self.earlier);
        ensure!(
            new.all(|session| self.sessions.contains(session)),
            "a user signed in again: {sessions:?}"
        );
        let secrets = secrets().await?;
        for (name, before) in &self.secrets {
            // Not what it holds: logs are no place for keys.
            ensure!(secrets.get(name) == Some(before), "the Secret {name} changed");
        }
        let keys = public_keys(scratch).await?;
        ensure!(keys == self.public_keys, "{:?} became {keys:?}", self.public_keys);
        Ok(())
    }
}

/// Names and UIDs of all sessions.
pub(crate) async fn sessions() -> anyhow::Result<BTreeSet<String>> {
    let namespace = &Environment::get()?.system_namespace;
    let sessions = Api::<GatewaySession>::namespaced(cluster::admin().await?, namespace);
    let all = sessions.list(&ListParams::default()).await?.into_iter();
    Ok(all
        .map(|session| format!("{} {:?}", session.name_any(), session.uid()))
        .collect())
}

async fn pods(scratch: &Scratch) -> anyhow::Result<BTreeMap<String, (String, i32)>> {
    let all = scratch.api::<Pod>().list(&ListParams::default()).await?;
    let described = |pod: Pod| {
        let containers = pod.status.as_ref().and_then(|it| it.container_statuses.as_ref());
        let restarts = containers.into_iter().flatten().map(|one| one.restart_count);
        let restarts = restarts.sum();
        Ok((
            pod.name_any(),
            (pod.uid().context("a pod without UID")?, restarts),
        ))
    };
    all.into_iter().map(described).collect()
}

/// The run of each workspace, which has nothing pending.
async fn runs(scratch: &Scratch) -> anyhow::Result<BTreeMap<&'static str, String>> {
    let workspaces = scratch.api::<Workspace>();
    let mut runs = BTreeMap::new();
    for name in WORKSPACES {
        let now = workspace::reached(&workspaces, name, Phase::Running).await?;
        let pending = now.status.as_ref().map(|status| status.pending_update.clone());
        ensure!(pending == Some(Vec::new()), "{name}: {pending:?}");
        runs.insert(name, workspace::run_id(&now)?);
    }
    Ok(runs)
}

async fn secrets() -> anyhow::Result<BTreeMap<String, Value>> {
    let namespace = &Environment::get()?.system_namespace;
    let secrets = Api::<Secret>::namespaced(cluster::admin().await?, namespace);
    // Helm's own have a record of each upgrade.
    let others = ListParams::default().fields("type!=helm.sh/release.v1");
    let all = secrets.list(&others).await?.into_iter();
    Ok(all
        .map(|secret| (secret.name_any(), json!([secret.uid(), secret.data])))
        .collect())
}

/// In the namespace of the release, and in that of the workspaces.
async fn public_keys(scratch: &Scratch) -> anyhow::Result<Vec<Value>> {
    let namespace = &Environment::get()?.system_namespace;
    let mut found = Vec::new();
    for maps in [
        Api::<ConfigMap>::namespaced(cluster::admin().await?, namespace),
        scratch.api(),
    ] {
        let map = maps.get(names::ASSERTION_KEYS).await?;
        let keys = map.data.context("no keys")?;
        ensure!(keys.contains_key(names::GATEWAY_KEYS), "{keys:?}");
        found.push(json!(keys));
    }
    Ok(found)
}
