//! Manifest and the kinds that the settings allow -> violations, independent of a workspace (pure).

use api::names::MAX_MANIFEST_LEVELS;
use serde_json::{Map, Value};

use super::identity::kind_of;
use crate::effective::variables;
use crate::settings::ObjectKind;
use crate::violation::Violation;

/// Allowed metadata of a manifest. The operator sets the namespace.
const METADATA: [&str; 4] = ["name", "namespace", "labels", "annotations"];

/// The kinds that manifests may have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AllowList<'a> {
    pub(crate) kinds: &'a [ObjectKind],
    /// The setting that lists them.
    pub(crate) setting: &'a str,
    /// The rule and remedy for a kind that no setting can allow.
    pub(crate) never: &'a str,
    /// Who writes the manifests, such as `a manager`.
    pub(crate) author: &'a str,
}

/// Checks the kind and the metadata of a manifest.
pub(crate) fn shape(path: &str, manifest: &Value, allowed: AllowList<'_>) -> Vec<Violation> {
    let mut found: Vec<_> = kind(path, manifest, allowed).into_iter().collect();
    let metadata = match manifest.get("metadata") {
        None => &Map::new(),
        Some(Value::Object(metadata)) => metadata,
        Some(_) => {
            found.push(Violation::new(
                format!("{path}.metadata"),
                "",
                "must be an object",
            ));
            return found;
        }
    };
    for key in metadata.keys().filter(|key| !METADATA.contains(&key.as_str())) {
        let rule = format!("must not be set by {}: leave it out", allowed.author);
        found.push(Violation::new(format!("{path}.metadata.{key}"), "", rule));
    }
    for key in ["labels", "annotations"] {
        if metadata.get(key).is_some_and(|map| {
            !map.as_object()
                .is_some_and(|map| map.values().all(Value::is_string))
        }) {
            let rule = "must map keys to strings";
            found.push(Violation::new(format!("{path}.metadata.{key}"), "", rule));
        }
    }
    found
}

fn kind(path: &str, manifest: &Value, allowed: AllowList<'_>) -> Option<Violation> {
    let field = format!("{path}.kind");
    let Some(kind) = kind_of(manifest) else {
        return Some(Violation::new(path, "", "must have apiVersion and kind"));
    };
    if kind.is_denied() {
        return Some(Violation::new(field, kind.to_string(), allowed.never));
    }
    if allowed.kinds.contains(&kind) {
        return None;
    }
    let kinds: Vec<_> = allowed.kinds.iter().map(ToString::to_string).collect();
    let setting = allowed.setting;
    let rule = if kinds.is_empty() {
        format!(
            "is not allowed, because this installation allows no kinds here: have it added to the setting {setting}, or leave it out"
        )
    } else {
        format!(
            "is not among the kinds that this installation allows ({}): use one of them, or have it added to the setting {setting}",
            kinds.join(", ")
        )
    };
    Some(Violation::new(field, kind.to_string(), rule))
}

/// Checks that the name contains a variable of `distinct`, whose values differ for each workspace. Otherwise the workspaces would
/// overwrite each other's objects.
pub(crate) fn name(path: &str, manifest: &Value, distinct: &[&str]) -> Option<Violation> {
    let field = format!("{path}.metadata.name");
    match manifest.get("metadata")?.get("name")? {
        Value::String(name) => {
            let used = variables::names_in(name, &|_| false);
            let is_distinct = used.iter().any(|name| distinct.contains(name));
            let rule = "is the same for every workspace: put {workspace.name} into it, or leave it out";
            (!is_distinct).then(|| Violation::new(field, name, rule))
        }
        _ => Some(Violation::new(field, "", "must be a string")),
    }
}

/// Checks the depth of a manifest, which no schema bounds: whoever lists its object must be able to read it.
pub(crate) fn depth(path: &str, manifest: &Value) -> Option<Violation> {
    let levels = levels(manifest);
    (levels > MAX_MANIFEST_LEVELS).then(|| {
        let rule = format!(
            "has lists and maps nested more than {MAX_MANIFEST_LEVELS} levels deep, the maximum: leave out what is deeper"
        );
        Violation::new(path, "", rule)
    })
}

fn levels(value: &Value) -> usize {
    let inner = match value {
        Value::Array(items) => items.iter().map(levels).max(),
        Value::Object(map) => map.values().map(levels).max(),
        _ => return 0,
    };
    1 + inner.unwrap_or_default()
}

/// Calls `see` for every string of a manifest, including keys.
pub(crate) fn each_text(path: &str, value: &Value, see: &mut dyn FnMut(&str, &str)) {
    match value {
        Value::String(text) => see(path, text),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                each_text(&format!("{path}[{index}]"), item, see);
            }
        }
        Value::Object(map) => {
            for (key, value) in map {
                let inner = format!("{path}.{key}");
                see(&inner, key);
                each_text(&inner, value, see);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
