//! A home on a full disk: the page tells it, JupyterLab starts all the same, and files can be deleted in recovery.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::{
    Environment,
    cluster::{self, Scratch, cleanup::remove_cluster_objects},
    jupyter::{kernel, terminal},
    objects::workspace,
    wait,
};
use k8s_openapi::api::{
    core::v1::{PersistentVolume, Pod},
    storage::v1::StorageClass,
};
use kube::{Api, ResourceExt as _, api::PostParams};
use serde_json::{Value, json};

use super::{Lab, NAME, OWNER, READ, RECOVER, page};

/// The size of a disk that a test fills, and how.
const SMALL: &str = "100Mi";
const FILL: &str = "cat /dev/zero > ~/filler; ! echo more > ~/more";
/// Longest time until a full disk is known: a door repeats its figures for four minutes, and is asked each minute.
const ASKED: Duration = Duration::from_mins(6);

#[tokio::test]
async fn a_full_home_is_told_starts_is_emptied_in_recovery_and_starts_normally() -> anyhow::Result<()> {
    let scratch = Scratch::new("full", &[OWNER]).await?;
    let storage = small_disk(&scratch).await?;
    let lab = Box::pin(Lab::new(scratch, storage)).await?;
    let pod = workspace::pod(&lab.workspaces.get(NAME).await?)?;
    cluster::exec(&lab.scratch.api(), &pod, &["sh", "-c", FILL]).await?;
    lab.has_full_disk(true).await?;
    lab.browser.page.goto(&page(&lab.scratch)?).await?;
    let warning = format!("No space is left on its disk workspace-{NAME} ({SMALL})");
    lab.browser.sees("#explanation", &warning).await?;

    workspace::stop(&lab.workspaces, NAME).await?;
    workspace::start(&lab.workspaces, NAME).await?;
    lab.shows_the_files().await?;

    workspace::stop(&lab.workspaces, NAME).await?;
    lab.browser.page.goto(&page(&lab.scratch)?).await?;
    lab.next_run(lab.browser.click(RECOVER), true).await?;
    lab.shows_the_files().await?;
    lab.session.enter(&lab.url, OWNER).await?;
    let delete = "rm disk/filler; echo deleted-$?";
    terminal::types(&lab.session, &lab.url, delete, "deleted-0").await?;

    lab.starts_normally().await?;
    let read = kernel::compute(&lab.session, &lab.url, READ).await?;
    ensure!(read == "'of the user'", "the file has {read}");
    lab.has_full_disk(false).await?;
    let name = lab.scratch.namespace.clone();
    lab.finish().await?;
    remove_cluster_objects(&cluster::admin().await?, &[name]).await
}

/// A volume of memory that is full after 100 MiB, in a class of its own. Returns the storage of a workspace that gets it.
async fn small_disk(scratch: &Scratch) -> anyhow::Result<Value> {
    let (name, pods) = (&scratch.namespace, scratch.api::<Pod>());
    let holder = cluster::restricted_pod(
        "holder",
        json!({
            "image": Environment::get()?.images.echo, "imagePullPolicy": "Never",
            "volumeMounts": [{"name": "small", "mountPath": "/tmp"}],
        }),
        &json!([{"name": "small", "emptyDir": {"medium": "Memory", "sizeLimit": SMALL}}]),
    );
    pods.create(&PostParams::default(), &serde_json::from_value(holder)?)
        .await?;
    let holder = cluster::wait_until_ready(&pods, "holder").await?;
    // The kubelet of the local node has a folder of its own, beside that of the audit log.
    let audit_log = Environment::get()?.audit_log.as_deref();
    let local = audit_log.and_then(|log| Some(log.parent()?.with_file_name("kubelet")));
    let kubelet = local.unwrap_or_else(|| "/var/lib/kubelet".into());
    let pod = kubelet.join("pods").join(holder.uid().unwrap_or_default());
    let folder = pod.join("volumes/kubernetes.io~empty-dir/small");
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
            "storageClassName": name, "capacity": {"storage": SMALL}, "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain", "local": {"path": folder},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [is_node]}]}},
        },
    });
    Api::<PersistentVolume>::all(admin)
        .create(&PostParams::default(), &serde_json::from_value(volume)?)
        .await?;
    Ok(json!({"size": SMALL, "storageClassName": name}))
}

impl Lab {
    /// Waits until the status says that the disk is full, or that it is not.
    async fn has_full_disk(&self, wanted: bool) -> anyhow::Result<()> {
        wait::until(&format!("a full disk to be {wanted}"), ASKED, || async {
            let lab = self
                .workspaces
                .get(NAME)
                .await
                .map_err(|error| error.to_string())?;
            let disk = lab.status.and_then(|status| status.disk);
            match &disk {
                Some(known) if known.full == wanted && known.used_percent.is_some() => Ok(()),
                _ => Err(format!("{disk:?}")),
            }
        })
        .await
    }
}
