//! Disks that are not created, mounted or deleted.

use api::{condition::reason, workspace::Phase};
use e2e::{
    failures::{Fixture, Moment, table},
    row, wait,
};
use k8s_openapi::api::{
    core::v1::{PersistentVolume, PersistentVolumeClaim},
    events::v1::Event,
    storage::v1::StorageClass,
};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, PostParams},
};
use serde_json::{Value, json};

use crate::evidence::{at, claimed, created, warning};

/// A storage class for this row, with its namespace's name and without a provisioner.
async fn class(fixture: &Fixture) -> anyhow::Result<()> {
    let classes = Api::<StorageClass>::all(fixture.admin.clone());
    let class = serde_json::from_value(json!({
        "metadata": {"name": fixture.namespace(), "labels": {"e2e.test/scratch": "true"}},
        "provisioner": "e2e.test/absent",
        "volumeBindingMode": "Immediate",
        "allowVolumeExpansion": true,
    }))?;
    classes.create(&PostParams::default(), &class).await?;
    Ok(())
}

fn disk(fixture: &Fixture) -> Value {
    json!({"size": "1Gi", "storageClassName": fixture.namespace()})
}

async fn storage_class_that_does_not_exist(fixture: &Fixture) -> anyhow::Result<()> {
    let mut mistyped = disk(fixture);
    mistyped["storageClassName"] = json!(format!("{}-mistyped", fixture.namespace()));
    mistyped["size"] = json!("2Gi");
    fixture.create(json!({"storage": mistyped})).await?;
    fixture
        .reports(
            reason::STORAGE_CLASS_NOT_FOUND,
            &[
                fixture.namespace(),
                "does not exist",
                "Set spec.storage.storageClassName",
            ],
            claimed(),
        )
        .await?;
    class(fixture).await?;
    fixture.edit(json!({"storage": disk(fixture)})).await?;
    fixture.wait_cleared().await?;
    let claims = fixture.scratch.api::<PersistentVolumeClaim>();
    let claim = claims.get(&format!("workspace-{}", fixture.name)).await?;
    let spec = claim.spec.unwrap_or_default();
    let requests = spec.resources.and_then(|resources| resources.requests);
    let size = requests.and_then(|requests| requests.get("storage").cloned());
    let found = (spec.storage_class_name, size.map(|size| size.0));
    let expected = (Some(fixture.namespace().to_owned()), Some("1Gi".to_owned()));
    anyhow::ensure!(found == expected, "{found:?}");
    Ok(())
}

/// Warning Events of this reason in the namespace, once there is one.
pub(crate) async fn warned(fixture: &Fixture, reason: &str) -> anyhow::Result<Vec<Event>> {
    let events = fixture.scratch.api::<Event>();
    wait::until(&format!("an Event {reason}"), wait::USUAL, || async {
        let all = events.list(&ListParams::default()).await;
        let mut all = all.map_err(|error| error.to_string())?.items;
        all.retain(|event| {
            event.reason.as_deref() == Some(reason) && event.type_.as_deref() == Some("Warning")
        });
        if all.is_empty() {
            Err("none yet".to_owned())
        } else {
            Ok(all)
        }
    })
    .await
}

async fn disk_deleted_under_a_pod(fixture: &Fixture) -> anyhow::Result<()> {
    fixture.may_also_report(reason::VOLUME_UNBOUND);
    fixture.create(json!({"storage": {"size": "100Mi"}})).await?;
    fixture.reached(Phase::Running).await?;
    let claim = &format!("workspace-{}", fixture.name);
    let claims = fixture.scratch.api::<PersistentVolumeClaim>();
    fixture.delete::<PersistentVolumeClaim>(claim).await?;
    let teardown = claims.get(claim).await?;
    let volume = teardown.spec.as_ref().and_then(|spec| spec.volume_name.clone());
    let patch = format!("kubectl patch pv {}", volume.unwrap_or_default());
    let expected = ["copy the files elsewhere", "cannot be undone", patch.as_str()];
    let held = at(Moment::deleted(&teardown));
    fixture
        .reports(reason::VOLUME_TERMINATING, &expected, held)
        .await?;
    fixture.reached(Phase::Running).await?;
    fixture.may_also_report(reason::VOLUME_REPLACED);
    fixture.restart_with(json!({})).await?;
    let again = fixture.reached(Phase::Running).await?;
    let message = again.status.and_then(|status| status.message).unwrap_or_default();
    anyhow::ensure!(message.contains("new, empty one"), "{message}");
    fixture.explained(reason::VOLUME_REPLACED, &message).await?;
    let fresh = claims.get(claim).await?;
    anyhow::ensure!(fresh.uid() != teardown.uid(), "the same disk");
    let events = warned(fixture, reason::VOLUME_REPLACED).await?;
    anyhow::ensure!(events.len() == 1, "{events:?}");
    fixture.wait_cleared().await
}

async fn claim_that_does_not_exist(fixture: &Fixture) -> anyhow::Result<()> {
    let volume = json!({"name": "data", "persistentVolumeClaimName": "shared", "mountPath": "/data"});
    fixture.create_as_admin(json!({"volumes": [volume]})).await?;
    let expected = ["The claim shared", "does not exist", "Have it made"];
    fixture
        .reports(reason::VOLUME_UNBOUND, &expected, created())
        .await?;
    fixture
        .make::<PersistentVolumeClaim>(json!({
            "metadata": {"name": "shared"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "100Mi"}}},
        }))
        .await?;
    fixture.recovered().await
}

async fn volume_that_cannot_be_mounted(fixture: &Fixture) -> anyhow::Result<()> {
    let name = fixture.namespace();
    let volume = json!({
        "metadata": {"name": name, "labels": {"e2e.test/scratch": "true"}},
        "spec": {
            "capacity": {"storage": "100Mi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "",
            "claimRef": {"namespace": name, "name": "shared"},
            "hostPath": {"path": "/no/such/folder", "type": "Directory"},
        },
    });
    Api::<PersistentVolume>::all(fixture.admin.clone())
        .create(&PostParams::default(), &serde_json::from_value(volume)?)
        .await?;
    fixture
        .make::<PersistentVolumeClaim>(json!({
            "metadata": {"name": "shared"},
            "spec": {
                "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "100Mi"}}, "storageClassName": "",
                "volumeName": name,
            },
        }))
        .await?;
    let mounted = json!({"name": "data", "persistentVolumeClaimName": "shared", "mountPath": "/data"});
    fixture.create_as_admin(json!({"volumes": [mounted]})).await?;
    let events = warned(fixture, "FailedMount").await?;
    let expected = [
        "A volume cannot be mounted on the node",
        "/no/such/folder is not a directory",
        "tell the administrator",
    ];
    fixture
        .reports(reason::VOLUME_ATTACH_FAILED, &expected, warning(&events))
        .await?;
    // Its pod never started, so it is replaced at once.
    fixture.edit(json!({"volumes": null})).await?;
    fixture.recovered().await
}

#[tokio::test]
async fn disk_failures_are_reported() -> anyhow::Result<()> {
    let rows = [
        row!(storage_class_that_does_not_exist),
        row!(disk_deleted_under_a_pod),
        row!(claim_that_does_not_exist),
        row!(volume_that_cannot_be_mounted),
    ];
    table("volumes", rows).await
}
