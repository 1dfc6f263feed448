//! Application and init containers -> the pod's total against the template's bounds (pure).

use std::collections::{BTreeMap, BTreeSet};

use api::template::ResourceBounds;
use api::workspace::ResourceRequirements;
use k8s_openapi::api::core::v1::Container;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as RawQuantity;

use crate::checks::resources::{bounds_of, may_overcommit};
use crate::checks::resources::{field, of_container};
use crate::quantity::Quantity;
use crate::violation::Violation;

type Amounts = BTreeMap<String, RawQuantity>;

/// Requests or limits.
type Select = fn(&ResourceRequirements) -> &Amounts;

/// Checks the pod's effective requests and limits, which the scheduler reserves: the maximum of what runs at the same time.
/// `path` holds the init containers; `None`: a workspace does not set them, and its own amounts are reported. Other checks report what the
/// application alone exceeds.
pub(in crate::validate) fn beyond(
    path: Option<&str>,
    application: &ResourceRequirements,
    init: &[Container],
    bounds: Option<&ResourceBounds>,
) -> Vec<Violation> {
    if init.is_empty() || bounds.is_none() {
        return Vec::new();
    }
    let init: Vec<_> = init
        .iter()
        .map(|container| {
            let stays = container.restart_policy.as_deref() == Some("Always");
            (
                stays,
                container.resources.as_ref().map(of_container).unwrap_or_default(),
            )
        })
        .collect();
    let mut found = Vec::new();
    let maps: [(&str, Select); 2] = [("requests", |it| &it.requests), ("limits", |it| &it.limits)];
    for (map, amounts) in maps {
        let applied = amounts(application);
        let names: BTreeSet<&String> = init.iter().flat_map(|(_, it)| amounts(it).keys()).collect();
        for name in names {
            let own = amount(applied, name);
            let total = together(
                own,
                init.iter().map(|(stays, it)| (*stays, amount(amounts(it), name))),
            );
            let most = bounds_of(bounds, name)
                .into_iter()
                .filter_map(|bounds| Quantity::try_from(bounds.max.as_ref()?).ok())
                .min();
            if let Some(most) = most.filter(|most| total > *most && own <= *most) {
                let rule = format!(
                    "makes the pod's {map} of {name} {total} in all, more than the template's maximum {most}: ask for less in \
                     resources.{map} of the init containers, where what is unset is filled in, or of the workspace"
                );
                let written = || applied.get(name).map(|raw| raw.0.clone()).unwrap_or_default();
                found.push(match path {
                    Some(path) => Violation::new(path, "", rule),
                    None => Violation::new(field("spec.resources", map, name), written(), rule),
                });
            }
        }
    }
    found
}

/// Reports missing limits. A container without a limit may use any amount of a resource that can be overcommitted, despite the bound.
pub(in crate::validate) fn missing_limits(
    path: &str,
    init: &[Container],
    bounds: Option<&ResourceBounds>,
) -> Vec<Violation> {
    let others = bounds.iter().flat_map(|bounds| bounds.resources.keys());
    let names: BTreeSet<&str> = ["cpu", "memory"]
        .into_iter()
        .chain(others.map(String::as_str))
        .filter(|name| may_overcommit(name))
        .filter(|name| bounds_of(bounds, name).iter().any(|bounds| bounds.max.is_some()))
        .collect();
    let mut found = Vec::new();
    for (index, container) in init.iter().enumerate() {
        let given = container.resources.as_ref().map(of_container).unwrap_or_default();
        for name in names.iter().filter(|name| !given.limits.contains_key(**name)) {
            let field = format!("{path}[{index}].resources.limits.{name}");
            let rule = "must be set: without it there is no limit at all, and the template bounds it";
            found.push(Violation::new(field, "", rule));
        }
    }
    found
}

/// Calculates like Kubernetes. Init containers run one after the other. Those that keep running add to all later containers.
fn together(application: Quantity, init: impl Iterator<Item = (bool, Quantity)>) -> Quantity {
    let mut staying = Quantity::ZERO;
    let mut most = Quantity::ZERO;
    for (stays, amount) in init {
        let now = staying.plus(amount);
        most = most.max(now);
        if stays {
            staying = now;
        }
    }
    most.max(staying.plus(application))
}

fn amount(amounts: &Amounts, name: &str) -> Quantity {
    amounts
        .get(name)
        .and_then(|raw| Quantity::try_from(raw).ok())
        .unwrap_or(Quantity::ZERO)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn lines(init: Value, bounds: Value) -> Vec<String> {
        let application: ResourceRequirements =
            serde_json::from_value(json!({"requests": {"cpu": "1"}, "limits": {"cpu": "2"}})).unwrap();
        let init: Vec<Container> = serde_json::from_value(init).unwrap();
        let bounds: ResourceBounds = serde_json::from_value(bounds).unwrap();
        beyond(Some("spec.initContainers"), &application, &init, Some(&bounds))
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    fn init(name: &str, cpu: &str, stays: bool) -> Value {
        let mut container = json!({"name": name, "image": "i", "resources": {"limits": {"cpu": cpu}}});
        if stays {
            container["restartPolicy"] = json!("Always");
        }
        container
    }

    #[test]
    fn init_containers_run_one_after_the_other() {
        let two = json!([init("a", "2", false), init("b", "2", false)]);
        assert_eq!(lines(two, json!({"cpu": {"max": "2"}})), [""; 0]);
        let large = json!([init("a", "2001m", false)]);
        assert_eq!(
            lines(large, json!({"cpu": {"max": "2"}})),
            [
                "spec.initContainers: makes the pod's limits of cpu 2001m in all, more than the template's maximum 2: ask for \
                 less in resources.limits of the init containers, where what is unset is filled in, or of the workspace"
            ]
        );
    }

    #[test]
    fn resources_of_sidecars_are_added() {
        let beside = json!([init("a", "1", true)]);
        assert_eq!(lines(beside.clone(), json!({"cpu": {"max": "3"}})), [""; 0]);
        assert_eq!(lines(beside, json!({"cpu": {"max": "2999m"}})).len(), 1);
        let before = json!([init("a", "1", true), init("b", "3", false)]);
        assert_eq!(lines(before.clone(), json!({"cpu": {"max": "4"}})), [""; 0]);
        assert_eq!(lines(before, json!({"cpu": {"max": "3"}})).len(), 1);
    }

    #[test]
    fn a_resource_that_only_an_init_container_names_is_bounded_too() {
        let gpu = json!([{"name": "a", "image": "i", "resources": {"requests": {"nvidia.com/gpu": 1}, "limits": {"nvidia.com/gpu": 1}}}]);
        assert_eq!(lines(gpu.clone(), json!({"gpu": {"max": 0}})).len(), 2);
        assert_eq!(
            lines(gpu, json!({"resources": {"nvidia.com/gpu": {"max": 1}}})),
            [""; 0]
        );
    }

    #[test]
    fn a_container_without_a_limit_is_beyond_every_bound() {
        let init: Vec<Container> = serde_json::from_value(json!([init("a", "1", true)])).unwrap();
        let bounds: ResourceBounds = serde_json::from_value(json!({
            "cpu": {"max": "2"}, "memory": {"min": "1Gi"},
            "resources": {"ephemeral-storage": {"max": "1Gi"}, "example.org/x": {"max": 1}},
        }))
        .unwrap();
        let found = missing_limits("spec.initContainers", &init, Some(&bounds));
        let fields: Vec<_> = found.iter().map(|it| it.field.as_str()).collect();
        assert_eq!(
            fields,
            ["spec.initContainers[0].resources.limits.ephemeral-storage"]
        );
    }

    proptest! {
        #[test]
        fn the_total_is_between_the_largest_part_and_the_sum(
            own in 0_u64..100, parts in prop::collection::vec((any::<bool>(), 0_u64..100), 0..6)
        ) {
            let total = together(
                Quantity::units(own),
                parts.iter().map(|(stays, amount)| (*stays, Quantity::units(*amount))),
            );
            let sum = own + parts.iter().map(|(_, amount)| amount).sum::<u64>();
            prop_assert!(total <= Quantity::units(sum));
            prop_assert!(total >= Quantity::units(own));
            for (_, amount) in parts {
                prop_assert!(total >= Quantity::units(amount));
            }
        }
    }
}
