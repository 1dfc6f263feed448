//! Storage of workspace, template and settings -> home directory (pure).

use api::names::HOME_VOLUME;
use api::template::PrimaryStorage;
use api::workspace::{Retain, Storage};
use k8s_openapi::api::core::v1::Container;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as RawQuantity;

use crate::settings::Settings;

/// The home directory of a workspace.
#[derive(Debug, Clone, PartialEq)]
pub enum Home {
    /// A disk that the workspace owns. It outlives the pod.
    Disk {
        /// Size of the claim.
        size: RawQuantity,
        /// Storage class; `None`: the cluster's default class.
        class: Option<String>,
        /// Where it is mounted.
        mount_path: String,
        /// Folder of the disk that is mounted; `None`: the whole disk.
        sub_path: Option<String>,
        /// Retention of the disk when the workspace is deleted.
        retain: Retain,
    },
    /// An existing claim that the workspace does not own.
    Claim {
        /// Name of the claim.
        name: String,
        /// Where it is mounted.
        mount_path: String,
        /// Folder of the disk that is mounted; `None`: the whole disk.
        sub_path: Option<String>,
    },
    /// Space on the node that is deleted with the pod.
    Ephemeral {
        /// Maximum size.
        size_limit: RawQuantity,
        /// Where it is mounted.
        mount_path: String,
    },
}

impl Home {
    /// Where the home is mounted.
    pub fn mount_path(&self) -> &str {
        match self {
            Self::Disk { mount_path, .. }
            | Self::Claim { mount_path, .. }
            | Self::Ephemeral { mount_path, .. } => mount_path,
        }
    }

    /// Folder of the disk that is mounted; `None`: the whole disk.
    pub fn sub_path(&self) -> Option<&str> {
        match self {
            Self::Disk { sub_path, .. } | Self::Claim { sub_path, .. } => sub_path.as_deref(),
            Self::Ephemeral { .. } => None,
        }
    }
}

/// Mounts the home in a container of the template's author as the application has it: its folder of the disk, and folders below that.
pub fn mount_home(container: &mut Container, folder: Option<&str>) {
    let Some(folder) = folder else { return };
    let mounts = container.volume_mounts.iter_mut().flatten();
    for mount in mounts.filter(|mount| mount.name == HOME_VOLUME) {
        mount.sub_path = Some(match mount.sub_path.as_deref() {
            Some(below) if !below.is_empty() => format!("{folder}/{below}"),
            _ => folder.to_owned(),
        });
    }
}

pub(super) fn home(given: Option<&Storage>, template: Option<&PrimaryStorage>, settings: &Settings) -> Home {
    let default = &settings.default_storage;
    if given.is_none() && template.is_none() {
        return Home::Ephemeral {
            size_limit: settings.ephemeral_home_size_limit.clone(),
            mount_path: default.mount_path.clone(),
        };
    }
    let mount_path = given
        .and_then(|storage| storage.mount_path.clone())
        .or_else(|| template?.default_mount_path.clone())
        .unwrap_or_else(|| default.mount_path.clone());
    let sub_path = given.and_then(|storage| storage.sub_path.clone());
    if let Some(name) = given.and_then(|storage| storage.claim_name.clone()) {
        return Home::Claim {
            name,
            mount_path,
            sub_path,
        };
    }
    Home::Disk {
        size: given
            .and_then(|storage| storage.size.clone())
            .or_else(|| template?.default_size.clone())
            .unwrap_or_else(|| default.size.clone()),
        class: given
            .and_then(|storage| storage.storage_class_name.clone())
            .or_else(|| template?.default_storage_class_name.clone()),
        mount_path,
        sub_path,
        retain: given
            .and_then(|storage| storage.retain)
            .or_else(|| template?.retain)
            .unwrap_or_default(),
    }
}
