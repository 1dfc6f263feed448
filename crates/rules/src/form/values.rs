//! Form values -> workspace, workspace -> form values (pure).

use api::Workspace;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as RawQuantity;
use serde_json::{Map, Value, json};

use super::model::{Change, Field, Form, Kind, Values};
use super::{Filled, rows};
use crate::checks::resources::may_overcommit;
use crate::quantity::Quantity;
use crate::violation::Violation;

/// Objects that are left out when nothing is left in them.
const PRUNED: [&str; 8] = [
    "spec.resources.limits",
    "spec.resources.requests",
    "spec.resources",
    "spec.idleShutdown",
    "spec.limits",
    "spec.storage",
    "spec.variables",
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

/// The name of a device of which request and limit are one amount, if the field is its limit.
fn device(path: &str) -> Option<&str> {
    let name = path.strip_prefix(LIMITS)?.strip_prefix('[')?.strip_suffix(']')?;
    (!may_overcommit(name)).then_some(name)
}

pub(super) fn values(form: &Form, workspace: &Workspace) -> Values {
    let object = serde_json::to_value(workspace).unwrap_or_default();
    let mut values = Values::default();
    for field in &form.fields {
        match field.kind {
            Kind::Env { .. } => rows::env_values(&workspace.spec.env, &mut values),
            Kind::Volumes { .. } => rows::volume_values(&workspace.spec.volumes, &mut values),
            _ => {
                let request = device(&field.path).map(|name| format!("{REQUESTS}[{name}]"));
                let value = get(&object, &field.path).or_else(|| get(&object, request.as_deref()?));
                if let Some(text) = value.and_then(text) {
                    values.0.insert(field.path.clone(), text);
                }
            }
        }
    }
    values
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

/// Whether a form that shows the values, and is sent as it is shown, gives them.
pub(super) fn are_sent_whole(values: &Values) -> bool {
    let sent = values
        .0
        .iter()
        .map(|(name, value)| (name.clone(), sent_back(value)));
    settled(&Values(sent.collect()), &Values::default()) == *values
}

/// What was sent, with the stored value wherever the user left a control alone. Of what was typed, blanks at the ends are dropped, but not
/// from the value of a variable.
fn settled(sent: &Values, shown: &Values) -> Values {
    let settle = |(name, value): (&String, &String)| {
        let kept = shown
            .get(name)
            .filter(|shown| sent_back(shown) == sent_back(value));
        let typed = if rows::is_verbatim(name) {
            value.as_str()
        } else {
            value.trim()
        };
        (name.clone(), kept.unwrap_or(typed).to_owned())
    };
    Values(sent.0.iter().map(settle).collect())
}

pub(super) fn filled(form: &Form, sent: &Values, base: Option<&Workspace>) -> Filled {
    let start = base.cloned().unwrap_or_default();
    let shown = values(form, &start);
    let values = settled(sent, &shown);
    let before = serde_json::to_value(&start).unwrap_or_default();
    let mut object = before.clone();
    let mut errors = Vec::new();
    if base.is_none()
        && let Some(template) = &form.template
    {
        set(&mut object, "spec.templateRef", json!(template));
    }
    for field in &form.fields {
        match &field.kind {
            Kind::Env { .. } if rows::are_sent("spec.env", &values) => {
                set(
                    &mut object,
                    "spec.env",
                    rows::env(&values, &shown, &start.spec.env),
                );
            }
            Kind::Volumes { .. } if rows::are_sent("spec.volumes", &values) => {
                set(&mut object, "spec.volumes", rows::volumes(&values));
            }
            Kind::Env { .. } | Kind::Volumes { .. } => {}
            _ => {
                let before = shown.get(&field.path).unwrap_or_default();
                if let Some(text) = values.get(&field.path).filter(|text| *text != before) {
                    errors.extend(put(&mut object, field, text).err());
                }
            }
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
                workspace: start,
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
    if text.is_empty() {
        remove(object, &field.path);
        if field.path == "spec.displayName" {
            // The type needs a text; the rules say that it is empty.
            set(object, &field.path, json!(""));
        }
    } else {
        let value = read(field, text).map_err(|rule| Violation::new(&field.path, text, rule))?;
        set(object, &field.path, value);
    }
    if let Some(name) = device(&field.path) {
        // One amount, of which the rules take the request from the limit.
        remove(object, &format!("{REQUESTS}[{name}]"));
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
            let what = if unit.is_empty() {
                String::new()
            } else {
                format!(" of {unit}")
            };
            let number: i32 = text
                .parse()
                .map_err(|_| format!("is not a whole number{what}: write digits only, a number {range}"))?;
            Ok(json!(number))
        }
        Kind::Toggle { .. } => match text {
            "true" => Ok(json!(true)),
            "false" => Ok(json!(false)),
            _ => Err("is neither true nor false: choose one, or leave it empty for the default".to_owned()),
        },
        Kind::Choice(choices) => {
            if choices.iter().any(|choice| choice.value == text) {
                return Ok(json!(text));
            }
            let names: Vec<_> = choices.iter().map(|choice| choice.value.as_str()).collect();
            Err(format!("is not offered: choose one of {}", names.join(", ")))
        }
        Kind::Text { .. } | Kind::Image { .. } | Kind::Env { .. } | Kind::Volumes { .. } => Ok(json!(text)),
    }
}

pub(super) fn not_shown(form: &Form, workspace: &Workspace) -> Vec<String> {
    let object = serde_json::to_value(workspace).unwrap_or_default();
    let mut found = Vec::new();
    if let Some(spec) = object["spec"].as_object() {
        for (name, value) in spec {
            walk(form, &format!("spec.{name}"), value, &mut found);
        }
    }
    for (index, variable) in workspace.spec.env.iter().enumerate() {
        if !rows::is_shown(variable) || rows::is_optional(variable) {
            found.push(format!("spec.env[{index}].valueFrom"));
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
    let request = path.strip_prefix(REQUESTS).map(|rest| format!("{LIMITS}{rest}"));
    let is_device = request.is_some_and(|limit| device(&limit).is_some() && form.field(&limit).is_some());
    if form.field(path).is_some() || is_device || ELSEWHERE.contains(&path) {
        return;
    }
    match value {
        Value::Object(fields) if form.fields.iter().any(is_within) => {
            for (name, value) in fields {
                let is_plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
                let dotted = format!("{path}.{name}");
                let bracketed = format!("{path}[{}]", name.escape_debug());
                let is_dotted = is_plain && path != "spec.variables";
                walk(form, if is_dotted { &dotted } else { &bracketed }, value, found);
            }
        }
        _ => found.push(path.to_owned()),
    }
}
