//! User, kind of volume -> a folder that a pod of this user holds, as a workspace's disk (IO).

use std::path::Path;

use anyhow::Context as _;
use e2e::{
    Environment,
    cluster::{self, Scratch, cleanup::remove_cluster_objects},
};
use k8s_openapi::api::{
    core::v1::{PersistentVolume, Pod},
    storage::v1::StorageClass,
};
use kube::{Api, ResourceExt as _, api::PostParams};
use serde_json::{Value, json};

/// Its size.
pub(super) const SIZE: &str = "100Mi";

/// The pod. It has the folder as its `/tmp`.
const HOLDER: &str = "holder";

/// Makes the disk, in a class of its own. `volume`: the folder on the node -> kind and fields of the volume. Returns the storage of a
/// workspace that gets it.
pub(super) async fn make(
    scratch: &Scratch,
    user: i64,
    volume: impl FnOnce(&Path) -> (&'static str, Value),
) -> anyhow::Result<Value> {
    let (name, pods) = (&scratch.namespace, scratch.api::<Pod>());
    let mut holder = cluster::restricted_pod(
        HOLDER,
        json!({
            "image": Environment::get()?.images.echo, "imagePullPolicy": "Never",
            "volumeMounts": [{"name": "small", "mountPath": "/tmp"}],
        }),
        &json!([{"name": "small", "emptyDir": {"medium": "Memory", "sizeLimit": SIZE}}]),
    );
    holder["spec"]["securityContext"]["runAsUser"] = json!(user);
    pods.create(&PostParams::default(), &serde_json::from_value(holder)?)
        .await?;
    let holder = cluster::wait_until_ready(&pods, HOLDER).await?;
    // The kubelet of the local node has a folder of its own, beside that of the audit log.
    let audit_log = Environment::get()?.audit_log.as_deref();
    let local = audit_log.and_then(|log| Some(log.parent()?.with_file_name("kubelet")));
    let kubelet = local.unwrap_or_else(|| "/var/lib/kubelet".into());
    let pod = kubelet.join("pods").join(holder.uid().unwrap_or_default());
    let (kind, source) = volume(&pod.join("volumes/kubernetes.io~empty-dir/small"));
    let node = holder.spec.and_then(|spec| spec.node_name).context("no node")?;
    let is_node = json!({"key": "kubernetes.io/hostname", "operator": "In", "values": [node]});
    let admin = cluster::admin().await?;
    let class = json!({
        "metadata": {"name": name, "labels": {"e2e.test/scratch": "true"}},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    });
    Api::<StorageClass>::all(admin.clone())
        .create(&PostParams::default(), &serde_json::from_value(class)?)
        .await?;
    let volume = json!({
        "metadata": {"name": name, "labels": {"e2e.test/scratch": "true"}},
        "spec": {
            "storageClassName": name, "capacity": {"storage": SIZE}, "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain", kind: source,
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [is_node]}]}},
        },
    });
    Api::<PersistentVolume>::all(admin)
        .create(&PostParams::default(), &serde_json::from_value(volume)?)
        .await?;
    Ok(json!({"size": SIZE, "storageClassName": name}))
}

/// Runs shell commands as the user who holds it.
pub(super) async fn run_in_holder(scratch: &Scratch, commands: &str) -> anyhow::Result<()> {
    let shell = ["sh", "-euc", commands];
    cluster::exec(&scratch.api(), HOLDER, &shell).await.map(drop)
}

/// Removes volume and class of the namespace of this name, which is gone.
pub(super) async fn remove(namespace: String) -> anyhow::Result<()> {
    remove_cluster_objects(&cluster::admin().await?, &[namespace]).await
}
