//! A template's spec and a question about it -> the fields of which no change is noticed (pure).

use std::fmt::Write as _;

use serde_json::{Value, json};

/// The fields of which no change is noticed. `notices` says whether a changed spec is; `None`: it is no spec.
pub(super) fn fields(spec: &Value, notices: &impl Fn(Value) -> Option<bool>) -> Vec<String> {
    let fields = spec.as_object().into_iter().flatten();
    // What people read has no effect on workspaces.
    fields
        .filter(|(name, _)| !matches!(name.as_str(), "displayName" | "description" | "presentation"))
        .flat_map(|(name, value)| unnoticed_below(spec, &format!("/{name}"), value, notices).0)
        .collect()
}

/// The unnoticed fields at and below a place; a field of which nothing is noticed stands for all below it.
fn unnoticed_below(
    spec: &Value,
    pointer: &str,
    value: &Value,
    notices: &impl Fn(Value) -> Option<bool>,
) -> (Vec<String>, bool) {
    let inner: Vec<_> = match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.replace('~', "~0").replace('/', "~1"), value))
            .collect(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(at, value)| (at.to_string(), value))
            .collect(),
        _ => Vec::new(),
    };
    if inner.is_empty() {
        // A field that cannot be missing gets another value; what cannot be changed at all is no gap of the cases.
        let is_noticed = |changed: Option<Value>| changed.and_then(notices);
        let other = || is_noticed(with_other(spec, pointer));
        let answer = match value {
            Value::Bool(_) => other(),
            _ => is_noticed(without(spec, pointer)).or_else(other),
        };
        let is_unnoticed = answer == Some(false);
        return (
            is_unnoticed.then(|| path(spec, pointer)).into_iter().collect(),
            is_unnoticed,
        );
    }
    let found: Vec<_> = inner
        .iter()
        .map(|(name, value)| unnoticed_below(spec, &format!("{pointer}/{name}"), value, notices))
        .collect();
    if found.iter().all(|(_, all)| *all) {
        return (vec![path(spec, pointer)], true);
    }
    (found.into_iter().flat_map(|(paths, _)| paths).collect(), false)
}

fn without(spec: &Value, pointer: &str) -> Option<Value> {
    let mut changed = spec.clone();
    let (parent, name) = pointer.rsplit_once('/')?;
    match changed.pointer_mut(parent)? {
        Value::Object(fields) => fields
            .remove(&name.replace("~1", "/").replace("~0", "~"))
            .map(drop),
        Value::Array(items) => name.parse().ok().filter(|at| *at < items.len()).map(|at: usize| {
            items.remove(at);
        }),
        _ => None,
    }?;
    Some(changed)
}

fn with_other(spec: &Value, pointer: &str) -> Option<Value> {
    let mut changed = spec.clone();
    let value = changed.pointer_mut(pointer)?;
    *value = match &*value {
        Value::Bool(value) => json!(!value),
        Value::String(text) if !text.is_empty() => json!(format!("{text}-other")),
        _ => return None,
    };
    Some(changed)
}

/// Such as `spec.allowedImages[1]`.
fn path(spec: &Value, pointer: &str) -> String {
    let (mut path, mut at) = ("spec".to_owned(), spec);
    for step in pointer.split('/').skip(1) {
        let name = step.replace("~1", "/").replace("~0", "~");
        let is_key = matches!(at, Value::Array(_)) || name.contains(['.', '/']);
        let _ = if is_key {
            write!(path, "[{name}]")
        } else {
            write!(path, ".{name}")
        };
        at = match at {
            Value::Array(items) => name.parse::<usize>().ok().and_then(|place| items.get(place)),
            other => other.get(&name),
        }
        .unwrap_or(&Value::Null);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_which_nothing_is_noticed_stands_for_all_below_it() {
        let spec = json!({
            "displayName": "t", "images": ["a", "b"], "bounds": {"cpu": {"min": 1, "max": 2}, "x.org/y": {"max": 1}}, "flag": true,
            "needed": "a",
        });
        // Only the largest number of CPUs, the second image and the text that must be there are noticed.
        let notices = |changed: Value| {
            changed["needed"].as_str()?;
            let is_same = changed["bounds"]["cpu"]["max"] == 2
                && changed["images"][1] == "b"
                && changed["needed"] == "a";
            Some(!is_same)
        };
        assert_eq!(
            fields(&spec, &notices),
            ["spec.bounds.cpu.min", "spec.bounds[x.org/y]", "spec.flag"]
        );
    }
}
