//! Objects that a workspace refers to and that are not there.

use api::{WorkspaceExecutionProfile, WorkspaceManager, WorkspaceTemplate, condition::reason};
use e2e::{
    Environment, row,
    why::{Scene, table},
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

use crate::evidence::{created, event, pod_refused, waiting_for};

const API_VERSION: &str = "workspaces.jupyter.org/v1alpha1";

async fn template(scene: &Scene) -> anyhow::Result<()> {
    scene
        .create_as_admin(json!({"templateRef": scene.namespace()}))
        .await?;
    let words = [scene.namespace(), "does not exist", "starts as soon as it does"];
    scene
        .reports(reason::TEMPLATE_NOT_FOUND, &words, created())
        .await?;
    let templates = Api::<WorkspaceTemplate>::all(scene.admin.clone());
    let template = serde_json::from_value(json!({
        "apiVersion": API_VERSION, "kind": "WorkspaceTemplate",
        "metadata": {"name": scene.namespace(), "labels": {"e2e.test/scratch": "true"}},
        "spec": {"displayName": "Late", "defaultImage": Environment::get()?.images.echo},
    }))?;
    templates.create(&PostParams::default(), &template).await?;
    scene.recovered().await
}

async fn manager(scene: &Scene) -> anyhow::Result<()> {
    scene
        .create_as_admin(json!({"managerRef": scene.namespace()}))
        .await?;
    let words = [scene.namespace(), "does not exist", "starts as soon as it does"];
    scene
        .reports(reason::MANAGER_NOT_FOUND, &words, created())
        .await?;
    let managers = Api::<WorkspaceManager>::all(scene.admin.clone());
    let service = json!({"name": "{service.name}", "port": {"name": "http"}});
    let path = json!({"path": "/", "pathType": "Prefix", "backend": {"service": service}});
    let spec = json!({
        "routing": {
            "baseDomain": format!("{}.test", scene.namespace()),
            "custom": {"resources": [{
                "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
                "spec": {"rules": [{"host": "{workspace.host}", "http": {"paths": [path]}}]},
            }]},
        },
        "authentication": {"none": {}},
    });
    let manager = serde_json::from_value(json!({
        "apiVersion": API_VERSION, "kind": "WorkspaceManager",
        "metadata": {"name": scene.namespace(), "labels": {"e2e.test/scratch": "true"}},
        "spec": spec,
    }))?;
    managers.create(&PostParams::default(), &manager).await?;
    scene.recovered().await
}

pub(crate) async fn make_profile(scene: &Scene, spec: Value) -> anyhow::Result<()> {
    scene
        .make::<WorkspaceExecutionProfile>(json!({
            "apiVersion": API_VERSION, "kind": "WorkspaceExecutionProfile",
            "metadata": {"name": "runner"}, "spec": spec,
        }))
        .await?;
    Ok(())
}

async fn execution_profile(scene: &Scene) -> anyhow::Result<()> {
    scene
        .create_as_admin(json!({"executionProfileRef": "runner"}))
        .await?;
    let words = ["\"runner\"", "does not exist in this namespace"];
    scene
        .reports(reason::EXECUTION_PROFILE_NOT_FOUND, &words, created())
        .await?;
    make_profile(scene, json!({})).await?;
    scene.recovered().await
}

async fn service_account(scene: &Scene) -> anyhow::Result<()> {
    make_profile(scene, json!({"serviceAccount": {"name": "robot"}})).await?;
    scene
        .create_as_admin(json!({"executionProfileRef": "runner"}))
        .await?;
    let words = [
        "The ServiceAccount robot, which the execution profile \"runner\" names (spec.serviceAccount.name), does not exist",
    ];
    scene
        .reports(reason::SERVICE_ACCOUNT_NOT_FOUND, &words, pod_refused())
        .await?;
    scene
        .make::<ServiceAccount>(json!({"metadata": {"name": "robot"}}))
        .await?;
    scene.recovered().await
}

async fn priority_class(scene: &Scene) -> anyhow::Result<()> {
    make_profile(scene, json!({"priorityClassName": scene.namespace()})).await?;
    scene
        .create_as_admin(json!({"executionProfileRef": "runner"}))
        .await?;
    let words = [
        scene.namespace(),
        "which the execution profile \"runner\" names (spec.priorityClassName), does not exist",
    ];
    scene
        .reports(reason::PRIORITY_CLASS_NOT_FOUND, &words, pod_refused())
        .await?;
    let classes = Api::<PriorityClass>::all(scene.admin.clone());
    let class = serde_json::from_value(json!({
        "metadata": {"name": scene.namespace(), "labels": {"e2e.test/scratch": "true"}}, "value": 1,
    }))?;
    classes.create(&PostParams::default(), &class).await?;
    let recovered = scene.recovered().await;
    classes
        .delete(scene.namespace(), &DeleteParams::default())
        .await?;
    recovered
}

async fn runtime_class(scene: &Scene) -> anyhow::Result<()> {
    make_profile(scene, json!({"runtimeClassName": scene.namespace()})).await?;
    scene
        .create_as_admin(json!({"executionProfileRef": "runner"}))
        .await?;
    let words = [
        scene.namespace(),
        "which the execution profile \"runner\" names (spec.runtimeClassName), does not exist",
    ];
    scene
        .reports(reason::RUNTIME_CLASS_NOT_FOUND, &words, pod_refused())
        .await?;
    scene
        .change::<WorkspaceExecutionProfile>("runner", json!({"spec": {"runtimeClassName": null}}))
        .await?;
    scene.recovered().await
}

fn env(source: &str, name: &str, key: &str) -> Value {
    json!({"env": [{"name": "TOKEN", "valueFrom": {source: {"name": name, "key": key}}}]})
}

async fn secret_in_env(scene: &Scene) -> anyhow::Result<()> {
    scene
        .create_as_admin(env("secretKeyRef", "token", "value"))
        .await?;
    let evidence = waiting_for("CreateContainerConfigError", "token");
    scene
        .reports(
            reason::SECRET_NOT_FOUND,
            &["The Secret token does not exist", "Make it"],
            evidence,
        )
        .await?;
    scene
        .make::<Secret>(json!({"metadata": {"name": "token"}, "stringData": {"value": "x"}}))
        .await?;
    scene.recovered().await
}

async fn key_of_secret_in_env(scene: &Scene) -> anyhow::Result<()> {
    scene
        .make::<Secret>(json!({"metadata": {"name": "token"}, "stringData": {"other": "x"}}))
        .await?;
    scene
        .create_as_admin(env("secretKeyRef", "token", "value"))
        .await?;
    let evidence = waiting_for("CreateContainerConfigError", "token");
    scene
        .reports(
            reason::SECRET_NOT_FOUND,
            &["The Secret token has no key value"],
            evidence,
        )
        .await?;
    scene
        .change::<Secret>("token", json!({"stringData": {"value": "x"}}))
        .await?;
    scene.recovered().await
}

async fn config_map_in_env(scene: &Scene) -> anyhow::Result<()> {
    scene
        .create_as_admin(env("configMapKeyRef", "flags", "value"))
        .await?;
    let evidence = waiting_for("CreateContainerConfigError", "flags");
    scene
        .reports(
            reason::CONFIG_MAP_NOT_FOUND,
            &["The ConfigMap flags does not exist"],
            evidence,
        )
        .await?;
    scene
        .make::<ConfigMap>(json!({"metadata": {"name": "flags"}, "data": {"value": "x"}}))
        .await?;
    scene.recovered().await
}

/// The kubelet tells it by an Event alone.
async fn secret_that_a_profile_mounts(scene: &Scene) -> anyhow::Result<()> {
    make_profile(
        scene,
        json!({"secretMounts": [{"secretName": "keys", "mountPath": "/keys"}]}),
    )
    .await?;
    scene
        .create_as_admin(json!({"executionProfileRef": "runner"}))
        .await?;
    let evidence = event(scene, "FailedMount").await?;
    scene
        .reports(
            reason::SECRET_NOT_FOUND,
            &["The Secret keys does not exist"],
            evidence,
        )
        .await?;
    scene
        .make::<Secret>(json!({"metadata": {"name": "keys"}, "stringData": {"value": "x"}}))
        .await?;
    scene.recovered().await
}

async fn claim_that_is_mounted(scene: &Scene) -> anyhow::Result<()> {
    scene
        .create_as_admin(json!({"volumes": [
            {"name": "data", "persistentVolumeClaimName": "shared", "mountPath": "/data"},
        ]}))
        .await?;
    let words = ["The claim shared", "does not exist"];
    scene.reports(reason::VOLUME_UNBOUND, &words, created()).await?;
    scene
        .make::<PersistentVolumeClaim>(json!({
            "metadata": {"name": "shared"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        }))
        .await?;
    scene.recovered().await
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
        row!(secret_in_env),
        row!(key_of_secret_in_env),
        row!(config_map_in_env),
        row!(secret_that_a_profile_mounts),
        row!(claim_that_is_mounted),
    ];
    table("references", rows).await
}
