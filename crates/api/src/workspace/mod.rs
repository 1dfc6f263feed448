//! YAML of a `Workspace` -> one user's compute, disk and URL (pure).
//!
//! - `compute`: resources, command, environment
//! - `storage`: disks
//! - `idle`: idle shutdown
//! - `limits`: time limits
//! - `status`: the observed state
//! - `stop`: the rules that stop a workspace

mod compute;
mod idle;
mod limits;
mod status;
mod stop;
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
    TimestampFormat,
};
pub use limits::Limits;
pub use status::{
    ContainerCounts, EndedForMemory, Endpoint, OutOfMemory, Phase, Resolved, ResolvedStorage, WorkspaceStatus,
};
pub use stop::{Kept, StopRule, StoppedBecause};
pub use storage::{ClaimStatus, DiskResource, DiskStatus, Retain, SecondaryVolume, Storage};

/// The desired state. Everything left unset comes from the template, then from the operator's settings; these values are not
/// written into the spec. The spec gets only: the schema's defaults; from the webhook, at creation, `templateRef` of a default
/// template; from the operator `desiredStatus: Stopped` by a rule that stops workspaces; from the gateway `desiredStatus: Running` when a
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
    printcolumn(name = "Stops", type_ = "string", json_path = ".status.stopsAt", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1)
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = schema::immutable("templateRef", "delete the workspace and create it anew from the other template; first set spec.storage.retain: Retain, or its disk is deleted with it"),
    validation = Rule::new("!has(oldSelf.storage) || has(self.storage)")
        .message("storage cannot be removed once set, because the files are on it: leave it as it is"),
    validation = Rule::new("!has(self.podAnnotations) || self.podAnnotations.size() == 0 || has(self.templateRef)")
        .message("podAnnotations need a template that allows them (allowedPodAnnotations): name one in templateRef, or leave them out")
        .field_path(".podAnnotations"),
    validation = Rule::new("!has(self.options) || self.options.size() == 0 || has(self.templateRef)")
        .message("options need a template that has them: name one in templateRef, or leave them out")
        .field_path(".options")
)]
pub struct WorkspaceSpec {
    /// Name shown to users, without control characters and marks that change the reading direction.
    #[schemars(length(min = 1, max = 100), regex(pattern = schema::PLAIN_TEXT))]
    pub display_name: String,

    /// Whether a pod should run. `Stopped` keeps the disk. Unset: `Running`; a change that leaves it out keeps what is stored.
    #[serde(default)]
    #[schemars(skip_serializing_if = "schema::without_default")]
    pub desired_status: DesiredStatus,

    /// WorkspaceTemplate with defaults and bounds. Immutable: never added or changed. A change that leaves it out keeps what is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = schema::OBJECT_NAME))]
    pub template_ref: Option<String>,

    /// WorkspaceManager that routes to this workspace. Unset: the template's, else the default manager.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = schema::OBJECT_NAME))]
    pub manager_ref: Option<String>,

    /// WorkspaceExecutionProfile of this namespace. Unset: the template's, else none: the pod has no token and no identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = schema::OBJECT_NAME))]
    pub execution_profile_ref: Option<String>,

    /// What is chosen of the template's `options`: option -> choice. Unset: the default choices. An option without a default must be named.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::options")]
    pub options: BTreeMap<String, String>,

    /// Container image, or an alias such as `uv`. Unset: the template's default image, else the operator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,

    /// Compute resources. Each unset request and limit is the template's, else the operator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,

    /// The home disk. Unset here and in the template: an emptyDir, whose files a stop deletes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,

    /// Size of `/dev/shm`. What lies there counts against the memory limit. Unset: the template's, else half of the memory limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::quantity")]
    pub shm_size: Option<Quantity>,

    /// Further disks: existing claims of this namespace. Adding one needs the verb `use` on the claim. Unset: the template's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub volumes: Vec<SecondaryVolume>,

    /// Port on which the application listens. Unset: the template's, else 8888.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1024, max = 65535))]
    pub port: Option<i32>,

    /// Command and arguments. Unset: the template's, else the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_config: Option<ContainerConfig>,

    /// Environment variables; they override the template's. Naming a Secret or ConfigMap needs `get` on it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::embedded_list::<core::EnvVar, 64>")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub env: Vec<core::EnvVar>,

    /// Containers that end before the application starts, if the template allows them. The rules for images, resources and variables
    /// apply. Unset: the template's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::embedded_list::<core::Container, 10>")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub init_containers: Vec<core::Container>,

    /// Hooks after the container's start and before its end. Unset: the template's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::embedded::<core::Lifecycle>")]
    pub lifecycle: Option<core::Lifecycle>,

    /// When the application is ready. Unset: the template's, else when its port accepts connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::embedded::<core::Probe>")]
    pub readiness_probe: Option<core::Probe>,

    /// Labels of nodes that may run the pod. With a template: only if it allows custom scheduling. Unset: the template's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::labels::<32>")]
    pub node_selector: BTreeMap<String, String>,

    /// Affinity to nodes and pods. With a template: only if it allows custom scheduling. Unset: the template's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::embedded::<core::Affinity>")]
    pub affinity: Option<core::Affinity>,

    /// Taints that the pod tolerates. With a template: only if it allows custom scheduling. Unset: the template's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::embedded_list::<core::Toleration, 16>")]
    pub tolerations: Vec<core::Toleration>,

    /// Security settings of the pod, within Pod Security. With a template: only if it allows custom security contexts. Unset: the
    /// template's, else those of the installation (user and group 1000).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::embedded::<core::PodSecurityContext>")]
    pub pod_security_context: Option<core::PodSecurityContext>,

    /// Security settings of the container, within Pod Security. With a template: only if it allows custom security contexts. Unset: the
    /// template's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::embedded::<core::SecurityContext>")]
    pub container_security_context: Option<core::SecurityContext>,

    /// Annotations of the pod. Keys must begin with one of the template's `allowedPodAnnotations`; those of this product and of the
    /// cluster's controllers are refused. They override `baseAnnotations`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::annotations")]
    pub pod_annotations: BTreeMap<String, String>,

    /// Values for the variables `{name}` of templates and managers. Names are letters, digits, `_` and `-`, also joined by dots. Names
    /// that begin with `workspace.`, `owner.`, `service.`, `routing.`, `authentication.` or `pvcs.` are reserved.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::variables")]
    pub variables: BTreeMap<String, String>,

    /// Stops the workspace when it is idle, within the template's bounds. A change takes effect at once, without restart. Unset: the
    /// template's, else never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_shutdown: Option<IdleShutdown>,

    /// Time limits, within the template's bounds. A change takes effect at once, without restart. Unset: the template's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,

    /// Starts the workspace in recovery, to repair its files: with the installation's recovery image, an empty home, and the disk in its
    /// folder `disk`. Variables, commands, hooks, init containers, further disks and the execution profile of workspace and template do not
    /// count then. Needs a disk, a template that allows it, and a manager with `gateway` or `forwardAuth`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recovery_mode: bool,

    /// Who may change and delete the workspace. Unset: the template's, else `OwnerOnly`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ownership_type: Option<OwnershipType>,

    /// Who may connect. Unset: the template's, else `OwnerOnly`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_type: Option<AccessType>,

    /// When a change of spec, execution profile or manager reaches a running pod: at the next start, or at once by a restart
    /// (`Always`).
    #[serde(default)]
    pub update_policy: UpdatePolicy,

    /// Kind of application, for users and tools: `jupyterlab`, `code-editor`. It has no effect. Unset: the template's.
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
    /// No pod runs. Files that are on no disk are deleted.
    Stopped,
}

impl Workspace {
    /// Whether its run is in recovery, not only its next start. Of one without a pod it is the next start.
    pub fn is_in_recovery(&self) -> bool {
        let mut pending = self.status.iter().flat_map(|status| &status.pending_update);
        let is_pending = pending.any(|path| path == "spec.recoveryMode");
        self.spec.recovery_mode != is_pending
    }

    /// Whether its run or its next start is in recovery, so that a normal start changes something.
    pub fn concerns_recovery(&self) -> bool {
        self.spec.recovery_mode || self.is_in_recovery()
    }
}

/// Who may connect, if roles allow it: the owner, or every signed-in user (`Public`). Shares and administrators count besides. Unset
/// everywhere: `OwnerOnly`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AccessType {
    /// The owner alone.
    #[default]
    OwnerOnly,
    /// Everybody who is signed in.
    Public,
}

impl AccessType {
    /// Whether everybody who is signed in may connect, if roles allow it.
    #[must_use]
    pub const fn admits_everyone(self) -> bool {
        match self {
            Self::OwnerOnly => false,
            Self::Public => true,
        }
    }
}

/// Who may change and delete a workspace: the owner and holders of the verb `administer`, or all whose roles allow it (`Public`). Unset
/// everywhere: `OwnerOnly`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OwnershipType {
    /// The owner, and who holds the verb `administer` on it.
    #[default]
    OwnerOnly,
    /// Everybody to whom Kubernetes' RBAC grants it.
    Public,
}

impl OwnershipType {
    /// Whether everybody may change and delete it to whom Kubernetes' RBAC grants that.
    #[must_use]
    pub const fn lets_roles_decide(self) -> bool {
        match self {
            Self::OwnerOnly => false,
            Self::Public => true,
        }
    }
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
