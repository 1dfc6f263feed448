//! The API server's behaviour that the operator's writes rely on.

use std::fmt::Debug;

use api::{condition::reason, names, workspace::Phase};
use e2e::{
    cluster::{self, Scratch},
    objects::workspace,
};
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        core::v1::{PersistentVolumeClaim, Service, ServiceAccount},
        networking::v1::NetworkPolicy,
    },
};
use kube::{
    Api, Resource, ResourceExt as _,
    api::{Patch, PatchParams, PostParams},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{degraded, with_storage};

/// An apply that must create the object creates it; the second one conflicts and changes nothing.
async fn made_or_refused<K>(scratch: &Scratch, spec: Value) -> anyhow::Result<()>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
{
    let objects: Api<K> = scratch.api();
    let intent = |spec: &Value, label: &str| {
        let mut object = json!({
            "apiVersion": K::api_version(&()), "kind": K::kind(&()),
            "metadata": {"name": "taken", "resourceVersion": "1", "labels": {"e2e.test/by": label}},
        });
        if !spec.is_null() {
            object["spec"] = spec.clone();
        }
        object
    };
    let params = PatchParams::apply("tester").force();
    let first = objects
        .patch("taken", &params, &Patch::Apply(intent(&spec, "first")))
        .await?;
    let managed = first.managed_fields();
    let ours = managed
        .iter()
        .filter(|entry| entry.manager.as_deref() == Some("tester"));
    let operations: Vec<_> = ours.filter_map(|entry| entry.operation.as_deref()).collect();
    assert_eq!(operations, ["Apply"], "{}", K::kind(&()));
    let second = objects
        .patch("taken", &params, &Patch::Apply(intent(&spec, "second")))
        .await;
    match second {
        Err(kube::Error::Api(status)) => assert_eq!(status.code, 409, "{}: {status:?}", K::kind(&())),
        other => anyhow::bail!("{}: {other:?}", K::kind(&())),
    }
    assert_eq!(objects.get("taken").await?.labels()["e2e.test/by"], "first");
    Ok(())
}

#[tokio::test]
async fn an_apply_that_expects_absence_creates_or_conflicts() -> anyhow::Result<()> {
    let scratch = Scratch::new("expects", &["alice"]).await?;
    let claim = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}});
    made_or_refused::<PersistentVolumeClaim>(&scratch, claim).await?;
    made_or_refused::<Service>(&scratch, json!({"ports": [{"port": 80}]})).await?;
    made_or_refused::<NetworkPolicy>(&scratch, json!({"podSelector": {}})).await?;
    made_or_refused::<ServiceAccount>(&scratch, Value::Null).await?;
    scratch.finish().await
}

#[tokio::test]
async fn a_foreign_claim_with_the_name_of_the_disk_is_not_changed() -> anyhow::Result<()> {
    let scratch = Scratch::new("foreign", &["alice"]).await?;
    let alice: Api<api::Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let foreign = super::claim(&scratch, "workspace-ws").await?;
    let wanted = with_storage("ws", &json!({"size": "100Mi"}))?;
    alice.create(&PostParams::default(), &wanted).await?;
    degraded(&alice, "ws", reason::NAME_CONFLICT).await?;
    let claims = scratch.api::<PersistentVolumeClaim>();
    let unchanged = claims.get("workspace-ws").await?;
    assert_eq!(unchanged.uid(), foreign.uid());
    assert_eq!(unchanged.owner_references(), []);
    assert!(!unchanged.labels().contains_key(names::WORKSPACE_LABEL));
    assert_eq!(super::pods_of(&scratch, "ws").await?, Vec::<String>::new());

    claims
        .delete("workspace-ws", &kube::api::DeleteParams::default())
        .await?;
    workspace::reached(&alice, "ws", Phase::Running).await?;
    scratch.finish().await
}
