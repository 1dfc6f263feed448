//! Workspaces, templates, managers -> which workspace uses what (pure).
//!
//! A workspace uses what it refers to from its first child until it is gone: running, stopped or being deleted. A workspace that never
//! got a child uses nothing. That happens when the object was already being deleted, or a rule was broken.

use std::collections::HashMap;

use api::{
    Workspace, WorkspaceManager, WorkspaceTemplate,
    condition::{self, VALID},
    workspace::Resolved,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt as _;

use super::subject::{Key, Kind};
use crate::cache::observed::Observed;

/// Every object by kind, namespace (empty for cluster-scoped kinds) and name.
pub(super) type Index = HashMap<(Kind, String, String), Key>;

/// The objects, by name.
pub(super) struct Catalog<'a> {
    templates: HashMap<&'a str, &'a WorkspaceTemplate>,
    default_manager: Option<&'a str>,
}

impl<'a> Catalog<'a> {
    pub(super) fn new(
        templates: impl IntoIterator<Item = &'a WorkspaceTemplate>,
        managers: impl IntoIterator<Item = &'a WorkspaceManager>,
    ) -> Self {
        let named = |template: &'a WorkspaceTemplate| Some((template.metadata.name.as_deref()?, template));
        Self {
            templates: templates.into_iter().filter_map(named).collect(),
            default_manager: rules::managers::choose(None, managers)
                .ok()
                .and_then(|manager| manager.metadata.name.as_deref()),
        }
    }

    /// The names that a workspace refers to now.
    fn names_of<'b>(&'b self, workspace: &'b Workspace) -> [Option<&'b str>; 3] {
        let spec = &workspace.spec;
        let name = spec.template_ref.as_deref();
        let template = name.and_then(|name| self.templates.get(name));
        let template = template.map(|template| &template.spec);
        let manager = spec
            .manager_ref
            .as_deref()
            .or_else(|| template?.manager_ref.as_deref())
            .or(self.default_manager);
        [name, manager, rules::profile_name(spec, template)]
    }
}

/// How workspaces relate to one object.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Usage {
    /// Workspaces that use it.
    pub(super) users: i32,
    /// Whether any workspace refers to it, including those that use it.
    pub(super) is_referenced: bool,
    /// Whether a workspace refers to it that may get its first child: it does not use the object yet, and was not rejected.
    pub(super) is_undecided: bool,
}

/// Whether the workspace has a Service, claim or pod of its own.
pub(super) fn has_started(observed: &Observed) -> bool {
    let children = [
        observed.service.as_ref().map(|it| &it.metadata),
        observed.claim.as_ref().map(|it| &it.metadata),
        observed.pods.first().map(|it| &it.metadata),
    ];
    let mut children = children.into_iter().flatten();
    children.any(|meta| observed.identity.owns(meta))
}

/// Whether a workspace uses the object. `named`: it refers to it now. `has_started`: it has children.
pub(super) fn uses(
    key: &Key,
    workspace: &Workspace,
    named: bool,
    has_started: impl FnOnce() -> bool,
) -> bool {
    let status = workspace.status.as_ref();
    if let Some(resolved) = status.and_then(|status| status.resolved.as_ref()) {
        return is_recorded(key, workspace, resolved);
    }
    // The status is not written yet, or nothing runs and the workspace has become invalid. With the reason of this kind, its children
    // were made with another object.
    let rejected = rejection(workspace).is_some_and(|it| it.reason == key.kind.terminating());
    named && !rejected && has_started()
}

/// Whether the workspace may get its first child with an object that it refers to and does not use. It may not if it is being deleted,
/// or if its status says that its current spec was rejected.
fn is_undecided(workspace: &Workspace) -> bool {
    let meta = &workspace.metadata;
    let rejected = rejection(workspace).is_some_and(|it| it.observed_generation == meta.generation);
    meta.deletion_timestamp.is_none() && !rejected
}

/// The condition that says that the workspace is not valid.
fn rejection(workspace: &Workspace) -> Option<&Condition> {
    let status = workspace.status.as_ref()?;
    condition::find(&status.conditions, VALID).filter(|valid| valid.status == "False")
}

/// Whether the object is among those that the workspace was last resolved to.
fn is_recorded(key: &Key, workspace: &Workspace, resolved: &Resolved) -> bool {
    let name = Some(&key.name);
    match key.kind {
        Kind::Template => {
            workspace.spec.template_ref.as_ref() == name && resolved.template_uid.as_ref() == Some(&key.uid)
        }
        Kind::Manager => resolved.manager.as_ref() == name,
        Kind::Profile => {
            workspace.metadata.namespace == key.namespace && resolved.execution_profile.as_ref() == name
        }
    }
}

/// How workspaces relate to each object. Objects to which none refers are left out.
pub(super) fn usage_of<'a>(
    workspaces: impl IntoIterator<Item = &'a Workspace>,
    catalog: &Catalog<'_>,
    index: &Index,
    has_started: impl Fn(&Workspace) -> bool,
) -> HashMap<Key, Usage> {
    let mut all: HashMap<Key, Usage> = HashMap::new();
    for workspace in workspaces {
        let namespace = workspace.namespace().unwrap_or_default();
        let named = catalog.names_of(workspace);
        let status = workspace.status.as_ref();
        let resolved = status.and_then(|status| status.resolved.as_ref());
        let recorded = [
            None,
            resolved.and_then(|resolved| resolved.manager.as_deref()),
            resolved.and_then(|resolved| resolved.execution_profile.as_deref()),
        ];
        let kinds = [
            (Kind::Template, ""),
            (Kind::Manager, ""),
            (Kind::Profile, namespace.as_str()),
        ];
        for (position, (kind, place)) in kinds.into_iter().enumerate() {
            let other = recorded[position].filter(|name| named[position] != Some(*name));
            let candidates = [(named[position], true), (other, false)];
            for (name, is_named) in candidates {
                let Some(key) = name.and_then(|name| index.get(&(kind, place.to_owned(), name.to_owned())))
                else {
                    continue;
                };
                let usage = all.entry(key.clone()).or_default();
                usage.is_referenced = true;
                if uses(key, workspace, is_named, || has_started(workspace)) {
                    usage.users += 1;
                } else if is_named {
                    usage.is_undecided |= is_undecided(workspace);
                }
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use testkit::objects;

    use super::*;

    fn workspace(name: &str, spec: &Value, resolved: &Value) -> Workspace {
        let mut object = serde_json::to_value(objects::workspace(name)).unwrap();
        for (key, value) in spec.as_object().unwrap() {
            object["spec"][key] = value.clone();
        }
        if !resolved.is_null() {
            object["status"] = json!({ "resolved": resolved });
        }
        serde_json::from_value(object).unwrap()
    }

    fn key(kind: Kind, name: &str) -> Key {
        Key {
            kind,
            namespace: (kind == Kind::Profile).then(|| objects::NAMESPACE.to_owned()),
            name: name.to_owned(),
            uid: format!("uid-of-{name}"),
        }
    }

    fn index(keys: &[Key]) -> Index {
        let place = |key: &Key| {
            let namespace = key.namespace.clone().unwrap_or_default();
            ((key.kind, namespace, key.name.clone()), key.clone())
        };
        keys.iter().map(place).collect()
    }

    fn usage(workspaces: &[Workspace], keys: &[Key], has_children: bool) -> HashMap<Key, Usage> {
        let mut template = objects::template("t");
        template.spec.execution_profile_ref = Some("p".to_owned());
        let manager = objects::manager("main");
        let catalog = Catalog::new([&template], [&manager]);
        usage_of(workspaces, &catalog, &index(keys), |_| has_children)
    }

    fn count(workspaces: &[Workspace], keys: &[Key], has_children: bool) -> Vec<(String, i32)> {
        let all = usage(workspaces, keys, has_children).into_iter();
        let used = all.filter(|(_, usage)| usage.users > 0);
        let mut users: Vec<_> = used.map(|(key, usage)| (key.name, usage.users)).collect();
        users.sort();
        users
    }

    /// The status of a workspace whose spec of generation 1 was rejected for this reason.
    fn rejected(user: &mut Workspace, reason: &str) {
        user.metadata.generation = Some(1);
        let status = json!({"conditions": [{
            "type": VALID, "status": "False", "reason": reason, "message": "m", "observedGeneration": 1,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]});
        user.status = serde_json::from_value(status).unwrap();
    }

    #[test]
    fn running_stopped_and_starting_workspaces_use_what_they_refer_to_through_the_template_or_the_default() {
        let keys = [
            key(Kind::Template, "t"),
            key(Kind::Manager, "main"),
            key(Kind::Profile, "p"),
        ];
        let resolved = json!({"templateUID": "uid-of-t", "manager": "main", "executionProfile": "p"});
        let of_template = json!({"templateRef": "t"});
        let known = workspace("known", &of_template, &resolved);
        let new = workspace("new", &of_template, &Value::Null);
        let all = [("main".to_owned(), 2), ("p".to_owned(), 2), ("t".to_owned(), 2)];
        assert_eq!(count(&[known.clone(), new.clone()], &keys, true), all);
        let one = all.map(|(name, _)| (name, 1));
        assert_eq!(count(&[known, new], &keys, false), one);
    }

    #[test]
    fn a_manager_is_in_use_until_the_workspace_has_resolved_another() {
        let moved = workspace(
            "moved",
            &json!({"managerRef": "main"}),
            &json!({"manager": "old"}),
        );
        let keys = [key(Kind::Manager, "main"), key(Kind::Manager, "old")];
        assert_eq!(count(&[moved], &keys, true), [("old".to_owned(), 1)]);
    }

    #[test]
    fn a_profile_of_the_same_name_in_another_namespace_is_another() {
        let elsewhere = Key {
            namespace: Some("elsewhere".to_owned()),
            ..key(Kind::Profile, "p")
        };
        let user = workspace(
            "user",
            &json!({"executionProfileRef": "p"}),
            &json!({"executionProfile": "p", "manager": "main"}),
        );
        assert_eq!(count(&[user], &[elsewhere], true), Vec::<(String, i32)>::new());
    }

    #[test]
    fn a_rejected_workspace_does_not_use_the_object_because_of_earlier_children() {
        let turned_away = |kind: Kind| {
            let mut user = workspace("user", &json!({"managerRef": "m"}), &Value::Null);
            rejected(&mut user, kind.terminating());
            user
        };
        let manager = key(Kind::Manager, "m");
        assert!(!uses(&manager, &turned_away(Kind::Manager), true, || true));
        assert!(uses(&manager, &turned_away(Kind::Profile), true, || true));
    }

    #[test]
    fn a_workspace_that_refers_to_an_object_may_begin_to_use_it_until_its_status_says_that_it_is_rejected() {
        let template = [key(Kind::Template, "t")];
        let undecided = |user: &Workspace| {
            let usage = usage(std::slice::from_ref(user), &template, false)[&template[0]];
            assert!(usage.is_referenced && usage.users == 0, "{usage:?}");
            usage.is_undecided
        };
        let new = workspace("new", &json!({"templateRef": "t"}), &Value::Null);
        assert!(undecided(&new));
        let mut user = new.clone();
        rejected(&mut user, Kind::Template.terminating());
        assert!(!undecided(&user));
        user.metadata.generation = Some(2);
        assert!(undecided(&user), "its spec has changed since");
        user.metadata.deletion_timestamp = user.metadata.creation_timestamp.clone();
        assert!(!undecided(&user), "it is being deleted");
        let of_the_first = json!({"templateUID": "uid-of-the-first", "manager": "main"});
        assert!(undecided(&workspace(
            "old",
            &json!({"templateRef": "t"}),
            &of_the_first
        )));
    }
}
