//! The webhook is away. A test binary of its own: nothing else runs meanwhile.

use api::{Workspace, workspace::DesiredStatus};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    wait, workspace,
};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;

/// Runs that many pods of the webhook.
async fn scale(replicas: i32) -> anyhow::Result<()> {
    let environment = Environment::get()?;
    let admin = cluster::admin().await?;
    let deployments: Api<Deployment> = Api::namespaced(admin.clone(), &environment.system_namespace);
    let name = format!("{}-webhook", environment.release);
    let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    deployments
        .patch_scale(&name, &PatchParams::default(), &patch)
        .await?;
    wait::until(&format!("{replicas} pods of the webhook"), wait::USUAL, || async {
        let pods = cluster::component_pods(admin.clone(), "webhook").await;
        let pods = pods.map_err(|error| format!("{error:#}"))?;
        let ready = pods.iter().filter(|pod| cluster::is_ready(pod)).count();
        if i32::try_from(pods.len()) == Ok(replicas) && ready == pods.len() {
            return Ok(());
        }
        Err(format!("{} pods, {ready} ready", pods.len()))
    })
    .await
}

fn stopped(name: &str) -> Workspace {
    let mut new = workspace::of_image(name, "uv");
    new.spec.desired_status = DesiredStatus::Stopped;
    new
}

#[tokio::test]
async fn nothing_passes_unjudged_but_a_namespace_full_of_workspaces_is_deleted() -> anyhow::Result<()> {
    let scratch = Scratch::new("down", &["alice"]).await?;
    let kept = Scratch::new("kept", &["alice"]).await?;
    let alice = cluster::user("alice").await?;
    let workspaces: Api<Workspace> = Api::namespaced(alice.clone(), &scratch.namespace);
    for index in 0..3 {
        workspaces
            .create(&PostParams::default(), &stopped(&format!("lab-{index}")))
            .await?;
    }
    workspaces
        .create(&PostParams::default(), &workspace::echo("running")?)
        .await?;
    scale(0).await?;
    let outcome = while_down(scratch, &alice, &kept).await;
    scale(1).await?;
    outcome?;
    // It is back: the next write is judged.
    let workspaces: Api<Workspace> = Api::namespaced(alice, &kept.namespace);
    wait::until("the webhook to admit", wait::USUAL, || async {
        let created = workspaces
            .create(&PostParams::default(), &stopped("after"))
            .await;
        created.map_err(|error| error.to_string())
    })
    .await?;
    kept.finish().await
}

async fn while_down(scratch: Scratch, alice: &kube::Client, kept: &Scratch) -> anyhow::Result<()> {
    let workspaces: Api<Workspace> = Api::namespaced(alice.clone(), &kept.namespace);
    let unjudged = workspaces
        .create(&PostParams::default(), &stopped("unjudged"))
        .await;
    anyhow::ensure!(
        matches!(&unjudged, Err(kube::Error::Api(status)) if status.message.contains("failed calling webhook")),
        "{unjudged:?}"
    );
    scratch.finish().await
}
