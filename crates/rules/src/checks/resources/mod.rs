//! Requests and limits (given and effective) and the template's bounds -> violations (pure).
//!
//! - `names`: properties of a resource that follow from its name

mod names;

use std::collections::BTreeSet;

use api::template::{Bounds, ResourceBounds};
use api::workspace::ResourceRequirements;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as RawQuantity;

pub use names::{GPU, SHARED_GPU, is_gpu};
pub(crate) use names::{bounds_of, may_overcommit};

use super::syntax::is_qualified_part;
use crate::quantity::Quantity;
use crate::violation::Violation;

/// More CPUs than any node has. Kubernetes adds up requests as 64-bit thousandths of a CPU and does not detect an overflow.
/// So a huge request would make a node look empty.
const MAX_CPU: Quantity = Quantity::units(100_000);
/// Maximum of any other resource, for example 1 PiB of memory.
const MAX_QUANTITY: Quantity = Quantity::units(1 << 50);
/// Minimum memory: no container starts with less.
const MIN_MEMORY: Quantity = Quantity::units(4 << 20);

/// Checks requests and limits by rules that hold without a template. `path` is the field that holds both maps.
pub(crate) fn shape(path: &str, given: &ResourceRequirements) -> Vec<Violation> {
    check(path, given, given, None)
}

/// Requests and limits of a container of the Kubernetes type.
pub(crate) fn of_container(given: &core::ResourceRequirements) -> ResourceRequirements {
    ResourceRequirements {
        requests: given.requests.clone().unwrap_or_default(),
        limits: given.limits.clone().unwrap_or_default(),
    }
}

pub(crate) fn workspace(
    given: Option<&ResourceRequirements>,
    effective: &ResourceRequirements,
    bounds: Option<&ResourceBounds>,
) -> Vec<Violation> {
    let nothing = ResourceRequirements::default();
    check("spec.resources", given.unwrap_or(&nothing), effective, bounds)
}

/// Checks each resource that a choice of a template names. `filled`: its amounts with what is filled in, not cut at bounds.
pub(crate) fn choice(
    path: &str,
    given: &ResourceRequirements,
    filled: &ResourceRequirements,
    bounds: Option<&ResourceBounds>,
) -> Vec<Violation> {
    let names: BTreeSet<&String> = given.requests.keys().chain(given.limits.keys()).collect();
    let names = names.into_iter();
    names
        .flat_map(|name| check_name(path, name, given, filled, bounds))
        .collect()
}

fn check(
    path: &str,
    given: &ResourceRequirements,
    effective: &ResourceRequirements,
    bounds: Option<&ResourceBounds>,
) -> Vec<Violation> {
    let mut names: BTreeSet<&str> = effective
        .requests
        .keys()
        .chain(effective.limits.keys())
        .map(String::as_str)
        .collect();
    if bounds.is_some() {
        names.extend(["cpu", "memory"]);
        names.extend(
            bounds
                .iter()
                .flat_map(|bounds| bounds.resources.keys())
                .map(String::as_str),
        );
        // One kind of GPU is enough: the bound holds for each requested kind.
        if !names.iter().any(|name| is_gpu(name)) {
            names.insert(GPU);
        }
    }
    names
        .into_iter()
        .flat_map(|name| check_name(path, name, given, effective, bounds))
        .collect()
}

fn check_name(
    path: &str,
    name: &str,
    given: &ResourceRequirements,
    effective: &ResourceRequirements,
    bounds: Option<&ResourceBounds>,
) -> Vec<Violation> {
    let request = Amount {
        field: field(path, "requests", name),
        raw: effective.requests.get(name),
        given: given.requests.contains_key(name),
    };
    let limit = Amount {
        field: field(path, "limits", name),
        raw: effective.limits.get(name),
        given: given.limits.contains_key(name),
    };
    if let Some(rule) = unknown_resource(name) {
        let entry = if request.given { request } else { limit };
        return vec![entry.violation(rule)];
    }
    let mut found = Vec::new();
    let bounds = &bounds_of(bounds, name);
    if !may_overcommit(name) && (!request.given || !limit.given) {
        // One value was filled in from the other, so one message is enough.
        let entry = if request.given { request } else { limit };
        entry.check(name, bounds, &mut found);
        return found;
    }
    let (mut of_request, mut of_limit) = (Vec::new(), Vec::new());
    let request_value = request.check(name, bounds, &mut of_request);
    let limit_value = limit.check(name, bounds, &mut of_limit);
    // With limit 0 the kubelet enforces no limit. So 0 counts as more than every maximum.
    if limit_value.is_some_and(Quantity::is_zero) && may_overcommit(name) {
        of_limit.push(limit.violation("is 0, which a node takes for no limit at all: ask for more than 0"));
    } else if name == "memory" && limit_value.is_some_and(|most| !most.is_negative() && most < MIN_MEMORY) {
        of_limit.push(limit.violation(
            "is less than any container starts in: ask for at least 4Mi, and mind the unit, such as Mi",
        ));
    }
    // A value that was filled in from a wrong value is not reported again.
    if request.is_taken_from(&limit) && !of_limit.is_empty() {
        of_request.clear();
    } else if limit.is_taken_from(&request) && !of_request.is_empty() {
        of_limit.clear();
    }
    found.extend(of_request.into_iter().chain(of_limit));
    // A filled-in value fits the given one unless a bound cuts it. That case is reported above.
    if let (Some(asked), Some(most)) = (request_value, limit_value)
        && request.given
        && limit.given
    {
        if asked > most {
            found.push(request.violation(format!(
                "is more than the limit {most}: lower the request, or raise {}",
                limit.field
            )));
        } else if asked != most && !may_overcommit(name) {
            found.push(request.violation(format!(
                "differs from the limit {most}: {name} needs both to be the same"
            )));
        }
    }
    found
}

/// Keys with dots and slashes are in brackets, as in messages of Kubernetes.
pub(crate) fn field(path: &str, map: &str, name: &str) -> String {
    if name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        format!("{path}.{map}.{name}")
    } else {
        format!("{path}.{map}[{}]", name.escape_debug())
    }
}

/// Checks that a container may request the resource.
/// Allowed are three standard resources, huge pages, and extended resources with a domain.
pub(crate) fn unknown_resource(name: &str) -> Option<String> {
    let known = match name.split_once('/') {
        None => {
            matches!(name, "cpu" | "memory" | "ephemeral-storage")
                || name
                    .strip_prefix("hugepages-")
                    .is_some_and(|size| size.parse::<Quantity>().is_ok())
        }
        Some((domain, resource)) => {
            crate::names::is_dns_1123_subdomain(domain)
                && !name.starts_with("requests.")
                && !domain.ends_with("kubernetes.io")
                && is_qualified_part(resource)
        }
    };
    (!known).then(|| {
        "must be cpu, memory, ephemeral-storage, hugepages-<size> or a name with a domain such as nvidia.com/gpu"
            .to_owned()
    })
}

struct Amount<'a> {
    field: String,
    raw: Option<&'a RawQuantity>,
    given: bool,
}

impl Amount<'_> {
    /// Whether this value was filled in, and only the other one was given.
    fn is_taken_from(&self, other: &Self) -> bool {
        !self.given && other.given && self.raw == other.raw
    }

    fn violation(&self, rule: impl AsRef<str>) -> Violation {
        let (value, rule) = match self.raw {
            None => ("", format!("is missing and counts as 0, which {}", rule.as_ref())),
            Some(raw) if self.given => (raw.0.as_str(), rule.as_ref().to_owned()),
            Some(raw) => (
                raw.0.as_str(),
                format!("(filled in, since unset) {}", rule.as_ref()),
            ),
        };
        Violation::new(self.field.as_str(), value, rule)
    }

    /// Checks one value on its own and against its bounds. Returns it if it is a quantity.
    fn check(&self, name: &str, bounds: &[&Bounds], found: &mut Vec<Violation>) -> Option<Quantity> {
        let value = match self.raw.map(Quantity::try_from).transpose() {
            Ok(value) => value,
            Err(error) => {
                found.push(self.violation(error.to_string()));
                return None;
            }
        };
        let amount = value.unwrap_or(Quantity::ZERO);
        let most = if name == "cpu" { MAX_CPU } else { MAX_QUANTITY };
        if amount.is_negative() {
            found.push(self.violation("must be 0 or more"));
        } else if amount > most {
            found.push(self.violation("is more than any node has: ask for less"));
        } else if name == "cpu" && !amount.is_whole_in_thousandths() {
            found.push(self.violation("is finer than 1m, the thousandth of a CPU: round it"));
        } else if !may_overcommit(name) && !amount.is_whole() {
            found.push(self.violation(format!("must be a whole number: {name} cannot be divided")));
        } else if name != "cpu" && !amount.is_whole() && amount < MIN_MEMORY {
            // A larger amount with a fraction comes from values such as 1.3Gi, and is rounded.
            found.push(self.violation("has a fraction of a byte: m means thousandths, M and Mi millions"));
        }
        let ends = |end: fn(&Bounds) -> &Option<RawQuantity>| {
            let raw = bounds.iter().filter_map(move |bounds| end(bounds).as_ref());
            raw.filter_map(|raw| Quantity::try_from(raw).ok())
        };
        if let Some(min) = ends(|bounds| &bounds.min).max().filter(|min| amount < *min) {
            found.push(self.violation(format!(
                "is less than the template's minimum {min}: ask for at least {min}"
            )));
        }
        if let Some(max) = ends(|bounds| &bounds.max).min().filter(|max| amount > *max) {
            found.push(self.violation(format!(
                "is more than the template's maximum {max}: ask for at most {max}"
            )));
        }
        value
    }
}

#[cfg(test)]
mod tests;
