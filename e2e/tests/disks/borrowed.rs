//! Existing claims as homes and volumes.

use api::{Workspace, condition::reason, names};
use e2e::{
    cluster::{self, Scratch},
    objects::workspace,
};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::{Api, ResourceExt as _, api::PostParams};
use serde_json::json;

use super::{claim, degraded, pod_of, pods_of, shell, with_storage};

/// A claim that no workspace made.
const DATA: &str = "data";

/// A namespace in which alice may use that claim.
async fn with_claim(prefix: &str) -> anyhow::Result<(Scratch, Api<Workspace>)> {
    let scratch = Scratch::new(prefix, &["alice"]).await?;
    let rules = json!([{
        "apiGroups": [""], "resources": ["persistentvolumeclaims"], "resourceNames": [DATA], "verbs": ["use"],
    }]);
    scratch.grant("uses-data", "alice", &rules).await?;
    claim(&scratch, DATA).await?;
    let alice = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    Ok((scratch, alice))
}

#[tokio::test]
async fn an_existing_claim_is_the_home_of_one_workspace_and_is_never_deleted() -> anyhow::Result<()> {
    let (scratch, alice) = with_claim("borrowed").await?;
    let home = json!({"claimName": DATA, "subPath": "alice"});
    alice
        .create(&PostParams::default(), &with_storage("one", &home)?)
        .await?;
    let pod = pod_of(&alice, "one").await?;
    shell(&scratch, &pod, "echo from-one > /home/jovyan/notes").await?;

    let whole = json!({"claimName": DATA, "mountPath": "/home/all"});
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
    let data = scratch.api::<PersistentVolumeClaim>().get(DATA).await?;
    assert_eq!(data.metadata.deletion_timestamp, None);
    assert!(!data.annotations().contains_key(names::IN_USE_BY));
    scratch.finish().await
}
