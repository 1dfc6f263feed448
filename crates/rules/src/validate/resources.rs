//! Requests and limits, given and effective, and the template's bounds -> violations (pure).

use std::collections::BTreeSet;

use api::template::{Bounds, ResourceBounds};
use api::workspace::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as RawQuantity;

use crate::quantity::Quantity;
use crate::resources::{GPU, bounds_of, is_gpu, may_overcommit};
use crate::violation::Violation;

/// Rules on requests and limits that hold without any template. `path` is the field that holds both maps.
pub(crate) fn shape(path: &str, given: &ResourceRequirements) -> Vec<Violation> {
    check(path, given, given, None)
}

pub(super) fn workspace(
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
        let entry = if request.raw.is_some() { request } else { limit };
        return vec![entry.violation(rule)];
    }
    let mut found = Vec::new();
    let bounds = bounds_of(bounds, name);
    let request_value = request.check(name, bounds, &mut found);
    let limit_value = limit.check(name, bounds, &mut found);
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
fn unknown_resource(name: &str) -> Option<String> {
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

fn is_qualified_part(text: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    text.len() <= 63
        && edge(text.as_bytes().first())
        && edge(text.as_bytes().last())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

struct Entry<'a> {
    field: String,
    raw: Option<&'a RawQuantity>,
    given: bool,
}

impl Entry<'_> {
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
    fn check(&self, name: &str, bounds: Option<&Bounds>, found: &mut Vec<Violation>) -> Option<Quantity> {
        let value = match self.raw.map(Quantity::try_from).transpose() {
            Ok(value) => value,
            Err(error) => {
                found.push(self.violation(error.to_string()));
                return None;
            }
        };
        let amount = value.unwrap_or(Quantity::ZERO);
        if amount.is_negative() {
            found.push(self.violation("is negative: ask for 0 or more"));
        } else if !may_overcommit(name) && !amount.is_whole() {
            found.push(self.violation(format!("is not a whole number: {name} cannot be divided")));
        }
        let end = |raw: &Option<RawQuantity>| raw.as_ref().and_then(|raw| Quantity::try_from(raw).ok());
        if let Some(min) = bounds.and_then(|bounds| end(&bounds.min))
            && amount < min
        {
            found.push(self.violation(format!(
                "is less than the template's minimum {min}: ask for at least {min}"
            )));
        }
        if let Some(max) = bounds.and_then(|bounds| end(&bounds.max))
            && amount > max
        {
            found.push(self.violation(format!(
                "is more than the template's maximum {max}: ask for at most {max}"
            )));
        }
        value
    }
}
