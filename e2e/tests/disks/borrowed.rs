//! Existing claims as homes and volumes.

use std::path::Path;

use anyhow::Context as _;
use api::{Workspace, condition::reason, names, workspace::Phase};
use e2e::{
    cluster::{self, Scratch},
    command,
    objects::workspace,
};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim};
use kube::{
    Api, ResourceExt as _,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;

use super::{claim, degraded, pod_of, pods_of, shell, with_storage};

/// Name of the disk of workspace `alice` in the present operator.
const DATA: &str = "workspace-alice-pvc";

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
async fn an_existing_claim_also_of_the_earlier_jupyter_k8s_is_the_home_of_one_workspace_and_is_never_deleted()
-> anyhow::Result<()> {
    let (scratch, alice) = with_claim("borrowed").await?;
    a_disk_of_the_earlier_jupyter_k8s_can_be_migrated_as_documented(&scratch, &alice).await?;
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

async fn a_disk_of_the_earlier_jupyter_k8s_can_be_migrated_as_documented(
    scratch: &Scratch,
    alice: &Api<Workspace>,
) -> anyhow::Result<()> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/coming-from-jupyter-k8s.md");
    let page = std::fs::read_to_string(page)?;
    let between = |begin: &str, end: &str| -> anyhow::Result<String> {
        let text = page.split_once(begin).and_then(|(_, rest)| rest.split_once(end));
        let (text, _) = text.with_context(|| format!("the page has no {begin:?}"))?;
        Ok(text.to_owned())
    };
    let claims = scratch.api::<PersistentVolumeClaim>();
    // Any existing owner is sufficient. Without one the garbage collector deletes the claim.
    let owner = scratch
        .api::<ConfigMap>()
        .create(
            &PostParams::default(),
            &serde_json::from_value(json!({"metadata": {"name": "old"}}))?,
        )
        .await?;
    let references = json!({"metadata": {"ownerReferences": [{
        "apiVersion": "v1", "kind": "ConfigMap", "name": "old", "uid": owner.metadata.uid, "controller": true,
    }]}});
    claims
        .patch(DATA, &PatchParams::default(), &Patch::Merge(references))
        .await?;

    let steps = between("--type=json -p '", "'")?;
    let namespace = scratch.namespace.as_str();
    let free = ["patch", "pvc", DATA, "-n", namespace, "--type=json", "-p", &steps];
    let freed = command::administer(&free).await?;
    assert_eq!(freed.code, 0, "{freed:?}");
    assert_eq!(claims.get(DATA).await?.owner_references(), []);
    let manifests = between("<<EOF\n", "       EOF")?.replace("team-a", namespace);
    // The page indents them.
    let manifests: Vec<_> = manifests
        .lines()
        .map(|line| line.strip_prefix("       ").unwrap_or(line))
        .collect();
    let applied = command::administer_with(&["apply", "-f", "-"], &manifests.join("\n")).await?;
    assert_eq!(applied.code, 0, "{applied:?}");
    workspace::reached(alice, "alice", Phase::Running).await?;
    let home = claims.get(DATA).await?;
    assert!(home.annotations()[names::IN_USE_BY].starts_with("alice/"));
    workspace::delete(alice, "alice").await?;
    assert_eq!(claims.get(DATA).await?.metadata.deletion_timestamp, None);
    Ok(())
}
