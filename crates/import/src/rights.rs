//! Imported workspaces -> the Roles that their owners need, and that who applies them needs (pure).

use std::collections::{BTreeMap, BTreeSet};

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
    /// All claims, each with whether it may write to all of it.
    pub(crate) claims: BTreeMap<String, bool>,
    pub(crate) template: String,
    pub(crate) profile: Option<String>,
}

/// Name of the Role of who applies the workspaces.
pub(crate) const IMPORTER: &str = "workspace-importer";

/// The Role of who applies them for others, and Role and binding of each owner: `use` of the template, the profile and the claims that are
/// the owner's alone. Workspaces start without it, and `use` of a claim is `use` of all of it.
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
    let mut owners: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for it in workspaces {
        for claim in it.claims.keys() {
            let of_claim = owners.entry((&it.namespace, claim)).or_default();
            of_claim.insert(&it.owner);
        }
    }
    let of_one = workspaces.iter().flat_map(|it| {
        let is_own = |claim: &String| it.claims[claim] && owners[&(&it.namespace, claim)].len() == 1;
        let claims: Vec<_> = it.claims.keys().filter(|claim| is_own(claim)).collect();
        of_owner(it, &claims)
    });
    std::iter::once(importer).chain(of_one).collect()
}

fn of_owner(workspace: &Imported, claims: &[&String]) -> Vec<Value> {
    let Some(owner) = &workspace.owner else {
        return Vec::new();
    };
    let metadata = json!({"name": format!("imported-{}", workspace.name), "namespace": workspace.namespace});
    let rule = |group: &str, resource: &str, names: &[&String]| json!({"apiGroups": [group], "resources": [resource], "resourceNames": names, "verbs": ["use"]});
    let mut rules = vec![rule(
        api::names::GROUP,
        "workspacetemplates",
        &[&workspace.template],
    )];
    if let Some(profile) = &workspace.profile {
        rules.push(rule(api::names::GROUP, "workspaceexecutionprofiles", &[profile]));
    }
    if !claims.is_empty() {
        rules.push(rule("", "persistentvolumeclaims", claims));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_may_use_the_claims_that_are_theirs_alone() {
        let imported = |name: &str, owner: Option<&str>, claims: &[(&str, bool)]| Imported {
            namespace: "a".to_owned(),
            name: name.to_owned(),
            old: String::new(),
            uid: None,
            owner: owner.map(str::to_owned),
            home: None,
            claims: claims
                .iter()
                .map(|(name, is_whole)| ((*name).to_owned(), *is_whole))
                .collect(),
            template: "t".to_owned(),
            profile: None,
        };
        let other = Imported {
            namespace: "b".to_owned(),
            ..imported("elsewhere", Some("bob"), &[("alice-1", true)])
        };
        let roles = of_all(&[
            imported(
                "one",
                Some("alice"),
                &[
                    ("alice-1", true),
                    ("both", true),
                    ("folders", false),
                    ("read", false),
                ],
            ),
            imported(
                "two",
                Some("alice"),
                &[("alice-1", true), ("alice-2", true), ("nobodys", true)],
            ),
            imported("three", Some("bob"), &[("both", true), ("folders", false)]),
            imported("four", None, &[("nobodys", true)]),
            other,
        ]);
        let of = |namespace: &str, name: &str| {
            let is_it = |it: &&Value| {
                it["kind"] == "Role"
                    && it["metadata"] == json!({"name": format!("imported-{name}"), "namespace": namespace})
            };
            let granted = roles.iter().find(is_it).map(|it| &it["rules"]);
            let granted = granted.and_then(Value::as_array).into_iter().flatten();
            let of_claims = granted.filter(|rule| rule["resources"][0] == "persistentvolumeclaims");
            of_claims
                .map(|rule| rule["resourceNames"].clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(of("a", "one"), [json!(["alice-1"])]);
        assert_eq!(of("a", "two"), [json!(["alice-1", "alice-2"])]);
        assert!(of("a", "three").is_empty());
        // The control: a claim of the same name in another namespace is another one.
        assert_eq!(of("b", "elsewhere"), [json!(["alice-1"])]);
    }
}
