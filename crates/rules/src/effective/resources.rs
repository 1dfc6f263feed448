//! Requests and limits, defaults and bounds -> all requests and limits of a container (pure).

use std::collections::BTreeSet;

use api::template::ResourceBounds;
use api::workspace::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as RawQuantity;

use crate::checks::resources::{bounds_of, may_overcommit};
use crate::quantity::Quantity;

/// Fills in missing requests and limits, name by name: from the template's defaults, else from the installation's. Like in Kubernetes, a
/// limit without a request is also the request, before the installation's. It never changes given values. Validation reports invalid
/// quantities.
pub(crate) fn fill(
    given: Option<&ResourceRequirements>,
    template: Option<&ResourceRequirements>,
    built_in: &ResourceRequirements,
    bounds: Option<&ResourceBounds>,
) -> ResourceRequirements {
    let nothing = ResourceRequirements::default();
    let (given, template) = (given.unwrap_or(&nothing), template.unwrap_or(&nothing));
    let bounded = ["cpu", "memory"].map(str::to_owned);
    let bounded_by_name = bounds.iter().flat_map(|bounds| bounds.resources.keys());
    let names: BTreeSet<&String> = [given, template, built_in]
        .iter()
        .flat_map(|map| map.requests.keys().chain(map.limits.keys()))
        .chain(&bounded)
        .chain(bounded_by_name)
        .collect();
    let mut filled = ResourceRequirements::default();
    for name in names {
        let given = Pair::from_amounts(given, name);
        // The template overrides the installation as the workspace overrides the template.
        let asked = given.clone().over(&Pair::from_amounts(template, name), name);
        let pair = asked
            .with_request()
            .over(&Pair::from_amounts(built_in, name), name)
            .with_request()
            .within(&given, bounds, name);
        filled
            .requests
            .extend(pair.request.map(|value| (name.clone(), value)));
        filled
            .limits
            .extend(pair.limit.map(|value| (name.clone(), value)));
    }
    filled
}

/// Lays requests and limits of a choice over the template's defaults, name by name, as those of a workspace are laid over them.
pub(super) fn lay_over(over: &ResourceRequirements, defaults: &ResourceRequirements) -> ResourceRequirements {
    let mut laid = defaults.clone();
    let names: BTreeSet<&String> = over.requests.keys().chain(over.limits.keys()).collect();
    for name in names {
        let pair = Pair::from_amounts(over, name).over(&Pair::from_amounts(defaults, name), name);
        for (map, value) in [(&mut laid.requests, pair.request), (&mut laid.limits, pair.limit)] {
            map.extend(value.map(|value| (name.clone(), value)));
        }
    }
    laid
}

#[derive(Default, Clone)]
struct Pair {
    request: Option<RawQuantity>,
    limit: Option<RawQuantity>,
}

impl Pair {
    fn from_amounts(map: &ResourceRequirements, name: &str) -> Self {
        Self {
            request: map.requests.get(name).cloned(),
            limit: map.limits.get(name).cloned(),
        }
    }

    /// Requests the limit where nothing is requested.
    fn with_request(self) -> Self {
        let Self { request, limit } = self;
        Self {
            request: request.or_else(|| limit.clone()),
            limit,
        }
    }

    /// Fills in missing values from `default`.
    fn over(self, default: &Self, name: &str) -> Self {
        if !may_overcommit(name) {
            let Self { request, limit } = self;
            return Self {
                request: request
                    .clone()
                    .or_else(|| limit.clone())
                    .or_else(|| default.request.clone()),
                limit: limit.or(request).or_else(|| default.limit.clone()),
            };
        }
        let request = self.request.or_else(|| match (&self.limit, &default.request) {
            (Some(limit), Some(request)) => Some(by_order(limit, request).0),
            (_, request) => request.clone(),
        });
        let limit = self.limit.or_else(|| match (&request, &default.limit) {
            (Some(request), Some(limit)) => Some(by_order(request, limit).1),
            (_, limit) => limit.clone(),
        });
        Self { request, limit }
    }

    /// Cuts a filled-in limit at its bound. A missing limit becomes the bound, because a missing one means no limit.
    fn within(mut self, given: &Self, bounds: Option<&ResourceBounds>, name: &str) -> Self {
        let max = bounds_of(bounds, name)
            .into_iter()
            .filter_map(|bounds| bounds.max.as_ref())
            .min_by_key(|max| Quantity::try_from(*max).ok());
        if let Some(max) = max
            && given.limit.is_none()
            && may_overcommit(name)
        {
            self.request.get_or_insert_with(|| RawQuantity("0".into()));
            self.limit = Some(
                self.limit
                    .map_or_else(|| max.clone(), |limit| by_order(&limit, max).0),
            );
        }
        self
    }
}

/// The smaller and the larger quantity. If one is invalid, the first counts as both.
fn by_order(left: &RawQuantity, right: &RawQuantity) -> (RawQuantity, RawQuantity) {
    match (Quantity::try_from(left), Quantity::try_from(right)) {
        (Ok(l), Ok(r)) if l <= r => (left.clone(), right.clone()),
        (Ok(_), Ok(_)) => (right.clone(), left.clone()),
        _ => (left.clone(), left.clone()),
    }
}

#[cfg(test)]
mod tests {
    use crate::checks::resources::GPU;
    use api::template::Bounds;

    use super::*;

    fn resources(requests: &[(&str, &str)], limits: &[(&str, &str)]) -> ResourceRequirements {
        let map = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), RawQuantity((*value).to_owned())))
                .collect()
        };
        ResourceRequirements {
            requests: map(requests),
            limits: map(limits),
        }
    }

    fn built_in() -> ResourceRequirements {
        resources(
            &[("cpu", "100m"), ("memory", "128Mi")],
            &[("cpu", "1"), ("memory", "1Gi")],
        )
    }

    fn cpu_bounds(min: Option<&str>, max: Option<&str>) -> ResourceBounds {
        let end = |text: Option<&str>| text.map(|text| RawQuantity(text.into()));
        ResourceBounds {
            cpu: Some(Bounds {
                min: end(min),
                max: end(max),
            }),
            ..Default::default()
        }
    }

    /// Request and limit of `name` after filling in.
    fn pair(filled: &ResourceRequirements, name: &str) -> (Option<String>, Option<String>) {
        let text = |value: Option<&RawQuantity>| value.map(|value| value.0.clone());
        (text(filled.requests.get(name)), text(filled.limits.get(name)))
    }

    fn cpu(given: &ResourceRequirements, template: Option<&ResourceRequirements>) -> (String, String) {
        let (request, limit) = pair(&fill(Some(given), template, &built_in(), None), "cpu");
        (request.unwrap(), limit.unwrap())
    }

    #[test]
    fn empty_resources_get_all_defaults() {
        assert_eq!(fill(None, None, &built_in(), None), built_in());
    }

    #[test]
    fn overcommittable_resources_with_a_bound_get_a_limit() {
        let max = |text: &str| Bounds {
            min: None,
            max: Some(RawQuantity(text.into())),
        };
        let bounds = ResourceBounds {
            resources: [
                ("ephemeral-storage".to_owned(), max("2Gi")),
                ("example.org/fpga".to_owned(), max("2")),
            ]
            .into(),
            ..Default::default()
        };
        let filled = fill(None, None, &built_in(), Some(&bounds));
        assert_eq!(
            pair(&filled, "ephemeral-storage"),
            (Some("0".into()), Some("2Gi".into()))
        );
        assert_eq!(pair(&filled, "example.org/fpga"), (None, None));
    }

    #[test]
    fn a_limit_is_the_request_unless_template_or_workspace_request_less() {
        let limit = |amount: &str| resources(&[], &[("cpu", amount)]);
        for amount in ["50m", "4"] {
            assert_eq!(cpu(&limit(amount), None), (amount.into(), amount.into()));
        }
        let template = resources(&[("cpu", "200m")], &[("cpu", "1")]);
        for (amount, request) in [("50m", "50m"), ("4", "200m")] {
            assert_eq!(
                cpu(&limit(amount), Some(&template)),
                (request.into(), amount.into())
            );
        }
        let none = ResourceRequirements::default();
        assert_eq!(
            cpu(&none, Some(&limit("4"))),
            ("4".into(), "4".into()),
            "of a template"
        );
        let given = resources(&[("cpu", "1")], &[]);
        assert_eq!(cpu(&given, Some(&limit("4"))), ("1".into(), "4".into()));
    }

    #[test]
    fn a_given_request_above_the_default_limit_is_the_limit() {
        assert_eq!(
            cpu(&resources(&[("cpu", "3")], &[]), None),
            ("3".into(), "3".into())
        );
        assert_eq!(
            cpu(&resources(&[("cpu", "500m")], &[]), None),
            ("500m".into(), "1".into())
        );
    }

    #[test]
    fn a_template_comes_before_the_installation_name_by_name() {
        let template = resources(&[("cpu", "2")], &[("memory", "64Mi")]);
        let filled = fill(None, Some(&template), &built_in(), None);
        assert_eq!(pair(&filled, "cpu"), (Some("2".into()), Some("2".into())));
        assert_eq!(
            pair(&filled, "memory"),
            (Some("64Mi".into()), Some("64Mi".into()))
        );
    }

    #[test]
    fn a_filled_limit_ends_at_the_bound_and_a_given_one_stays() {
        let bounds = cpu_bounds(None, Some("500m"));
        let filled = fill(None, None, &built_in(), Some(&bounds));
        assert_eq!(pair(&filled, "cpu"), (Some("100m".into()), Some("500m".into())));
        let given = fill(
            Some(&resources(&[], &[("cpu", "2")])),
            None,
            &built_in(),
            Some(&bounds),
        );
        assert_eq!(pair(&given, "cpu"), (Some("2".into()), Some("2".into())));
    }

    #[test]
    fn a_bound_holds_even_where_no_default_exists() {
        let bounds = cpu_bounds(None, Some("2"));
        let filled = fill(None, None, &resources(&[], &[]), Some(&bounds));
        assert_eq!(pair(&filled, "cpu"), (Some("0".into()), Some("2".into())));
        let requested = fill(
            Some(&resources(&[("cpu", "1")], &[])),
            None,
            &resources(&[], &[]),
            Some(&bounds),
        );
        assert_eq!(pair(&requested, "cpu"), (Some("1".into()), Some("2".into())));
    }

    #[test]
    fn devices_and_huge_pages_are_requested_as_they_are_limited() {
        for name in [GPU, "nvidia.com/mig-1g.5gb", "hugepages-2Mi", "example.org/fpga"] {
            for given in [resources(&[(name, "2")], &[]), resources(&[], &[(name, "2")])] {
                let template = resources(&[], &[(name, "1")]);
                let filled = fill(Some(&given), Some(&template), &built_in(), None);
                assert_eq!(
                    pair(&filled, name),
                    (Some("2".into()), Some("2".into())),
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn a_limit_without_any_request_is_requested_too() {
        let filled = fill(
            Some(&resources(&[], &[("ephemeral-storage", "1Gi")])),
            None,
            &built_in(),
            None,
        );
        assert_eq!(
            pair(&filled, "ephemeral-storage"),
            (Some("1Gi".into()), Some("1Gi".into()))
        );
    }
}
