//! WorkspaceExecutionProfile -> its violations, independent of workspaces (pure).

use std::collections::BTreeMap;

use api::execution_profile::{ProjectedToken, ServiceAccount};
use api::names::{PRODUCT, RESERVED_PREFIX};
use api::{WorkspaceExecutionProfile, WorkspaceExecutionProfileSpec};
use kube::ResourceExt as _;

use super::pod::{Author, env, mounts};
use super::size::spec_size;
use crate::checks::syntax::{is_child_name, is_qualified_name};
use crate::checks::{mount_path, normal_path};
use crate::effective::variables::{AUDIENCE, Scope, expand_text, names_in};
use crate::settings::Settings;
use crate::violation::{Violation, Violations};

/// Prefix of priority classes that are reserved for the cluster's own pods.
const SYSTEM_CLASSES: &str = "system-";

/// Violations of a profile that its definition does not know.
pub fn profile(spec: &WorkspaceExecutionProfileSpec, settings: &Settings) -> Vec<Violation> {
    let mut found: Vec<_> = spec_size(spec).into_iter().collect();
    if let Some(account) = &spec.service_account {
        found.extend(service_account(account));
    }
    found.extend(tokens(&spec.projected_tokens));
    found.extend(env::shape("spec.env", &spec.env, Author::Administrator));
    for (index, mount) in spec.secret_mounts.iter().enumerate() {
        let field = format!("spec.secretMounts[{index}].mountPath");
        found.extend(mount_path(&field, &mount.mount_path));
    }
    if let Some(name) = &spec.priority_class_name {
        let rule = if name.starts_with(SYSTEM_CLASSES) {
            Some("is for the cluster's own pods: choose another class")
        } else if settings.own_priority_class.as_ref() == Some(name) {
            Some("is for the pods that every workspace depends on: choose another class")
        } else {
            None
        };
        found.extend(rule.map(|rule| Violation::new("spec.priorityClassName", name, rule)));
    }
    let folders = mounts::folders_of(spec).into_iter();
    let folders = folders.map(|(path, what)| ("spec".to_owned(), path, what));
    found.extend(mounts::same_places(BTreeMap::new(), folders));
    found
}

/// The violation that a workspace gets if its profile is invalid.
pub(super) fn as_reference(object: &WorkspaceExecutionProfile, settings: &Settings) -> Option<Violation> {
    let found = Violations::from_list(profile(&object.spec, settings))?;
    let rule =
        format!("breaks rules of its own, so no pod can have it ({found}): ask for a corrected profile");
    Some(Violation::new(
        "spec.executionProfileRef",
        object.name_any(),
        rule,
    ))
}

fn service_account(account: &ServiceAccount) -> Vec<Violation> {
    const NAME: &str = "spec.serviceAccount.name";
    let mut found = Vec::new();
    if let Some(name) = &account.name {
        let of_workspace =
            is_child_name(name) && name.rsplit_once('-').is_some_and(|(_, end)| end.len() == 8);
        if of_workspace || name.starts_with(PRODUCT) {
            let rule = "is an account of this product: name one of your own";
            found.push(Violation::new(NAME, name, rule));
        }
    }
    for (key, value) in account.per_workspace.iter().flat_map(|own| &own.annotations) {
        let field = format!(
            "spec.serviceAccount.perWorkspace.annotations[{}]",
            key.escape_debug()
        );
        // Keys and values may contain variables, but none that the author of a workspace can influence.
        let scope = Scope::sample().identity();
        match expand_text(key, &scope) {
            Ok(key) if !is_qualified_name(&key.to_ascii_lowercase()) || key.starts_with(RESERVED_PREFIX) => {
                let rule = "cannot be the key of an annotation, or is one of ours: choose another";
                found.push(Violation::new(field.as_str(), key, rule));
            }
            Ok(_) => {}
            Err(error) => found.push(Violation::new(field.as_str(), key, error.to_string())),
        }
        if let Err(error) = expand_text(value, &scope) {
            found.push(Violation::new(field, value, error.to_string()));
        }
    }
    found
}

fn tokens(tokens: &[ProjectedToken]) -> Vec<Violation> {
    let mut found = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let names = names_in(&token.audience, &|_| true);
        if let Some(name) = names.into_iter().find(|name| !AUDIENCE.contains(name)) {
            let rule = format!(
                "must not contain the variable {{{name}}}: allowed are {}; text in braces is written as {{{{{name}}}}}",
                AUDIENCE.join(", ")
            );
            let field = format!("spec.projectedTokens[{index}].audience");
            found.push(Violation::new(field, &token.audience, rule));
        }
        let path = format!("spec.projectedTokens[{index}].path");
        if normal_path(&token.path) == token.path {
            // The folder is the mount path.
            let folder = mounts::token_folder(&token.path);
            found.extend(mount_path(&path, &token.path).or_else(|| mount_path(&path, &folder)));
        } else {
            let rule = "holds doubled slashes or '.': write it without them";
            found.push(Violation::new(path, &token.path, rule));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn fields(spec: Value) -> Vec<String> {
        let spec: WorkspaceExecutionProfileSpec = serde_json::from_value(spec).unwrap();
        let settings = Settings::parse("{defaultImage: uv, ownPriorityClass: jupyter-k8s-system}").unwrap();
        profile(&spec, &settings).into_iter().map(|it| it.field).collect()
    }

    #[test]
    fn the_product_s_own_priority_class_is_not_for_workspaces() {
        let field = "spec.priorityClassName";
        assert_eq!(
            fields(json!({"priorityClassName": "jupyter-k8s-system"})),
            [field]
        );
        assert_eq!(fields(json!({"priorityClassName": "other-system"})), [""; 0]);
    }

    #[test]
    fn an_ordinary_profile_passes() {
        assert_eq!(
            fields(json!({
                "serviceAccount": {"perWorkspace": {"annotations": {
                    "eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/{workspace.namespace}-{owner.name}",
                }}},
                "automountToken": true,
                "projectedTokens": [
                    {"audience": "a", "path": "/var/run/secrets/tokens/a"},
                    {"audience": "b", "path": "/var/run/secrets/tokens/b", "expirationSeconds": 600},
                ],
                "env": [{"name": "HOST", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}}],
                "secretMounts": [{"secretName": "s", "mountPath": "/etc/s"}],
                "imagePullSecrets": [{"name": "pull"}],
                "runtimeClassName": "gvisor",
                "priorityClassName": "batch",
            })),
            [""; 0]
        );
        assert_eq!(
            fields(json!({"serviceAccount": {"name": "workspace-builder"}})),
            [""; 0]
        );
        assert_eq!(fields(json!({})), [""; 0]);
    }

    #[test]
    fn an_audience_depends_on_nothing_that_a_user_chooses() {
        let with = |audience: &str| {
            fields(json!({
                "serviceAccount": {"name": "a"},
                "projectedTokens": [{"audience": audience, "path": "/var/run/tokens/a"}],
            }))
        };
        for audience in [
            "sts",
            "https://hub/{workspace.namespace}/{workspace.uid}",
            "${role}",
            "{{role}}",
        ] {
            assert_eq!(with(audience), [""; 0], "{audience}");
        }
        for name in [
            "workspace.name",
            "workspace.host",
            "service.name",
            "owner.name",
            "role",
            "hub.user",
        ] {
            let audience = format!("https://hub/{{workspace.uid}}/{{{name}}}");
            assert_eq!(with(&audience), ["spec.projectedTokens[0].audience"], "{name}");
        }
    }

    #[test]
    fn our_service_accounts_are_refused_in_profiles() {
        for name in ["workspace-lab-0a1b2c3d", "jupyter-k8s-operator"] {
            assert_eq!(
                fields(json!({"serviceAccount": {"name": name}})),
                ["spec.serviceAccount.name"],
                "{name}"
            );
        }
    }

    #[test]
    fn every_fault_is_named_at_once() {
        assert_eq!(
            fields(json!({
                "serviceAccount": {
                    "perWorkspace": {"annotations": {"a b": "{workspace.nmae}", "workspaces.jupyter.org/x": ""}},
                },
                "projectedTokens": [
                    {"audience": "a", "path": "/s/x"}, {"audience": "a", "path": "/s/./y"}, {"audience": "a", "path": "/etc/token"},
                ],
                "env": [{"name": "WORKSPACE_RUN_ID"}],
                "secretMounts": [{"secretName": "s", "mountPath": "/s"}],
                "priorityClassName": "system-node-critical",
            })),
            [
                "spec.serviceAccount.perWorkspace.annotations[a b]",
                "spec.serviceAccount.perWorkspace.annotations[a b]",
                "spec.serviceAccount.perWorkspace.annotations[workspaces.jupyter.org/x]",
                "spec.projectedTokens[1].path",
                "spec.projectedTokens[2].path",
                "spec.env[0].name",
                "spec.priorityClassName",
                "spec",
            ]
        );
    }
}
