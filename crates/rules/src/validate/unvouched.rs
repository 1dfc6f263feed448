//! Workspace and template -> the Secrets, ConfigMaps and claims that its author chose, and which of them nobody vouches for (pure).
//!
//! Where a webhook judges, it asks for each whether the person may read or use it. Where none does, nobody has asked.

use api::{Workspace, WorkspaceSpec, WorkspaceTemplate};
use k8s_openapi::api::core::v1::{Container, EnvVar};
use serde_json::Value;

use crate::settings::Settings;
use crate::variables::{Scope, expand_text, is_built_in, names_in};
use crate::violation::Violation;

/// A kind of object whose content a pod sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// A Secret.
    Secret,
    /// A ConfigMap.
    ConfigMap,
    /// A PersistentVolumeClaim.
    Claim,
}

/// An object that the author of a workspace chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Its kind.
    pub resource: Resource,
    /// Its name.
    pub name: String,
    /// The field that names it; `spec.variables` where a template names it by one of the workspace's own variables.
    pub field: String,
}

/// Everything that the author of `workspace` names: in its spec, and by its own variables in names that `template` leaves to them.
pub fn named_by_author(workspace: &Workspace, template: Option<&WorkspaceTemplate>) -> Vec<Named> {
    let mut found = in_spec(&workspace.spec);
    if let Some(template) = template {
        found.extend(by_variables(workspace, template));
    }
    found
}

/// References to Secrets that nobody has vouched for.
pub(super) fn refused(
    workspace: &Workspace,
    template: Option<&WorkspaceTemplate>,
    settings: &Settings,
) -> Vec<Violation> {
    if settings.admission || settings.allow_unvouched_references {
        return Vec::new();
    }
    named_by_author(workspace, template)
        .into_iter()
        .filter(|named| named.resource == Resource::Secret)
        .map(|named| {
            let rule = "is a Secret for which nobody vouches, because no webhook judges workspaces here: leave it out, or have \
                        the administrator install the webhook or set allowUnvouchedReferences";
            Violation::new(named.field, named.name, rule)
        })
        .collect()
}

fn in_spec(spec: &WorkspaceSpec) -> Vec<Named> {
    let mut found = Vec::new();
    variables("spec.env", &spec.env, &mut found);
    containers("spec.initContainers", &spec.init_containers, &mut found);
    let mut claim = |name: &str, field: String| {
        found.push(Named {
            resource: Resource::Claim,
            name: name.to_owned(),
            field,
        });
    };
    if let Some(name) = spec
        .storage
        .as_ref()
        .and_then(|storage| storage.claim_name.as_deref())
    {
        claim(name, "spec.storage.claimName".to_owned());
    }
    for (index, volume) in spec.volumes.iter().enumerate() {
        let field = format!("spec.volumes[{index}].persistentVolumeClaimName");
        claim(&volume.persistent_volume_claim_name, field);
    }
    found
}

fn containers(path: &str, containers: &[Container], found: &mut Vec<Named>) {
    for (index, container) in containers.iter().enumerate() {
        let at = format!("{path}[{index}]");
        variables(
            &format!("{at}.env"),
            container.env.as_deref().unwrap_or_default(),
            found,
        );
        for (index, source) in container.env_from.iter().flatten().enumerate() {
            let at = format!("{at}.envFrom[{index}]");
            if let Some(secret) = &source.secret_ref {
                found.push(named(
                    Resource::Secret,
                    &secret.name,
                    format!("{at}.secretRef.name"),
                ));
            }
            if let Some(map) = &source.config_map_ref {
                found.push(named(
                    Resource::ConfigMap,
                    &map.name,
                    format!("{at}.configMapRef.name"),
                ));
            }
        }
    }
}

fn variables(path: &str, variables: &[EnvVar], found: &mut Vec<Named>) {
    for (index, variable) in variables.iter().enumerate() {
        let Some(source) = &variable.value_from else {
            continue;
        };
        let at = format!("{path}[{index}].valueFrom");
        if let Some(secret) = &source.secret_key_ref {
            found.push(named(
                Resource::Secret,
                &secret.name,
                format!("{at}.secretKeyRef.name"),
            ));
        }
        if let Some(map) = &source.config_map_key_ref {
            found.push(named(
                Resource::ConfigMap,
                &map.name,
                format!("{at}.configMapKeyRef.name"),
            ));
        }
    }
}

fn named(resource: Resource, name: &str, field: String) -> Named {
    Named {
        resource,
        name: name.to_owned(),
        field,
    }
}

/// Names in a template that one of the workspace's own variables is part of.
fn by_variables(workspace: &Workspace, template: &WorkspaceTemplate) -> Vec<Named> {
    let given = &workspace.spec.variables;
    if given.is_empty() {
        return Vec::new();
    }
    let spec = &template.spec;
    let mut theirs = Vec::new();
    variables("", &spec.environment_variables, &mut theirs);
    containers("", &spec.default_init_containers, &mut theirs);
    let claims = spec
        .default_volumes
        .iter()
        .map(|volume| &volume.persistent_volume_claim_name);
    theirs.extend(claims.map(|name| named(Resource::Claim, name, String::new())));
    let scope = Scope::of(workspace).with("pvcs.home", Value::from(""));
    theirs
        .into_iter()
        .filter(|it| {
            let names = names_in(&it.name, &|name| given.contains_key(name));
            names
                .iter()
                .any(|name| given.contains_key(*name) && !is_built_in(name))
        })
        .filter_map(|it| {
            let name = expand_text(&it.name, &scope).ok()?;
            Some(named(it.resource, &name, "spec.variables".to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn workspace() -> Workspace {
        serde_json::from_value(json!({
            "metadata": {"name": "lab", "namespace": "team"},
            "spec": {
                "displayName": "d",
                "env": [
                    {"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                    {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
                ],
                "initContainers": [{"name": "i", "image": "i", "envFrom": [{"secretRef": {"name": "git"}}]}],
                "storage": {"claimName": "home"},
                "volumes": [{"name": "v", "persistentVolumeClaimName": "data", "mountPath": "/v"}],
                "variables": {"course": "ml"},
            },
        }))
        .unwrap()
    }

    fn template() -> WorkspaceTemplate {
        serde_json::from_value(json!({
            "metadata": {"name": "t"},
            "spec": {
                "displayName": "t", "defaultImage": "i",
                "environmentVariables": [
                    {"name": "X", "valueFrom": {"secretKeyRef": {"name": "key-{course}", "key": "k"}}},
                    {"name": "Y", "valueFrom": {"secretKeyRef": {"name": "key-{workspace.namespace}", "key": "k"}}},
                ],
                "defaultVolumes": [{"name": "v", "persistentVolumeClaimName": "{course}-data", "mountPath": "/v"}],
            },
        }))
        .unwrap()
    }

    #[test]
    fn what_the_author_names_is_found_wherever_it_is() {
        let found: Vec<_> = named_by_author(&workspace(), Some(&template()))
            .into_iter()
            .map(|it| format!("{:?} {} {}", it.resource, it.name, it.field))
            .collect();
        assert_eq!(
            found,
            [
                "Secret s spec.env[0].valueFrom.secretKeyRef.name",
                "ConfigMap c spec.env[1].valueFrom.configMapKeyRef.name",
                "Secret git spec.initContainers[0].envFrom[0].secretRef.name",
                "Claim home spec.storage.claimName",
                "Claim data spec.volumes[0].persistentVolumeClaimName",
                "Secret key-ml spec.variables",
                "Claim ml-data spec.variables",
            ]
        );
    }

    #[test]
    fn where_nobody_vouches_secrets_are_refused_unless_the_installation_says_otherwise() {
        let count = |settings: &str| {
            let settings = Settings::parse(settings).unwrap();
            refused(&workspace(), Some(&template()), &settings).len()
        };
        assert_eq!(count("{defaultImage: i}"), 3);
        assert_eq!(count("{defaultImage: i, admission: true}"), 0);
        assert_eq!(count("{defaultImage: i, allowUnvouchedReferences: true}"), 0);
    }
}
