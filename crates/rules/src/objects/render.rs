//! Manifest and variables -> the object of one workspace (pure).

use serde_json::{Map, Value};

use super::RenderedObject;
use super::identity::Identity;
use crate::effective::variables::{self, Scope};
use crate::names;
use crate::violation::Violation;

/// The object of a valid manifest, or violations for values that cannot be part of it. `usual`: the default name.
pub(crate) fn render(
    path: &str,
    manifest: &Value,
    usual: &str,
    scope: &Scope,
) -> Result<RenderedObject, Vec<Violation>> {
    let expanded = variables::expand_value(path, manifest, scope)?;
    let fault =
        |field: &str, value: &str, rule: &str| vec![Violation::new(format!("{path}.{field}"), value, rule)];
    let identity =
        Identity::from_manifest(&expanded, usual).ok_or_else(|| fault("kind", "", "is missing"))?;
    let Identity { kind, name } = identity;
    if !names::is_dns_1123_subdomain(&name) {
        let rule = "must be a name of at most 253 lower-case letters, digits, - and .";
        return Err(fault("metadata.name", &name, rule));
    }
    let Value::Object(mut body) = expanded else {
        return Err(fault("kind", "", "is missing"));
    };
    let metadata = body.remove("metadata").unwrap_or_default();
    for key in ["apiVersion", "kind", "status"] {
        body.remove(key);
    }
    let map = |key: &str| metadata[key].as_object().cloned().unwrap_or_default();
    Ok(RenderedObject {
        kind,
        name,
        labels: without_reserved_keys(map("labels")),
        annotations: without_reserved_keys(map("annotations")),
        body,
    })
}

/// Removes our own keys, which only the operator sets.
fn without_reserved_keys(mut map: Map<String, Value>) -> Map<String, Value> {
    map.retain(|key, _| !key.starts_with(api::names::RESERVED_PREFIX));
    map
}
