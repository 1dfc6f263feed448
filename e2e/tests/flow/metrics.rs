//! Metrics of the servers at `/metrics`.

use std::collections::BTreeMap;

use api::{
    Workspace,
    workspace::{DesiredStatus, Phase},
};
use e2e::{
    cluster::{self, Scratch},
    installation::servers,
    objects::workspace,
    wait,
};
use kube::{Api, api::PostParams};

/// Lines of the gauges of the namespace's workspaces, of all replicas of the operator.
async fn gauges(namespace: &str) -> anyhow::Result<Vec<String>> {
    let by_pod = servers::metrics("operator").await?;
    let of = format!("namespace=\"{namespace}\"");
    let lines = by_pod.values().flat_map(|text| text.lines());
    let ours = lines.filter(|line| line.contains("workspace_phase{") && line.contains(&of));
    Ok(ours.map(str::to_owned).collect())
}

async fn become_gauges(namespace: &str, expected: &[String]) -> anyhow::Result<()> {
    wait::until(&format!("the gauges to be {expected:?}"), wait::USUAL, || async {
        let gauges = gauges(namespace).await.map_err(|error| format!("{error:#}"))?;
        if gauges == expected {
            Ok(())
        } else {
            Err(gauges.join(", "))
        }
    })
    .await
}

#[tokio::test]
async fn all_servers_export_metrics_and_gauges_of_deleted_workspaces_disappear() -> anyhow::Result<()> {
    let scratch = Scratch::new("metrics", &["alice"]).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let mut stopped = workspace::echo("ws")?;
    stopped.spec.desired_status = DesiredStatus::Stopped;
    alice.create(&PostParams::default(), &stopped).await?;
    workspace::reached(&alice, "ws", Phase::Stopped).await?;
    let namespace = &scratch.namespace;
    let gauge = format!(
        "jupyter_k8s_operator_workspace_phase{{namespace=\"{namespace}\",workspace=\"ws\",phase=\"Stopped\"}} 1"
    );
    become_gauges(namespace, &[gauge]).await?;

    // Each server reports what it has just done, and one operator leads.
    let counted: BTreeMap<_, _> = [
        ("gateway", "jupyter_k8s_gateway_index_workspaces "),
        ("operator", "jupyter_k8s_operator_leading "),
        ("webhook", "jupyter_k8s_webhook_requests_total{"),
    ]
    .into();
    for (component, metric) in counted {
        let by_pod = servers::metrics(component).await?;
        let lines = by_pod.values().flat_map(|text| text.lines());
        let values = lines
            .filter(|line| line.starts_with(metric))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        let sum: f64 = values.sum();
        assert!(sum >= 1.0, "{component}: {metric}{sum}");
    }
    workspace::delete(&alice, "ws").await?;
    become_gauges(namespace, &[]).await?;
    scratch.finish().await
}
