//! YAML of a template's `volumeClaims` -> further disks of each workspace (pure).

use k8s_openapi::{
    api::core::v1::{PersistentVolumeClaimSpec, TypedObjectReference, VolumeResourceRequirements},
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::When;
use crate::{schema, workspace::Retain};

/// A further disk of each workspace, beside its home. Its claim is `wsc-<name>-<workspace>`, and no pod starts before it is made. All of
/// it is fixed text of the template's author: variables are not replaced.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = schema::no_way_up("mountPath"))]
pub struct VolumeClaim {
    /// Name of the disk, and of its volume in the pod: at most 8 small letters and digits. `home`, `tmp` and `shm` are reserved.
    #[schemars(length(min = 1, max = 8), regex(pattern = r"^[a-z0-9]+$"))]
    pub name: String,
    /// Choices of options. Unless each of these options is chosen so, the disk is neither made nor mounted. One that was made before stays
    /// with its files, and `retain` says what a deletion of the workspace does. Unset: the disk is always there.
    #[serde(default, skip_serializing_if = "When::is_empty")]
    #[schemars(schema_with = "schema::when")]
    pub when: When,
    /// Path in the application's container. Other containers of `podTemplate` mount the disk by a volume with the claim `{pvcs.<name>}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 255), regex(pattern = r"^/[^:]+$"))]
    pub mount_path: Option<String>,
    /// Whether the application's container has it read-only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// The claim.
    pub spec: VolumeClaimSpec,
    /// What becomes of the disk when the workspace is deleted, chosen or not: it goes, or is kept for a new workspace of the same name and
    /// owner (`Retain`). `storage.retain` of a workspace does not count here. Unset: `Delete`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::plain::<Retain>")]
    pub retain: Option<Retain>,
}

/// Spec of a PersistentVolumeClaim. A claim keeps the spec with which it was made, once it has a volume.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeClaimSpec {
    /// The access mode, exactly one: for pods of one node (`ReadWriteOnce`), of all nodes (`ReadWriteMany`), of all nodes but reading
    /// (`ReadOnlyMany`), or one pod (`ReadWriteOncePod`).
    #[schemars(length(min = 1, max = 1))]
    pub access_modes: Vec<AccessMode>,
    /// Storage class. Unset: the cluster's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = schema::OBJECT_NAME))]
    pub storage_class_name: Option<String>,
    /// Size, as the request `storage`.
    #[schemars(schema_with = "schema::embedded::<VolumeResourceRequirements>")]
    pub resources: VolumeResourceRequirements,
    /// `Block` has no file system, and so no `mountPath`. Unset: `Filesystem`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::plain::<VolumeMode>")]
    pub volume_mode: Option<VolumeMode>,
    /// Labels of the volumes that may be bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::embedded::<LabelSelector>")]
    pub selector: Option<LabelSelector>,
    /// Object of the workspace's namespace with the first content, such as a `VolumeSnapshot` or a `PersistentVolumeClaim` that is no
    /// workspace's disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::embedded::<TypedObjectReference>")]
    pub data_source_ref: Option<TypedObjectReference>,
}

/// How pods may use a claim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AccessMode {
    /// Pods of one node.
    #[default]
    ReadWriteOnce,
    /// Pods of all nodes, reading.
    ReadOnlyMany,
    /// Pods of all nodes.
    ReadWriteMany,
    /// One pod.
    ReadWriteOncePod,
}

/// What a volume is in the pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum VolumeMode {
    /// A folder.
    #[default]
    Filesystem,
    /// A device.
    Block,
}

impl VolumeClaimSpec {
    /// The spec of the claim.
    pub fn to_claim(&self) -> PersistentVolumeClaimSpec {
        let Self {
            access_modes,
            storage_class_name,
            resources,
            volume_mode,
            selector,
            data_source_ref,
        } = self.clone();
        let modes = access_modes.iter().map(|mode| format!("{mode:?}"));
        PersistentVolumeClaimSpec {
            access_modes: Some(modes.collect()),
            storage_class_name,
            resources: Some(resources),
            volume_mode: volume_mode.map(|mode| format!("{mode:?}")),
            selector,
            data_source_ref,
            ..PersistentVolumeClaimSpec::default()
        }
    }
}
