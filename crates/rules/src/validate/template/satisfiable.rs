//! Bounds of a template -> bounds that no workspace meets, and bounds without effect (pure).

use std::collections::BTreeSet;

use api::WorkspaceTemplateSpec;
use api::names::{RESERVED_PREFIX, RUN_ID_VARIABLE};
use api::template::{Bounds, ResourceBounds};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as RawQuantity;

use crate::checks::resources::{GPU, is_gpu, may_overcommit};
use crate::checks::resources::{MAX_CPU, MAX_QUANTITY, MIN_MEMORY};
use crate::effective::idle::{by_default, is_on};
use crate::quantity::Quantity;
use crate::violation::Violation;

/// Less than the size of any disk.
const MIN_DISK: Quantity = Quantity::units(1 << 20);
/// Beginning of each of these messages.
const UNSATISFIABLE: &str = "admits no workspace";

/// A bound and its path.
type Named<'a> = (String, &'a Bounds);

/// All reasons why a template accepts no workspace.
/// Other checks report invalid quantities and range ends in the wrong order.
pub(super) fn none(spec: &WorkspaceTemplateSpec) -> Vec<Violation> {
    let mut found = Vec::new();
    if let Some(bounds) = &spec.resource_bounds {
        for name in names(bounds) {
            found.extend(of_resource(name, &all_of(bounds, name)));
        }
    }
    if let Some(disk) = &spec.primary_storage {
        found.extend(of_disk(
            "spec.primaryStorage.maxSize",
            disk.max_size.as_ref(),
            |size| size < MIN_DISK,
        ));
        found.extend(of_disk(
            "spec.primaryStorage.minSize",
            disk.min_size.as_ref(),
            |size| size > MAX_QUANTITY,
        ));
    }
    for (index, it) in spec.label_requirements.iter().enumerate() {
        if it.required && it.name.starts_with(RESERVED_PREFIX) {
            let field = format!("spec.labelRequirements[{index}].name");
            let rule = format!("{UNSATISFIABLE}, because users may not set labels of ours: require another");
            found.push(Violation::new(field, &it.name, rule));
        }
    }
    for (index, it) in spec.env_requirements.iter().enumerate() {
        if it.required && it.name == RUN_ID_VARIABLE {
            let field = format!("spec.envRequirements[{index}].name");
            let rule = format!(
                "{UNSATISFIABLE}, because users may not set this variable, which is ours: require another"
            );
            found.push(Violation::new(field, &it.name, rule));
        }
    }
    found
}

/// Advice for the author of a valid template.
pub fn advice(spec: &WorkspaceTemplateSpec) -> Vec<String> {
    let most = spec
        .idle_shutdown_overrides
        .as_ref()
        .and_then(|bounds| bounds.max_idle_timeout_in_minutes);
    let is_off_by_default = !is_on(by_default(spec).as_ref());
    let message = most.filter(|_| is_off_by_default).map(|most| {
        format!(
            "spec.idleShutdownOverrides.maxIdleTimeoutInMinutes: {most} bounds only workspaces that enable idle shutdown; \
             all others run for ever: set spec.defaultIdleShutdown, and it bounds them all"
        )
    });
    message.into_iter().collect()
}

/// All resources with bounds. GPUs of the field `gpu` count by one of their names.
fn names(bounds: &ResourceBounds) -> BTreeSet<&str> {
    bounds
        .resources
        .keys()
        .map(String::as_str)
        .chain(bounds.cpu.iter().map(|_| "cpu"))
        .chain(bounds.memory.iter().map(|_| "memory"))
        .chain(bounds.gpu.iter().map(|_| GPU))
        .collect()
}

/// All bounds on `name`, with their paths.
fn all_of<'a>(bounds: &'a ResourceBounds, name: &str) -> Vec<Named<'a>> {
    let field = match name {
        "cpu" => bounds.cpu.as_ref().map(|it| ("cpu", it)),
        "memory" => bounds.memory.as_ref().map(|it| ("memory", it)),
        name if is_gpu(name) => bounds.gpu.as_ref().map(|it| ("gpu", it)),
        _ => None,
    };
    let field = field.map(|(name, it)| (format!("spec.resourceBounds.{name}"), it));
    let by_name = bounds.resources.get(name).map(|it| {
        let path = format!("spec.resourceBounds.resources[{}]", name.escape_debug());
        (path, it)
    });
    field.into_iter().chain(by_name).collect()
}

fn of_resource(name: &str, bounds: &[Named<'_>]) -> Vec<Violation> {
    let mut found = Vec::new();
    let most = if name == "cpu" { MAX_CPU } else { MAX_QUANTITY };
    for (path, bounds) in bounds {
        if let Some((raw, max)) = end(bounds.max.as_ref()) {
            let rule = if max.is_negative() {
                Some(format!(
                    "{UNSATISFIABLE}, because nothing is less than 0: raise it, or leave it out"
                ))
            } else if max.is_zero() && may_overcommit(name) {
                Some(format!(
                    "{UNSATISFIABLE}, because a limit of 0 is none at all to a node: raise it, or leave it out"
                ))
            } else if name == "memory" && max < MIN_MEMORY {
                Some(format!(
                    "{UNSATISFIABLE}, because no container starts in less than 4Mi: raise it, and mind the unit, such as Gi"
                ))
            } else {
                None
            };
            found.extend(rule.map(|rule| Violation::new(format!("{path}.max"), raw, rule)));
        }
        if let Some((raw, _)) = end(bounds.min.as_ref()).filter(|(_, min)| *min > most) {
            let rule = format!("{UNSATISFIABLE}, because no node has as much: lower it, or leave it out");
            found.push(Violation::new(format!("{path}.min"), raw, rule));
        }
    }
    // Two bounds apply to one resource. Each alone may be possible.
    if let [(one, left), (other, right)] = bounds {
        found.extend(crossed(one, left, other, right));
        found.extend(crossed(other, right, one, left));
    }
    found
}

fn crossed(low_path: &str, low: &Bounds, high_path: &str, high: &Bounds) -> Option<Violation> {
    let (raw, min) = end(low.min.as_ref())?;
    let (_, max) = end(high.max.as_ref()).filter(|(_, max)| min > *max)?;
    let rule = format!(
        "{UNSATISFIABLE}, because {high_path}.max is {max} and both hold: lower it, or raise that maximum"
    );
    Some(Violation::new(format!("{low_path}.min"), raw, rule))
}

fn of_disk(field: &str, raw: Option<&RawQuantity>, is_none: fn(Quantity) -> bool) -> Option<Violation> {
    let (raw, _) = end(raw).filter(|(_, size)| is_none(*size))?;
    let rule = format!(
        "{UNSATISFIABLE}, because no disk is of that size: choose 1Mi to 1Pi, and mind the unit, such as Gi; for homes without a disk leave \
         primaryStorage out"
    );
    Some(Violation::new(field, raw, rule))
}

/// One end of a range: as it is written, and as a value if it is a quantity.
fn end(raw: Option<&RawQuantity>) -> Option<(&str, Quantity)> {
    let raw = raw?;
    Some((raw.0.as_str(), Quantity::try_from(raw).ok()?))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn spec(mut spec: Value) -> WorkspaceTemplateSpec {
        spec["displayName"] = json!("t");
        spec["defaultImage"] = json!("i");
        serde_json::from_value(spec).unwrap()
    }

    fn fields(bounds: Value) -> Vec<String> {
        let found = none(&spec(json!({"resourceBounds": bounds})));
        assert!(
            found.iter().all(|it| it.message.starts_with(UNSATISFIABLE)),
            "{found:?}"
        );
        found
            .into_iter()
            .map(|it| it.field.replace("spec.resourceBounds.", ""))
            .collect()
    }

    #[test]
    fn satisfiable_bounds_pass() {
        assert_eq!(
            fields(json!({
                "cpu": {"min": 0, "max": "1m"}, "memory": {"max": "4Mi"}, "gpu": {"max": 0},
                "resources": {"amd.com/gpu": {"max": 0}, "cpu": {"min": "1m"}, "ephemeral-storage": {"max": "1Ki"}},
            })),
            [""; 0]
        );
        let disk = spec(json!({"primaryStorage": {"minSize": 0, "maxSize": "1Mi"}}));
        assert_eq!(none(&disk), []);
    }

    #[test]
    fn a_maximum_below_every_possible_value_is_refused() {
        assert_eq!(
            fields(json!({
                "cpu": {"max": 0}, "memory": {"max": "512"}, "gpu": {"max": -1},
                "resources": {"ephemeral-storage": {"max": "0"}},
            })),
            [
                "cpu.max",
                "resources[ephemeral-storage].max",
                "memory.max",
                "gpu.max"
            ]
        );
        for size in ["0", "-1Gi", "10"] {
            let found = none(&spec(json!({"primaryStorage": {"maxSize": size}})));
            assert_eq!(found.len(), 1, "{size}");
        }
    }

    #[test]
    fn a_minimum_beyond_every_node_or_another_field_s_maximum_is_refused() {
        assert_eq!(
            fields(json!({
                "cpu": {"min": "2"}, "memory": {"max": "1Gi", "min": "2Pi"}, "gpu": {"max": 1},
                "resources": {"cpu": {"max": "1"}, "memory": {"min": "2Gi"}, "nvidia.com/gpu": {"min": 2}},
            })),
            [
                "cpu.min",
                "memory.min",
                "resources[memory].min",
                "resources[nvidia.com/gpu].min"
            ]
        );
        let found = none(&spec(json!({"primaryStorage": {"minSize": "2Pi"}})));
        assert_eq!(found[0].field, "spec.primaryStorage.minSize");
    }

    #[test]
    fn a_required_label_or_variable_that_is_reserved_is_refused() {
        let found = none(&spec(json!({
            "labelRequirements": [
                {"name": "workspaces.jupyter.org/x", "required": true}, {"name": "workspaces.jupyter.org/y"}, {"name": "team", "required": true},
            ],
            "envRequirements": [{"name": "WORKSPACE_RUN_ID", "required": true}, {"name": "A", "required": true}],
        })));
        let fields: Vec<_> = found.iter().map(|it| it.field.as_str()).collect();
        assert_eq!(
            fields,
            ["spec.labelRequirements[0].name", "spec.envRequirements[0].name"]
        );
    }

    #[test]
    fn a_maximum_without_default_idle_shutdown_gives_advice() {
        let most = json!({"maxIdleTimeoutInMinutes": 120});
        let message = advice(&spec(json!({"idleShutdownOverrides": most})));
        assert!(
            message[0].contains("120 bounds only workspaces that enable idle shutdown"),
            "{message:?}"
        );
        for silent in [
            json!({}),
            json!({"idleShutdownOverrides": {"minIdleTimeoutInMinutes": 5}}),
            json!({"idleShutdownOverrides": most, "defaultIdleShutdown": {"idleTimeoutInMinutes": 60}}),
        ] {
            assert!(advice(&spec(silent.clone())).is_empty(), "{silent}");
        }
    }
}
