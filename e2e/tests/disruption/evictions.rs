//! Pods of workspaces are evicted, as by `kubectl drain`.

use anyhow::ensure;
use api::{Workspace, names, workspace::Phase};
use e2e::{cluster::Scratch, command, objects::workspace, test_run::finally::always, wait};
use k8s_openapi::api::{core::v1::Pod, policy::v1::PodDisruptionBudget};
use kube::{
    ResourceExt as _,
    api::{DeleteParams, PostParams},
};
use serde_json::json;

/// Name of a budget for workspaces.
const BUDGET: &str = "workspaces";

/// While a budget protects it, its pod is not evicted. Without one, a drain ends it, and the next run starts when a node takes it.
#[tokio::test]
async fn a_budget_protects_workspaces_from_evictions_and_a_drained_one_starts_again_elsewhere()
-> anyhow::Result<()> {
    let _exclusive = super::EXCLUSIVE.lock().await;
    let scratch = Scratch::new("drain", &["alice"]).await?;
    let before = workspace::running(&scratch, "ws").await?;
    let (pods, budgets) = (scratch.api::<Pod>(), scratch.api::<PodDisruptionBudget>());
    let pod = pods.get(&workspace::pod(&before)?).await?;
    let node = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.node_name.clone())
        .unwrap_or_default();
    budgets.create(&PostParams::default(), &budget()?).await?;
    wait::until("the budget to count the pod", wait::USUAL, || async {
        let status = budgets
            .get(BUDGET)
            .await
            .map_err(|error| error.to_string())?
            .status;
        match status {
            Some(status) if status.current_healthy == 1 && status.disruptions_allowed == 0 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    // Our client would repeat a request that is answered by 429, for minutes.
    let eviction =
        json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod.name_any()}});
    let path = format!(
        "/api/v1/namespaces/{}/pods/{}/eviction",
        scratch.namespace,
        pod.name_any()
    );
    let refused =
        command::administer_with(&["create", "--raw", &path, "-f", "-"], &eviction.to_string()).await?;
    ensure!(
        refused.code != 0 && refused.stderr.contains("disruption budget"),
        "{refused:?}"
    );
    budgets.delete(BUDGET, &DeleteParams::default()).await?;

    let selector = format!("--pod-selector={}=ws", names::WORKSPACE_LABEL);
    let drain = [
        "drain",
        &node,
        "--ignore-daemonsets",
        "--delete-emptydir-data",
        &selector,
        "--timeout=2m",
    ];
    let drained = async {
        let outcome = command::administer(&drain).await?;
        ensure!(
            outcome.code == 0 && outcome.stdout.contains("workspace-ws evicted"),
            "{outcome:?}"
        );
        let next = pods.get_opt(&pod.name_any()).await?;
        ensure!(
            next.and_then(|next| next.uid()) != pod.uid(),
            "it was not evicted"
        );
        Ok(())
    };
    always(drained, async {
        let outcome = command::administer(&["uncordon", &node]).await?;
        ensure!(outcome.code == 0, "{outcome:?}");
        Ok(())
    })
    .await?;
    let run = workspace::run_id(&before)?;
    let workspaces = scratch.api::<Workspace>();
    wait::until("another run", wait::USUAL, || async {
        let now = workspaces.get("ws").await.map_err(|error| error.to_string())?;
        let phase = now.status.as_ref().and_then(|status| status.phase);
        match workspace::run_id(&now) {
            Ok(next) if next != run && phase == Some(Phase::Running) => Ok(()),
            other => Err(format!("{other:?} {phase:?}")),
        }
    })
    .await?;
    scratch.finish().await
}

/// As the chart makes it, and as docs/operations.md shows it.
fn budget() -> anyhow::Result<PodDisruptionBudget> {
    Ok(serde_json::from_value(json!({
        "metadata": {"name": BUDGET},
        "spec": {
            "minAvailable": 1_000_000,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchExpressions": [{"key": names::WORKSPACE_LABEL, "operator": "Exists"}]},
        },
    }))?)
}
