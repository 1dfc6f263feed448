//! Imported workspaces -> the Roles that their owners need, and that who applies them needs (pure).

use serde_json::{Value, json};

/// Group of Roles.
pub(crate) const RBAC: &str = "rbac.authorization.k8s.io";

/// A workspace that comes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Imported {
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// The object of the source, as kubectl calls it: type, slash, name.
    pub(crate) old: String,
    /// Its UID, if the source has it.
    pub(crate) uid: Option<String>,
    /// `None`: whoever applies it owns it.
    pub(crate) owner: Option<String>,
    /// The claim that is its home.
    pub(crate) home: Option<String>,
    /// All claims.
    pub(crate) claims: Vec<String>,
    pub(crate) template: String,
    pub(crate) profile: Option<String>,
}

/// Name of the Role of who applies the workspaces.
pub(crate) const IMPORTER: &str = "workspace-importer";

/// The Role of who applies them for others, and Role and binding of each owner: `use` of the claims, the template and the profile.
pub(crate) fn of_all(workspaces: &[Imported]) -> Vec<Value> {
    let rule = |group: &str, resources: &[&str], verbs: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": verbs});
    let importer = json!({
        "apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRole", "metadata": {"name": IMPORTER},
        "rules": [
            rule(api::names::GROUP, &["workspaces"], &["get", "list", "create", "patch", "assign-owner"]),
            rule(api::names::GROUP, &["workspacetemplates", "workspaceexecutionprofiles"], &["use"]),
            rule("", &["persistentvolumeclaims"], &["use"]),
        ],
    });
    std::iter::once(importer)
        .chain(workspaces.iter().flat_map(of_owner))
        .collect()
}

fn of_owner(workspace: &Imported) -> Vec<Value> {
    let Some(owner) = &workspace.owner else {
        return Vec::new();
    };
    let metadata = json!({"name": format!("imported-{}", workspace.name), "namespace": workspace.namespace});
    let rule = |group: &str, resource: &str, names: &[String]| json!({"apiGroups": [group], "resources": [resource], "resourceNames": names, "verbs": ["use"]});
    let mut rules = vec![rule(
        api::names::GROUP,
        "workspacetemplates",
        std::slice::from_ref(&workspace.template),
    )];
    if let Some(profile) = &workspace.profile {
        let names = std::slice::from_ref(profile);
        rules.push(rule(api::names::GROUP, "workspaceexecutionprofiles", names));
    }
    if !workspace.claims.is_empty() {
        rules.push(rule("", "persistentvolumeclaims", &workspace.claims));
    }
    let version = format!("{RBAC}/v1");
    vec![
        json!({"apiVersion": version, "kind": "Role", "metadata": metadata, "rules": rules}),
        json!({
            "apiVersion": version, "kind": "RoleBinding", "metadata": metadata,
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": metadata["name"]},
            "subjects": [{"apiGroup": RBAC, "kind": "User", "name": owner}],
        }),
    ]
}
