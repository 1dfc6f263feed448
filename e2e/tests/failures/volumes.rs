//! Disks that are not created, bound, attached, mounted or expanded.

use std::time::Duration;

use anyhow::Context as _;
use api::{condition::reason, workspace::Phase};
use e2e::{
    failures::{Fixture, Moment, SilentNode, table},
    objects::workspace,
    row,
};
use jiff::Timestamp;
use k8s_openapi::api::{
    core::v1::{PersistentVolume, PersistentVolumeClaim},
    storage::v1::StorageClass,
};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::{
    evidence::{after_pod, at, claimed},
    images::container_runs,
};

/// A storage class for this row, with its namespace's name and without a provisioner.
async fn class(fixture: &Fixture) -> anyhow::Result<Api<StorageClass>> {
    let classes = Api::<StorageClass>::all(fixture.admin.clone());
    let class = serde_json::from_value(json!({
        "metadata": {"name": fixture.namespace(), "labels": {"e2e.test/scratch": "true"}},
        "provisioner": "e2e.test/absent",
        "volumeBindingMode": "Immediate",
        "allowVolumeExpansion": true,
    }))?;
    classes.create(&PostParams::default(), &class).await?;
    Ok(classes)
}

/// The cluster's default class.
async fn default_class(fixture: &Fixture) -> anyhow::Result<String> {
    let classes = Api::<StorageClass>::all(fixture.admin.clone());
    let all = classes.list(&ListParams::default()).await?;
    let is_default = |class: &&StorageClass| {
        let annotation = class
            .annotations()
            .get("storageclass.kubernetes.io/is-default-class");
        annotation.is_some_and(|value| value == "true")
    };
    let class = all.iter().find(is_default).context("no default class")?;
    Ok(class.name_any())
}

/// A volume for the workspace's claim, as a provisioner would make it. It lies on a node without a machine, so nothing is
/// ever mounted.
async fn volume(fixture: &Fixture) -> anyhow::Result<()> {
    let volumes = Api::<PersistentVolume>::all(fixture.admin.clone());
    let volume = serde_json::from_value(json!({
        "metadata": {"name": fixture.namespace(), "labels": {"e2e.test/scratch": "true"}},
        "spec": {
            "storageClassName": fixture.namespace(),
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "csi": {"driver": "e2e.test.absent", "volumeHandle": fixture.namespace()},
            "claimRef": {"namespace": fixture.namespace(), "name": format!("workspace-{}", fixture.name)},
        },
    }))?;
    volumes.create(&PostParams::default(), &volume).await?;
    Ok(())
}

fn disk(fixture: &Fixture) -> Value {
    json!({"size": "1Gi", "storageClassName": fixture.namespace()})
}

async fn storage_class_that_does_not_exist(fixture: &Fixture) -> anyhow::Result<()> {
    fixture.create(json!({"storage": disk(fixture)})).await?;
    fixture
        .reports(
            reason::STORAGE_CLASS_NOT_FOUND,
            &[fixture.namespace(), "does not exist"],
            claimed(),
        )
        .await?;
    class(fixture).await?;
    fixture.wait_cleared().await
}

/// The other remedy: alice makes the workspace anew.
async fn storage_class_that_another_replaces(fixture: &Fixture) -> anyhow::Result<()> {
    fixture.create(json!({"storage": disk(fixture)})).await?;
    let expected = ["create it anew with", "spec.storage.storageClassName"];
    fixture
        .reports(reason::STORAGE_CLASS_NOT_FOUND, &expected, claimed())
        .await?;
    workspace::delete(&fixture.alice, &fixture.name).await?;
    let another = json!({"size": "1Gi", "storageClassName": default_class(fixture).await?});
    fixture.create(json!({"storage": another})).await?;
    fixture.recovered().await
}

async fn claim_stays_unbound(fixture: &Fixture) -> anyhow::Result<()> {
    class(fixture).await?;
    fixture.create(json!({"storage": disk(fixture)})).await?;
    let evidence = after_pod(Duration::from_mins(1));
    fixture
        .reports(
            reason::VOLUME_UNBOUND,
            &["waited for a volume", "kubectl describe"],
            evidence,
        )
        .await?;
    volume(fixture).await?;
    fixture.may_also_report(reason::VOLUME_ATTACH_FAILED);
    wait_until_bound(fixture).await?;
    fixture.no_longer_explained().await
}

async fn wait_until_bound(fixture: &Fixture) -> anyhow::Result<()> {
    e2e::wait::until("VolumeUnbound to clear", e2e::wait::USUAL, || async {
        let now = fixture
            .histories
            .workspaces
            .last()
            .and_then(|it| it.status)
            .and_then(|status| status.reason);
        if now.as_deref() == Some(reason::VOLUME_UNBOUND) {
            Err(now)
        } else {
            Ok(())
        }
    })
    .await
}

async fn volume_cannot_be_made(fixture: &Fixture) -> anyhow::Result<()> {
    let node = fixture.silent_node().await?;
    class(fixture).await?;
    let mut spec = node.selected();
    spec["storage"] = disk(fixture);
    fixture.create(spec).await?;
    let claim = claim_of(fixture).await?;
    let expected = "failed to provision volume: the pool is full";
    let evidence = fixture
        .warn_about(
            "PersistentVolumeClaim",
            &claim.name_any(),
            claim.uid(),
            "ProvisioningFailed",
            expected,
        )
        .await?;
    fixture
        .reports(
            reason::VOLUME_UNBOUND,
            &["the pool is full", "tried again"],
            at(evidence),
        )
        .await?;
    volume(fixture).await?;
    let pod = fixture.bound_pod().await?;
    fixture.write_pod(&pod, container_runs()).await?;
    fixture.recovered().await
}

async fn claim_of(fixture: &Fixture) -> anyhow::Result<PersistentVolumeClaim> {
    e2e::wait::until("the claim", e2e::wait::USUAL, || async {
        fixture.histories.claims.last().ok_or("not yet")
    })
    .await
}

/// A pod on a node without a machine, and an Event about its volumes.
async fn warned(
    fixture: &Fixture,
    reason: &str,
    message: &str,
) -> anyhow::Result<(std::sync::Arc<SilentNode>, Option<Moment>)> {
    let node = fixture.silent_node().await?;
    fixture.create(node.selected()).await?;
    let pod = fixture.bound_pod().await?;
    let evidence = fixture
        .warn_about("Pod", &pod.name_any(), pod.uid(), reason, message)
        .await?;
    Ok((node, evidence))
}

async fn goes_on(fixture: &Fixture) -> anyhow::Result<()> {
    let pod = fixture.bound_pod().await?;
    fixture.write_pod(&pod, container_runs()).await?;
    fixture.recovered().await
}

async fn multi_attach(fixture: &Fixture) -> anyhow::Result<()> {
    let message = "Multi-Attach error for volume \"pvc-1\" Volume is already exclusively attached to one node and can't \
                   be attached to another";
    let (node, evidence) = warned(fixture, "FailedAttachVolume", message).await?;
    let expected = [
        "Multi-Attach",
        "Another node still holds the disk",
        node.name.as_str(),
    ];
    fixture
        .reports(reason::VOLUME_ATTACH_FAILED, &expected, at(evidence))
        .await?;
    fixture.reached(Phase::Starting).await?;
    goes_on(fixture).await
}

async fn growth_that_the_class_refuses(fixture: &Fixture) -> anyhow::Result<()> {
    let node = fixture.silent_node().await?;
    let classes = class(fixture).await?;
    volume(fixture).await?;
    let growth = |allowed: bool| Patch::Merge(json!({"allowVolumeExpansion": allowed}));
    classes
        .patch(fixture.namespace(), &PatchParams::default(), &growth(false))
        .await?;
    // A retained disk is smaller than the next workspace requests: admission cannot detect that.
    let storage =
        |size: &str| json!({"size": size, "storageClassName": fixture.namespace(), "retain": "Retain"});
    fixture
        .create(json!({"storage": storage("1Gi"), "desiredStatus": "Stopped"}))
        .await?;
    e2e::wait::until("the claim to have its volume", e2e::wait::USUAL, || async {
        let claim = fixture.histories.claims.last().and_then(|claim| claim.status);
        let phase = claim.and_then(|status| status.phase);
        if phase.as_deref() == Some("Bound") {
            Ok(())
        } else {
            Err(phase)
        }
    })
    .await?;
    workspace::delete(&fixture.alice, &fixture.name).await?;
    let mut spec = node.selected();
    spec["storage"] = storage("2Gi");
    let evidence = fixture.create(spec).await?;
    fixture
        .reports(
            reason::VOLUME_RESIZE_FAILED,
            &["grow", "volume expansion"],
            at(evidence),
        )
        .await?;
    let pod = fixture.bound_pod().await?;
    fixture.write_pod(&pod, container_runs()).await?;
    // What runs goes on.
    fixture.reached(Phase::Running).await?;
    classes
        .patch(fixture.namespace(), &PatchParams::default(), &growth(true))
        .await?;
    fixture.wait_cleared().await
}

async fn growth_that_fails_midway(fixture: &Fixture) -> anyhow::Result<()> {
    let node = fixture.silent_node().await?;
    class(fixture).await?;
    volume(fixture).await?;
    let mut spec = node.selected();
    spec["storage"] = disk(fixture);
    fixture.create(spec).await?;
    let pod = fixture.bound_pod().await?;
    fixture.write_pod(&pod, container_runs()).await?;
    fixture.reached(Phase::Running).await?;
    workspace::set(&fixture.alice, &fixture.name, json!({"storage": {"size": "2Gi"}})).await?;
    let claims = fixture.scratch.api::<PersistentVolumeClaim>();
    let claim = format!("workspace-{}", fixture.name);
    e2e::wait::until("the claim to request more", e2e::wait::USUAL, || async {
        let requested = |claim: &PersistentVolumeClaim| {
            claim
                .spec
                .as_ref()?
                .resources
                .as_ref()?
                .requests
                .as_ref()?
                .get("storage")
                .map(|it| it.0.clone())
        };
        let now = fixture.histories.claims.last().as_ref().and_then(requested);
        if now.as_deref() == Some("2Gi") {
            Ok(())
        } else {
            Err(now)
        }
    })
    .await?;
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let failing = json!({"status": {"conditions": [{
        "type": "ControllerResizeError", "status": "True", "reason": "", "lastTransitionTime": now,
        "message": "the array has no room",
    }]}});
    let failed = claims
        .patch_status(&claim, &PatchParams::default(), &Patch::Merge(failing))
        .await?;
    let evidence = Moment::written(&failed);
    fixture
        .reports(
            reason::VOLUME_RESIZE_FAILED,
            &["the array has no room", "old size"],
            at(evidence),
        )
        .await?;
    fixture.reached(Phase::Running).await?;
    let done = json!({"status": {"conditions": null, "capacity": {"storage": "2Gi"}}});
    claims
        .patch_status(&claim, &PatchParams::default(), &Patch::Merge(done))
        .await?;
    fixture.wait_cleared().await
}

#[tokio::test]
async fn disk_failures_are_reported() -> anyhow::Result<()> {
    let rows = [
        row!(claim_stays_unbound),
        row!(storage_class_that_does_not_exist),
        row!(storage_class_that_another_replaces),
        row!(volume_cannot_be_made),
        row!(multi_attach),
        row!(growth_that_the_class_refuses),
        row!(growth_that_fails_midway),
    ];
    table("volumes", rows).await
}
