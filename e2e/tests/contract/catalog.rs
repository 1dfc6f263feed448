//! A manager that no gateway serves, and the workspaces that name it.

use api::{
    Workspace, WorkspaceManager,
    condition::{self, reason},
    workspace::Phase,
};
use e2e::{
    cluster::{self, Scratch},
    objects::workspace,
    wait,
};
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use serde_json::json;

#[tokio::test]
async fn a_manager_without_gateway_reports_it_and_its_workspaces_have_no_url() -> anyhow::Result<()> {
    let managers = Api::<WorkspaceManager>::all(cluster::admin().await?);
    let scratch = Scratch::new("not-served", &["alice"]).await?;
    let name = scratch.namespace.as_str();
    let manager = serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {"e2e.test/scratch": "true"}},
        "spec": {
            "routing": {"baseDomain": format!("{name}.example.org"), "traefik": {}}, "authentication": {"gateway": {}},
        },
    }))?;
    managers.create(&PostParams::default(), &manager).await?;
    wait::until(
        "the manager to report that no gateway serves it",
        wait::USUAL,
        || async {
            let manager = managers.get(name).await.map_err(|error| error.to_string())?;
            let conditions = manager.status.unwrap_or_default().conditions;
            let ready = condition::find(&conditions, condition::READY).cloned();
            let is_reported = ready
                .as_ref()
                .is_some_and(|it| it.status == "False" && it.reason == reason::NOT_SERVED);
            is_reported.then_some(()).ok_or_else(|| format!("{ready:?}"))
        },
    )
    .await?;
    let alice = Api::<Workspace>::namespaced(cluster::user("alice").await?, name);
    let mut wanted = workspace::echo("lab")?;
    wanted.spec.manager_ref = Some(name.to_owned());
    alice.create(&PostParams::default(), &wanted).await?;
    let running = workspace::reached(&alice, "lab", Phase::Running).await?;
    let status = running.status.clone().unwrap_or_default();
    assert_eq!(
        (status.url.as_deref(), status.reason.as_deref()),
        (None, Some(reason::NOT_SERVED))
    );
    let available = workspace::condition(&running, condition::AVAILABLE);
    assert!(available.is_some_and(|(holds, why, _)| holds == "False" && why == reason::NOT_SERVED));

    // The state of the manager that the gateway serves.
    workspace::set(&alice, "lab", json!({"managerRef": null})).await?;
    wait::until("the workspace to be served", wait::USUAL, || async {
        let found = alice.get("lab").await.map_err(|error| error.to_string())?;
        let status = found.status.unwrap_or_default();
        let is_served = condition::holds(&status.conditions, condition::AVAILABLE) && status.url.is_some();
        is_served.then_some(()).ok_or_else(|| format!("{status:?}"))
    })
    .await?;
    managers.delete(name, &DeleteParams::default()).await?;
    scratch.finish().await
}
