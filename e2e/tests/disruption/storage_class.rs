//! A cluster without a default storage class.

use api::{
    Workspace,
    condition::{DEGRADED, reason},
    workspace::Phase,
};
use e2e::{
    cluster::{self, Scratch},
    installation::check::{ChangedPod, Check},
    objects::workspace,
    test_run::finally::always,
    wait,
};
use k8s_openapi::api::{core::v1::PersistentVolumeClaim, storage::v1::StorageClass};
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

const IS_DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";

/// Waits until a condition of the workspace has this status and reason; returns its message.
async fn says(
    workspaces: &Api<Workspace>,
    name: &str,
    type_: &str,
    wanted: (&str, &str),
) -> anyhow::Result<String> {
    wait::until(&format!("{name} to be {wanted:?}"), wait::USUAL, || async {
        let found = workspaces.get(name).await.map_err(|error| error.to_string())?;
        match workspace::condition(&found, type_) {
            Some((status, why, message)) if (status.as_str(), why.as_str()) == wanted => Ok(message),
            _ => Err(format!("{:?}", found.status)),
        }
    })
    .await
}

#[tokio::test]
async fn a_disk_without_default_storage_class_is_reported_and_binds_later() -> anyhow::Result<()> {
    let _exclusive = super::EXCLUSIVE.lock().await;
    let scratch = Scratch::new("classless", &["alice"]).await?;
    let workspaces = scratch.api::<Workspace>();
    let classes = Api::<StorageClass>::all(cluster::admin().await?);
    let all = classes.list(&ListParams::default()).await?;
    let is_default = |class: &&StorageClass| {
        let annotation = class.annotations().get(IS_DEFAULT_CLASS);
        annotation.is_some_and(|value| value == "true")
    };
    let usual: Vec<_> = all.iter().filter(is_default).map(ResourceExt::name_any).collect();
    anyhow::ensure!(usual.len() == 1, "{usual:?}");
    let set = async |value: &str| {
        let patch = Patch::Merge(json!({"metadata": {"annotations": {IS_DEFAULT_CLASS: value}}}));
        classes.patch(&usual[0], &PatchParams::default(), &patch).await?;
        anyhow::Ok(())
    };
    let meanwhile = async {
        set("false").await?;
        let mut wanted = workspace::echo("ws")?;
        wanted.spec.storage = serde_json::from_value(json!({"size": "100Mi"}))?;
        let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
        alice.create(&PostParams::default(), &wanted).await?;
        let missing = ("True", reason::STORAGE_CLASS_NOT_FOUND);
        let reported = says(&workspaces, "ws", DEGRADED, missing).await?;
        assert_eq!(
            reported,
            "The disk has no storage class, and the cluster has no default one. Have a default made. Or delete the \
             workspace and create it anew with spec.storage.storageClassName: the disk was never made, so no files are lost."
        );
        workspace::reached(&workspaces, "ws", Phase::Failed).await?;
        is_found_by_helm_test().await
    };
    Box::pin(always(meanwhile, set("true"))).await?;
    says(&workspaces, "ws", DEGRADED, ("False", reason::AS_EXPECTED)).await?;
    let claims = scratch.api::<PersistentVolumeClaim>();
    wait::until("the claim to have the class", wait::USUAL, || async {
        let claim = claims.get("workspace-ws").await;
        let class = claim
            .map_err(|error| error.to_string())?
            .spec
            .and_then(|spec| spec.storage_class_name);
        if class.as_ref() == usual.first() {
            Ok(())
        } else {
            Err(format!("{class:?}"))
        }
    })
    .await?;
    // For a pod whose claim had no class, the scheduler retries only after five minutes; for a new pod, at once.
    workspace::stop(&workspaces, "ws").await?;
    workspace::start(&workspaces, "ws").await?;
    scratch.finish().await
}

/// The release's test creates a workspace with a disk, says why it does not start, and deletes it.
async fn is_found_by_helm_test() -> anyhow::Result<()> {
    let check = Check::render().await?;
    let scratch = Scratch::new("check", &[&check.user()?]).await?;
    let namespace = format!("--workspace-namespace={}", scratch.namespace);
    let work = async {
        check.apply().await?;
        let change = |pod: &mut ChangedPod| {
            pod.without_workspace()?;
            pod.set(&[&namespace, "--delete-disk", "--timeout-seconds=20"])
        };
        let lines = check.failure("class", change).await?;
        let parts = [
            "is not available after 20 s",
            reason::STORAGE_CLASS_NOT_FOUND,
            "the cluster has no default one. Have a default made",
        ];
        lines.say("FAIL", "workspace", &parts)
    };
    Box::pin(always(work, check.remove())).await?;
    let claims = scratch.api::<PersistentVolumeClaim>();
    let left = claims.list(&ListParams::default()).await?.items;
    anyhow::ensure!(left.is_empty(), "{left:?}");
    scratch.finish().await
}
