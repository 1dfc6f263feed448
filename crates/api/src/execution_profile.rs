//! YAML of a `WorkspaceExecutionProfile` -> the identity of a pod at run time (pure).

use std::collections::BTreeMap;

use k8s_openapi::{api::core::v1 as core, apimachinery::pkg::apis::meta::v1::Condition};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{lenient::lenient, schema};

/// What the pods of workspaces may act as and carry. Written by the administrators of a namespace; without one a pod has no token and no
/// identity.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "workspaces.jupyter.org",
    version = "v1alpha1",
    kind = "WorkspaceExecutionProfile",
    plural = "workspaceexecutionprofiles",
    shortname = "wsep",
    category = "jupyter",
    namespaced,
    status = "WorkspaceExecutionProfileStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "Service account, tokens, secrets, priority and runtime of workspaces' pods.",
    printcolumn(
        name = "Service account",
        type_ = "string",
        json_path = ".spec.serviceAccount.name"
    ),
    printcolumn(
        name = "Valid",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Valid\")].status"
    ),
    printcolumn(name = "In use by", type_ = "integer", json_path = ".status.inUseBy"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Valid\")].reason",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.automountToken) && self.automountToken) && (!has(self.projectedTokens) || self.projectedTokens.size() == 0) || has(self.serviceAccount)")
        .message("automountToken and projectedTokens need a serviceAccount: a token belongs to an account; name one, or leave the tokens out")
)]
pub struct WorkspaceExecutionProfileSpec {
    /// Service account of the pod. Unset: the namespace's `default`, without a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<ServiceAccount>,

    /// Whether the pod has a token for the Kubernetes API at the usual path.
    #[serde(default)]
    pub automount_token: bool,

    /// Tokens of the service account for other audiences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["path".into()]))]
    pub projected_tokens: Vec<ProjectedToken>,

    /// Environment variables; they override the workspace's and the template's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::embedded_list::<core::EnvVar, 64>")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub env: Vec<core::EnvVar>,

    /// Secrets of the namespace that appear as files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["mountPath".into()]))]
    pub secret_mounts: Vec<SecretMount>,

    /// Secrets of the namespace for image pulls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub image_pull_secrets: Vec<SecretName>,

    /// RuntimeClass of the pod. Unset: the cluster's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = schema::OBJECT_NAME))]
    pub runtime_class_name: Option<String>,

    /// PriorityClass of the pod. Unset: the cluster's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = schema::OBJECT_NAME))]
    pub priority_class_name: Option<String>,
}

/// A service account: exactly one way to name it.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.name) != has(self.perWorkspace)")
        .message("exactly one must be given: either name or perWorkspace")
)]
pub struct ServiceAccount {
    /// An existing one of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = schema::OBJECT_NAME))]
    pub name: Option<String>,
    /// One per workspace, created and deleted with it: `workspace-<name>-<first 8 characters of the UID>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_workspace: Option<PerWorkspaceServiceAccount>,
}

/// A service account of each workspace's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PerWorkspaceServiceAccount {
    /// Its annotations, with variables, for cloud providers' identities.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::annotations")]
    pub annotations: BTreeMap<String, String>,
}

/// A token that the kubelet keeps fresh in a file.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = schema::no_way_up("path")
)]
pub struct ProjectedToken {
    /// Its audience. It may contain the variables `{workspace.uid}` and `{workspace.namespace}`.
    #[schemars(length(min = 1, max = 1024))]
    pub audience: String,
    /// Lifetime in seconds. Unset: 3600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 600, max = 86_400))]
    pub expiration_seconds: Option<i64>,
    /// Absolute path of the file, in a folder other than `/`. That folder is read-only and contains only tokens.
    #[schemars(length(min = 4, max = 255), regex(pattern = r"^(/[^/:]+){2,}$"))]
    pub path: String,
}

/// A Secret as a folder of files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretMount {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = schema::OBJECT_NAME))]
    pub secret_name: String,
    /// Folder where it appears, read-only.
    #[schemars(length(min = 2, max = 255), regex(pattern = r"^/[^:]+$"))]
    pub mount_path: String,
}

/// A Secret by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretName {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = schema::OBJECT_NAME))]
    pub name: String,
}

/// What is known of a profile.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct WorkspaceExecutionProfileStatus {
    /// Generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Number of workspaces that use it, running or stopped; updated at most every 10 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_use_by: Option<i32>,
    /// `Valid`: no rule is broken. `Terminating`: it is being deleted and in use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

lenient!(WorkspaceExecutionProfileStatus);
