//! YAML of a template's fields -> bounds on the values of a workspace (pure).

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{schema, workspace::Retain};

/// Bounds by resource. Both ends belong to the range; an end left unset is open.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ResourceBounds {
    /// Bounds on `cpu`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Bounds>,
    /// Bounds on `memory`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Bounds>,
    /// Bounds on `nvidia.com/gpu`, `nvidia.com/gpu.shared` and each `nvidia.com/mig-…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<Bounds>,
    /// Bounds on any resource, by its name, in addition to those of `cpu`, `memory` and `gpu`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub resources: BTreeMap<String, Bounds>,
}

/// A rule for one environment variable or label.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Requirement {
    /// Name of the variable, or key of the label.
    #[schemars(length(min = 1, max = 317))]
    pub name: String,
    /// Whether it must be set.
    #[serde(default)]
    pub required: bool,
    /// Regular expression (RE2 syntax) that the whole value must match. Unset: any value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub regex: Option<String>,
}

/// A closed range of quantities.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = schema::ordered("min", "max")
)]
pub struct Bounds {
    /// Smallest allowed value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::quantity")]
    pub min: Option<Quantity>,
    /// Largest allowed value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::quantity")]
    pub max: Option<Quantity>,
}

/// Bounds on users and groups in security contexts of workspaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecurityContextBounds {
    /// Of `runAsUser`, of the pod and each container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_as_user: Option<IdRange>,
    /// Of `runAsGroup`, of the pod and each container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_as_group: Option<IdRange>,
    /// Of `fsGroup`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fs_group: Option<IdRange>,
    /// Of each of `supplementalGroups`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supplemental_groups: Option<IdRange>,
}

/// Numbers from `min` to `max`. Both ends belong to the range.
#[derive(KubeSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("self.min <= self.max").message("min must not be greater than max")
)]
pub struct IdRange {
    /// Smallest number.
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub min: i64,
    /// Largest number.
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub max: i64,
}

/// Defaults and bounds of the home disk.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = schema::ordered("minSize", "maxSize"),
    validation = schema::ordered("minSize", "defaultSize"),
    validation = schema::ordered("defaultSize", "maxSize")
)]
pub struct PrimaryStorage {
    /// Size of disks whose workspace sets none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::quantity")]
    pub default_size: Option<Quantity>,
    /// Smallest allowed size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::quantity")]
    pub min_size: Option<Quantity>,
    /// Largest allowed size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::quantity")]
    pub max_size: Option<Quantity>,
    /// Storage class of disks whose workspace sets none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub default_storage_class_name: Option<String>,
    /// Mount path of disks whose workspace sets none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 255), regex(pattern = r"^/[^:]+$"))]
    pub default_mount_path: Option<String>,
    /// What becomes of disks at deletion where the workspace does not say. Unset: `Delete`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retain: Option<Retain>,
}
