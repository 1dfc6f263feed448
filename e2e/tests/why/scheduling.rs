//! Pods that no node can take.

use api::{condition::reason, workspace::Phase};
use e2e::{
    row,
    why::{Scene, table},
};
use serde_json::{Value, json};

use crate::{
    evidence::{start_is_over, unscheduled},
    images::container_runs,
};

fn resources(name: &str, amount: &str) -> Value {
    let mut map = json!({"cpu": "10m", "memory": "32Mi"});
    map[name] = json!(amount);
    json!({"requests": map, "limits": map})
}

/// It says so at once, and still counts as starting: an autoscaler may add a node.
async fn reports(scene: &Scene, words: &[&str]) -> anyhow::Result<()> {
    scene.reports(reason::UNSCHEDULABLE, words, unscheduled()).await?;
    scene.reached(Phase::Starting).await?;
    Ok(())
}

/// The pod that now has a node becomes ready, as its kubelet would say.
async fn gets_ready(scene: &Scene) -> anyhow::Result<()> {
    let pod = scene.bound_pod().await?;
    scene.write_pod(&pod, container_runs()).await?;
    scene.recovered().await
}

async fn too_much_cpu(scene: &Scene) -> anyhow::Result<()> {
    scene
        .create(json!({"resources": resources("cpu", "900")}))
        .await?;
    reports(scene, &["Insufficient cpu", "Ask for less cpu"]).await?;
    let modest =
        json!({"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "500m", "memory": "128Mi"}});
    scene.restart_with(json!({"resources": modest})).await?;
    scene.recovered().await
}

async fn no_gpu(scene: &Scene) -> anyhow::Result<()> {
    let node = scene.silent_node().await?;
    let mut spec = node.selected();
    spec["resources"] = resources("nvidia.com/gpu", "1");
    scene.create(spec).await?;
    reports(
        scene,
        &["Insufficient nvidia.com/gpu", "Ask for fewer nvidia.com/gpu"],
    )
    .await?;
    // Its device plugin reports.
    node.give(json!({"nvidia.com/gpu": "1"})).await?;
    gets_ready(scene).await
}

async fn selector_that_no_node_fits(scene: &Scene) -> anyhow::Result<()> {
    let node = scene.silent_node().await?;
    let mut spec = node.selected();
    spec["nodeSelector"]["e2e.test/zone"] = json!("far-away");
    scene.create(spec).await?;
    reports(scene, &["node affinity/selector", "spec.nodeSelector"]).await?;
    node.change(json!({"metadata": {"labels": {"e2e.test/zone": "far-away"}}}))
        .await?;
    gets_ready(scene).await
}

async fn taint_that_is_not_tolerated(scene: &Scene) -> anyhow::Result<()> {
    let node = scene.silent_node().await?;
    node.taint(Some("e2e.test/reserved")).await?;
    scene.create(node.selected()).await?;
    reports(scene, &["untolerated taint", "spec.tolerations"]).await?;
    node.taint(None).await?;
    gets_ready(scene).await
}

/// Its time is over while it waits for a node. The node that then comes takes it all the same.
async fn start_that_takes_too_long(scene: &Scene) -> anyhow::Result<()> {
    let node = scene.silent_node().await?;
    let mut spec = node.selected();
    spec["nodeSelector"]["e2e.test/zone"] = json!("late");
    spec["limits"] = json!({"startTimeoutMinutes": 1});
    scene.create(spec).await?;
    reports(scene, &["spec.nodeSelector"]).await?;
    let words = [
        "not ready within 1 min of the beginning of its run at",
        "spec.limits.startTimeoutMinutes",
        "last: Unschedulable: No node can take the pod.",
    ];
    scene
        .reports(reason::START_TIMEOUT, &words, start_is_over())
        .await?;
    scene.reached(Phase::Failed).await?;
    node.change(json!({"metadata": {"labels": {"e2e.test/zone": "late"}}}))
        .await?;
    gets_ready(scene).await
}

#[tokio::test]
async fn unschedulable_pods_are_reported_and_start_when_a_node_fits() -> anyhow::Result<()> {
    let rows = [
        row!(too_much_cpu),
        row!(no_gpu),
        row!(selector_that_no_node_fits),
        row!(taint_that_is_not_tolerated),
        row!(start_that_takes_too_long),
    ];
    table("scheduling", rows).await
}
