//! Disks of workspaces: whose files a workspace mounts, and when they are retained or deleted.

mod borrowed;
mod deleted;
mod further;
mod growth;
mod kept;
mod orphaned;

use api::{Workspace, names, workspace::Phase};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt as _;
use serde_json::{Value, json};
use testkit::objects::{self, NAMESPACE};

use crate::stage::Stage;

type Claim = PersistentVolumeClaim;

/// A workspace `demo` of `owner`, with this UID and this storage.
fn workspace(uid: &str, owner: &str, storage: &Value) -> Workspace {
    let mut workspace = objects::workspace("demo");
    workspace.metadata.uid = Some(uid.to_owned());
    workspace
        .metadata
        .annotations
        .get_or_insert_default()
        .insert(names::CREATED_BY.to_owned(), owner.to_owned());
    workspace.spec.storage = serde_json::from_value(storage.clone()).unwrap();
    workspace
}

/// A claim that a user of the namespace made, bound.
fn claim(name: &str, mode: &str) -> Claim {
    serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"accessModes": [mode], "resources": {"requests": {"storage": "1Gi"}}},
        "status": {"phase": "Bound"},
    }))
    .unwrap()
}

/// A stage on which alice's `demo` ran with these files and was deleted; its disk is kept.
async fn with_kept_disk() -> Stage {
    let mut stage = Stage::new();
    stage.server.put(&workspace(
        "first",
        "alice",
        &json!({"size": "1Gi", "retain": "Retain"}),
    ));
    stage.run().await;
    delete_workspace(&mut stage).await;
    stage.server.take_calls();
    stage
}

async fn delete_workspace(stage: &mut Stage) {
    stage.delete_demo();
    for _ in 0..6 {
        if !stage.all::<Workspace>().is_empty() {
            stage.reconcile().await.unwrap();
            stage.collect_garbage();
        }
    }
    assert!(stage.all::<Workspace>().is_empty());
    // The garbage collector deletes each object whose owner no longer exists.
    for claim in stage.all::<Claim>() {
        if !claim.owner_references().is_empty() {
            stage.server.remove::<Claim>(Some(NAMESPACE), &claim.name_any());
        }
    }
}
