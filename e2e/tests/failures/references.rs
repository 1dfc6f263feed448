//! Missing objects that a workspace refers to.

use api::{WorkspaceExecutionProfile, WorkspaceTemplate, condition::reason};
use e2e::{
    Environment,
    failures::{Fixture, table},
    row,
};
use k8s_openapi::api::{
    core::v1::{ConfigMap, PersistentVolumeClaim, Secret, ServiceAccount},
    scheduling::v1::PriorityClass,
};
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use serde_json::{Value, json};

use crate::evidence::{created, event, waiting_for};

const API_VERSION: &str = "workspaces.jupyter.org/v1alpha1";

async fn template(fixture: &Fixture) -> anyhow::Result<()> {
    fixture
        .create_as_admin(json!({"templateRef": fixture.namespace()}))
        .await?;
    let expected = [fixture.namespace(), "does not exist", "starts as soon as it does"];
    fixture
        .reports(reason::TEMPLATE_NOT_FOUND, &expected, created())
        .await?;
    let templates = Api::<WorkspaceTemplate>::all(fixture.admin.clone());
    let template = serde_json::from_value(json!({
        "apiVersion": API_VERSION, "kind": "WorkspaceTemplate",
        "metadata": {"name": fixture.namespace(), "labels": {"e2e.test/scratch": "true"}},
        "spec": {"displayName": "Late", "defaultImage": Environment::get()?.images.echo},
    }))?;
    templates.create(&PostParams::default(), &template).await?;
    fixture.recovered().await
}

async fn manager(fixture: &Fixture) -> anyhow::Result<()> {
    fixture
        .create_as_admin(json!({"managerRef": fixture.namespace()}))
        .await?;
    let expected = [fixture.namespace(), "does not exist", "starts as soon as it does"];
    fixture
        .reports(reason::MANAGER_NOT_FOUND, &expected, created())
        .await?;
    fixture.edit(json!({"managerRef": "default"})).await?;
    fixture.recovered().await
}

pub(crate) async fn make_profile(fixture: &Fixture, spec: Value) -> anyhow::Result<()> {
    fixture
        .make::<WorkspaceExecutionProfile>(json!({
            "apiVersion": API_VERSION, "kind": "WorkspaceExecutionProfile",
            "metadata": {"name": "runner"}, "spec": spec,
        }))
        .await?;
    Ok(())
}

async fn execution_profile(fixture: &Fixture) -> anyhow::Result<()> {
    fixture
        .create_as_admin(json!({"executionProfileRef": "runner"}))
        .await?;
    let expected = ["\"runner\"", "does not exist in this namespace"];
    fixture
        .reports(reason::EXECUTION_PROFILE_NOT_FOUND, &expected, created())
        .await?;
    fixture
        .make::<WorkspaceExecutionProfile>(json!({"metadata": {"name": "other"}, "spec": {}}))
        .await?;
    fixture.edit(json!({"executionProfileRef": "other"})).await?;
    fixture.recovered().await
}

async fn service_account(fixture: &Fixture) -> anyhow::Result<()> {
    make_profile(fixture, json!({"serviceAccount": {"name": "robot"}})).await?;
    fixture
        .create_as_admin(json!({"executionProfileRef": "runner"}))
        .await?;
    let expected = [
        "The ServiceAccount robot, which the execution profile \"runner\" names (spec.serviceAccount.name), does not exist",
    ];
    fixture
        .reports(reason::SERVICE_ACCOUNT_NOT_FOUND, &expected, created())
        .await?;
    fixture
        .make::<ServiceAccount>(json!({"metadata": {"name": "robot"}}))
        .await?;
    fixture.recovered().await
}

async fn priority_class(fixture: &Fixture) -> anyhow::Result<()> {
    make_profile(fixture, json!({"priorityClassName": fixture.namespace()})).await?;
    fixture
        .create_as_admin(json!({"executionProfileRef": "runner"}))
        .await?;
    let expected = [
        fixture.namespace(),
        "which the execution profile \"runner\" names (spec.priorityClassName), does not exist",
    ];
    fixture
        .reports(reason::PRIORITY_CLASS_NOT_FOUND, &expected, created())
        .await?;
    let classes = Api::<PriorityClass>::all(fixture.admin.clone());
    let class = serde_json::from_value(json!({
        "metadata": {"name": fixture.namespace(), "labels": {"e2e.test/scratch": "true"}}, "value": 1,
    }))?;
    classes.create(&PostParams::default(), &class).await?;
    let recovered = fixture.recovered().await;
    classes
        .delete(fixture.namespace(), &DeleteParams::default())
        .await?;
    recovered
}

async fn runtime_class(fixture: &Fixture) -> anyhow::Result<()> {
    make_profile(fixture, json!({"runtimeClassName": fixture.namespace()})).await?;
    fixture
        .create_as_admin(json!({"executionProfileRef": "runner"}))
        .await?;
    let expected = [
        fixture.namespace(),
        "which the execution profile \"runner\" names (spec.runtimeClassName), does not exist",
    ];
    fixture
        .reports(reason::RUNTIME_CLASS_NOT_FOUND, &expected, created())
        .await?;
    fixture
        .change::<WorkspaceExecutionProfile>("runner", json!({"spec": {"runtimeClassName": null}}))
        .await?;
    fixture.recovered().await
}

fn env(source: &str, name: &str, key: &str) -> Value {
    json!({"env": [{"name": "TOKEN", "valueFrom": {source: {"name": name, "key": key}}}]})
}

async fn key_of_secret_in_env(fixture: &Fixture) -> anyhow::Result<()> {
    fixture
        .make::<Secret>(json!({"metadata": {"name": "token"}, "stringData": {"other": "x"}}))
        .await?;
    fixture
        .create_as_admin(env("secretKeyRef", "token", "value"))
        .await?;
    let evidence = waiting_for("CreateContainerConfigError", "token");
    fixture
        .reports(
            reason::SECRET_NOT_FOUND,
            &["The Secret token has no key value"],
            evidence,
        )
        .await?;
    fixture.allow_alice::<Secret>("get").await?;
    fixture.edit(env("secretKeyRef", "token", "other")).await?;
    fixture.recovered().await
}

async fn config_map_in_env(fixture: &Fixture) -> anyhow::Result<()> {
    fixture
        .create_as_admin(env("configMapKeyRef", "flags", "value"))
        .await?;
    let evidence = waiting_for("CreateContainerConfigError", "flags");
    fixture
        .reports(
            reason::CONFIG_MAP_NOT_FOUND,
            &["The ConfigMap flags does not exist"],
            evidence,
        )
        .await?;
    fixture
        .make_as_alice::<ConfigMap>(json!({"metadata": {"name": "flags"}, "data": {"value": "x"}}))
        .await?;
    fixture.recovered().await
}

/// The kubelet reports it only by an Event.
async fn secret_that_a_profile_mounts(fixture: &Fixture) -> anyhow::Result<()> {
    make_profile(
        fixture,
        json!({"secretMounts": [{"secretName": "keys", "mountPath": "/keys"}]}),
    )
    .await?;
    fixture
        .create_as_admin(json!({"executionProfileRef": "runner"}))
        .await?;
    let evidence = event(fixture, "FailedMount").await?;
    fixture
        .reports(
            reason::SECRET_NOT_FOUND,
            &["The Secret keys does not exist"],
            evidence,
        )
        .await?;
    fixture
        .make_as_alice::<Secret>(json!({"metadata": {"name": "keys"}, "stringData": {"value": "x"}}))
        .await?;
    fixture.recovered().await
}

async fn claim_that_is_mounted(fixture: &Fixture) -> anyhow::Result<()> {
    fixture
        .create_as_admin(json!({"volumes": [
            {"name": "data", "persistentVolumeClaimName": "shared", "mountPath": "/data"},
        ]}))
        .await?;
    let expected = ["The claim shared", "does not exist"];
    fixture
        .reports(reason::VOLUME_UNBOUND, &expected, created())
        .await?;
    fixture
        .make::<PersistentVolumeClaim>(json!({
            "metadata": {"name": "shared"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        }))
        .await?;
    fixture.recovered().await
}

#[tokio::test]
async fn missing_references_are_reported_and_waited_for() -> anyhow::Result<()> {
    let rows = [
        row!(template),
        row!(manager),
        row!(execution_profile),
        row!(service_account),
        row!(priority_class),
        row!(runtime_class),
        row!(key_of_secret_in_env),
        row!(config_map_in_env),
        row!(secret_that_a_profile_mounts),
        row!(claim_that_is_mounted),
    ];
    table("references", rows).await
}
