//! `WorkspaceTemplate`: defaults, and bounds for variations (pure).

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    schema,
    workspace::{AccessType, ContainerConfig, ResourceRequirements},
};

/// Defaults and bounds for the workspaces that refer to it. Immutable: a new version is a new object.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "workspaces.jupyter.org",
    version = "v1alpha1",
    kind = "WorkspaceTemplate",
    plural = "workspacetemplates",
    shortname = "wst",
    category = "jupyter",
    derive = "PartialEq",
    derive = "Default",
    doc = "Default settings of workspaces and the bounds within which they may vary.",
    validation = Rule::new("self.spec == oldSelf.spec")
        .message("template spec is immutable after creation: create a new template with another name"),
    printcolumn(name = "Display name", type_ = "string", json_path = ".spec.displayName"),
    printcolumn(name = "Image", type_ = "string", json_path = ".spec.defaultImage"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.allowedImages) || self.allowedImages.size() == 0 || (has(self.allowCustomImages) && self.allowCustomImages) || self.defaultImage in self.allowedImages")
        .message("defaultImage must be one of allowedImages"),
    validation = schema::defaults_within("cpu", "k == 'cpu'"),
    validation = schema::defaults_within("memory", "k == 'memory'"),
    validation = schema::defaults_within("gpu", "k in ['nvidia.com/gpu', 'nvidia.com/gpu.shared'] || k.startsWith('nvidia.com/mig-')"),
    validation = Rule::new("!has(self.defaultResources) || !has(self.defaultResources.requests) || !has(self.defaultResources.limits) || self.defaultResources.requests.all(k, !(k in self.defaultResources.limits) || quantity(string(self.defaultResources.requests[k])).compareTo(quantity(string(self.defaultResources.limits[k]))) <= 0)")
        .message("defaultResources.requests must not exceed defaultResources.limits")
)]
pub struct WorkspaceTemplateSpec {
    /// Name shown to people, 1 to 100 characters, without control characters and marks that change the reading direction.
    #[schemars(length(min = 1, max = 100), regex(pattern = schema::PLAIN_TEXT))]
    pub display_name: String,

    /// What the template is for, at most 500 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 500))]
    pub description: Option<String>,

    /// Image, or alias, of workspaces that name none.
    #[schemars(length(min = 1, max = 512))]
    pub default_image: String,

    /// Images, or aliases, that workspaces may name. Empty: only `defaultImage`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), inner(length(min = 1, max = 512)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub allowed_images: Vec<String>,

    /// True: workspaces may name any image.
    #[serde(default)]
    pub allow_custom_images: bool,

    /// Requests and limits of workspaces that leave them unset, resource name by resource name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_resources: Option<ResourceRequirements>,

    /// Bounds on requests and limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_bounds: Option<ResourceBounds>,

    /// Defaults and bounds of the home disk. Unset: workspaces without storage get an emptyDir.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary_storage: Option<PrimaryStorage>,

    /// Environment variables set in every workspace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub environment_variables: Vec<EnvironmentVariable>,

    /// Port of workspaces that name none, 1024 to 65535.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1024, max = 65535))]
    pub default_port: Option<i32>,

    /// Command and arguments of workspaces that set none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_container_config: Option<ContainerConfig>,

    /// Access type of workspaces that set none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_access_type: Option<AccessType>,

    /// WorkspaceManager of workspaces that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub manager_ref: Option<String>,
}

/// Bounds by resource. Both ends belong to the range; an end left unset is open.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ResourceBounds {
    /// Bounds on `cpu`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Bounds>,
    /// Bounds on `memory`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Bounds>,
    /// Bounds on `nvidia.com/gpu`, `nvidia.com/gpu.shared` and every name that starts with `nvidia.com/mig-`, each by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<Bounds>,
}

/// A closed range of quantities.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("!has(self.min) || !has(self.max) || quantity(string(self.min)).compareTo(quantity(string(self.max))) <= 0")
        .message("min must not be greater than max")
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

/// Defaults and bounds of the home disk.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.minSize) || !has(self.maxSize) || quantity(string(self.minSize)).compareTo(quantity(string(self.maxSize))) <= 0")
        .message("minSize must not be greater than maxSize"),
    validation = Rule::new("!has(self.defaultSize) || ((!has(self.minSize) || quantity(string(self.minSize)).compareTo(quantity(string(self.defaultSize))) <= 0) && (!has(self.maxSize) || quantity(string(self.defaultSize)).compareTo(quantity(string(self.maxSize))) <= 0))")
        .message("defaultSize must be between minSize and maxSize")
)]
pub struct PrimaryStorage {
    /// Size of disks whose workspace names none.
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
    /// Storage class of disks whose workspace names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub default_storage_class_name: Option<String>,
    /// Mount path of disks whose workspace names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 255), regex(pattern = r"^/[^:]+$"))]
    pub default_mount_path: Option<String>,
}

/// One environment variable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EnvironmentVariable {
    /// Name of the variable.
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_.-]*$"))]
    pub name: String,
    /// Its value, at most 32 KiB.
    #[serde(default)]
    #[schemars(length(max = 32768))]
    pub value: String,
}
