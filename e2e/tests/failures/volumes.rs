//! Disks that are not created or deleted.

use api::{condition::reason, workspace::Phase};
use e2e::{
    failures::{Fixture, Moment, table},
    row, wait,
};
use k8s_openapi::api::{core::v1::PersistentVolumeClaim, events::v1::Event, storage::v1::StorageClass};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, PostParams},
};
use serde_json::{Value, json};

use crate::evidence::{at, claimed, created};

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

/// Notes of the Warning Events of this reason in the namespace, once there is one.
pub(crate) async fn warned(fixture: &Fixture, reason: &str) -> anyhow::Result<Vec<String>> {
    let events = fixture.scratch.api::<Event>();
    wait::until(&format!("an Event {reason}"), wait::USUAL, || async {
        let all = events.list(&ListParams::default()).await;
        let all = all.map_err(|error| error.to_string())?;
        let of_reason = all.items.into_iter().filter(|event| {
            event.reason.as_deref() == Some(reason) && event.type_.as_deref() == Some("Warning")
        });
        let notes: Vec<_> = of_reason.filter_map(|event| event.note).collect();
        if notes.is_empty() {
            Err("none yet".to_owned())
        } else {
            Ok(notes)
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
    let notes = warned(fixture, reason::VOLUME_REPLACED).await?;
    anyhow::ensure!(notes.len() == 1, "{notes:?}");
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

#[tokio::test]
async fn disk_failures_are_reported() -> anyhow::Result<()> {
    let rows = [
        row!(storage_class_that_does_not_exist),
        row!(disk_deleted_under_a_pod),
        row!(claim_that_does_not_exist),
    ];
    table("volumes", rows).await
}
