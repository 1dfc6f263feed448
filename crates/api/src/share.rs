//! YAML of a `WorkspaceShare` -> access of other users to a workspace (pure).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{lenient::lenient, schema};

/// Lets subjects connect to one workspace. Bound to that workspace's UID: a new workspace of the same name is not shared.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "workspaces.jupyter.org",
    version = "v1alpha1",
    kind = "WorkspaceShare",
    plural = "workspaceshares",
    shortname = "wss",
    category = "jupyter",
    namespaced,
    status = "WorkspaceShareStatus",
    derive = "PartialEq",
    doc = "Shares one workspace with users, groups and service accounts.",
    printcolumn(name = "Workspace", type_ = "string", json_path = ".spec.workspaceRef"),
    printcolumn(
        name = "Active",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Active\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Active\")].reason"
    ),
    printcolumn(name = "Expires", type_ = "string", json_path = ".spec.expiresAt"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = schema::immutable("workspaceRef", "create another share"),
    validation = schema::immutable("workspaceUID", "create another share")
)]
pub struct WorkspaceShareSpec {
    /// Name of the Workspace, of this namespace. Immutable.
    #[schemars(length(min = 1, max = 50), regex(pattern = schema::WORKSPACE_NAME))]
    pub workspace_ref: String,

    /// UID of the Workspace. Unset: set by the webhook if the workspace exists; else the status binds the share to the first workspace
    /// of the name that its creator owns. Immutable.
    #[serde(default, rename = "workspaceUID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub workspace_uid: Option<String>,

    /// With whom the workspace is shared, at least one.
    #[schemars(length(min = 1, max = 50))]
    pub subjects: Vec<Subject>,

    /// What they may do.
    #[serde(default)]
    pub role: ShareRole,

    /// When the share ends. Unset: never, which a manager with a maximum refuses. The object is removed an hour later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,

    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 500), regex(pattern = schema::PLAIN_TEXT))]
    pub reason: Option<String>,
}

/// A user, a group or a service account, as in a RoleBinding.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(self.kind == 'ServiceAccount') == has(self.namespace)")
        .message(Message::Expression("'a ServiceAccount has a namespace, a User or Group has none: ' + (has(self.namespace) ? 'leave it out for ' : 'name the one of ') + self.kind + ' ' + strings.quote(self.name)".to_owned()))
        .field_path(".namespace"),
    validation = Rule::new(format!("self.kind != 'Group' || !{} || self.name.matches('^system:serviceaccounts:[a-z0-9]([-a-z0-9]{{0,61}}[a-z0-9])?$')", schema::is_of_kubernetes("self.name")))
        .message(Message::Expression("'a workspace cannot be shared with ' + strings.quote(self.name) + ', a group of the system: name system:serviceaccounts:<namespace>, or groups of people'".to_owned()))
        .field_path(".name"),
    validation = Rule::new("self.kind != 'User' || self.name != 'system:anonymous'")
        .message("a workspace cannot be shared with users who are not signed in: name users")
        .field_path(".name")
)]
pub struct Subject {
    /// `User`, `Group` or `ServiceAccount`.
    pub kind: SubjectKind,
    /// `rbac.authorization.k8s.io` for users and groups, empty for service accounts. Not compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub api_group: Option<String>,
    /// Name, as Kubernetes knows it.
    #[schemars(length(min = 1, max = 512))]
    pub name: String,
    /// Namespace of a ServiceAccount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub namespace: Option<String>,
}

impl Subject {
    /// The name under which the API server knows the user or service account; `None` for a group.
    pub fn user_name(&self) -> Option<String> {
        match self.kind {
            SubjectKind::User => Some(self.name.clone()),
            SubjectKind::Group => None,
            SubjectKind::ServiceAccount => {
                let namespace = self.namespace.as_deref().unwrap_or_default();
                Some(format!("system:serviceaccount:{namespace}:{}", self.name))
            }
        }
    }
}

/// Kinds of subjects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SubjectKind {
    /// One user, by name.
    #[default]
    User,
    /// Every member of a group.
    Group,
    /// A service account.
    ServiceAccount,
}

/// What the subjects of a share may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ShareRole {
    /// Connect to the workspace while it runs.
    #[default]
    Connect,
}

/// What is known of a share.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct WorkspaceShareStatus {
    /// Generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// UID of the Workspace that the share is bound to.
    #[serde(default, rename = "workspaceUID", skip_serializing_if = "Option::is_none")]
    pub workspace_uid: Option<String>,
    /// `Active`: the subjects may connect.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

lenient!(WorkspaceShareStatus);
