//! Further disks of a template that the API server takes, and claims that the operator may write.

use api::WorkspaceTemplate;
use e2e::{
    cluster::{self, Scratch},
    objects::template,
};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Service};
use kube::{Api, api::PostParams};
use serde_json::{Value, json};

use crate::operator_bounds::{dry, operator, refused};

fn disk(name: &str, fields: &[(&str, Value)]) -> Value {
    let spec = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
    let mut disk = json!({"name": name, "spec": spec});
    for (key, value) in fields {
        disk[*key] = value.clone();
    }
    disk
}

#[tokio::test]
async fn disks_that_no_workspace_could_have_are_refused_when_the_template_is_written() -> anyhow::Result<()> {
    let templates = Api::<WorkspaceTemplate>::all(cluster::admin().await?);
    let refusal = async |disks: &Value| -> anyhow::Result<Option<String>> {
        let object = serde_json::from_value::<kube::api::DynamicObject>(json!({
            "apiVersion": "workspaces.jupyter.org/v1alpha1", "kind": "WorkspaceTemplate",
            "metadata": {"name": "e2e-volume-claims"},
            "spec": {"displayName": "x", "defaultImage": "a", "volumeClaims": disks},
        }))?;
        let resource = kube::api::ApiResource::erase::<WorkspaceTemplate>(&());
        let untyped = Api::<kube::api::DynamicObject>::all_with(templates.clone().into_client(), &resource);
        let outcome = untyped.create(&dry(), &object).await;
        Ok(outcome.err().map(|error| error.to_string()))
    };
    let fine = disk("db", &[("mountPath", json!("/db"))]);
    assert_eq!(refusal(&json!([fine])).await?, None, "the control");
    let mut two_modes = fine.clone();
    two_modes["spec"]["accessModes"] = json!(["ReadWriteOnce", "ReadWriteMany"]);
    let mut unknown_mode = fine.clone();
    unknown_mode["spec"]["accessModes"] = json!(["ReadWrite"]);
    let nine: Vec<_> = (0..9).map(|number| disk(&format!("d{number}"), &[])).collect();
    for (disks, expected) in [
        (json!([disk("ninechars", &[])]), "spec.volumeClaims[0].name"),
        (json!([disk("a-b", &[])]), "spec.volumeClaims[0].name"),
        (json!([two_modes]), "spec.volumeClaims[0].spec.accessModes"),
        (json!([unknown_mode]), "spec.volumeClaims[0].spec.accessModes[0]"),
        (json!([fine, fine]), "spec.volumeClaims[1]"),
        (json!(nine), "spec.volumeClaims"),
        (
            json!([disk("db", &[("mountPath", json!("/x/../etc"))])]),
            "mountPath must not hold \"..\"",
        ),
        (
            json!([disk("shm", &[])]),
            "is the name of a volume of the operator: choose another",
        ),
        (
            json!([disk("db", &[("when", json!({"gpu": ["a100"]}))])]),
            "is not an option that stands before this one: there is none, leave it out",
        ),
    ] {
        let found = refusal(&disks).await?;
        assert!(
            found.as_ref().is_some_and(|text| text.contains(expected)),
            "{disks}: {expected}: {found:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn the_operator_writes_claims_of_further_disks_and_nothing_else_under_their_names() -> anyhow::Result<()>
{
    let scratch = Scratch::new("volume-claims", &["alice"]).await?;
    let operator = operator().await?;
    let claims = Api::<PersistentVolumeClaim>::namespaced(operator.clone(), &scratch.namespace);
    let claim = |name: &str| {
        serde_json::from_value::<PersistentVolumeClaim>(json!({
            "metadata": {"name": name},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
        }))
    };
    for allowed in ["workspace-lab", "wsc-db-lab", "wsc-a1b2c3d4-lab-2"] {
        claims.create(&dry(), &claim(allowed)?).await?;
    }
    let names = "objects whose name begins with workspace-";
    for other in [
        "lab",
        "wsc-lab",
        "wsc-ninechars-lab",
        "wsc--lab",
        "my-wsc-db-lab",
        "wsc-db-9",
    ] {
        refused(claims.create(&dry(), &claim(other)?).await, names);
    }
    let services = Api::<Service>::namespaced(operator, &scratch.namespace);
    let service = json!({"metadata": {"name": "wsc-db-lab"}, "spec": {"ports": [{"port": 80}]}});
    refused(
        services.create(&dry(), &serde_json::from_value(service)?).await,
        names,
    );
    scratch.finish().await
}

/// A quota that has no room for the disk is told with the claim, and the workspace starts once it has.
#[tokio::test]
async fn a_disk_that_a_quota_refuses_is_named_until_there_is_room() -> anyhow::Result<()> {
    let scratch = Scratch::new("volume-claims-quota", &["alice"]).await?;
    let quotas: Api<k8s_openapi::api::core::v1::ResourceQuota> = scratch.api();
    let quota = |claims: &str| {
        serde_json::from_value(
            json!({"metadata": {"name": "claims"}, "spec": {"hard": {"persistentvolumeclaims": claims}}}),
        )
    };
    quotas.create(&PostParams::default(), &quota("0")?).await?;
    let image = &e2e::Environment::get()?.images.echo;
    let disks = json!([disk("db", &[("mountPath", json!("/db"))])]);
    template::make(&scratch, &json!({"defaultImage": image, "volumeClaims": disks})).await?;
    let workspaces = crate::rules::alice(&scratch).await?;
    let lab = template::workspace(&scratch, "lab", &json!({}))?;
    workspaces.create(&PostParams::default(), &lab).await?;
    let message = e2e::wait::until("the refusal of the disk", e2e::wait::USUAL, || async {
        let found = workspaces.get("lab").await.map_err(|error| error.to_string())?;
        let claims = found.status.map(|status| status.claims).unwrap_or_default();
        let told = claims
            .into_iter()
            .find(|claim| claim.reason.as_deref() == Some("QuotaExceeded"));
        told.and_then(|claim| claim.message)
            .ok_or_else(|| "no claim with a reason".to_owned())
    })
    .await?;
    assert!(
        message.contains("wsc-db-lab") && message.contains("exceeded quota"),
        "{message}"
    );
    quotas
        .delete("claims", &kube::api::DeleteParams::default())
        .await?;
    let claims = scratch.api::<PersistentVolumeClaim>();
    e2e::wait::until("the claim", e2e::wait::USUAL * 4, || async {
        let found = claims
            .get_opt("wsc-db-lab")
            .await
            .map_err(|error| error.to_string())?;
        found.map(|_| ()).ok_or_else(|| "none".to_owned())
    })
    .await?;
    template::finish(scratch).await
}
