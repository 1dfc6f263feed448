//! An installation without changes sends no calls and no writes.
//!
//! Its own test binary, because no other test may run meanwhile.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::ensure;
use api::{Workspace, WorkspaceExecutionProfile, WorkspaceManager, WorkspaceShare, workspace::Phase};
use e2e::{
    Environment,
    cluster::{
        self, Scratch,
        audit::{Call, Log},
    },
    objects::{template, workspace},
    wait,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::networking::v1::Ingress;
use kube::{
    Api,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::{Value, json};

/// How long nothing is to be heard: longer than each period of the servers (the slowest reads keys, every 45 s).
const SILENCE: Duration = Duration::from_mins(1);
/// What the tests before left behind has come to an end when nothing was heard for this long.
const QUIET: Duration = Duration::from_secs(10);
/// And that may take so long.
const TIMEOUT: Duration = Duration::from_mins(4);
/// Each replica of a server reads its keys every 45 s or less often: twice where the time begins with one.
const CHECKS: usize = 2;

/// A call of one of the product's servers that goes on for ever: name and number of calls in this time at most.
fn upkeep(release: &str, time: Duration) -> BTreeMap<(String, String, String), usize> {
    let every = |period: u64| {
        usize::try_from(time.as_secs() / period)
            .unwrap_or(usize::MAX)
            .saturating_add(2)
    };
    let of = |component: &str, what: &str, name: String, most: usize| {
        ((component.to_owned(), what.to_owned(), name), most)
    };
    [
        // Every second or less often, by leader and followers together.
        of(
            "operator",
            "patch leases",
            format!("{release}-operator"),
            every(1),
        ),
        of("operator", "get leases", format!("{release}-operator"), every(1)),
        // Every second or less often, by each of two replicas; one more where the time begins.
        of(
            "gateway",
            "patch leases",
            format!("{release}-gateway-heartbeat"),
            2 * every(1),
        ),
        // Keys rotate: whether others made new ones is looked at (docs/operations.md).
        of(
            "gateway",
            "get secrets",
            format!("{release}-gateway-keys"),
            2 * CHECKS,
        ),
        of(
            "gateway",
            "get configmaps",
            "jupyter-k8s-assertion-keys".to_owned(),
            2 * CHECKS,
        ),
        of(
            "operator",
            "get secrets",
            format!("{release}-operator-keys"),
            CHECKS,
        ),
        // Every ten minutes: whether it may act as users. An upgrade of the cluster may bring the feature.
        of("portal", "create selfsubjectreviews", String::new(), every(600)),
    ]
    .into()
}

/// What is not upkeep among what our servers called: each call once, with its number.
fn excess(calls: &[Call], time: Duration) -> anyhow::Result<BTreeMap<String, usize>> {
    let environment = Environment::get()?;
    let ours = ours()?;
    let mut known = upkeep(&environment.release, time);
    let mut rest = BTreeMap::new();
    for call in calls {
        let Some(component) = call.user.strip_prefix(&ours) else {
            continue;
        };
        // A watch ends after some minutes, and is resumed at its last version.
        if call.verb == "watch" {
            continue;
        }
        let key = (component.to_owned(), call.what(), call.name.clone());
        let is_own = call.namespace == environment.system_namespace && call.is_done();
        // A cluster without impersonation refuses this one.
        let is_own = is_own || call.namespace.is_empty() && matches!(call.code, 201 | 403);
        let left = known.get_mut(&key).filter(|left| **left > 0 && is_own);
        if let Some(left) = left {
            *left -= 1;
            continue;
        }
        let call = format!(
            "{component}: {} {}/{} -> {}",
            call.what(),
            call.namespace,
            call.name,
            call.code
        );
        *rest.entry(call).or_default() += 1;
    }
    Ok(rest)
}

/// What the names of all users of our servers begin with.
fn ours() -> anyhow::Result<String> {
    let environment = Environment::get()?;
    Ok(format!(
        "system:serviceaccount:{}:{}-",
        environment.system_namespace, environment.release
    ))
}

/// Waits until nothing but upkeep was heard for a while.
async fn quiet() -> anyhow::Result<()> {
    let (ours, begin) = (ours()?, Instant::now());
    let mut log = Log::open()?;
    let mut since = Instant::now();
    let mut last = BTreeMap::new();
    while since.elapsed() < QUIET {
        ensure!(begin.elapsed() < TIMEOUT, "it never got quiet: {last:?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
        let received = excess(&log.calls(|line| line.contains(&ours))?, QUIET)?;
        if !received.is_empty() {
            (since, last) = (Instant::now(), received);
        }
    }
    Ok(())
}

/// A manager called as the namespace, whose routes are objects.
async fn manager(scratch: &Scratch) -> anyhow::Result<()> {
    let service = json!({"name": "{service.name}", "port": {"name": "http"}});
    let manager: WorkspaceManager = serde_json::from_value(json!({
        "metadata": {"name": scratch.namespace, "labels": {"e2e.test/scratch": "true"}},
        "spec": {
            "routing": {
                "baseDomain": format!("{}.test", scratch.namespace),
                "custom": {"resources": [{
                    "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
                    "spec": {"rules": [{"host": "{workspace.host}", "http": {"paths": [
                        {"path": "/", "pathType": "Prefix", "backend": {"service": service}},
                    ]}}]},
                }]},
            },
            "authentication": {"none": {}},
        },
    }))?;
    let managers = Api::<WorkspaceManager>::all(cluster::admin().await?);
    managers.create(&PostParams::default(), &manager).await?;
    Ok(())
}

/// Workspaces of a template, of both sorts of managers, with a profile, a disk and a share; and one that is stopped.
async fn settle(scratch: &Scratch) -> anyhow::Result<()> {
    let amounts = json!({"cpu": "50m", "memory": "64Mi"});
    let defaults = json!({
        "defaultImage": Environment::get()?.images.echo,
        "defaultResources": {"requests": amounts, "limits": {"cpu": "1", "memory": "256Mi"}},
        "primaryStorage": {"defaultSize": "100Mi"},
    });
    template::make(scratch, &defaults).await?;
    manager(scratch).await?;
    let profile: WorkspaceExecutionProfile = serde_json::from_value(json!({
        "metadata": {"name": "own"},
        "spec": {"serviceAccount": {"perWorkspace": {}}, "env": [{"name": "COLOUR", "value": "blue"}]},
    }))?;
    let profiles = scratch.api::<WorkspaceExecutionProfile>();
    profiles.create(&PostParams::default(), &profile).await?;

    let workspaces = scratch.api::<Workspace>();
    let by_objects = json!({"executionProfileRef": "own", "managerRef": scratch.namespace});
    let all: [(&str, Value); 3] = [
        ("fed", json!({"executionProfileRef": "own"})),
        ("routed", by_objects),
        ("stopped", json!({})),
    ];
    for (name, rest) in &all {
        let wanted = template::workspace(scratch, name, rest)?;
        workspaces.create(&PostParams::default(), &wanted).await?;
    }
    for (name, _) in &all {
        workspace::reached(&workspaces, name, Phase::Running).await?;
    }
    // Of a disk that no pod has asked for yet the cluster itself speaks again and again, so it has run.
    workspace::stop(&workspaces, "stopped").await?;
    let routes = scratch.api::<Ingress>().list(&ListParams::default()).await?;
    ensure!(routes.items.len() == 1, "{} routes", routes.items.len());

    let end = Timestamp::now() + SignedDuration::from_hours(1);
    let share: WorkspaceShare = serde_json::from_value(json!({
        "metadata": {"name": "s"},
        "spec": {
            "workspaceRef": "fed", "subjects": [{"kind": "User", "name": "bob"}], "expiresAt": end.to_string(),
        },
    }))?;
    let shares = scratch.api::<WorkspaceShare>();
    shares.create(&PostParams::default(), &share).await?;
    wait::until("the share to be reported", wait::USUAL, || async {
        let share = shares.get("s").await.map_err(|error| error.to_string())?;
        share.status.map(drop).ok_or("no status").map_err(str::to_owned)
    })
    .await
}

#[tokio::test]
async fn idle_servers_only_renew_leases_and_watches() -> anyhow::Result<()> {
    let scratch = Scratch::new("silence", &[]).await?;
    settle(&scratch).await?;
    quiet().await?;

    let ours = ours()?;
    let (mut log, begin) = (Log::open()?, Instant::now());
    tokio::time::sleep(SILENCE).await;
    let calls = log.calls(|line| line.contains(&ours) || line.contains(&scratch.namespace))?;
    let received = excess(&calls, begin.elapsed())?;
    assert!(received.is_empty(), "{received:#?}");
    // They were there, and heard.
    for component in ["operator", "gateway"] {
        let user = format!("{ours}{component}");
        let renews = |call: &Call| call.user == user && call.what() == "patch leases" && call.is_done();
        let beats = calls.iter().filter(|call| renews(call)).count();
        assert!(beats >= 5, "{component} renewed its Lease {beats} times");
    }
    // No other account wrote anything on their behalf.
    let foreign = |call: &&Call| call.namespace == scratch.namespace && call.is_write();
    let written: Vec<_> = calls.iter().filter(foreign).collect();
    assert!(written.is_empty(), "{written:?}");

    let name = scratch.namespace.clone();
    template::finish(scratch).await?;
    let managers = Api::<WorkspaceManager>::all(cluster::admin().await?);
    managers.delete(&name, &DeleteParams::default()).await?;
    Ok(())
}
