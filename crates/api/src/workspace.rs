//! `Workspace`: one person's compute, disk and URL (pure).

mod compute;
mod idle;
mod limits;
mod status;
mod storage;

use std::collections::BTreeMap;

use k8s_openapi::{api::core::v1 as core, apimachinery::pkg::api::resource::Quantity};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;
pub use compute::{ContainerConfig, ResourceRequirements};
pub use idle::{
    IdleDetection, IdleHttpGet, IdleScheme, IdleShutdown, IdleSignal, IdleStatus, LastActivityTimestamp,
    StopRule, StoppedBecause, TimestampFormat,
};
pub use limits::Limits;
pub use status::{ContainerCounts, Endpoint, Phase, Resolved, ResolvedStorage, WorkspaceStatus};
pub use storage::{DiskStatus, Retain, SecondaryVolume, Storage};

/// What a user wants. Everything left unset comes from the template, then from the operator's settings; these values are not
/// written into the spec. The spec gets only: the schema's defaults; from the webhook, at creation, `templateRef` of a default
/// template; from the operator `desiredStatus: Stopped` for an idle workspace; from the gateway `desiredStatus: Running` when a
/// user presses Start.
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
    validation = schema::disk_does_not_shrink(),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]{0,48}[a-z0-9])?$')")
        .message("metadata.name must be a DNS-1035 label of at most 50 characters: lower-case letters, digits and '-', starting with a letter and ending with a letter or digit"),
    selectable = ".spec.templateRef",
    selectable = ".status.resolved.manager",
    selectable = ".status.resolved.executionProfile",
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
    validation = schema::immutable("templateRef", "delete the workspace and create it anew from the other template; first set spec.storage.retain: Retain, or its disk is deleted with it"),
    validation = Rule::new("!has(oldSelf.storage) || has(self.storage)")
        .message("storage cannot be removed once set: the files are on it; leave it as it is, or delete the workspace"),
    validation = Rule::new("!has(self.podAnnotations) || self.podAnnotations.size() == 0 || has(self.templateRef)")
        .message("podAnnotations need a template that allows them (allowedPodAnnotations): name one in templateRef, or leave them out")
        .field_path(".podAnnotations")
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
    #[schemars(length(min = 1, max = 253), regex(pattern = schema::OBJECT_NAME))]
    pub template_ref: Option<String>,

    /// Name of the WorkspaceManager that routes to this workspace. Unset: the template's, else the default manager.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = schema::OBJECT_NAME))]
    pub manager_ref: Option<String>,

    /// Name of the WorkspaceExecutionProfile, of this namespace, that gives the pod an identity. Unset: the template's,
    /// else none: the pod has no token and no identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = schema::OBJECT_NAME))]
    pub execution_profile_ref: Option<String>,

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

    /// Size of `/dev/shm`, in memory. It counts against the memory limit. Unset: the template's, else the container
    /// runtime's 64 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::quantity")]
    pub shm_size: Option<Quantity>,

    /// Further disks, by existing claims of this namespace. The person who adds one needs the verb `use` on the claim.
    /// Unset: the template's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub volumes: Vec<SecondaryVolume>,

    /// Port on which the application listens, 1024 to 65535. Unset: the template's, else 8888.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1024, max = 65535))]
    pub port: Option<i32>,

    /// Command and arguments. Unset: the template's, else what the image says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_config: Option<ContainerConfig>,

    /// Environment variables, as in a container; they win over the template's of the same name. The person who names a
    /// Secret or ConfigMap needs `get` on it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::embedded_list::<core::EnvVar, 64>")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub env: Vec<core::EnvVar>,

    /// Containers that run to their end before the application starts. Allowed if the template allows them; with images,
    /// resources and variables within the same rules. Unset: the template's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::embedded_list::<core::Container, 10>")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub init_containers: Vec<core::Container>,

    /// What runs after the container's start and before its end. Unset: the template's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::embedded::<core::Lifecycle>")]
    pub lifecycle: Option<core::Lifecycle>,

    /// When the application counts as ready. Unset: the template's, else when it accepts connections on its port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::embedded::<core::Probe>")]
    pub readiness_probe: Option<core::Probe>,

    /// Labels of nodes that may run the pod. With a template: allowed if it allows custom scheduling. Unset: the template's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::labels::<32>")]
    pub node_selector: BTreeMap<String, String>,

    /// Nodes and pods to be near to or far from. With a template: allowed if it allows custom scheduling. Unset: the template's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::embedded::<core::Affinity>")]
    pub affinity: Option<core::Affinity>,

    /// Taints that the pod tolerates. With a template: allowed if it allows custom scheduling. Unset: the template's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::embedded_list::<core::Toleration, 16>")]
    pub tolerations: Vec<core::Toleration>,

    /// Security settings of the pod, within Pod Security. With a template: allowed if it allows custom security contexts.
    /// Unset: the template's, else user and group 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::embedded::<core::PodSecurityContext>")]
    pub pod_security_context: Option<core::PodSecurityContext>,

    /// Security settings of the container, within Pod Security. With a template: allowed if it allows custom security
    /// contexts. Unset: the template's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::embedded::<core::SecurityContext>")]
    pub container_security_context: Option<core::SecurityContext>,

    /// Annotations of the pod. Allowed are keys that begin with one of the template's `allowedPodAnnotations`, and none of ours or of
    /// the cluster's controllers. They win over the template's `baseAnnotations` of the same key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::annotations")]
    pub pod_annotations: BTreeMap<String, String>,

    /// Values for the variables of templates and managers, by name: letters, digits, `_` and `-`, if need be joined by dots. `{name}` there
    /// becomes the value here. Names that begin with `workspace.`, `owner.`, `service.`, `routing.`, `authentication.` or `pvcs.` are
    /// taken.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::variables")]
    pub variables: BTreeMap<String, String>,

    /// Stops the workspace when nobody uses it. Within the template's bounds. A change takes effect at once and restarts nothing.
    /// Unset: the template's, else it is never stopped for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_shutdown: Option<IdleShutdown>,

    /// How long something may take before it is told to have failed, within the template's bounds. A change takes effect at once and
    /// restarts nothing. Unset: the template's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,

    /// Who may change and delete the workspace. Unset: the template's, else `OwnerOnly`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ownership_type: Option<OwnershipType>,

    /// Who may connect. Unset: the template's, else `OwnerOnly`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_type: Option<AccessType>,

    /// When a change of the spec, of the execution profile or of the manager reaches a running pod: with its next start, or at once
    /// by a restart (`Always`).
    #[serde(default)]
    pub update_policy: UpdatePolicy,

    /// What kind of application it is, for people and tools: `jupyterlab`, `code-editor`. It changes nothing. Unset: the template's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub app_type: Option<String>,
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

/// Who may connect to a workspace: the owner, or everybody who is signed in (`Public`), as far as roles allow it. Unset everywhere:
/// `OwnerOnly`. Shares and administrators count beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AccessType {
    /// The owner alone.
    #[default]
    OwnerOnly,
    /// Everybody who is signed in.
    Public,
}

/// Who may change and delete a workspace: the owner and holders of the verb `administer`, or everybody whom roles let update and
/// delete workspaces (`Public`). Unset everywhere: `OwnerOnly`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OwnershipType {
    /// The owner, and who holds the verb `administer` on it.
    #[default]
    OwnerOnly,
    /// Everybody to whom Kubernetes' RBAC grants it.
    Public,
}

/// When a change reaches a running pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UpdatePolicy {
    /// At the next start.
    #[default]
    OnStop,
    /// At once: the pod is replaced.
    Always,
}
