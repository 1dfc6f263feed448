//! A template's `podTemplate` -> what would be lost, or change what others wrote (pure).
//!
//! The pod that template and workspace give is laid over it, and wins. What it may not have besides, the gate of all pods says.
//!
//! - `refused`: fields that other fields replace, each with that field
//! - `parts`: its volumes, containers and mounts
//! - `texts`: variables, which are not replaced, and names of objects
//! - `clashes`: names, ports and places that a workspace uses too

mod clashes;
mod parts;
mod refused;
mod texts;

use api::WorkspaceTemplateSpec;
use api::template::{PodSecurity, PodTemplate};
use k8s_openapi::api::core::v1::{Container, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::pod::annotations;
use crate::effective::Effective;
use crate::pod_security::{self, Stage};
use crate::violation::Violation;

pub(super) use clashes::{places, with_workspace};

/// Path of the field in a template.
const PATH: &str = "spec.podTemplate";

/// Checks the `podTemplate` of a template. `effective`: the values of a workspace that sets nothing.
pub(super) fn of_template(spec: &WorkspaceTemplateSpec, effective: &Effective) -> Vec<Violation> {
    let Some(template) = &spec.pod_template else {
        return Vec::new();
    };
    let mut found = metadata(template, spec);
    found.extend(texts::violations(template, &spec.volume_claims));
    if let Some(pod) = &template.spec {
        found.extend(refused::violations(pod));
        found.extend(parts::violations(pod));
        found.extend(clashes::with_template(pod, spec, effective));
    }
    let by_gate = gate(template, spec.pod_security).into_iter();
    let is_new = |violation: &Violation| found.iter().all(|known| known.field != violation.field);
    let by_gate: Vec<_> = by_gate.filter(is_new).collect();
    found.extend(by_gate);
    found
}

/// What no pod may have.
fn gate(template: &PodTemplate, level: PodSecurity) -> Vec<Violation> {
    let metadata = template.metadata.clone().unwrap_or_default();
    let spec = template.spec.clone().unwrap_or_default();
    let pod = pod_security::Pod {
        prefix: "spec.podTemplate.",
        metadata: &ObjectMeta {
            labels: Some(metadata.labels),
            annotations: Some(metadata.annotations),
            ..ObjectMeta::default()
        },
        spec: &spec,
    };
    pod_security::violations(pod, level, Stage::Template)
}

/// Checks keys of labels and annotations. Which ones are the operator's, the gate says.
fn metadata(template: &PodTemplate, spec: &WorkspaceTemplateSpec) -> Vec<Violation> {
    let Some(metadata) = &template.metadata else {
        return Vec::new();
    };
    let path = |map: &str, key: &str| format!("{PATH}.metadata.{map}[{}]", key.escape_debug());
    let twice = |map: &str, key: &String, base: &str| {
        let rule = format!("is set in spec.{base} too, which replaces it: leave one out");
        Violation::new(path(map, key), key, rule)
    };
    let mut found = Vec::new();
    for key in metadata.labels.keys() {
        if spec.base_labels.iter().any(|label| label.name == *key) {
            found.push(twice("labels", key, "baseLabels"));
        }
    }
    for key in metadata.annotations.keys() {
        found.extend(annotations::of_template(&path("annotations", key), key));
        let mut base = spec.base_annotations.iter();
        if base.any(|annotation| annotation.name == *key) {
            found.push(twice("annotations", key, "baseAnnotations"));
        }
    }
    found
}

/// Containers and init containers, each with its path.
fn containers(pod: &PodSpec) -> impl Iterator<Item = (String, &Container)> {
    let of = |list: &'static str, containers: &'_ [Container]| {
        (0..containers.len()).map(move |index| format!("{PATH}.spec.{list}[{index}]"))
    };
    let init = pod.init_containers.as_deref().unwrap_or_default();
    of("containers", &pod.containers)
        .zip(&pod.containers)
        .chain(of("initContainers", init).zip(init))
}

#[cfg(test)]
mod tests;
