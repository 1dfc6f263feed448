//! Another operator with other settings takes over: running pods stay as they are.

use api::{
    Workspace, names,
    workspace::{Phase, UpdatePolicy},
};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    finally::always,
    wait, workspace,
};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Pod},
};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::{kill, replaced};

/// Settings without their top-level key `key`, and with `value` for it.
pub(super) fn with(settings: &str, key: &str, value: &Value) -> String {
    let mut inside = false;
    let lines = settings.lines().filter(|line| {
        if !line.starts_with([' ', '#']) {
            inside = line.starts_with(&format!("{key}:"));
        }
        !inside
    });
    let lines: Vec<_> = lines.collect();
    format!("{}\n{key}: {value}\n", lines.join("\n"))
}

/// Has the operator run with these settings.
pub(super) async fn settle_on(settings: &str) -> anyhow::Result<()> {
    let environment = Environment::get()?;
    let maps = Api::<ConfigMap>::namespaced(cluster::admin().await?, &environment.system_namespace);
    let patch = Patch::Merge(json!({"data": {"settings.yaml": settings}}));
    let name = format!("{}-settings", environment.release);
    maps.patch(&name, &PatchParams::default(), &patch).await?;
    let killed = kill("operator").await?;
    replaced("operator", &killed).await
}

/// The settings that the installation has.
pub(super) async fn usual() -> anyhow::Result<String> {
    let environment = Environment::get()?;
    let maps = Api::<ConfigMap>::namespaced(cluster::admin().await?, &environment.system_namespace);
    let map = maps.get(&format!("{}-settings", environment.release)).await?;
    Ok(map.data.unwrap_or_default()["settings.yaml"].clone())
}

async fn merge<K>(api: &Api<K>, name: &str, change: Value) -> anyhow::Result<()>
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    api.patch(name, &PatchParams::default(), &Patch::Merge(change))
        .await?;
    Ok(())
}

pub(super) async fn pod(scratch: &Scratch, name: &str) -> anyhow::Result<Pod> {
    let of = ListParams::default().labels(&format!("{}={name}", names::WORKSPACE_LABEL));
    let mut pods = scratch.api::<Pod>().list(&of).await?.items;
    anyhow::ensure!(pods.len() == 1, "{} pods", pods.len());
    Ok(pods.remove(0))
}

#[tokio::test]
async fn an_operator_with_other_settings_restarts_no_pod_and_reports_no_pending_update() -> anyhow::Result<()>
{
    let _exclusive = super::EXCLUSIVE.lock().await;
    let environment = Environment::get()?;
    let scratch = Scratch::new("upgrade", &[]).await?;
    let workspaces = scratch.api::<Workspace>();
    for name in ["new", "old"] {
        let mut lab = workspace::of_image(name, "uv");
        lab.spec.resources = None;
        lab.spec.update_policy = UpdatePolicy::Always;
        workspaces.create(&PostParams::default(), &lab).await?;
    }
    let mut before = Vec::new();
    for name in ["new", "old"] {
        workspace::reached(&workspaces, name, Phase::Running).await?;
        before.push(pod(&scratch, name).await?.uid());
    }
    let usual = usual().await?;
    let other = with(&usual, "imageAliases", &json!({"uv": environment.images.echo}));
    let resources =
        json!({"requests": {"cpu": "20m", "memory": "40Mi"}, "limits": {"cpu": "700m", "memory": "300Mi"}});
    let other = with(&other, "defaultResources", &resources);

    // What the build of the first format recorded.
    let deployments = scratch.api::<Deployment>();
    let first = json!({
        "spec": {
            "containerConfig": {}, "image": "localhost/another-build-s-jupyter:0", "port": 8888, "storage": null,
            "resources": {"limits": {"cpu": "2", "memory": "3Gi"}, "requests": {"cpu": "100m", "memory": "128Mi"}},
        },
        "template": {"environmentVariables": []},
    });
    let record = json!({"metadata": {"annotations": {names::STARTED_FROM: first.to_string()}}});
    merge(&deployments, "workspace-old", record).await?;
    let taken_over = take_over(&scratch, &before, &other, &resources);
    always(Box::pin(taken_over), settle_on(&usual)).await?;
    scratch.finish().await
}

/// The operator with the settings `other` finds the workspaces whose pods had the UIDs `before`.
async fn take_over(
    scratch: &Scratch,
    before: &[Option<String>],
    other: &str,
    resources: &Value,
) -> anyhow::Result<()> {
    let (workspaces, deployments) = (scratch.api::<Workspace>(), scratch.api::<Deployment>());
    settle_on(other).await?;
    for (name, before) in ["new", "old"].into_iter().zip(before) {
        // Relabelled: the new operator puts that right, and so has looked at it.
        let child = format!("workspace-{name}");
        merge(
            &deployments,
            &child,
            json!({"metadata": {"labels": {names::APP_COMPONENT_LABEL: "x"}}}),
        )
        .await?;
        wait::until("the label to be put right", wait::USUAL, || async {
            let found = deployments.get(&child).await.map_err(|error| error.to_string())?;
            let label = &found.labels()[names::APP_COMPONENT_LABEL];
            if label == "x" { Err(label.clone()) } else { Ok(()) }
        })
        .await?;
        let ws = workspace::reached(&workspaces, name, Phase::Running).await?;
        assert_eq!(ws.status.unwrap_or_default().pending_update, [""; 0], "{name}");
        assert_eq!(&pod(scratch, name).await?.uid(), before, "{name}");
    }
    // The control: these settings do matter to whoever starts now.
    workspace::stop(&workspaces, "new").await?;
    workspace::start(&workspaces, "new").await?;
    let container = json!(pod(scratch, "new").await?.spec)["containers"][0].clone();
    assert_eq!(container["image"], json!(Environment::get()?.images.echo));
    assert_eq!(container["resources"]["limits"], resources["limits"]);
    Ok(())
}
