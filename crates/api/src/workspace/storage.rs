//! Disks of a workspace (pure).

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// The home disk of a workspace.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)")
        .message("storageClassName is immutable: a disk cannot move to another class"),
    validation = Rule::new("!has(oldSelf.size) || (has(self.size) && quantity(string(self.size)).compareTo(quantity(string(oldSelf.size))) >= 0)")
        .message("size can only grow"),
    validation = Rule::new("has(self.claimName) == has(oldSelf.claimName) && (!has(self.claimName) || self.claimName == oldSelf.claimName)")
        .message("claimName is immutable: a workspace keeps its disk"),
    validation = Rule::new("!has(self.claimName) || !(has(self.storageClassName) || has(self.size) || has(self.retain))")
        .message("claimName excludes storageClassName, size and retain: the claim exists already and is never deleted with the workspace"),
    validation = Rule::new("!has(self.mountPath) || !('..' in self.mountPath.split('/'))").message("mountPath must not hold '..'"),
    validation = Rule::new("!has(self.subPath) || !('..' in self.subPath.split('/'))").message("subPath must not hold '..'")
)]
pub struct Storage {
    /// Storage class. Unset: the template's, else the cluster's default. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
    /// Size of the disk. Unset: the template's, else the operator's default. Can only grow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::quantity")]
    pub size: Option<Quantity>,
    /// Where the disk appears in the container: outside of `/proc`, `/sys`, `/dev` and `/tmp`, and where nothing else is. Unset: the
    /// template's, else `/home/jovyan`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 255), regex(pattern = r"^/[^:]+$"))]
    pub mount_path: Option<String>,
    /// Existing claim of this namespace to use as the home instead of a disk of the workspace's own. It is never deleted with the
    /// workspace. Excludes class, size and retain. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub claim_name: Option<String>,
    /// Folder of the disk that appears as the home, relative, without `..`. Unset: all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = r"^[^/:][^:]*$"))]
    pub sub_path: Option<String>,
    /// What becomes of the disk when the workspace is deleted. Unset: the template's, else `Delete`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retain: Option<Retain>,
}

/// What becomes of a disk when its workspace is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Retain {
    /// It is deleted too.
    #[default]
    Delete,
    /// It is kept, for a new workspace of the same name and owner.
    Retain,
}

/// A further disk.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(self.name in ['workspace-storage', 'tmp', 'shm']) && !self.name.startsWith('jupyter-k8s-')")
        .message("name is taken: workspace-storage, tmp, shm and names that start with jupyter-k8s- belong to every pod"),
    validation = Rule::new("!('..' in self.mountPath.split('/'))").message("mountPath must not hold '..'")
)]
pub struct SecondaryVolume {
    /// Name of the volume: a DNS-1123 label, unique in the pod. `workspace-storage`, `tmp`, `shm` and names that start with
    /// `jupyter-k8s-` are taken.
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub name: String,
    /// Existing claim of the workspace's namespace.
    #[schemars(length(min = 1, max = 253))]
    pub persistent_volume_claim_name: String,
    /// Where it appears in the container.
    #[schemars(length(min = 2, max = 255), regex(pattern = r"^/[^:]+$"))]
    pub mount_path: String,
    /// True: it cannot be written to.
    #[serde(default)]
    pub read_only: bool,
}
