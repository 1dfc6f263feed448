//! Existing claims as homes and volumes.

use api::{Workspace, condition::reason, names, workspace::Phase};
use e2e::{
    cluster::{self, Scratch},
    workspace,
};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::{Api, ResourceExt as _, api::PostParams};
use serde_json::json;

use super::{claim, degraded, pod_of, pods_of, shell, with_storage};

/// A namespace in which alice may use the claim `data`.
async fn with_claim(prefix: &str) -> anyhow::Result<(Scratch, Api<Workspace>)> {
    let scratch = Scratch::new(prefix, &["alice"]).await?;
    let rules = json!([{
        "apiGroups": [""], "resources": ["persistentvolumeclaims"], "resourceNames": ["data"], "verbs": ["use"],
    }]);
    scratch.grant("uses-data", "alice", &rules).await?;
    claim(&scratch, "data").await?;
    let alice = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    Ok((scratch, alice))
}

#[tokio::test]
async fn an_existing_claim_is_home_of_one_at_a_time_and_is_never_deleted() -> anyhow::Result<()> {
    let (scratch, alice) = with_claim("borrowed").await?;
    let home = json!({"claimName": "data", "subPath": "alice"});
    alice
        .create(&PostParams::default(), &with_storage("one", &home)?)
        .await?;
    let pod = pod_of(&alice, "one").await?;
    shell(&scratch, &pod, "echo from-one > /home/jovyan/notes").await?;

    let whole = json!({"claimName": "data", "mountPath": "/home/all"});
    alice
        .create(&PostParams::default(), &with_storage("two", &whole)?)
        .await?;
    let message = degraded(&alice, "two", reason::VOLUME_IN_USE).await?;
    assert!(message.contains("workspace one"), "{message}");
    assert_eq!(pods_of(&scratch, "two").await?, Vec::<String>::new());

    workspace::stop(&alice, "one").await?;
    let pod = pod_of(&alice, "two").await?;
    assert_eq!(
        shell(&scratch, &pod, "cat /home/all/alice/notes").await?,
        "from-one"
    );

    workspace::delete(&alice, "two").await?;
    workspace::delete(&alice, "one").await?;
    let data = scratch.api::<PersistentVolumeClaim>().get("data").await?;
    assert_eq!(data.metadata.deletion_timestamp, None);
    assert!(!data.annotations().contains_key(names::IN_USE_BY));
    scratch.finish().await
}

#[tokio::test]
async fn nobody_mounts_the_disk_of_another_workspace_by_its_name() -> anyhow::Result<()> {
    let scratch = Scratch::new("reach", &["alice", "bob"]).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let bob: Api<Workspace> = Api::namespaced(cluster::user("bob").await?, &scratch.namespace);
    // He may use every claim of the namespace: it does not help him.
    let rules =
        json!([{"apiGroups": [""], "resources": ["persistentvolumeclaims"], "verbs": ["use", "get"]}]);
    scratch.grant("uses-claims", "bob", &rules).await?;
    alice
        .create(
            &PostParams::default(),
            &with_storage("hers", &json!({"size": "100Mi"}))?,
        )
        .await?;
    workspace::reached(&alice, "hers", Phase::Running).await?;

    // The one exists, the other is a name that a workspace may have tomorrow.
    for (name, target) in [("now", "workspace-hers"), ("later", "workspace-tomorrow")] {
        let home = with_storage(&format!("home-{name}"), &json!({"claimName": target}))?;
        let mut volume = workspace::echo(&format!("volume-{name}"))?;
        let volumes = json!([{"name": "v", "persistentVolumeClaimName": target, "mountPath": "/v"}]);
        volume.spec.volumes = serde_json::from_value(volumes)?;
        for wanted in [home, volume] {
            match bob.create(&PostParams::default(), &wanted).await {
                Err(kube::Error::Api(status)) => assert!(matches!(status.code, 403 | 422), "{status:?}"),
                Err(error) => return Err(error.into()),
                Ok(stored) => {
                    degraded(&bob, &stored.name_any(), reason::VOLUME_OF_ANOTHER_WORKSPACE).await?;
                    assert_eq!(pods_of(&scratch, &stored.name_any()).await?, Vec::<String>::new());
                }
            }
        }
    }
    scratch.finish().await
}
