//! WorkspaceTemplate -> contradictions in it (pure).
//!
//! - `options`: conditions of options, and what choices set
//! - `secrets`: Secrets beyond those that the settings let templates name
//! - `presentation`: images and options that the template does not have

mod options;
mod presentation;
mod secrets;

use api::template::PrimaryStorage;
use api::{WorkspaceSpec, WorkspaceTemplate, WorkspaceTemplateSpec};
use kube::ResourceExt as _;

use super::pod::{annotations, labels, mounts, parts, totals};
use super::{pod_template, requirements, spec_size, volume_claims};
use crate::checks::{self, resources};
use crate::effective::effective;
use crate::effective::expand;
use crate::effective::idle::{by_default, is_on};
use crate::effective::variables::Scope;
use crate::objects::{check_template, manifest_depth};
use crate::settings::Settings;
use crate::violation::{Violation, Violations};

pub use presentation::presentation;

/// All contradictions in a template that its schema cannot find: the schema compares ends of ranges, and defaults with bounds.
/// Defaults may violate the template's own requirements. Patterns may be invalid, and parts may be forbidden in every pod.
/// Variables have sample values here. Their real values are validated with each workspace.
pub fn template(spec: &WorkspaceTemplateSpec, settings: &Settings) -> Vec<Violation> {
    // All else takes time by the size.
    if let Some(too_large) = spec_size(spec) {
        return vec![too_large];
    }
    let mut found = without_choices(spec, settings);
    found.extend(options::values(spec, settings));
    found.extend(check_template(spec, settings));
    if found.is_empty() {
        found.extend(options::defaults(spec, settings));
    }
    found
}

/// All contradictions but those in what choices set.
fn without_choices(spec: &WorkspaceTemplateSpec, settings: &Settings) -> Vec<Violation> {
    let mut found: Vec<_> = spec_size(spec).into_iter().collect();
    let manifests = spec.objects.iter().enumerate();
    found.extend(manifests.filter_map(|(index, object)| {
        manifest_depth(&format!("spec.objects[{index}].manifest"), &object.manifest)
    }));
    found.extend(requirements::of_template(spec));
    found.extend(options::conditions(spec));
    found.extend(volume_claims::of_template(spec));
    if !expand::has_variables(spec) {
        found.extend(values(spec, settings));
        return found;
    }
    let scope = Scope::sample();
    let mut spec = spec.clone();
    for container in &mut spec.default_init_containers {
        // No sample value is an amount that fits all bounds.
        container.resources = container.resources.take().filter(|it| !expand::has_variables(it));
    }
    match expand::disks(&spec, &scope).and_then(|spec| expand::rest(&spec, &scope)) {
        Ok(expanded) => found.extend(values(&expanded, settings)),
        Err(faults) => {
            found.extend(faults);
            found.extend(values(&spec, settings));
        }
    }
    found
}

/// Advice for the author of a valid template.
pub fn template_advice(spec: &WorkspaceTemplateSpec) -> Option<String> {
    let bounds = spec.idle_shutdown_overrides.as_ref()?;
    let most = bounds.max_idle_timeout_in_minutes?;
    (!is_on(by_default(spec).as_ref())).then(|| {
        format!(
            "spec.idleShutdownOverrides.maxIdleTimeoutInMinutes: {most} bounds only workspaces that enable idle shutdown; \
             all others run for ever: set spec.defaultIdleShutdown, and it bounds them all"
        )
    })
}

/// The violation for a template that names a missing manager.
pub fn no_manager(name: &str) -> Violation {
    let rule = "not found: workspaces of this template wait until this WorkspaceManager exists";
    Violation::new("spec.managerRef", name, rule)
}

/// The violation for a template that names an execution profile which exists in no namespace.
pub fn no_profile(name: &str) -> Violation {
    let rule = "not found in any namespace: workspaces of this template wait until their namespace has this WorkspaceExecutionProfile";
    Violation::new("spec.executionProfileRef", name, rule)
}

/// The violation that a workspace gets if its template contradicts itself or is invalid with the workspace's variables.
pub(super) fn as_reference(
    expanded: &WorkspaceTemplate,
    raw: &WorkspaceTemplate,
    settings: &Settings,
) -> Option<Violation> {
    // What the choices of this workspace set is part of the expanded template.
    let by_itself = without_choices(&raw.spec, settings);
    let (found, rule, remedy) = if !by_itself.is_empty() {
        let rule = "contradicts itself, so nothing can be judged by it";
        (by_itself, rule, "ask for a corrected template")
    } else if expanded.spec != raw.spec {
        let (rule, remedy) = if raw.spec.options.is_empty() {
            let rule = "is illegal with the values that its variables have for this workspace";
            (rule, "change spec.variables, or ask for another template")
        } else {
            let rule = "is illegal with the choices and the values of variables that this workspace has";
            let remedy = "change spec.options or spec.variables, or ask for another template";
            (rule, remedy)
        };
        (values(&expanded.spec, settings), rule, remedy)
    } else {
        return None;
    };
    let found = Violations::from_list(found)?;
    let rule = format!("{rule} ({found}): {remedy}");
    Some(Violation::new("spec.templateRef", raw.name_any(), rule))
}

/// The violation that a workspace gets if variables of its template cannot be replaced.
pub(crate) fn expansion_violation(raw: &WorkspaceTemplate, faults: Vec<Violation>) -> Option<Violation> {
    let found = Violations::from_list(faults)?;
    let rule = format!(
        "has variables that have no value here ({found}): set them in spec.variables, or ask for a corrected template"
    );
    Some(Violation::new("spec.templateRef", raw.name_any(), rule))
}

/// Checks values without variables.
fn values(spec: &WorkspaceTemplateSpec, settings: &Settings) -> Vec<Violation> {
    let mut found = images(spec);
    found.extend(resources_and_bounds(spec));
    if let Some(disk) = &spec.primary_storage {
        found.extend(primary_storage(disk));
    }
    let disks = volume_claims::volume_names(&spec.volume_claims);
    let volumes = parts::volume_names(&spec.default_volumes, disks);
    found.extend(parts::PodParts::of_template(spec).faults(spec.pod_security, &volumes, false));
    found.extend(labels::base("spec.baseLabels", &spec.base_labels));
    found.extend(annotations::base("spec.baseAnnotations", &spec.base_annotations));
    found.extend(annotations::prefixes(
        "spec.allowedPodAnnotations",
        &spec.allowed_pod_annotations,
    ));
    found.extend(together(spec, settings));
    found.extend(secrets::beyond(spec, settings));
    found
}

fn images(spec: &WorkspaceTemplateSpec) -> Vec<Violation> {
    let mut found: Vec<_> = checks::image_syntax("spec.defaultImage", &spec.default_image)
        .into_iter()
        .collect();
    for (index, image) in spec.allowed_images.iter().enumerate() {
        found.extend(checks::image_syntax(
            &format!("spec.allowedImages[{index}]"),
            image,
        ));
    }
    found
}

fn resources_and_bounds(spec: &WorkspaceTemplateSpec) -> Vec<Violation> {
    let mut found = Vec::new();
    let bounds = spec.resource_bounds.iter();
    for name in bounds.flat_map(|bounds| bounds.resources.keys()) {
        let field = format!("spec.resourceBounds.resources[{}]", name.escape_debug());
        found.extend(resources::unknown_resource(name).map(|rule| Violation::new(field, name, rule)));
    }
    if let Some(defaults) = &spec.default_resources {
        found.extend(resources::shape("spec.defaultResources", defaults));
    }
    found
}

/// Checks the combination of the defaults, for a workspace that sets nothing.
fn together(spec: &WorkspaceTemplateSpec, settings: &Settings) -> Vec<Violation> {
    let effective = effective(&WorkspaceSpec::default(), Some(spec), settings);
    let mut found = mounts::Together {
        own_claim: "",
        home: &effective.home,
        volumes: &effective.volumes,
        volumes_given: true,
        profile: None,
        of_template: volume_claims::template_places(&effective),
    }
    .clashes();
    for violation in &mut found {
        violation.field = violation
            .field
            .replace("spec.storage.mountPath", "spec.primaryStorage.defaultMountPath")
            .replace("spec.volumes", "spec.defaultVolumes");
    }
    found.extend(pod_template::of_template(spec, &effective));
    if let Some(size) = &spec.default_shm_size {
        let memory = effective.resources.limits.get("memory");
        found.extend(mounts::shm(
            "spec.defaultShmSize",
            size,
            spec.max_shm_size.as_ref(),
            memory,
        ));
    }
    found.extend(totals::beyond(
        Some("spec.defaultInitContainers"),
        &effective.resources,
        &effective.pod.init_containers,
        spec.resource_bounds.as_ref(),
    ));
    found.extend(totals::missing_limits(
        "spec.defaultInitContainers",
        &effective.pod.init_containers,
        spec.resource_bounds.as_ref(),
    ));
    found
}

fn primary_storage(disk: &PrimaryStorage) -> Vec<Violation> {
    const PATH: &str = "spec.primaryStorage";
    let mut found = Vec::new();
    if let Some(size) = &disk.default_size {
        found.extend(checks::size(&format!("{PATH}.defaultSize"), size));
    }
    if let Some(path) = &disk.default_mount_path {
        found.extend(checks::mount_path(&format!("{PATH}.defaultMountPath"), path));
    }
    found
}

#[cfg(test)]
mod tests;
