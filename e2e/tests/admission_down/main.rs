//! The webhook is away. A test binary of its own: nothing else runs meanwhile.

use api::{Workspace, WorkspaceManager, workspace::DesiredStatus};
use e2e::{
    cluster::{self, Scratch},
    component, wait, workspace,
};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::{
    Api,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::json;

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
    let manager = store_what_would_be_refused(&kept).await;
    component::scale("webhook", replicas).await?;
    outcome?;
    manager?;
    // It is back: the next write is judged.
    let workspaces: Api<Workspace> = Api::namespaced(alice, &kept.namespace);
    wait::until("the webhook to admit", wait::USUAL, || async {
        let created = workspaces.create(&PostParams::default(), &stopped("after")).await;
        created.map_err(|error| error.to_string())
    })
    .await?;
    nothing_is_made_of_it(&kept).await?;
    let name = kept.namespace.clone();
    kept.finish().await?;
    let managers = Api::<WorkspaceManager>::all(cluster::admin().await?);
    managers.delete(&name, &DeleteParams::default()).await?;
    Ok(())
}

/// A manager, called as the namespace, that would make its people administrators. The webhook refuses it; the API server alone
/// does not know which kinds are routes.
async fn store_what_would_be_refused(kept: &Scratch) -> anyhow::Result<()> {
    let manager = serde_json::from_value(json!({
        "metadata": {"name": kept.namespace, "labels": {"e2e.test/scratch": "true"}},
        "spec": {
            "routing": {"baseDomain": "stored.example.org", "custom": {"resources": [{
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
                "subjects": [{"kind": "User", "name": "{owner.name}"}],
            }]}},
            "authentication": {"none": {}},
        },
    }))?;
    let managers = Api::<WorkspaceManager>::all(cluster::admin().await?);
    managers.create(&PostParams::default(), &manager).await?;
    Ok(())
}

/// A workspace of that manager says why it has no route, and no object of that kind is there.
async fn nothing_is_made_of_it(kept: &Scratch) -> anyhow::Result<()> {
    let workspaces = kept.api::<Workspace>();
    let mut routed = workspace::echo("routed")?;
    routed.spec.manager_ref = Some(kept.namespace.clone());
    workspaces.create(&PostParams::default(), &routed).await?;
    wait::until("the workspace to say so", wait::USUAL, || async {
        let now = workspaces
            .get("routed")
            .await
            .map_err(|error| error.to_string())?;
        let told = now.status.as_ref().is_some_and(|status| {
            let mut conditions = status.conditions.iter();
            conditions.any(|one| one.message.contains("RoleBinding"))
        });
        told.then_some(()).ok_or_else(|| format!("{:?}", now.status))
    })
    .await?;
    let made = kept.api::<RoleBinding>().list(&ListParams::default()).await?;
    let names: Vec<_> = made.items.iter().map(kube::ResourceExt::name_any).collect();
    assert!(
        names.iter().all(|name| !name.contains("routed")),
        "made in spite of the rules: {names:?}"
    );
    Ok(())
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
