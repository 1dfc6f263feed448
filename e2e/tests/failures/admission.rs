//! Quotas, ranges, Pod Security and admission rules of others.

use api::{WorkspaceManager, WorkspaceTemplate, condition::reason};
use e2e::{
    Environment, cluster,
    failures::{Fixture, table},
    objects::workspace,
    row, wait,
};
use k8s_openapi::api::{
    admissionregistration::v1::{
        ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration,
    },
    core::v1::{LimitRange, Namespace, Pod, ResourceQuota, Service},
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::evidence::{created, pod_ready};

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

/// A template may allow what the namespace forbids.
async fn pod_security(fixture: &Fixture) -> anyhow::Result<()> {
    let templates = Api::<WorkspaceTemplate>::all(fixture.admin.clone());
    let template: WorkspaceTemplate = serde_json::from_value(json!({
        "apiVersion": "workspaces.jupyter.org/v1alpha1", "kind": "WorkspaceTemplate",
        "metadata": {"name": fixture.namespace()},
        "spec": {
            "displayName": "Root", "defaultImage": Environment::get()?.images.echo, "podSecurity": "Baseline",
            "defaultPodSecurityContext": {"runAsUser": 0, "runAsNonRoot": false},
        },
    }))?;
    templates.create(&PostParams::default(), &template).await?;
    fixture
        .create_as_admin(json!({"templateRef": fixture.namespace()}))
        .await?;
    let expected = ["violates PodSecurity", "restricted", "Pod Security level"];
    fixture
        .reports(reason::POD_SECURITY_VIOLATION, &expected, created())
        .await?;
    let label =
        Patch::Merge(json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "baseline"}}}));
    Api::<Namespace>::all(fixture.admin.clone())
        .patch(fixture.namespace(), &PatchParams::default(), &label)
        .await?;
    fixture.recovered().await
}

/// Waits until a pod is refused with this text: the API server applies new rules with a delay.
async fn in_force(fixture: &Fixture, part: &str) -> anyhow::Result<()> {
    let pods = fixture.scratch.api::<Pod>();
    let pod = cluster::restricted_pod("probe", json!({"image": "i"}), &json!([]));
    let pod: Pod = serde_json::from_value(pod)?;
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    wait::until("the rule to be in force", wait::USUAL, || async {
        match pods.create(&dry, &pod).await {
            Err(error) if error.to_string().contains(part) => Ok(()),
            other => Err(format!("{:?}", other.map(|pod| pod.name_any()))),
        }
    })
    .await
}

async fn foreign_policy(fixture: &Fixture) -> anyhow::Result<()> {
    let name = fixture.namespace();
    let policies = Api::<ValidatingAdmissionPolicy>::all(fixture.admin.clone());
    let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(fixture.admin.clone());
    let policy = serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {"e2e.test/scratch": "true"}},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]},
            ]},
            "validations": [{"expression": "false", "message": "every pod needs a cost centre"}],
        },
    }))?;
    policies.create(&PostParams::default(), &policy).await?;
    let binding = serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {"e2e.test/scratch": "true"}},
        "spec": {
            "policyName": name,
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}},
        },
    }))?;
    bindings.create(&PostParams::default(), &binding).await?;
    in_force(fixture, "cost centre").await?;
    fixture.create(json!({})).await?;
    let expected = ["every pod needs a cost centre", "tell the administrator"];
    fixture
        .reports(reason::ADMISSION_DENIED, &expected, created())
        .await?;
    bindings.delete(name, &DeleteParams::default()).await?;
    policies.delete(name, &DeleteParams::default()).await?;
    fixture.recovered().await
}

/// A webhook without a server, for Services of the namespace.
async fn dead_webhook(fixture: &Fixture) -> anyhow::Result<Api<ValidatingWebhookConfiguration>> {
    let hooks = Api::<ValidatingWebhookConfiguration>::all(fixture.admin.clone());
    let hook = serde_json::from_value(json!({
        "metadata": {"name": fixture.namespace(), "labels": {"e2e.test/scratch": "true"}},
        "webhooks": [{
            "name": "cost-centre.example.com",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Fail",
            "timeoutSeconds": 1,
            "clientConfig": {"service": {"namespace": fixture.namespace(), "name": "absent"}},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": fixture.namespace()}},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["services"]}],
        }],
    }))?;
    hooks.create(&PostParams::default(), &hook).await?;
    Ok(hooks)
}

async fn webhook_is_unavailable_for_our_writes(fixture: &Fixture) -> anyhow::Result<()> {
    let hooks = dead_webhook(fixture).await?;
    let services = fixture.scratch.api::<Service>();
    let probe: Service =
        serde_json::from_value(json!({"metadata": {"name": "probe"}, "spec": {"ports": [{"port": 1}]}}))?;
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    wait::until("the webhook to be in force", wait::USUAL, || async {
        match services.create(&dry, &probe).await {
            Err(error) if error.to_string().contains("cost-centre") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    fixture.create(json!({})).await?;
    let expected = [
        "The Service was refused",
        "cost-centre.example.com",
        "does not answer",
    ];
    fixture
        .reports(reason::ADMISSION_DENIED, &expected, created())
        .await?;
    hooks
        .delete(fixture.namespace(), &DeleteParams::default())
        .await?;
    fixture.recovered().await
}

/// Somebody else's pod has the name: it is not changed, and the workspace starts once it is gone.
async fn name_conflict(fixture: &Fixture) -> anyhow::Result<()> {
    let name = format!("workspace-{}", fixture.name);
    let sleeps = json!({"image": Environment::get()?.images.echo, "command": ["sleep", "3600"]});
    let foreign = fixture
        .make::<Pod>(cluster::restricted_pod(&name, sleeps, &json!([])))
        .await?;
    fixture.create(json!({})).await?;
    fixture
        .reports(
            reason::NAME_CONFLICT,
            &[&name, "have an administrator delete the Pod"],
            created(),
        )
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

/// A manager whose routes are Ingresses, in a namespace that allows none.
async fn route_is_refused(fixture: &Fixture) -> anyhow::Result<()> {
    let ingresses = "count/ingresses.networking.k8s.io";
    quota(fixture, json!({ingresses: "0"})).await?;
    let managers = Api::<WorkspaceManager>::all(fixture.admin.clone());
    let service = json!({"name": "{service.name}", "port": {"name": "http"}});
    let manager = serde_json::from_value(json!({
        "apiVersion": "workspaces.jupyter.org/v1alpha1", "kind": "WorkspaceManager",
        "metadata": {"name": fixture.namespace(), "labels": {"e2e.test/scratch": "true"}},
        "spec": {
            "routing": {
                "baseDomain": format!("{}.test", fixture.namespace()),
                "custom": {"resources": [{
                    "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
                    "spec": {"rules": [{"host": "{workspace.host}", "http": {"paths": [
                        {"path": "/", "pathType": "Prefix", "backend": {"service": service}},
                    ]}}]},
                }]},
            },
            "authentication": {"none": {}},
        },
    }))?;
    managers.create(&PostParams::default(), &manager).await?;
    fixture
        .create_as_admin(json!({"managerRef": fixture.namespace()}))
        .await?;
    let expected = ["The Ingress", "exceeded quota: e2e", "routing.custom"];
    fixture
        .reports(reason::ROUTE_FAILED, &expected, pod_ready())
        .await?;
    raise(fixture, json!({ingresses: "1"})).await
}

#[tokio::test]
async fn quota_and_limit_range_refusals_are_reported_and_recover() -> anyhow::Result<()> {
    let rows = [
        row!(refused_pod_is_tried_again),
        row!(quota_for_storage),
        row!(range_for_cpu),
    ];
    table("quota", rows).await
}

#[tokio::test]
async fn refusals_of_other_policies_and_webhooks_are_reported_with_their_message() -> anyhow::Result<()> {
    let rows = [
        row!(pod_security),
        row!(foreign_policy),
        row!(webhook_is_unavailable_for_our_writes),
        row!(name_conflict),
        row!(route_is_refused),
    ];
    table("admission", rows).await
}
