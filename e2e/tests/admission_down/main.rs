//! The webhook is away. A test binary of its own: nothing else runs meanwhile.

use api::{Workspace, workspace::DesiredStatus};
use e2e::{
    cluster::{self, Scratch},
    component, wait, workspace,
};
use kube::{Api, api::PostParams};

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
    let replicas = component::scale("webhook", 0).await?;
    let outcome = while_down(scratch, &alice, &kept).await;
    component::scale("webhook", replicas).await?;
    outcome?;
    // It is back: the next write is judged.
    let workspaces: Api<Workspace> = Api::namespaced(alice, &kept.namespace);
    wait::until("the webhook to admit", wait::USUAL, || async {
        let created = workspaces.create(&PostParams::default(), &stopped("after")).await;
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
