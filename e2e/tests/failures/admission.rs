//! Quotas, ranges, Pod Security, admission rules of others, and what an execution profile names.

use api::condition::reason;
use e2e::{
    Environment, cluster,
    failures::{Fixture, table},
    objects::{template, workspace, write_block::WriteBlock},
    row, wait,
};
use k8s_openapi::api::{
    core::v1::{LimitRange, Namespace, Pod, ResourceQuota, ServiceAccount},
    node::v1::RuntimeClass,
    scheduling::v1::PriorityClass,
};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::{evidence::created, images::make_profile};

/// The name of quotas and ranges here.
const RULE: &str = "e2e";

async fn quota(fixture: &Fixture, hard: Value) -> anyhow::Result<()> {
    let quota = json!({"metadata": {"name": RULE}, "spec": {"hard": hard}});
    fixture.make::<ResourceQuota>(quota).await?;
    // Until its usage is counted, the API server refuses with another message.
    let quotas = fixture.scratch.api::<ResourceQuota>();
    wait::until("the quota to be counted", wait::USUAL, || async {
        let now = quotas.get(RULE).await.map_err(|error| error.to_string())?;
        let counted = now
            .status
            .and_then(|status| status.used)
            .is_some_and(|used| !used.is_empty());
        if counted {
            Ok(())
        } else {
            Err("not yet".to_owned())
        }
    })
    .await
}

async fn raise(fixture: &Fixture, hard: Value) -> anyhow::Result<()> {
    fixture
        .change::<ResourceQuota>(RULE, json!({"spec": {"hard": hard}}))
        .await?;
    fixture.recovered().await
}

async fn refused_pod_is_tried_again(fixture: &Fixture) -> anyhow::Result<()> {
    quota(fixture, json!({"pods": "0"})).await?;
    fixture.create(json!({})).await?;
    let expected = [
        "The Pod was refused",
        "exceeded quota: e2e",
        "stop another workspace",
    ];
    fixture
        .reports(reason::QUOTA_EXCEEDED, &expected, created())
        .await?;
    raise(fixture, json!({"pods": "5"})).await
}

async fn quota_for_storage(fixture: &Fixture) -> anyhow::Result<()> {
    quota(fixture, json!({"requests.storage": "100Mi"})).await?;
    fixture.create(json!({"storage": {"size": "1Gi"}})).await?;
    let expected = ["The PersistentVolumeClaim was refused", "requests.storage=1Gi"];
    fixture
        .reports(reason::QUOTA_EXCEEDED, &expected, created())
        .await?;
    // What the message advises, by the owner.
    workspace::set(
        &fixture.alice,
        &fixture.name,
        json!({"storage": {"size": "100Mi"}}),
    )
    .await?;
    fixture.recovered().await
}

/// No pod runs without its policies: without room for them there is none.
async fn quota_for_network_policies(fixture: &Fixture) -> anyhow::Result<()> {
    let count = |most: &str| json!({"count/networkpolicies.networking.k8s.io": most});
    quota(fixture, count("1")).await?;
    fixture.create(json!({})).await?;
    let expected = [
        "The NetworkPolicy was refused",
        "exceeded quota: e2e",
        "Have the namespace's quota raised",
    ];
    fixture
        .reports(reason::QUOTA_EXCEEDED, &expected, created())
        .await?;
    let pods = fixture.scratch.api::<Pod>().list(&ListParams::default()).await?;
    anyhow::ensure!(pods.items.is_empty(), "{:?}", pods.items);
    raise(fixture, count("2")).await
}

async fn range_for_cpu(fixture: &Fixture) -> anyhow::Result<()> {
    let limit = json!({"type": "Container", "max": {"cpu": "100m"}});
    fixture
        .make::<LimitRange>(json!({"metadata": {"name": RULE}, "spec": {"limits": [limit]}}))
        .await?;
    fixture.create(json!({})).await?;
    let expected = [
        "maximum cpu usage per Container is 100m",
        "LimitRange",
        "spec.resources",
    ];
    fixture
        .reports(reason::ADMISSION_DENIED, &expected, created())
        .await?;
    fixture.delete::<LimitRange>(RULE).await?;
    fixture.recovered().await
}

/// A template allows what the namespace forbids.
async fn pod_security(fixture: &Fixture) -> anyhow::Result<()> {
    let root = json!({
        "defaultImage": Environment::get()?.images.echo, "podSecurity": "Baseline",
        "defaultPodSecurityContext": {"runAsUser": 0, "runAsNonRoot": false},
    });
    template::make(&fixture.scratch, &root).await?;
    fixture
        .create_as_admin(json!({"templateRef": fixture.namespace()}))
        .await?;
    let expected = ["violates PodSecurity", "restricted", "tell the administrator"];
    fixture
        .reports(reason::POD_SECURITY_VIOLATION, &expected, created())
        .await?;
    let level =
        Patch::Merge(json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "baseline"}}}));
    Api::<Namespace>::all(fixture.admin.clone())
        .patch(fixture.namespace(), &PatchParams::default(), &level)
        .await?;
    fixture.recovered().await
}

async fn priority_class_that_does_not_exist(fixture: &Fixture) -> anyhow::Result<()> {
    let expected = [
        fixture.namespace(),
        "the execution profile \"runner\" names (spec.priorityClassName), does not exist",
        "Have it created",
    ];
    let named = json!({"priorityClassName": fixture.namespace()});
    is_missing(fixture, named, reason::PRIORITY_CLASS_NOT_FOUND, &expected).await?;
    let classes = Api::<PriorityClass>::all(fixture.admin.clone());
    let class = serde_json::from_value(
        json!({"metadata": {"name": fixture.namespace()}, "value": 1, "preemptionPolicy": "Never"}),
    )?;
    classes.create(&PostParams::default(), &class).await?;
    fixture.recovered().await
}

async fn runtime_class_that_does_not_exist(fixture: &Fixture) -> anyhow::Result<()> {
    let expected = [
        fixture.namespace(),
        "the execution profile \"runner\" names (spec.runtimeClassName), does not exist",
        "Have it created",
    ];
    let named = json!({"runtimeClassName": fixture.namespace()});
    is_missing(fixture, named, reason::RUNTIME_CLASS_NOT_FOUND, &expected).await?;
    let classes = Api::<RuntimeClass>::all(fixture.admin.clone());
    // What containerd and CRI-O call their usual one.
    let class =
        serde_json::from_value(json!({"metadata": {"name": fixture.namespace()}, "handler": "runc"}))?;
    classes.create(&PostParams::default(), &class).await?;
    fixture.recovered().await
}

async fn service_account_that_does_not_exist(fixture: &Fixture) -> anyhow::Result<()> {
    let expected = [
        "The ServiceAccount robot",
        "the execution profile \"runner\" names (spec.serviceAccount.name), does not exist in this namespace",
        "Have it created",
    ];
    let named = json!({"serviceAccount": {"name": "robot"}});
    is_missing(fixture, named, reason::SERVICE_ACCOUNT_NOT_FOUND, &expected).await?;
    fixture
        .make::<ServiceAccount>(json!({"metadata": {"name": "robot"}}))
        .await?;
    fixture.recovered().await
}

/// A workspace of a profile that names what does not exist.
async fn is_missing(
    fixture: &Fixture,
    profile: Value,
    reason: &'static str,
    expected: &[&str],
) -> anyhow::Result<()> {
    make_profile(fixture, profile).await?;
    fixture
        .create_as_admin(json!({"executionProfileRef": "runner"}))
        .await?;
    fixture.reports(reason, expected, created()).await
}

async fn execution_profile_that_does_not_exist(fixture: &Fixture) -> anyhow::Result<()> {
    fixture
        .create_as_admin(json!({"executionProfileRef": "runner"}))
        .await?;
    let expected = [
        "WorkspaceExecutionProfile \"runner\" does not exist in this namespace",
        "the workspace starts as soon as it does",
    ];
    fixture
        .reports(reason::EXECUTION_PROFILE_NOT_FOUND, &expected, created())
        .await?;
    make_profile(fixture, json!({})).await?;
    fixture.recovered().await
}

/// The field names an object that is not there, by the name of the namespace.
async fn missing(fixture: &Fixture, field: &str, reason: &'static str) -> anyhow::Result<()> {
    fixture
        .create_as_admin(json!({field: fixture.namespace()}))
        .await?;
    let expected = [
        fixture.namespace(),
        "does not exist",
        "the workspace starts as soon as it does",
    ];
    fixture.reports(reason, &expected, created()).await?;
    Ok(())
}

async fn template_that_does_not_exist(fixture: &Fixture) -> anyhow::Result<()> {
    missing(fixture, "templateRef", reason::TEMPLATE_NOT_FOUND).await?;
    let image = json!({"defaultImage": Environment::get()?.images.echo});
    template::make(&fixture.scratch, &image).await?;
    fixture.recovered().await
}

async fn manager_that_does_not_exist(fixture: &Fixture) -> anyhow::Result<()> {
    missing(fixture, "managerRef", reason::MANAGER_NOT_FOUND).await?;
    // The manager of the installation, which is the default.
    fixture.edit(json!({"managerRef": null})).await?;
    fixture.recovered().await
}

/// A policy of the cluster refuses the pod.
async fn policy_that_refuses(fixture: &Fixture) -> anyhow::Result<()> {
    let block = WriteBlock::start(&fixture.scratch, "", "v1", "pods").await?;
    fixture.create(json!({})).await?;
    let expected = [
        "The Pod was refused",
        "held by a test",
        "Change what the message names, or tell the administrator",
    ];
    fixture
        .reports(reason::ADMISSION_DENIED, &expected, created())
        .await?;
    block.end().await?;
    fixture.recovered().await
}

/// Another client's pod has the name. It is not changed, and the workspace starts once it is gone.
async fn name_conflict(fixture: &Fixture) -> anyhow::Result<()> {
    let name = format!("workspace-{}", fixture.name);
    let sleeps = json!({"image": Environment::get()?.images.echo, "command": ["sleep", "3600"]});
    let foreign = fixture
        .make::<Pod>(cluster::restricted_pod(&name, sleeps, &json!([])))
        .await?;
    fixture.create(json!({})).await?;
    let expected = [
        name.as_str(),
        "under another name, or have an administrator delete the Pod",
    ];
    fixture
        .reports(reason::NAME_CONFLICT, &expected, created())
        .await?;
    let now = fixture.scratch.api::<Pod>().get(&name).await?;
    anyhow::ensure!(
        (now.uid(), now.labels(), now.owner_references())
            == (foreign.uid(), foreign.labels(), foreign.owner_references()),
        "{now:?}"
    );
    fixture.delete::<Pod>(&name).await?;
    fixture.recovered().await
}

#[tokio::test]
async fn refusals_of_pods_and_disks_are_reported_and_recover() -> anyhow::Result<()> {
    let rows = [
        row!(refused_pod_is_tried_again),
        row!(quota_for_storage),
        row!(quota_for_network_policies),
        row!(range_for_cpu),
        row!(pod_security),
        row!(priority_class_that_does_not_exist),
        row!(runtime_class_that_does_not_exist),
        row!(service_account_that_does_not_exist),
        row!(execution_profile_that_does_not_exist),
        row!(template_that_does_not_exist),
        row!(manager_that_does_not_exist),
        row!(policy_that_refuses),
        row!(name_conflict),
    ];
    table("admission", rows).await
}
