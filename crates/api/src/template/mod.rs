//! YAML of a `WorkspaceTemplate` -> defaults, and bounds for variations (pure).
//!
//! - `bounds`: bounds on values and disks
//! - `idle`: bounds on idle shutdown
//! - `limits`: bounds on time limits
//! - `object`: further objects of each workspace
//! - `options`: choices of users, and what each sets
//! - `pod`: the pod over which a workspace's own is laid
//! - `presentation`: how a template is shown to users
//! - `volume_claims`: further disks of each workspace

mod bounds;
mod idle;
mod limits;
mod object;
mod options;
mod pod;
mod presentation;
mod volume_claims;

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1 as core,
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::Condition},
};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use bounds::{Bounds, IdRange, PrimaryStorage, Requirement, ResourceBounds, SecurityContextBounds};
pub use idle::IdleShutdownOverrides;
pub use limits::{DaysRange, KeepRange, LimitBounds, MinutesRange};
pub use object::TemplateObject;
pub use options::{ChoiceValues, OptionChoice, TemplateOption, When};
pub use pod::{PodTemplate, PodTemplateMetadata};
pub use presentation::{Icon, Presentation, PresentedChoice, PresentedImage, PresentedOption};
pub use volume_claims::{AccessMode, VolumeClaim, VolumeClaimSpec, VolumeMode};

use crate::{
    lenient::lenient,
    schema,
    workspace::{
        AccessType, ContainerConfig, IdleShutdown, Limits, OwnershipType, ResourceRequirements,
        SecondaryVolume,
    },
};

/// Defaults and bounds for the workspaces that refer to it. Immutable but for `presentation`: a new version is a new object.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "workspaces.jupyter.org",
    version = "v1alpha1",
    kind = "WorkspaceTemplate",
    plural = "workspacetemplates",
    shortname = "wst",
    category = "jupyter",
    status = "WorkspaceTemplateStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "Default settings of workspaces and the bounds within which they may vary.",
    validation = schema::spec_is_immutable_but::<WorkspaceTemplateSpec>("presentation"),
    printcolumn(name = "Display name", type_ = "string", json_path = ".spec.displayName"),
    printcolumn(name = "Image", type_ = "string", json_path = ".spec.defaultImage"),
    printcolumn(name = "Valid", type_ = "string", json_path = ".status.conditions[?(@.type==\"Valid\")].status"),
    printcolumn(name = "In use by", type_ = "integer", json_path = ".status.inUseBy"),
    printcolumn(name = "Pulled", type_ = "string", json_path = ".status.pulled"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Valid\")].reason", priority = 1)
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = schema::defaults_within_named(),
    validation = Rule::new("!has(self.allowedImages) || self.allowedImages.size() == 0 || (has(self.allowCustomImages) && self.allowCustomImages) || self.defaultImage in self.allowedImages")
        .message(Message::Expression("'defaultImage must be one of allowedImages, ' + strings.quote(self.defaultImage) + ' is not: add it there, or choose one of them'".to_owned()))
        .field_path(".defaultImage"),
    validation = schema::defaults_within("cpu", "k == 'cpu'"),
    validation = schema::defaults_within("memory", "k == 'memory'"),
    validation = schema::defaults_within("gpu", "k in ['nvidia.com/gpu', 'nvidia.com/gpu.shared'] || k.startsWith('nvidia.com/mig-')"),
    validation = Rule::new("!has(self.defaultResources) || !has(self.defaultResources.requests) || !has(self.defaultResources.limits) || self.defaultResources.requests.all(k, !(k in self.defaultResources.limits) || quantity(string(self.defaultResources.requests[k])).compareTo(quantity(string(self.defaultResources.limits[k]))) <= 0)")
        .message("defaultResources.requests must not exceed defaultResources.limits: lower the request, or raise the limit of the same name")
        .field_path(".defaultResources"),
    validation = schema::default_idle_timeout_within(),
    validation = schema::default_open_tab_within(),
    validation = Rule::new("!has(self.idleShutdownOverrides) || self.idleShutdownOverrides.allow || has(self.defaultIdleShutdown)")
        .message("idleShutdownOverrides.allow: false needs defaultIdleShutdown: say when workspaces are stopped for idleness, or allow them to")
        .field_path(".idleShutdownOverrides"),
    validation = schema::default_limit_within("startTimeoutMinutes"),
    validation = schema::default_limit_within("maxAgeMinutes"),
    validation = schema::default_limit_within("failedTimeoutMinutes"),
    validation = schema::default_limit_within("stoppedRetentionDays")
)]
pub struct WorkspaceTemplateSpec {
    /// Name shown to users, without control characters and marks that change the reading direction.
    #[schemars(length(min = 1, max = 100), regex(pattern = schema::PLAIN_TEXT))]
    pub display_name: String,

    /// What the template is for, without control characters but tabs and line ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 500), regex(pattern = schema::PLAIN_LINES))]
    pub description: Option<String>,

    /// Image, or alias, of workspaces that name none.
    #[schemars(length(min = 1, max = 512))]
    pub default_image: String,

    /// Images, or aliases, that workspaces may set. Empty: only `defaultImage`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), inner(length(min = 1, max = 512)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub allowed_images: Vec<String>,

    /// Whether workspaces may set any image.
    #[serde(default)]
    pub allow_custom_images: bool,

    /// Requests and limits that workspaces leave unset, per resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_resources: Option<ResourceRequirements>,

    /// Bounds on requests and limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_bounds: Option<ResourceBounds>,

    /// Defaults and bounds of the home disk. Unset: workspaces without storage get an emptyDir.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary_storage: Option<PrimaryStorage>,

    /// Largest `/dev/shm` of workspaces. Unset: their memory limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::quantity")]
    pub max_shm_size: Option<Quantity>,

    /// Environment variables of every workspace; its own override them. Secrets and ConfigMaps are those of the workspace's namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::embedded_list::<core::EnvVar, 64>")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub environment_variables: Vec<core::EnvVar>,

    /// Rules for a workspace's environment variables, including the template's and the execution profile's. Patterns also apply to
    /// variables that the workspace sets in init containers; `required` applies to the application only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub env_requirements: Vec<Requirement>,

    /// Rules for a Workspace's labels. `baseLabels` count for labels that it lacks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub label_requirements: Vec<Requirement>,

    /// Whether workspaces may set `volumes`.
    #[serde(default = "yes")]
    pub allow_secondary_storages: bool,

    /// Further disks of workspaces that set none. Claim names and paths may contain variables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub default_volumes: Vec<SecondaryVolume>,

    /// Labels of every pod, with variables. Keys that the operator or Kubernetes sets are refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub base_labels: Vec<Label>,

    /// Annotations of every pod, with variables. Keys of this product and of the cluster's controllers are refused, except
    /// `cluster-autoscaler.kubernetes.io/safe-to-evict`, `descheduler.alpha.kubernetes.io/prefer-no-eviction` and
    /// `kubernetes.io/ingress-bandwidth` and `egress-bandwidth`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub base_annotations: Vec<Annotation>,

    /// Prefixes of the keys that workspaces may set in `podAnnotations`, such as `prometheus.io/`. Empty: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 317)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub allowed_pod_annotations: Vec<String>,

    /// Port of workspaces that set none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1024, max = 65535))]
    pub default_port: Option<i32>,

    /// Command and arguments of workspaces that set none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_container_config: Option<ContainerConfig>,

    /// Size of `/dev/shm` of workspaces that set none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::quantity")]
    pub default_shm_size: Option<Quantity>,

    /// Labels of nodes for workspaces that name none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::labels::<32>")]
    pub default_node_selector: BTreeMap<String, String>,

    /// Affinity of workspaces that set none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::embedded::<core::Affinity>")]
    pub default_affinity: Option<core::Affinity>,

    /// Tolerations of workspaces that set none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::embedded_list::<core::Toleration, 16>")]
    pub default_tolerations: Vec<core::Toleration>,

    /// Lifecycle hooks of workspaces that set none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::embedded::<core::Lifecycle>")]
    pub default_lifecycle: Option<core::Lifecycle>,

    /// Readiness probe of workspaces that set none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::embedded::<core::Probe>")]
    pub default_readiness_probe: Option<core::Probe>,

    /// Security settings of the pod for workspaces that set none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::embedded::<core::PodSecurityContext>")]
    pub default_pod_security_context: Option<core::PodSecurityContext>,

    /// Security settings of the container for workspaces that set none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::embedded::<core::SecurityContext>")]
    pub default_container_security_context: Option<core::SecurityContext>,

    /// Init containers of workspaces that set none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::embedded_list::<core::Container, 10>")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub default_init_containers: Vec<core::Container>,

    /// Any other part of the pod, such as sidecars, volumes and probes: the pod that this template and the workspace give is laid over it.
    /// A part that has a field of its own here or in another object is refused, with that field's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<PodTemplate>,

    /// Further disks of each workspace, beside its home.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub volume_claims: Vec<VolumeClaim>,

    /// What users choose, in this order. What their choices set is laid over the defaults above.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub options: Vec<TemplateOption>,

    /// Further objects of each workspace, of other operators' kinds that the installation allows. They are there while it runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub objects: Vec<TemplateObject>,

    /// Whether workspaces may set init containers.
    #[serde(default)]
    pub allow_custom_init_containers: bool,

    /// Whether workspaces may set nodeSelector, affinity and tolerations.
    #[serde(default)]
    pub allow_custom_scheduling: bool,

    /// Whether workspaces may set security contexts.
    #[serde(default)]
    pub allow_custom_security_context: bool,

    /// Bounds on users and groups in security contexts of workspaces. Unset: any. The template's own defaults may be outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_context_bounds: Option<SecurityContextBounds>,

    /// Whether workspaces may start in recovery, where their users have a terminal beside their files.
    #[serde(default = "yes")]
    pub allow_recovery: bool,

    /// The Pod Security level that every pod fits.
    #[serde(default)]
    pub pod_security: PodSecurity,

    /// `false`: every pod has a user namespace of its own. Its user 1000 and its root are other users on the node than those of other pods,
    /// so no pod takes the inotify instances of another. Needs Kubernetes 1.33 (an older API server drops it), Linux 6.3 and containerd 2.0
    /// or CRI-O 1.25; the file systems of all volumes must have id-mapped mounts, which NFS has not. Unset: the node's users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_users: Option<bool>,

    /// Idle stop of workspaces that set none, per field. Within `idleShutdownOverrides`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_idle_shutdown: Option<IdleShutdown>,

    /// What workspaces may set in `idleShutdown`. Unset: anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_shutdown_overrides: Option<IdleShutdownOverrides>,

    /// Time limits of workspaces that set none, per field. Within `limitBounds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_limits: Option<Limits>,

    /// Bounds on the time limits that workspaces set. Unset: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_bounds: Option<LimitBounds>,

    /// Ownership type of workspaces that set none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_ownership_type: Option<OwnershipType>,

    /// Access type of workspaces that set none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_access_type: Option<AccessType>,

    /// Kind of application of workspaces that set none: `jupyterlab`, `code-editor`. It has no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub app_type: Option<String>,

    /// WorkspaceManager of workspaces that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = schema::OBJECT_NAME))]
    pub manager_ref: Option<String>,

    /// WorkspaceExecutionProfile, in the workspace's namespace, of workspaces that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = schema::OBJECT_NAME))]
    pub execution_profile_ref: Option<String>,

    /// How the template is shown. It decides nothing. It may change; no other field of the spec may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presentation: Option<Presentation>,
}

fn yes() -> bool {
    true
}

/// A level of the Pod Security Standards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PodSecurity {
    /// `restricted`: the strictest.
    #[default]
    Restricted,
    /// `baseline`: no known privilege escalations.
    Baseline,
}

/// One label.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Label {
    /// Key of the label.
    #[schemars(length(min = 1, max = 317))]
    pub name: String,
    /// Its value.
    #[serde(default)]
    #[schemars(length(max = 253))]
    pub value: String,
}

/// One annotation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Annotation {
    /// Key of the annotation.
    #[schemars(length(min = 1, max = 317))]
    pub name: String,
    /// Its value.
    #[serde(default)]
    #[schemars(length(max = 4096))]
    pub value: String,
}

/// What is known of a template.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct WorkspaceTemplateStatus {
    /// Generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Number of workspaces that use it, running or stopped; updated at most every 10 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_use_by: Option<i32>,
    /// Of a template with the label `workspaces.jupyter.org/pre-pull`: how many pulls are done, of those wanted, such as `7/8`. Each image
    /// counts once per node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub pulled: Option<String>,
    /// `Valid`: the template is consistent, and its references exist. `Terminating`: it is being deleted and in use. `Prepared`: its images
    /// are on the nodes, if a label asks for that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

lenient!(WorkspaceTemplateStatus);
