//! No object of any kind remains of a deleted workspace.

use std::collections::BTreeSet;

use api::{Workspace, WorkspaceExecutionProfile, WorkspaceShare, condition, workspace::Phase};
use e2e::{cluster::Scratch, command, objects::workspace, wait};
use kube::{Api, api::PostParams};
use serde_json::json;

/// Kinds that exist independently of workspaces.
const RESTLESS: [&str; 6] = [
    "events",
    "events.events.k8s.io",
    "leases.coordination.k8s.io",
    "podmetrics.metrics.k8s.io",
    "endpointslices.discovery.k8s.io",
    "endpoints",
];

/// Everything in the namespace, as `kind/name`.
async fn everything(namespace: &str) -> anyhow::Result<BTreeSet<String>> {
    let kinds = ["api-resources", "--namespaced", "--verbs=list", "-o", "name"];
    let kinds = command::administer(&kinds).await?;
    anyhow::ensure!(kinds.code == 0, "{kinds:?}");
    let kinds: Vec<_> = kinds
        .stdout
        .lines()
        .filter(|kind| !RESTLESS.contains(kind))
        .collect();
    let kinds = kinds.join(",");
    let arguments = [
        "get",
        &kinds,
        "--namespace",
        namespace,
        "-o",
        "name",
        "--ignore-not-found",
    ];
    let found = command::administer(&arguments).await?;
    anyhow::ensure!(found.code == 0, "{found:?}");
    Ok(found.stdout.lines().map(str::to_owned).collect())
}

#[tokio::test]
async fn nothing_of_any_kind_is_left_of_a_deleted_workspace() -> anyhow::Result<()> {
    let scratch = Scratch::new("orphans", &[]).await?;
    let profile: WorkspaceExecutionProfile = serde_json::from_value(json!({
        "metadata": {"name": "p"}, "spec": {"serviceAccount": {"perWorkspace": {}}},
    }))?;
    scratch.api().create(&PostParams::default(), &profile).await?;
    wait::until_checked_each_second("the namespace's own objects", wait::USUAL, || async {
        let found = everything(&scratch.namespace)
            .await
            .map_err(|error| format!("{error:#}"))?;
        if found.iter().any(|it| it == "serviceaccount/default") {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        }
    })
    .await?;
    let before = everything(&scratch.namespace).await?;

    let workspaces: Api<Workspace> = scratch.api();
    let mut wanted = serde_json::to_value(workspace::echo("ws")?)?;
    wanted["spec"]["storage"] = json!({"size": "16Mi"});
    wanted["spec"]["executionProfileRef"] = json!("p");
    workspaces
        .create(&PostParams::default(), &serde_json::from_value(wanted)?)
        .await?;
    let share: WorkspaceShare = serde_json::from_value(json!({
        "metadata": {"name": "s"},
        "spec": {"workspaceRef": "ws", "subjects": [{"kind": "User", "name": "dave"}]},
    }))?;
    let shares: Api<WorkspaceShare> = scratch.api();
    shares.create(&PostParams::default(), &share).await?;
    workspace::reached(&workspaces, "ws", Phase::Running).await?;
    wait::until("the share to be active", wait::USUAL, || async {
        let share = shares.get("s").await.map_err(|error| error.to_string())?;
        let conditions = share.status.unwrap_or_default().conditions;
        if condition::holds(&conditions, condition::ACTIVE) {
            Ok(())
        } else {
            Err(format!("{conditions:?}"))
        }
    })
    .await?;
    let alive = everything(&scratch.namespace).await?;
    assert!(alive.len() > before.len() + 6, "{alive:?}");

    workspace::delete(&workspaces, "ws").await?;
    wait::until_checked_each_second("the namespace to be as it was", wait::USUAL, || async {
        let now = everything(&scratch.namespace)
            .await
            .map_err(|error| format!("{error:#}"))?;
        let left: Vec<_> = now.difference(&before).cloned().collect();
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{left:?}"))
        }
    })
    .await?;
    assert_eq!(everything(&scratch.namespace).await?, before);
    scratch.finish().await
}
