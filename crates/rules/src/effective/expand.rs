//! Template and a workspace's variables -> template expanded for that workspace (pure).
//!
//! Bounds are never expanded, because no workspace may change them. For the same reason, images know only built-in variables.

use std::borrow::Cow;
use std::collections::BTreeSet;

use api::fields::template::{DISKS, PARTS};
use api::{Workspace, WorkspaceManager, WorkspaceTemplate, WorkspaceTemplateSpec};
use serde::Serialize;
use serde_json::Value;

use super::defaults::effective;
use super::variables::{Budget, Scope, expand_value_within, expand_within, is_built_in, names_in};
use crate::settings::Settings;
use crate::violation::Violation;

/// Whether `part` may contain variables. In JSON syntax itself, a quote or the object's end follows a brace.
pub(crate) fn has_variables(part: &impl Serialize) -> bool {
    let json = serde_json::to_vec(part).unwrap_or_default();
    json.windows(2)
        .any(|pair| pair[0] == b'{' && (pair[1].is_ascii_alphabetic() || b"_{".contains(&pair[1])))
}

/// The names of the variables in `spec`, without those that the operator sets. A name in braces may also be literal text.
pub(crate) fn names(spec: &WorkspaceTemplateSpec) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let json = serde_json::to_value(spec).unwrap_or_default();
    for field in DISKS.iter().chain(PARTS) {
        collect(&json[*field], &mut found);
    }
    found
}

fn collect(value: &Value, found: &mut BTreeSet<String>) {
    let mut add = |text: &str| {
        let names = names_in(text, &|_| true).into_iter();
        found.extend(names.filter(|name| !is_built_in(name)).map(str::to_owned));
    };
    match value {
        Value::String(text) => add(text),
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(fields) => {
            fields.keys().for_each(|key| add(key));
            fields.values().for_each(|value| collect(value, found));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The template with its variables replaced. `workspace` and `template` are as [`laid`](super::options::laid) gives them.
/// While its manager is missing, the manager's variables have sample values of the same format.
pub(crate) fn with_variables<'a>(
    workspace: &Workspace,
    template: Cow<'a, WorkspaceTemplate>,
    manager: Option<&WorkspaceManager>,
    settings: &Settings,
) -> Result<Cow<'a, WorkspaceTemplate>, Vec<Violation>> {
    if !has_variables(&template.spec) {
        return Ok(template);
    }
    let scope = Scope::for_workspace(workspace);
    let scope = match manager {
        Some(manager) => scope.with_manager(manager),
        None => scope.with_sample_manager(),
    };
    let mut known = effective(&workspace.spec, Some(&template.spec), settings);
    known.volumes.clear();
    known.volume_claims.clear();
    let disks = disks(&template.spec, &scope.clone().with_effective(&known))?;
    let known = effective(&workspace.spec, Some(&disks), settings);
    let spec = rest(&disks, &scope.with_effective(&known))?;
    Ok(Cow::Owned(WorkspaceTemplate {
        spec,
        ..template.into_owned()
    }))
}

/// Replaces the variables in the disks of `spec`.
pub(crate) fn disks(
    spec: &WorkspaceTemplateSpec,
    scope: &Scope,
) -> Result<WorkspaceTemplateSpec, Vec<Violation>> {
    expand(spec, DISKS, scope, &mut Budget::new())
}

/// Replaces all other variables of `spec`, whose disks are already expanded.
pub(crate) fn rest(
    spec: &WorkspaceTemplateSpec,
    scope: &Scope,
) -> Result<WorkspaceTemplateSpec, Vec<Violation>> {
    let mut budget = Budget::new();
    let mut done = spec.clone();
    let mut faults = images(&mut done, scope, &mut budget);
    // No image is expanded again, because the workspace's own variables count for the rest.
    let containers = done.default_init_containers.iter_mut();
    let init_images: Vec<_> = containers.map(|container| container.image.take()).collect();
    match expand(&done, PARTS, scope, &mut budget) {
        Ok(mut expanded) if faults.is_empty() => {
            for (container, image) in expanded.default_init_containers.iter_mut().zip(init_images) {
                container.image = image;
            }
            Ok(expanded)
        }
        Ok(_) => Err(faults),
        Err(found) => {
            faults.extend(found);
            Err(faults)
        }
    }
}

fn expand(
    spec: &WorkspaceTemplateSpec,
    fields: &[&str],
    scope: &Scope,
    budget: &mut Budget,
) -> Result<WorkspaceTemplateSpec, Vec<Violation>> {
    let mut faults = Vec::new();
    let mut json = serde_json::to_value(spec).map_err(|error| vec![unreadable(&error)])?;
    for field in fields {
        let Some(part) = json.get_mut(*field) else {
            continue;
        };
        match expand_value_within(&format!("spec.{field}"), part, scope, budget) {
            Ok(expanded) => {
                *part = expanded;
                number_ports(part);
            }
            Err(found) => faults.extend(found),
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    serde_json::from_value(json).map_err(|error| vec![unreadable(&error)])
}

fn unreadable(error: &serde_json::Error) -> Violation {
    Violation::new(
        "spec",
        "",
        format!("cannot be read with its variables' values: {error}"),
    )
}

/// Turns a port that was written as a variable into a number. Otherwise it would be a name.
fn number_ports(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(number_ports),
        Value::Object(fields) => {
            for (key, value) in fields {
                let number = value.as_str().and_then(|text| text.parse::<u16>().ok());
                match number.filter(|_| key == "port") {
                    Some(number) => *value = number.into(),
                    None => number_ports(value),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Replaces the variables in all images. Returns the violations.
fn images(spec: &mut WorkspaceTemplateSpec, scope: &Scope, budget: &mut Budget) -> Vec<Violation> {
    let ours = scope.clone().without_workspace_variables();
    let mut faults = Vec::new();
    let mut put = |field: String, image: &mut String| match expand_within(image, &ours, budget) {
        Ok(expanded) => *image = expanded,
        Err(error) => faults.push(Violation::new(field, image.as_str(), error.to_string())),
    };
    put("spec.defaultImage".to_owned(), &mut spec.default_image);
    for (index, image) in spec.allowed_images.iter_mut().enumerate() {
        put(format!("spec.allowedImages[{index}]"), image);
    }
    for (index, container) in spec.default_init_containers.iter_mut().enumerate() {
        if let Some(image) = &mut container.image {
            put(format!("spec.defaultInitContainers[{index}].image"), image);
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn template(value: Value) -> WorkspaceTemplateSpec {
        let mut spec =
            json!({"displayName": "{workspace.name}", "defaultImage": "r/{workspace.namespace}:1"});
        for (key, value) in value.as_object().unwrap() {
            spec[key] = value.clone();
        }
        serde_json::from_value(spec).unwrap()
    }

    fn scope() -> Scope {
        let workspace: Workspace = serde_json::from_value(json!({
            "metadata": {"name": "lab", "namespace": "team", "uid": "u", "annotations": {api::names::CREATED_BY: "alice"}},
            "spec": {"displayName": "d", "variables": {"course": "ml"}},
        }))
        .unwrap();
        Scope::for_workspace(&workspace).with("service.port", 8888)
    }

    #[test]
    fn variables_are_expanded_in_every_part_but_not_in_bounds() {
        let raw = template(json!({
            "allowedImages": ["r/{workspace.namespace}:1"],
            "environmentVariables": [{"name": "A", "value": "{course}@{workspace.name}"}],
            "envRequirements": [{"name": "A", "regex": "[a-z]{course}"}],
            "baseLabels": [{"name": "x/{course}", "value": "{workspace.name}"}],
            "baseAnnotations": [{"name": "x/{course}", "value": "{owner.name} {workspace.name}"}],
            "allowedPodAnnotations": ["{course}"],
            "defaultContainerConfig": {"args": ["--base={workspace.name}", "${HOME}", "{{course}}"]},
            "defaultNodeSelector": {"pool-{course}": "{course}"},
            "defaultReadinessProbe": {"httpGet": {"path": "/{course}", "port": "{service.port}"}},
            "defaultInitContainers": [{"name": "a", "image": "i:{workspace.name}", "command": ["{course}"]}],
            "defaultVolumes": [{"name": "d", "persistentVolumeClaimName": "data-{course}", "mountPath": "/{course}"}],
            "primaryStorage": {"defaultMountPath": "/home/{course}"},
        }));
        let done = rest(&disks(&raw, &scope()).unwrap(), &scope()).unwrap();
        assert_eq!(done.display_name, "{workspace.name}");
        assert_eq!(done.default_image, "r/team:1");
        assert_eq!(done.allowed_images, ["r/team:1"]);
        assert_eq!(done.environment_variables[0].value.as_deref(), Some("ml@lab"));
        assert_eq!(done.env_requirements, raw.env_requirements);
        assert_eq!(
            (
                done.base_labels[0].name.as_str(),
                done.base_labels[0].value.as_str()
            ),
            ("x/ml", "lab")
        );
        let annotation = &done.base_annotations[0];
        assert_eq!(
            (annotation.name.as_str(), annotation.value.as_str()),
            ("x/ml", "alice lab")
        );
        assert_eq!(done.allowed_pod_annotations, raw.allowed_pod_annotations);
        let args = done.default_container_config.unwrap().args;
        assert_eq!(args, ["--base=lab", "${HOME}", "{course}"]);
        assert_eq!(done.default_node_selector["pool-ml"], "ml");
        let http = done.default_readiness_probe.unwrap().http_get.unwrap();
        assert_eq!(json!(http.port), json!(8888));
        assert_eq!(done.default_init_containers[0].image.as_deref(), Some("i:lab"));
        assert_eq!(done.default_init_containers[0].command.as_ref().unwrap()[0], "ml");
        assert_eq!(done.default_volumes[0].persistent_volume_claim_name, "data-ml");
        assert_eq!(done.default_volumes[0].mount_path, "/ml");
        let storage = done.primary_storage.unwrap();
        assert_eq!(storage.default_mount_path.as_deref(), Some("/home/ml"));
    }

    #[test]
    fn a_workspace_s_own_variable_chooses_no_image() {
        let raw = template(json!({"defaultImage": "r/{course}:1"}));
        assert_eq!(rest(&raw, &scope()).unwrap().default_image, "r/{course}:1");
    }

    #[test]
    fn one_long_value_in_many_fields_is_refused_once() {
        let workspace: Workspace = serde_json::from_value(json!({
            "metadata": {"name": "lab"}, "spec": {"displayName": "d", "variables": {"x": "a".repeat(4096)}},
        }))
        .unwrap();
        let scope = Scope::for_workspace(&workspace);
        let args = |count: usize| json!({"args": vec!["{x}"; count]});
        let fits = template(json!({"defaultContainerConfig": args(60)}));
        assert!(rest(&fits, &scope).is_ok());
        let selector: serde_json::Map<_, _> = (0..40).map(|i| (format!("k{i}"), json!("{x}"))).collect();
        let raw = template(json!({"defaultContainerConfig": args(40), "defaultNodeSelector": selector}));
        let faults = rest(&raw, &scope).unwrap_err();
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].to_string().contains("262144 bytes"), "{faults:?}");
    }

    #[test]
    fn every_unknown_variable_is_named_at_once() {
        let raw = template(json!({
            "defaultImage": "{no.image}",
            "environmentVariables": [{"name": "A", "value": "{no.such}"}],
            "defaultInitContainers": [{"name": "a", "image": "{nor.this}", "args": ["{nor.that}"]}],
        }));
        let fields: Vec<_> = rest(&raw, &scope())
            .unwrap_err()
            .into_iter()
            .map(|it| it.field)
            .collect();
        assert_eq!(
            fields,
            [
                "spec.defaultImage",
                "spec.defaultInitContainers[0].image",
                "spec.environmentVariables[0].value",
                "spec.defaultInitContainers[0].args[0]",
            ]
        );
    }
}
