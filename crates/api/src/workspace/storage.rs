//! YAML of a workspace's fields -> its disks (pure).

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// The home disk of a workspace.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = schema::immutable("claimName", "a workspace keeps its disk; create another workspace for the other claim"),
    validation = Rule::new("!has(self.claimName) || !(has(self.storageClassName) || has(self.size) || has(self.retain))")
        .message("claimName may not be set together with storageClassName, size and retain, because the claim exists already and is never deleted with the workspace: leave these out"),
    validation = schema::no_way_up("mountPath"),
    validation = schema::no_way_up("subPath")
)]
pub struct Storage {
    /// Storage class. Unset: the template's, else the cluster's default. Cannot change once the disk has a volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = schema::OBJECT_NAME))]
    pub storage_class_name: Option<String>,
    /// Size of the disk. Unset: the template's, else the operator's default. Can only grow once the disk has a volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::quantity")]
    pub size: Option<Quantity>,
    /// Path of the disk in the container. Refused: system folders (`/proc`, `/sys`, `/dev`, `/boot`, those of programs and libraries),
    /// `/etc`, `/usr`, `/var`, `/run` themselves, `/tmp`, and used paths. Unset: the template's, else `/home/jovyan`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 255), regex(pattern = r"^/[^:]+$"))]
    pub mount_path: Option<String>,
    /// Existing claim of this namespace as the home. It is never deleted with the workspace. Excludes class, size and retain.
    /// Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = schema::OBJECT_NAME))]
    pub claim_name: Option<String>,
    /// Folder of the disk to use as the home, relative, without `..`. Unset: all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = r"^[^/:][^:]*$"))]
    pub sub_path: Option<String>,
    /// What happens to the disk when the workspace is deleted. Unset: the template's, else `Delete`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retain: Option<Retain>,
}

/// Whether deleting the workspace deletes the disk, or keeps it for a new workspace of the same name and owner (`Retain`). Unset
/// everywhere: `Delete`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Retain {
    /// The disk is deleted too.
    #[default]
    Delete,
    /// The disk is kept, for a new workspace of the same name and owner.
    Retain,
}

/// A further disk of a workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClaimStatus {
    /// Its name in the template's `volumeClaims`.
    pub name: String,
    /// Name of the PersistentVolumeClaim.
    pub claim: String,
    /// Phase of the claim: `Pending`, `Bound` or `Lost`. Absent while the workspace has no such claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// What becomes of the disk when the workspace is deleted: it goes, or is kept for a new workspace of the same name and owner (`Retain`).
    /// Absent while the workspace has no such claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::plain::<Retain>")]
    pub retain: Option<Retain>,
    /// Why the disk cannot be used, as a reason of the condition `Degraded`, such as `QuotaExceeded` or `NameConflict`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What is wrong and what to do, or that the disk is not mounted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl ClaimStatus {
    /// The claim and its state, as a text for users.
    pub fn in_words(&self) -> String {
        let phase = self.phase.as_deref().unwrap_or("not made");
        let claim = format!("{}, {phase}", self.claim);
        match &self.message {
            Some(message) => format!("{claim}. {message}"),
            None => claim,
        }
    }
}

/// Which disk a workspace has, or had last. It distinguishes the disk from another one of the same name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiskStatus {
    /// UID of its claim.
    #[serde(rename = "claimUID")]
    pub claim_uid: String,
    /// What its claim requests: less than `spec.storage.size` while the disk cannot grow. `spec.storage.size` may return to it. Absent
    /// while there is no claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::quantity")]
    pub size: Option<Quantity>,
    /// Phase of its claim, while a problem is reported and the claim has no volume. `Pending`: it never had one. `Lost`: its volume is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Name of its volume, once a pod was ready on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_name: Option<String>,
    /// Volume of the last disk that was deleted and replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_volume_name: Option<String>,
    /// True until the first run on it ends, if it replaced a deleted disk.
    #[serde(default)]
    pub replaces_deleted: bool,
    /// How much of it this run uses, in percent, rounded down to a multiple of 5: of bytes or inodes, whichever is more. The image's door
    /// tells it, about each five minutes. Absent without a door, while no pod runs, where others than the gateway route to the workspace,
    /// and where the file system is not about as large as the claim, as on shared ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub used_percent: Option<i32>,
    /// What `usedPercent` counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_percent_of: Option<DiskResource>,
    /// True if its storage class does not let it grow.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cannot_grow: bool,
    /// True if the door could not write a block because no space or quota was left.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub full: bool,
}

/// What a disk can run out of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DiskResource {
    /// Space.
    Bytes,
    /// Entries for files and folders, however small these are.
    Inodes,
}

impl DiskStatus {
    /// From how many percent on users are warned.
    pub const WARNING_PERCENT: i32 = 90;

    /// How much of it is used, in words, if that is known.
    pub fn used(&self) -> Option<String> {
        let of = match self.used_percent_of? {
            DiskResource::Bytes => "space",
            DiskResource::Inodes => "inodes",
        };
        Some(format!("at least {} % of the {of}", self.used_percent?))
    }

    /// What to tell users if the disk is full or nearly so. `disk`: its name in the sentence.
    pub fn warning(&self, disk: &str) -> Option<String> {
        let percent = self
            .used_percent
            .filter(|percent| *percent >= Self::WARNING_PERCENT);
        let size = self.size.as_ref();
        let size = size.map_or_else(String::new, |size| format!(" ({})", size.0));
        let of_inodes = percent.is_some() && self.used_percent_of == Some(DiskResource::Inodes);
        match (self.full, percent, of_inodes) {
            (true, _, false) => Some(format!(
                "No space is left on {disk}{size}: files cannot be saved."
            )),
            (true, _, true) => Some(format!(
                "No inode is left on {disk}{size}: it holds too many files and folders, and new ones cannot be made."
            )),
            (false, Some(percent), false) => Some(format!(
                "At least {percent} % of the space on {disk}{size} is used."
            )),
            (false, Some(percent), true) => Some(format!(
                "At least {percent} % of the inodes on {disk}{size} are used: it holds many files and folders."
            )),
            (false, None, _) => None,
        }
    }
}

/// A further disk.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(self.name in ['workspace-storage', 'tmp', 'shm']) && !self.name.startsWith('jupyter-k8s-')")
        .message(Message::Expression("'name is taken, ' + self.name + ' belongs to every pod as workspace-storage, tmp, shm and all that start with jupyter-k8s- do: choose another'".to_owned()))
        .field_path(".name"),
    validation = schema::no_way_up("mountPath")
)]
pub struct SecondaryVolume {
    /// Name of the volume: a DNS-1123 label, unique in the pod. `workspace-storage`, `tmp`, `shm` and `jupyter-k8s-…` are reserved.
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub name: String,
    /// Existing claim of the workspace's namespace.
    #[schemars(length(min = 1, max = 253))]
    pub persistent_volume_claim_name: String,
    /// Path in the container.
    #[schemars(length(min = 2, max = 255), regex(pattern = r"^/[^:]+$"))]
    pub mount_path: String,
    /// Whether it is read-only.
    #[serde(default)]
    pub read_only: bool,
}
