//! Each kind of home, and the allowed changes of a disk.

use api::Workspace;
use e2e::{
    cluster::{self, Scratch},
    objects::workspace,
};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::{Api, api::PostParams};
use serde_json::{Value, json};

use super::{pod_of, shell, with_storage};

async fn alice(scratch: &Scratch) -> anyhow::Result<Api<Workspace>> {
    Ok(Api::namespaced(cluster::user("alice").await?, &scratch.namespace))
}

#[tokio::test]
async fn a_home_is_a_disk_that_only_grows_or_ephemeral_storage_and_another_path_is_a_pending_update()
-> anyhow::Result<()> {
    let scratch = Scratch::new("modes", &["alice"]).await?;
    let alice = alice(&scratch).await?;
    let disk =
        json!({"size": "200Mi", "storageClassName": "standard", "mountPath": "/data", "subPath": "mine"});
    alice
        .create(&PostParams::default(), &with_storage("disk", &disk)?)
        .await?;
    alice
        .create(&PostParams::default(), &with_storage("none", &Value::Null)?)
        .await?;

    let first = pod_of(&alice, "disk").await?;
    shell(&scratch, &first, "echo here > /data/f").await?;
    let claim = scratch
        .api::<PersistentVolumeClaim>()
        .get("workspace-disk")
        .await?;
    let spec = claim.spec.unwrap_or_default();
    assert_eq!(spec.access_modes, Some(vec!["ReadWriteOnce".to_owned()]));
    assert_eq!(spec.storage_class_name.as_deref(), Some("standard"));
    let requests = spec.resources.and_then(|all| all.requests).unwrap_or_default();
    assert_eq!(requests["storage"].0, "200Mi");

    let pod = scratch.api::<Pod>().get(&pod_of(&alice, "none").await?).await?;
    let volumes = pod.spec.unwrap_or_default().volumes.unwrap_or_default();
    let room = volumes
        .iter()
        .find_map(|volume| volume.empty_dir.as_ref()?.size_limit.clone());
    assert!(room.is_some(), "{volumes:?}");
    let claims = scratch.api::<PersistentVolumeClaim>();
    assert!(claims.get_opt("workspace-none").await?.is_none());
    a_disk_can_only_grow_and_keeps_its_class(&alice).await?;
    another_mount_path_is_a_pending_update(&alice, &first).await?;
    scratch.finish().await
}

async fn a_disk_can_only_grow_and_keeps_its_class(alice: &Api<Workspace>) -> anyhow::Result<()> {
    for (change, expected) in [
        (json!({"storage": {"size": "100Mi"}}), "size can only grow"),
        // The class of this cluster cannot grow disks.
        (json!({"storage": {"size": "300Mi"}}), "cannot expand disks"),
        (
            json!({"storage": {"storageClassName": "other"}}),
            "a disk cannot move to another class",
        ),
    ] {
        match workspace::set(alice, "disk", change).await {
            Err(error) => assert!(format!("{error:#}").contains(expected), "{error:#}"),
            Ok(stored) => anyhow::bail!("{:?}", stored.spec.storage),
        }
    }
    Ok(())
}

async fn another_mount_path_is_a_pending_update(alice: &Api<Workspace>, pod: &str) -> anyhow::Result<()> {
    let moved = json!({"storage": {"mountPath": "/home/other", "subPath": "deep"}});
    workspace::set(alice, "disk", moved).await?;
    let pending = e2e::wait::until("the pending update", e2e::wait::USUAL, || async {
        let found = alice.get("disk").await.map_err(|error| error.to_string())?;
        let pending = found
            .status
            .map(|status| status.pending_update)
            .unwrap_or_default();
        if pending.is_empty() {
            Err("none".to_owned())
        } else {
            Ok(pending)
        }
    })
    .await?;
    assert_eq!(pending, ["spec.storage.mountPath", "spec.storage.subPath"]);
    assert_eq!(pod_of(alice, "disk").await?, pod, "no surprise restart");
    Ok(())
}
