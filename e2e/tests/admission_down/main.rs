//! The webhook is not running.

use api::{
    Workspace,
    condition::{DEGRADED, reason},
    names::{ASSIGNED_BY, CREATED_BY, WORKSPACE_UID},
    workspace::DesiredStatus,
};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    installation::component,
    objects::workspace,
    test_run::finally::always,
    wait,
};
use k8s_openapi::api::{
    admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
    core::v1::{PersistentVolumeClaim, Secret},
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

fn stopped(name: &str) -> Workspace {
    let mut new = workspace::of_image(name, "uv");
    new.spec.desired_status = DesiredStatus::Stopped;
    new
}

#[tokio::test]
async fn without_a_webhook_no_write_is_admitted_and_without_its_configurations_nothing_is_forged()
-> anyhow::Result<()> {
    let kept = Scratch::new("kept", &["alice", "bob"]).await?;
    Box::pin(no_write_is_admitted_and_a_namespace_can_be_deleted(&kept)).await?;
    Box::pin(a_forged_owner_gets_neither_disk_nor_secret(&kept)).await?;
    kept.finish().await
}

async fn no_write_is_admitted_and_a_namespace_can_be_deleted(kept: &Scratch) -> anyhow::Result<()> {
    let scratch = Scratch::new("down", &["alice"]).await?;
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
    let outcome = while_down(scratch, &alice, kept).await;
    component::scale("webhook", replicas).await?;
    outcome?;
    // It runs again: the next write is validated.
    let workspaces: Api<Workspace> = Api::namespaced(alice, &kept.namespace);
    wait::until("the webhook to admit", wait::USUAL, || async {
        let created = workspaces.create(&PostParams::default(), &stopped("after")).await;
        created.map(drop).map_err(|error| error.to_string())
    })
    .await
}

/// Without both configurations the API server does not call the webhook: only its own policies are left.
async fn a_forged_owner_gets_neither_disk_nor_secret(scratch: &Scratch) -> anyhow::Result<()> {
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    alice.create(&PostParams::default(), &stopped("hers")).await?;
    let claim: PersistentVolumeClaim = serde_json::from_value(json!({
        "metadata": {"name": "workspace-lab", "annotations": {WORKSPACE_UID: "earlier", CREATED_BY: "alice"}},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    }))?;
    let claims = scratch.api::<PersistentVolumeClaim>();
    claims.create(&PostParams::default(), &claim).await?;
    let secret: Secret =
        serde_json::from_value(json!({"metadata": {"name": "s"}, "stringData": {"k": "v"}}))?;
    scratch
        .api::<Secret>()
        .create(&PostParams::default(), &secret)
        .await?;

    let name = format!("{}-webhook", Environment::get()?.release);
    let mutating = Api::<MutatingWebhookConfiguration>::all(cluster::admin().await?);
    let validating = Api::<ValidatingWebhookConfiguration>::all(cluster::admin().await?);
    let (mut first, mut second) = (mutating.get(&name).await?, validating.get(&name).await?);
    for metadata in [&mut first.metadata, &mut second.metadata] {
        (metadata.resource_version, metadata.uid, metadata.managed_fields) = (None, None, None);
    }
    let undefended = async {
        mutating.delete(&name, &DeleteParams::default()).await?;
        validating.delete(&name, &DeleteParams::default()).await?;
        forge(scratch).await
    };
    let defended = async {
        mutating.create(&PostParams::default(), &first).await?;
        validating.create(&PostParams::default(), &second).await?;
        Ok(())
    };
    always(Box::pin(undefended), defended).await?;
    wait::until("the webhook to judge", wait::USUAL, || async {
        let dry = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let judged = alice.create(&dry, &stopped("judged")).await;
        let judged = judged.map_err(|error| error.to_string())?;
        let owner = judged.annotations().get(CREATED_BY).cloned();
        (owner.as_deref() == Some("alice"))
            .then_some(())
            .ok_or_else(|| format!("{owner:?}"))
    })
    .await?;
    let claim = claims.get("workspace-lab").await?;
    assert_eq!(claim.annotations()[WORKSPACE_UID], "earlier", "it is still kept");
    Ok(())
}

/// Bob tries to act as alice, to read a Secret, and to change her workspace.
async fn forge(scratch: &Scratch) -> anyhow::Result<()> {
    let bob: Api<Workspace> = Api::namespaced(cluster::user("bob").await?, &scratch.namespace);
    let refused = |result: kube::Result<Workspace>, expected: &str| {
        let is_expected = |error: &kube::Error| matches!(error, kube::Error::Api(it) if it.code == 403 && it.message.contains(expected));
        assert!(result.as_ref().is_err_and(is_expected), "{expected}: {result:?}");
    };
    let made = async |annotations: Value, spec: Value| {
        let mut new = json!(workspace::echo("lab")?);
        new["metadata"]["annotations"] = annotations;
        for (field, value) in spec.as_object().into_iter().flatten() {
            new["spec"][field] = value.clone();
        }
        let new: Workspace = serde_json::from_value(new)?;
        Ok::<_, anyhow::Error>(bob.create(&PostParams::default(), &new).await)
    };
    let disk = json!({"storage": {"size": "1Mi", "retain": "Retain"}});
    let variable = json!([{"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]);
    refused(
        made(json!({CREATED_BY: "alice"}), disk.clone()).await?,
        "is another owner",
    );
    refused(
        made(json!({CREATED_BY: "alice", ASSIGNED_BY: "bob"}), disk.clone()).await?,
        "is another owner",
    );
    for spec in [
        json!({"env": variable}),
        json!({"initContainers": [{"name": "i", "image": "uv", "env": variable}]}),
        json!({"initContainers": [{"name": "i", "image": "uv", "envFrom": [{"secretRef": {"name": "s"}}]}]}),
    ] {
        refused(made(json!({}), spec).await?, r#"the Secret "s""#);
    }
    let image = Patch::Merge(json!({"spec": {"image": "evil:1"}}));
    refused(
        bob.patch("hers", &PatchParams::default(), &image).await,
        "only by its owner",
    );
    // As the owner he gets the name, and not the disk.
    made(json!({}), disk).await??;
    wait::until("the disk to be withheld", wait::USUAL, || async {
        let lab = bob.get("lab").await.map_err(|error| error.to_string())?;
        match workspace::condition(&lab, DEGRADED) {
            Some((_, why, _)) if why == reason::RETAINED_VOLUME_OF_ANOTHER_OWNER => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
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
