//! Requests and limits, given and effective, and the template's bounds -> violations (pure).

use std::collections::BTreeSet;

use api::template::{Bounds, ResourceBounds};
use api::workspace::ResourceRequirements;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as RawQuantity;

use super::syntax::is_qualified_part;
use crate::quantity::Quantity;
use crate::resources::{GPU, bounds_of, is_gpu, may_overcommit};
use crate::violation::Violation;

/// More CPUs than any node has. Kubernetes adds up requests in 64 bits, in thousandths of a CPU, and does not notice when they
/// overflow: a huge request would make a node look empty.
pub(crate) const MOST_CPU: Quantity = Quantity::units(100_000);
/// More of anything else, 1 PiB of memory for example.
pub(crate) const MOST: Quantity = Quantity::units(1 << 50);
/// Less memory than any container starts in.
pub(crate) const LEAST_MEMORY: Quantity = Quantity::units(4 << 20);

/// Rules on requests and limits that hold without any template. `path` is the field that holds both maps.
pub(crate) fn shape(path: &str, given: &ResourceRequirements) -> Vec<Violation> {
    check(path, given, given, None)
}

/// Requests and limits of a container of Kubernetes' own type.
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
        // One kind of GPU is enough: the bound holds for each kind that is asked for.
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
    let request = Entry {
        field: field(path, "requests", name),
        raw: effective.requests.get(name),
        given: given.requests.contains_key(name),
    };
    let limit = Entry {
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
        // One was filled in from the other: one message is enough.
        let entry = if request.given { request } else { limit };
        entry.check(name, bounds, &mut found);
        return found;
    }
    let (mut of_request, mut of_limit) = (Vec::new(), Vec::new());
    let request_value = request.check(name, bounds, &mut of_request);
    let limit_value = limit.check(name, bounds, &mut of_limit);
    // The kubelet enforces nothing then, so that 0 would be above every maximum.
    if limit_value.is_some_and(Quantity::is_zero) && may_overcommit(name) {
        of_limit.push(limit.violation("is 0, which a node takes for no limit at all: ask for more than 0"));
    } else if name == "memory" && limit_value.is_some_and(|most| !most.is_negative() && most < LEAST_MEMORY) {
        of_limit.push(limit.violation(
            "is less than any container starts in: ask for at least 4Mi, and mind the unit, such as Mi",
        ));
    }
    // What was filled in from a wrong value is wrong for no other reason.
    if request.is_taken_from(&limit) && !of_limit.is_empty() {
        of_request.clear();
    } else if limit.is_taken_from(&request) && !of_request.is_empty() {
        of_limit.clear();
    }
    found.extend(of_request.into_iter().chain(of_limit));
    // Whatever is filled in fits what is given, unless a bound cuts it, which is reported above.
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

/// Keys with dots and slashes stand in brackets, as in Kubernetes' own messages.
fn field(path: &str, map: &str, name: &str) -> String {
    if name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        format!("{path}.{map}.{name}")
    } else {
        format!("{path}.{map}[{}]", name.escape_debug())
    }
}

/// What a container may ask for: three standard resources, huge pages, and extended resources with a domain.
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
        "is no resource of a container: known are cpu, memory, ephemeral-storage, hugepages-<size> and names with a \
         domain such as nvidia.com/gpu"
            .to_owned()
    })
}

struct Entry<'a> {
    field: String,
    raw: Option<&'a RawQuantity>,
    given: bool,
}

impl Entry<'_> {
    /// Whether it was filled in, with just what is given for the other.
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

    /// Checks one value by itself and against its bounds; gives it if it is a quantity.
    fn check(&self, name: &str, bounds: &[&Bounds], found: &mut Vec<Violation>) -> Option<Quantity> {
        let value = match self.raw.map(Quantity::try_from).transpose() {
            Ok(value) => value,
            Err(error) => {
                found.push(self.violation(error.to_string()));
                return None;
            }
        };
        let amount = value.unwrap_or(Quantity::ZERO);
        let most = if name == "cpu" { MOST_CPU } else { MOST };
        if amount.is_negative() {
            found.push(self.violation("is negative: ask for 0 or more"));
        } else if amount > most {
            found.push(self.violation("is more than any node has: ask for less"));
        } else if name == "cpu" && !amount.is_whole_in_thousandths() {
            found.push(self.violation("is finer than 1m, the thousandth of a CPU: round it"));
        } else if !may_overcommit(name) && !amount.is_whole() {
            found.push(self.violation(format!("is not a whole number: {name} cannot be divided")));
        } else if name != "cpu" && !amount.is_whole() && amount < LEAST_MEMORY {
            // Larger amounts with a fraction come of such as 1.3Gi, and are rounded.
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
