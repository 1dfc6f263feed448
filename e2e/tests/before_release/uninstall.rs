//! The release is removed and installed again: workspaces run on, and nothing hangs.

use api::{
    Workspace, WorkspaceManager,
    names::{CLEANUP_FINALIZER, IN_USE_FINALIZER},
    workspace::Phase,
};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    http::HttpSession,
    release, wait, workspace,
};
use k8s_openapi::api::{
    admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
    apps::v1::Deployment,
    core::v1::{Namespace, Pod},
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams},
    runtime::{conditions::is_deleted, wait::await_condition},
};

#[tokio::test]
async fn after_an_uninstall_workspaces_run_on_nothing_hangs_and_a_new_installation_takes_them_over()
-> anyhow::Result<()> {
    let kept = Scratch::new("uninstalled", &["alice"]).await?;
    let leaving = Scratch::new("leaving", &["alice"]).await?;
    let running = workspace::running(&kept, "kept").await?;
    let pod = the_pod(&kept).await?;
    workspace::running(&leaving, "leaving").await?;

    release::uninstall().await?;
    let outcome = while_uninstalled(&kept, &pod, leaving).await;
    release::upgrade(&[]).await?;
    outcome?;

    let alice = Api::<Workspace>::namespaced(cluster::user("alice").await?, &kept.namespace);
    workspace::reached(&alice, "kept", Phase::Running).await?;
    let held = wait::until("the finalizer to be set again", wait::USUAL, || async {
        let now = alice.get("kept").await.map_err(|error| error.to_string())?;
        let finalizers = now.finalizers();
        finalizers
            .contains(&CLEANUP_FINALIZER.to_owned())
            .then_some(())
            .ok_or_else(|| format!("{finalizers:?}"))
    });
    held.await?;
    let after = the_pod(&kept).await?;
    anyhow::ensure!(
        after.uid() == pod.uid(),
        "{:?} became {:?}",
        pod.uid(),
        after.uid()
    );
    let url = workspace::url(&running)?;
    let answer = HttpSession::new()?.enter(&url, "alice").await?;
    anyhow::ensure!(answer.status().is_success(), "{}", answer.status());
    kept.finish().await
}

/// The workspace runs without the product, another namespace with one can be deleted, and nobody asks the webhook.
async fn while_uninstalled(kept: &Scratch, pod: &Pod, leaving: Scratch) -> anyhow::Result<()> {
    let admin = cluster::admin().await?;
    let now = kept.api::<Workspace>().get("kept").await?;
    anyhow::ensure!(now.finalizers().is_empty(), "{:?}", now.finalizers());
    for manager in Api::<WorkspaceManager>::all(admin.clone())
        .list(&ListParams::default())
        .await?
    {
        let finalizers = manager.finalizers();
        anyhow::ensure!(
            !finalizers.contains(&IN_USE_FINALIZER.to_owned()),
            "{finalizers:?}"
        );
    }
    let after = the_pod(kept).await?;
    anyhow::ensure!(
        after.uid() == pod.uid() && cluster::is_ready(&after),
        "{:?}",
        after.status
    );
    let release = &Environment::get()?.release;
    let webhook = format!("{release}-webhook");
    let validating = Api::<ValidatingWebhookConfiguration>::all(admin.clone());
    anyhow::ensure!(
        validating.get_opt(&webhook).await?.is_none(),
        "a validating webhook is left"
    );
    let mutating = Api::<MutatingWebhookConfiguration>::all(admin.clone());
    anyhow::ensure!(
        mutating.get_opt(&webhook).await?.is_none(),
        "a mutating webhook is left"
    );
    let system = &Environment::get()?.system_namespace;
    let deployments = Api::<Deployment>::namespaced(admin.clone(), system);
    let left = deployments.list(&ListParams::default()).await?.items;
    anyhow::ensure!(
        left.is_empty(),
        "{:?}",
        left.iter().map(kube::ResourceExt::name_any).collect::<Vec<_>>()
    );

    let namespaces = Api::<Namespace>::all(admin);
    let uid = namespaces
        .get(&leaving.namespace)
        .await?
        .uid()
        .unwrap_or_default();
    namespaces
        .delete(&leaving.namespace, &DeleteParams::default())
        .await?;
    let gone = await_condition(namespaces, &leaving.namespace, is_deleted(&uid));
    tokio::time::timeout(wait::USUAL, gone).await??;
    Ok(())
}

async fn the_pod(scratch: &Scratch) -> anyhow::Result<Pod> {
    let pods = scratch.api::<Pod>().list(&ListParams::default()).await?;
    let mut pods = pods.items;
    anyhow::ensure!(pods.len() == 1, "{} pods", pods.len());
    Ok(pods.remove(0))
}
