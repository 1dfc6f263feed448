//! `Workspace`: one person's compute, disk and URL (pure).

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1 as core,
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::Condition},
};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// What a user wants. Everything left unset comes from the template, then from the operator's settings; nothing is ever
/// written back into the spec.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "workspaces.jupyter.org",
    version = "v1alpha1",
    kind = "Workspace",
    plural = "workspaces",
    shortname = "ws",
    category = "jupyter",
    namespaced,
    status = "WorkspaceStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "A compute unit with its own disk, URL and access rules.",
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]{0,48}[a-z0-9])?$')")
        .message("metadata.name must be a DNS-1035 label of at most 50 characters: lower-case letters, digits and '-', starting with a letter and ending with a letter or digit"),
    printcolumn(name = "Status", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.reason"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Available\")].status"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "URL", type_ = "string", json_path = ".status.url", priority = 1),
    printcolumn(name = "Template", type_ = "string", json_path = ".spec.templateRef", priority = 1),
    printcolumn(name = "Owner", type_ = "string", json_path = ".status.owner", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1)
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.templateRef) == has(oldSelf.templateRef) && (!has(self.templateRef) || self.templateRef == oldSelf.templateRef)")
        .message("templateRef is immutable: delete the workspace and create it anew from the other template"),
    validation = Rule::new("!has(oldSelf.storage) || has(self.storage)")
        .message("storage cannot be removed once set")
)]
pub struct WorkspaceSpec {
    /// Name shown to people, 1 to 100 characters, without control characters and marks that change the reading direction.
    #[schemars(length(min = 1, max = 100), regex(pattern = schema::PLAIN_TEXT))]
    pub display_name: String,

    /// Whether a pod should run. `Stopped` keeps the disk.
    #[serde(default)]
    pub desired_status: DesiredStatus,

    /// Name of the WorkspaceTemplate that supplies defaults and bounds. Immutable: never added, changed or removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub template_ref: Option<String>,

    /// Name of the WorkspaceManager that routes to this workspace. Unset: the template's, else the default manager.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub manager_ref: Option<String>,

    /// Container image, or an alias such as `uv`. Unset: the template's default image, else the operator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,

    /// Compute resources. Every request and limit left unset is filled in, name by name, from the template's defaults,
    /// else from the operator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,

    /// The home disk. Unset here and in the template: an emptyDir, whose files are lost at every stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,

    /// Port on which the application listens, 1024 to 65535. Unset: the template's, else 8888.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1024, max = 65535))]
    pub port: Option<i32>,

    /// Command and arguments. Unset: the template's, else what the image says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_config: Option<ContainerConfig>,

    /// Who may connect. Unset: the template's, else `OwnerOnly`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_type: Option<AccessType>,
}

/// Whether a workspace's pod should run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DesiredStatus {
    /// A pod runs.
    #[default]
    Running,
    /// No pod runs; the disk is kept.
    Stopped,
}

/// Who may connect to a workspace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AccessType {
    /// The owner alone.
    #[default]
    OwnerOnly,
    /// Everybody who is signed in.
    Public,
}

/// Requests and limits by resource name, in Kubernetes quantities.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ResourceRequirements {
    /// What is reserved for the container.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::quantity_map")]
    pub requests: BTreeMap<String, Quantity>,
    /// What the container may use at most.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::quantity_map")]
    pub limits: BTreeMap<String, Quantity>,
}

impl From<ResourceRequirements> for core::ResourceRequirements {
    fn from(value: ResourceRequirements) -> Self {
        let non_empty = |map: BTreeMap<_, _>| if map.is_empty() { None } else { Some(map) };
        Self {
            requests: non_empty(value.requests),
            limits: non_empty(value.limits),
            claims: None,
        }
    }
}

/// The home disk of a workspace.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)")
        .message("storageClassName is immutable: a disk cannot move to another class"),
    validation = Rule::new("!has(oldSelf.size) || (has(self.size) && quantity(string(self.size)).compareTo(quantity(string(oldSelf.size))) >= 0)")
        .message("size can only grow")
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
    /// Where the disk appears in the container. Unset: the template's, else `/home/jovyan`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 255), regex(pattern = r"^/[^:]+$"))]
    pub mount_path: Option<String>,
}

/// What the container runs instead of the image's own command.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ContainerConfig {
    /// Entry point; replaces the image's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 4096)))]
    pub command: Vec<String>,
    /// Arguments; replace the image's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 4096)))]
    pub args: Vec<String>,
}

/// What is. Everything here can be rebuilt from the world.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkspaceStatus {
    /// Generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// One word for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Reason of the condition that decided the phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Message of the condition that decided the phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Where the workspace is reached. Set as soon as the workspace is valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Name of the Deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_name: Option<String>,
    /// Name of the Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_name: Option<String>,
    /// What routes point at. Present only while the pod is ours and ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Endpoint>,
    /// Identifier of the current run, new at every start.
    #[serde(default, rename = "runID", skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// Kubernetes user name of the owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The effective values, after template and defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Resolved>,
    /// Paths of fields whose new value takes effect at the next start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending_update: Vec<String>,
    /// `Valid`, `Available`, `Progressing`, `Degraded`, `Stopped`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// The state of a workspace in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// A rule is violated or a reference does not resolve; nothing runs.
    Invalid,
    /// A pod is on its way.
    Starting,
    /// The pod is ready.
    Running,
    /// The pod is going away.
    Stopping,
    /// No pod is left.
    Stopped,
    /// The pod cannot run; see reason and message.
    Failed,
    /// The workspace is being deleted.
    Deleting,
}

/// Address of the ready pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// Name of the pod.
    pub pod_name: String,
    /// Address of the pod.
    #[serde(rename = "podIP")]
    pub pod_ip: String,
    /// Port of the application.
    pub port: i32,
}

/// Effective values of a workspace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resolved {
    /// Image after defaults and aliases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Requests and limits after defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// The home disk after defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<ResolvedStorage>,
    /// WorkspaceManager that routes here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manager: Option<String>,
    /// Who may connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_type: Option<AccessType>,
    /// UID of the template that was applied.
    #[serde(default, rename = "templateUID", skip_serializing_if = "Option::is_none")]
    pub template_uid: Option<String>,
}

/// Effective home of a workspace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResolvedStorage {
    /// Size of the disk, or size limit of the emptyDir.
    #[schemars(schema_with = "schema::quantity")]
    pub size: Quantity,
    /// Storage class, if one is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_name: Option<String>,
    /// Where it appears in the container.
    pub mount_path: String,
    /// True if the home is an emptyDir, whose files are lost at every stop.
    #[serde(default)]
    pub ephemeral: bool,
}
