//! Encryption and signing keys are rotated while a user works: no request fails.
//!
//! There are two replicas of the gateway, the proxy and a JupyterLab that verifies assertions.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use api::GatewaySession;
use e2e::{
    Environment,
    cluster::{self, Scratch},
    http::{HttpSession, load::Load},
    installation::component,
    objects::workspace,
    wait,
};
use jiff::Timestamp;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kit::rotating_keys::{ENTRY, PERIOD};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ListParams, Patch, PatchParams},
};
use reqwest::Url;
use serde_json::{Value, json};
use tokio::time::sleep;

/// Twenty requests a second, for minutes.
const PAUSE: Duration = Duration::from_millis(50);
/// Replicas read new keys every 45 s.
const SEEN: Duration = Duration::from_secs(90);
/// For this many seconds a replica reuses an assertion.
const RETAINED: i64 = 35;

/// The Secret with the gateway's keys.
struct Keys {
    secrets: Api<Secret>,
    name: String,
}

impl Keys {
    fn of(client: &Client) -> anyhow::Result<Self> {
        let environment = Environment::get()?;
        Ok(Self {
            secrets: Api::namespaced(client.clone(), &environment.system_namespace),
            name: format!("{}-gateway-keys", environment.release),
        })
    }

    async fn read(&self) -> anyhow::Result<Vec<Value>> {
        let mut data = self.secrets.get(&self.name).await?.data.unwrap_or_default();
        let text = data.remove(ENTRY).context("no keys")?;
        Ok(serde_json::from_slice(&text.0)?)
    }

    /// Sets the newest key's time so that its successor is due.
    async fn age(&self) -> anyhow::Result<()> {
        let mut keys = self.read().await?;
        let newest = keys.iter().filter_map(from).max().context("no keys")?;
        let older = newest - (Timestamp::now().as_second() - PERIOD);
        for key in &mut keys {
            key["activeFrom"] = json!(from(key).context("a key of no time")? - older);
        }
        let stored = ByteString(serde_json::to_vec(&keys)?);
        let patch = Patch::Merge(json!({"data": {ENTRY: stored}}));
        self.secrets
            .patch(&self.name, &PatchParams::default(), &patch)
            .await?;
        Ok(())
    }
}

fn from(key: &Value) -> Option<i64> {
    key["activeFrom"].as_i64()
}

fn id(key: &Value) -> String {
    key["id"].as_str().unwrap_or_default().to_owned()
}

/// A session of a user.
#[derive(Debug)]
struct Sealed {
    /// Unix seconds.
    since: i64,
    /// Identifier of the key.
    by: String,
}

/// The sessions of all users, by name.
async fn sealed(client: &Client) -> anyhow::Result<BTreeMap<String, Sealed>> {
    let namespace = &Environment::get()?.system_namespace;
    let sessions = Api::<GatewaySession>::namespaced(client.clone(), namespace);
    let all = sessions.list(&ListParams::default()).await?;
    let reported = |session: GatewaySession| {
        let since = session.creation_timestamp().context("a session of no time")?;
        let (since, by) = (since.0.as_second(), session.spec.key_id.clone());
        Ok((session.name_any(), Sealed { since, by }))
    };
    all.into_iter().map(reported).collect()
}

/// Sleeps until this Unix second.
async fn wait_until_second(second: i64) {
    let left = u64::try_from(second - Timestamp::now().as_second()).unwrap_or_default();
    sleep(Duration::from_secs(left)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_during_key_rotation() -> anyhow::Result<()> {
    let _exclusive = super::EXCLUSIVE.lock().await;
    let scratch = Scratch::new("rotation", &["alice"]).await?;
    let lab = workspace::url(&workspace::lab(&scratch).await?)?;
    let other = workspace::url(&workspace::running(&scratch, "other").await?)?;
    let alice = HttpSession::new()?;
    alice.enter(&format!("{lab}api/status"), "alice").await?;
    component::are_ready("gateway", 2).await?;
    let admin = cluster::admin().await?;
    let keys = Keys::of(&admin)?;

    let load = Load::begin(&alice, &format!("{lab}api/status"), PAUSE);
    keys.age().await?;
    let known: BTreeSet<_> = keys.read().await?.iter().map(id).collect();
    let next = wait::until("a new key to be stored", SEEN, || async {
        let keys = keys.read().await.map_err(|error| format!("{error:#}"))?;
        let new = keys.into_iter().find(|key| !known.contains(&id(key)));
        new.ok_or_else(|| "none yet".to_owned())
    })
    .await?;
    let begins = from(&next).context("a key of no time")?;
    let fault = load.begin.elapsed();
    println!(
        "the next key begins in {} s",
        begins - Timestamp::now().as_second()
    );
    ensure!(
        begins > Timestamp::now().as_second(),
        "it is known before it is used"
    );

    // Before its first second, no value uses the new key. From then on all new values use it, and older values stay valid.
    let by_next = |sessions: &BTreeMap<String, Sealed>| {
        let by_next = |one: &&Sealed| one.by == id(&next);
        sessions.values().filter(by_next).count()
    };
    wait_until_second(begins - 2).await;
    let before = sealed(&admin).await?;
    ensure!(by_next(&before) == 0, "{before:?}");
    let since = begins + RETAINED;
    wait_until_second(since).await;
    let page = alice.enter(&other, "alice").await?.text().await?;
    ensure!(page.contains("\"path\""), "{page}");
    let newcomer = HttpSession::new()?;
    newcomer.enter(&format!("{lab}api/status"), "alice").await?;
    // Other users may sign in meanwhile: her session is among these.
    let mut after = sealed(&admin).await?;
    after.retain(|_, one| one.since >= since);
    ensure!(
        !after.is_empty() && by_next(&after) == after.len(),
        "{} is to seal {after:?}",
        id(&next)
    );
    let report = load.end("keys that change", fault).await?;
    ensure!(report.failed == 0, "{report:?}");
    // No user was redirected to the login.
    let here = alice.open(&format!("{lab}api/status")).await?;
    ensure!(here.status().is_success(), "{}", here.status());
    ensure!(
        Url::parse(&lab)?.host_str() == here.url().host_str(),
        "{}",
        here.url()
    );
    scratch.finish().await
}
