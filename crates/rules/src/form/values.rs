//! Form values -> workspace, workspace -> form values (pure).

use api::Workspace;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as RawQuantity;
use serde_json::{Map, Value, json};

use super::Filled;
use super::model::{Change, Field, Form, Kind, Values};
use crate::quantity::Quantity;
use crate::violation::Violation;

/// Objects that are left out when nothing is left in them.
const PRUNED: [&str; 9] = [
    "spec.resources.limits",
    "spec.resources.requests",
    "spec.resources",
    "spec.idleShutdown",
    "spec.limits",
    "spec.storage",
    "spec.variables",
    "spec.options",
    "metadata.labels",
];
/// Paths that are set elsewhere, or by the API server.
const ELSEWHERE: [&str; 2] = ["spec.templateRef", "spec.desiredStatus"];
const LIMITS: &str = "spec.resources.limits";
const REQUESTS: &str = "spec.resources.requests";

/// Names and keys of a path that this form made: `spec.variables[a.b]` -> `spec`, `variables`, `a.b`.
fn steps(path: &str) -> Vec<&str> {
    let (names, key) = match path.split_once('[') {
        Some((names, key)) => (names, key.strip_suffix(']')),
        None => (path, None),
    };
    names.split('.').chain(key).collect()
}

fn get<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    steps(path)
        .into_iter()
        .try_fold(object, |value, step| value.get(step))
}

fn remove(object: &mut Value, path: &str) {
    let steps = steps(path);
    let Some((last, above)) = steps.split_last() else {
        return;
    };
    let parent = above.iter().try_fold(object, |value, step| value.get_mut(step));
    if let Some(fields) = parent.and_then(Value::as_object_mut) {
        fields.remove(*last);
    }
}

fn set(object: &mut Value, path: &str, value: Value) {
    let target = steps(path).into_iter().fold(object, |target, step| {
        if !target.is_object() {
            *target = Value::Object(Map::new());
        }
        &mut target[step]
    });
    *target = value;
}

/// The value at the path. The path of an environment variable names the variable.
fn value<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    match variable(path) {
        Some(name) => object["spec"]["env"]
            .as_array()?
            .iter()
            .find(|it| it["name"] == name)?
            .get("value"),
        None => get(object, path),
    }
}

fn variable(path: &str) -> Option<&str> {
    path.strip_prefix("spec.env[")?.strip_suffix(']')
}

/// Sets an environment variable, or removes it.
fn set_variable(object: &mut Value, name: &str, text: &str) {
    let mut list = object["spec"]["env"].as_array().cloned().unwrap_or_default();
    let at = list.iter().position(|it| it["name"] == name);
    let variable = json!({"name": name, "value": text});
    match (at, text.is_empty()) {
        (Some(at), false) => list[at] = variable,
        (Some(at), true) => drop(list.remove(at)),
        (None, false) => list.push(variable),
        (None, true) => return,
    }
    object["spec"]["env"] = Value::Array(list);
}

pub(super) fn values(form: &Form, workspace: &Workspace) -> Values {
    let object = serde_json::to_value(workspace).unwrap_or_default();
    let of = |field: &Field| Some((field.path.clone(), text(value(&object, &field.path)?)?));
    Values(form.fields.iter().filter_map(of).collect())
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A value as a browser sends it back: a control is one line, so line ends are lost, and HTML has no NUL.
fn sent_back(value: &str) -> String {
    value.replace(['\r', '\n'], "").replace('\0', "\u{fffd}")
}

/// What was sent, with the stored value wherever the user left a control alone. Of what was typed, blanks at the ends are dropped.
fn restore(sent: &Values, shown: &Values) -> Values {
    let settle = |(name, value): (&String, &String)| {
        let kept = shown
            .get(name)
            .filter(|shown| sent_back(shown) == sent_back(value));
        (name.clone(), kept.unwrap_or_else(|| value.trim()).to_owned())
    };
    Values(sent.0.iter().map(settle).collect())
}

pub(super) fn filled(form: &Form, sent: &Values, base: &Workspace) -> Filled {
    let shown = values(form, base);
    let values = restore(sent, &shown);
    let before = serde_json::to_value(base).unwrap_or_default();
    let mut object = before.clone();
    let mut errors = Vec::new();
    for field in &form.fields {
        let before = shown.get(&field.path).unwrap_or_default();
        if let Some(text) = values.get(&field.path).filter(|text| *text != before) {
            errors.extend(put(&mut object, field, text).err());
        }
    }
    for path in PRUNED {
        let is_empty = get(&object, path)
            .and_then(Value::as_object)
            .is_some_and(Map::is_empty);
        // A disk cannot be removed once it is requested.
        let is_kept = get(&before, path).is_some_and(|it| path == "spec.storage" || it == &json!({}));
        if is_empty && !is_kept {
            remove(&mut object, path);
        }
    }
    match serde_json::from_value(object) {
        Ok(workspace) => Filled {
            workspace,
            values,
            errors,
        },
        Err(error) => {
            errors.push(Violation::new("spec", "", format!("cannot be read: {error}")));
            Filled {
                workspace: base.clone(),
                values,
                errors,
            }
        }
    }
}

/// Writes a changed value into the object. An unreadable value leaves the object unchanged.
fn put(object: &mut Value, field: &Field, text: &str) -> Result<(), Violation> {
    if let Change::Refused(why) = &field.change {
        return Err(Violation::new(&field.path, text, why.as_str()));
    }
    if let Some(name) = variable(&field.path) {
        set_variable(object, name, text);
    } else if text.is_empty() {
        remove(object, &field.path);
        if field.path == "spec.displayName" {
            // The type needs a text; the rules say that it is empty.
            set(object, &field.path, json!(""));
        }
    } else {
        let value = read(field, text).map_err(|rule| Violation::new(&field.path, text, rule))?;
        set(object, &field.path, value);
    }
    if let Some(device) = field
        .path
        .strip_prefix(LIMITS)
        .filter(|rest| rest.starts_with('['))
    {
        // Request and limit of a device are one amount.
        remove(object, &format!("{REQUESTS}{device}"));
    }
    Ok(())
}

fn read(field: &Field, text: &str) -> Result<Value, String> {
    match &field.kind {
        Kind::Quantity { .. } => match Quantity::try_from(&RawQuantity(text.to_owned())) {
            Ok(_) => Ok(json!(text)),
            Err(error) => Err(error.to_string()),
        },
        Kind::Number { min, max, unit } => {
            let range = format!("from {min} to {max}");
            let number: i32 = text.parse().map_err(|_| {
                format!("is not a whole number of {unit}: write digits only, a number {range}")
            })?;
            Ok(json!(number))
        }
        Kind::Choice(choices) => {
            if choices.iter().any(|choice| choice.value == text) {
                return Ok(text.parse().map_or_else(|_| json!(text), Value::Bool));
            }
            let names: Vec<_> = choices.iter().map(|choice| choice.value.as_str()).collect();
            Err(format!("is not offered: choose one of {}", names.join(", ")))
        }
        Kind::Text { .. } | Kind::Option(_) | Kind::Image { .. } => Ok(json!(text)),
    }
}

pub(super) fn not_shown(form: &Form, workspace: &Workspace) -> Vec<String> {
    let object = serde_json::to_value(workspace).unwrap_or_default();
    let mut found = Vec::new();
    if let Some(spec) = object["spec"].as_object() {
        let blank = serde_json::to_value(Workspace::default()).unwrap_or_default();
        // What is always written is nothing that somebody set.
        for (name, value) in spec
            .iter()
            .filter(|(name, value)| blank["spec"].get(name.as_str()) != Some(value))
        {
            walk(form, &format!("spec.{name}"), value, &mut found);
        }
    }
    let labels = object["metadata"]["labels"].as_object();
    for key in labels.into_iter().flat_map(Map::keys) {
        let path = format!("metadata.labels[{}]", key.escape_debug());
        if form.field(&path).is_none() {
            found.push(path);
        }
    }
    found
}

fn walk(form: &Form, path: &str, value: &Value, found: &mut Vec<String>) {
    let is_within = |field: &Field| {
        let rest = field.path.strip_prefix(path);
        rest.is_some_and(|rest| rest.starts_with(['.', '[']))
    };
    if form.field(path).is_some() || ELSEWHERE.contains(&path) {
        return;
    }
    match value {
        Value::Object(fields) if form.fields.iter().any(is_within) => {
            for (name, value) in fields {
                let is_plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
                let dotted = format!("{path}.{name}");
                let bracketed = format!("{path}[{}]", name.escape_debug());
                let is_dotted = is_plain && !["spec.variables", "spec.options"].contains(&path);
                walk(form, if is_dotted { &dotted } else { &bracketed }, value, found);
            }
        }
        Value::Array(list) if path == "spec.env" => {
            let is_shown = |it: &Value| {
                let name = it["name"].as_str().unwrap_or_default();
                it.get("value").is_some()
                    && form
                        .field(&format!("spec.env[{}]", name.escape_debug()))
                        .is_some()
            };
            if !list.iter().all(is_shown) {
                found.push(path.to_owned());
            }
        }
        _ => found.push(path.to_owned()),
    }
}
