//! The whole release: its check, its CRDs at an upgrade, its removal and its return. A test binary of its own: nothing else runs meanwhile.

mod check;
mod older_api_server;
mod one_namespace;
mod teams;

use api::{
    Workspace, WorkspaceManager,
    names::{CLEANUP_FINALIZER, CRD_VERSION, IN_USE_FINALIZER},
    workspace::Phase,
};
use e2e::{
    cluster::{self, Scratch},
    command::administer,
    http::HttpSession,
    release, wait, workspace,
};
use k8s_openapi::{
    api::{
        admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
        apps::v1::Deployment,
        core::v1::{Namespace, Pod},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams},
    runtime::{conditions::is_deleted, wait::await_condition},
};
use serde_json::json;

const WORKSPACES: &str = "workspaces.workspaces.jupyter.org";
const SHARES: &str = "workspaceshares.workspaces.jupyter.org";

#[tokio::test]
async fn an_upgrade_updates_older_crds_and_leaves_newer_ones() -> anyhow::Result<()> {
    let crds = Api::<CustomResourceDefinition>::all(cluster::admin().await?);
    let ours = crds.get(WORKSPACES).await?.annotations()[CRD_VERSION].clone();
    label(&crds, WORKSPACES, Some("0.0.1")).await?;
    let without_url = json!([{
        "op": "remove",
        "path": "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/url",
    }]);
    let without_url = Patch::Json::<()>(serde_json::from_value(without_url)?);
    crds.patch(WORKSPACES, &PatchParams::default(), &without_url)
        .await?;
    label(&crds, SHARES, Some("99.0.0")).await?;

    release::upgrade(&[]).await?;
    let upgraded = crds.get(WORKSPACES).await?;
    anyhow::ensure!(
        upgraded.annotations()[CRD_VERSION] == ours,
        "{:?}",
        upgraded.annotations()
    );
    let schema = serde_json::to_value(&upgraded.spec.versions[0].schema)?;
    let url = &schema["openAPIV3Schema"]["properties"]["status"]["properties"]["url"];
    anyhow::ensure!(url["type"] == "string", "{url}");
    let newer = crds.get(SHARES).await?;
    anyhow::ensure!(
        newer.annotations()[CRD_VERSION] == "99.0.0",
        "{:?}",
        newer.annotations()
    );

    label(&crds, SHARES, None).await?;
    release::upgrade(&[]).await?;
    let back = crds.get(SHARES).await?;
    anyhow::ensure!(
        back.annotations()[CRD_VERSION] == ours,
        "{:?}",
        back.annotations()
    );
    Ok(())
}

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

#[tokio::test]
async fn helm_test_reports_that_the_installation_works_and_leaves_no_workspace() -> anyhow::Result<()> {
    let lines = release::test().await?;
    // The names of the local cluster are known to the machine alone, not to its pods.
    for check in ["certificate", "provider", "admission", "workspace"] {
        let beginning = format!("ok    {check:<12} ");
        let passed = lines.iter().filter(|line| line.starts_with(&beginning)).count();
        anyhow::ensure!(passed == 1, "{check}: {lines:#?}");
    }
    let name = format!("{}-tests", e2e::Environment::get()?.release);
    let left = Api::<Workspace>::all(cluster::admin().await?)
        .list(&ListParams::default())
        .await?;
    anyhow::ensure!(
        left.iter().all(|workspace| workspace.name_any() != name),
        "{name} is left"
    );
    Ok(())
}

#[tokio::test]
async fn a_self_signed_certificate_is_served_and_trusted_for_the_bundled_provider() -> anyhow::Result<()> {
    let set = [
        "proxy.tls.secretName=",
        "proxy.tls.selfSigned=true",
        "oidc.caSecretName=",
    ];
    release::upgrade(&set).await?;
    let outcome = while_self_signed().await;
    release::upgrade(&[]).await?;
    outcome
}

/// The check and the gateway itself trust the certificate.
async fn while_self_signed() -> anyhow::Result<()> {
    let lines = release::test().await?;
    let line = |check: &str| {
        let found = lines.iter().find(|line| line.contains(&format!(" {check} ")));
        found.cloned().unwrap_or_default()
    };
    let certificate = line("certificate");
    anyhow::ensure!(
        certificate.starts_with("ok ") && certificate.contains("self-signed by this installation"),
        "{lines:#?}"
    );
    anyhow::ensure!(line("provider").starts_with("ok "), "{lines:#?}");
    let namespace = format!("--namespace={}", e2e::Environment::get()?.system_namespace);
    let component = "--selector=app.kubernetes.io/component=gateway";
    wait::until("the gateway to find the provider", wait::USUAL, || async {
        let logs = administer(&["logs", component, &namespace, "--tail=-1"]).await;
        let logs = logs.map_err(|error| error.to_string())?.stdout;
        let is_found = logs.contains("identity provider found");
        is_found.then_some(()).ok_or(logs)
    })
    .await
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
    let release = &e2e::Environment::get()?.release;
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
    let system = &e2e::Environment::get()?.system_namespace;
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

/// Sets the version of a CRD, or removes it.
async fn label(
    crds: &Api<CustomResourceDefinition>,
    name: &str,
    version: Option<&str>,
) -> anyhow::Result<()> {
    let patch = Patch::Merge(json!({"metadata": {"annotations": {CRD_VERSION: version}}}));
    crds.patch(name, &PatchParams::default(), &patch).await?;
    Ok(())
}
