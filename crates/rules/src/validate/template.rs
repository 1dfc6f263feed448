//! WorkspaceTemplate -> what contradicts itself in it (pure).

use api::template::{Bounds, PrimaryStorage, ResourceBounds};
use api::workspace::ResourceRequirements;
use api::{WorkspaceTemplate, WorkspaceTemplateSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as RawQuantity;
use kube::ResourceExt as _;

use super::image;
use crate::checks::{self, resources};
use crate::quantity::Quantity;
use crate::resources::bounds_of;
use crate::settings::Settings;
use crate::violation::{Violation, Violations};

/// Every contradiction in a template: ends of ranges that are no quantities or cross, defaults out of bounds, a
/// default image that is not allowed. The CRD refuses the same when a template is written.
pub fn template(spec: &WorkspaceTemplateSpec, settings: &Settings) -> Vec<Violation> {
    let mut found = Vec::new();
    found.extend(checks::image_syntax("spec.defaultImage", &spec.default_image));
    let default = settings.resolve_image(&spec.default_image);
    if !spec.allow_custom_images && !image::allowed(spec).any(|name| settings.resolve_image(name) == default)
    {
        let rule = "is not among spec.allowedImages: add it there, or choose one of them";
        found.push(Violation::new("spec.defaultImage", &spec.default_image, rule));
    }
    let nothing = ResourceBounds::default();
    let bounds = spec.resource_bounds.as_ref().unwrap_or(&nothing);
    for (name, range) in [
        ("cpu", &bounds.cpu),
        ("memory", &bounds.memory),
        ("gpu", &bounds.gpu),
    ] {
        if let Some(range) = range {
            found.extend(self_check(
                &format!("spec.resourceBounds.{name}"),
                range,
                "min",
                "max",
            ));
        }
    }
    if let Some(defaults) = &spec.default_resources {
        found.extend(resources::shape("spec.defaultResources", defaults));
        found.extend(defaults_in_bounds(defaults, bounds));
    }
    if let Some(disk) = &spec.primary_storage {
        found.extend(primary_storage(disk));
    }
    found.extend(
        spec.default_port
            .and_then(|port| checks::port("spec.defaultPort", port)),
    );
    found
}

/// What a workspace is told about a template that contradicts itself.
pub(super) fn as_reference(object: &WorkspaceTemplate, settings: &Settings) -> Option<Violation> {
    let found = Violations::of(template(&object.spec, settings))?;
    let rule =
        format!("contradicts itself, so nothing can be judged by it ({found}): ask for a corrected template");
    Some(Violation::new("spec.templateRef", object.name_any(), rule))
}

fn defaults_in_bounds(defaults: &ResourceRequirements, bounds: &ResourceBounds) -> Vec<Violation> {
    let mut found = Vec::new();
    for (map, values) in [("requests", &defaults.requests), ("limits", &defaults.limits)] {
        for (name, value) in values {
            if let Some(range) = bounds_of(Some(bounds), name) {
                found.extend(in_range(
                    &format!("spec.defaultResources.{map}[{name}]"),
                    value,
                    range,
                ));
            }
        }
    }
    found
}

fn primary_storage(disk: &PrimaryStorage) -> Vec<Violation> {
    const PATH: &str = "spec.primaryStorage";
    let range = Bounds {
        min: disk.min_size.clone(),
        max: disk.max_size.clone(),
    };
    let mut found = self_check(PATH, &range, "minSize", "maxSize");
    if let Some(size) = &disk.default_size {
        let field = format!("{PATH}.defaultSize");
        found.extend(checks::positive(&field, size));
        found.extend(in_range(&field, size, &range));
    }
    if let Some(path) = &disk.default_mount_path {
        found.extend(checks::mount_path(&format!("{PATH}.defaultMountPath"), path));
    }
    found
}

/// Whether both ends are quantities and do not cross.
fn self_check(path: &str, range: &Bounds, min_name: &str, max_name: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut end = |name: &str, raw: &Option<RawQuantity>| {
        let raw = raw.as_ref()?;
        match Quantity::try_from(raw) {
            Ok(value) => Some(value),
            Err(error) => {
                found.push(Violation::new(
                    format!("{path}.{name}"),
                    &raw.0,
                    error.to_string(),
                ));
                None
            }
        }
    };
    if let (Some(min), Some(max)) = (end(min_name, &range.min), end(max_name, &range.max))
        && min > max
    {
        let rule = format!("is more than {max_name} {max}: nothing can be between them");
        found.push(Violation::new(
            format!("{path}.{min_name}"),
            min.to_string(),
            rule,
        ));
    }
    found
}

fn in_range(field: &str, raw: &RawQuantity, range: &Bounds) -> Option<Violation> {
    let value = Quantity::try_from(raw).ok()?;
    let end = |raw: &Option<RawQuantity>| raw.as_ref().and_then(|raw| Quantity::try_from(raw).ok());
    let rule = match (end(&range.min), end(&range.max)) {
        (Some(min), _) if value < min => format!("is less than the template's own minimum {min}"),
        (_, Some(max)) if value > max => format!("is more than the template's own maximum {max}"),
        _ => return None,
    };
    Some(Violation::new(field, &raw.0, rule))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn lines(mut spec: Value) -> Vec<String> {
        let settings = Settings::parse("{defaultImage: d:1, imageAliases: {uv: r/jupyter:1}}").unwrap();
        spec["displayName"] = json!("t");
        let spec: WorkspaceTemplateSpec = serde_json::from_value(spec).unwrap();
        template(&spec, &settings)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn a_consistent_template_passes() {
        let found = lines(json!({
            "defaultImage": "uv",
            "allowedImages": ["r/jupyter:1"],
            "defaultResources": {"requests": {"cpu": "500m"}, "limits": {"cpu": "2"}},
            "resourceBounds": {"cpu": {"min": "500m", "max": "2"}, "gpu": {"max": 0}},
            "primaryStorage": {"defaultSize": "1Gi", "minSize": "1Gi", "maxSize": "1Gi"},
        }));
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn every_contradiction_is_named_at_once() {
        let found = lines(json!({
            "defaultImage": "a:1",
            "allowedImages": ["b:1"],
            "defaultPort": 80,
            "defaultResources": {"requests": {"cpu": "3"}, "limits": {"memory": "x"}},
            "resourceBounds": {"cpu": {"max": "2"}, "memory": {"min": "2Gi", "max": "1Gi"}, "gpu": {"min": "?"}},
            "primaryStorage": {"defaultSize": "9Gi", "minSize": "2Gi", "maxSize": "1Gi", "defaultMountPath": "x"},
        }));
        for field in [
            "spec.defaultImage",
            "spec.defaultPort",
            "spec.defaultResources.requests[cpu]",
            "spec.defaultResources.limits.memory",
            "spec.resourceBounds.memory.min",
            "spec.resourceBounds.gpu.min",
            "spec.primaryStorage.minSize",
            "spec.primaryStorage.defaultSize",
            "spec.primaryStorage.defaultMountPath",
        ] {
            assert!(
                found.iter().any(|line| line.starts_with(&format!("{field}: "))),
                "{field}: {found:#?}"
            );
        }
        assert_eq!(found.len(), 9, "{found:#?}");
    }
}
