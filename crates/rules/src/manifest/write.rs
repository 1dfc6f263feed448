//! Workspace and form -> YAML with defaults and bounds as comments (pure).

use api::Workspace;
use serde_json::{Map, Value, json};

use crate::form::{Field, Form, Kind};

/// Most values that a comment lists.
const LISTED: usize = 8;
const SPEC: &str = "spec";
/// Annotations that no user sets.
const OTHERS: [&str; 2] = ["workspaces.jupyter.org/", "kubectl.kubernetes.io/"];

/// Whether the text of a workspace leaves out this annotation.
pub fn is_hidden(annotation: &str) -> bool {
    OTHERS.iter().any(|other| annotation.starts_with(other))
}

/// The workspace as commented YAML: what it sets as fields; what it leaves unset as comments with default and bounds, which count when
/// their `# ` is removed.
pub fn yaml(form: &Form, workspace: &Workspace) -> String {
    let object = serde_json::to_value(workspace).unwrap_or_default();
    let mut lines = vec![
        "apiVersion: workspaces.jupyter.org/v1alpha1".to_owned(),
        "kind: Workspace".to_owned(),
        "metadata:".to_owned(),
    ];
    let metadata = &object["metadata"];
    lines.push(format!(
        "  name: {}",
        scalar(&metadata.get("name").cloned().unwrap_or_else(|| json!("")))
    ));
    if let Some(namespace) = metadata.get("namespace") {
        lines.push(format!("  namespace: {}", scalar(namespace)));
    }
    for map in ["labels", "annotations"] {
        let entries = metadata[map].as_object().into_iter().flatten();
        let own = entries.filter(|(key, _)| map == "labels" || !is_hidden(key));
        let own: Map<_, _> = own.map(|(key, value)| (key.clone(), value.clone())).collect();
        if !own.is_empty() {
            whole(map, &Value::Object(own), 1, &mut lines);
        }
    }
    lines.push("spec:".to_owned());
    let mut spec = object[SPEC].as_object().cloned().unwrap_or_default();
    // A manifest without it does not start a workspace that a user stopped.
    spec.remove("desiredStatus");
    section(form, SPEC, &spec, 1, false, &mut lines);
    lines.join("\n") + "\n"
}

/// The fields of one object: those of the form in its order, then the others.
fn section(
    form: &Form,
    path: &str,
    given: &Map<String, Value>,
    depth: usize,
    is_comment: bool,
    lines: &mut Vec<String>,
) {
    let mut names: Vec<String> = Vec::new();
    if path == SPEC {
        names.extend(["displayName", "templateRef"].map(str::to_owned));
    }
    let of_form = form.fields.iter().filter_map(|field| below(&field.path, path));
    for name in of_form.chain(given.keys().cloned()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    for name in names {
        let at = join(form, path, &name);
        let value = given.get(&name);
        match (form.field(&at), value) {
            (Some(field), Some(value)) => {
                line(
                    &name,
                    &scalar(value),
                    &comment(field, false),
                    depth,
                    is_comment,
                    lines,
                );
            }
            (Some(field), None) => {
                if let Some(default) = default(field) {
                    line(&name, &default, &comment(field, true), depth, true, lines);
                }
            }
            (None, Some(Value::Object(inner))) if has_fields(form, &at) => {
                if inner.is_empty() {
                    line(&name, "{}", "", depth, is_comment, lines);
                } else {
                    line(&name, "", "", depth, is_comment, lines);
                    section(form, &at, inner, depth + 1, is_comment, lines);
                }
            }
            (None, None) if has_fields(form, &at) => {
                let mut inner = Vec::new();
                section(form, &at, &Map::new(), depth + 1, true, &mut inner);
                if !inner.is_empty() {
                    line(&name, "", "", depth, true, lines);
                    lines.extend(inner);
                }
            }
            (_, Some(value)) => whole(&name, value, depth, lines),
            (_, None) => {}
        }
    }
}

/// The name below `above` on the way to `path`.
fn below(path: &str, above: &str) -> Option<String> {
    let rest = path.strip_prefix(above)?;
    if let Some(key) = rest.strip_prefix('[') {
        return Some(key.strip_suffix(']')?.to_owned());
    }
    let rest = rest.strip_prefix('.')?;
    Some(rest.split(['.', '[']).next()?.to_owned())
}

/// The path of `name` below `path`, as the form writes it.
fn join(form: &Form, path: &str, name: &str) -> String {
    let bracketed = format!("{path}[{name}]");
    if form.field(&bracketed).is_some() {
        bracketed
    } else {
        format!("{path}.{name}")
    }
}

fn has_fields(form: &Form, path: &str) -> bool {
    form.fields.iter().any(|field| below(&field.path, path).is_some())
}

fn line(name: &str, value: &str, comment: &str, depth: usize, is_comment: bool, lines: &mut Vec<String>) {
    let indent = "  ".repeat(depth);
    let mark = if is_comment { "# " } else { "" };
    let name = scalar(&json!(name));
    let space = if value.is_empty() { "" } else { " " };
    let comment = if comment.is_empty() {
        String::new()
    } else {
        format!("  # {}", plain(comment))
    };
    lines.push(format!("{indent}{mark}{name}:{space}{value}{comment}"));
}

/// A value that the form has no control for.
fn whole(name: &str, value: &Value, depth: usize, lines: &mut Vec<String>) {
    let mut entry = Map::new();
    entry.insert(name.to_owned(), value.clone());
    // JSON is YAML, for what the writer cannot write.
    let text = serde_saphyr::to_string(&entry).unwrap_or_else(|_| format!("{}: {value}", json!(name)));
    let indent = "  ".repeat(depth);
    for line in text.lines() {
        let is_empty = line.is_empty();
        lines.push(if is_empty {
            String::new()
        } else {
            format!("{indent}{line}")
        });
    }
}

/// A single value: plain if it is read back as the same text, else in quotes.
fn scalar(value: &Value) -> String {
    let Value::String(text) = value else {
        return value.to_string();
    };
    let is_safe = |c: char| c.is_ascii_alphanumeric() || " ._/:@+-".contains(c);
    let is_plain = !text.is_empty()
        && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/' || c == '.')
        && text.chars().all(is_safe)
        && !text.contains(": ")
        && !text.ends_with([':', ' '])
        && serde_saphyr::from_str::<Value>(text).is_ok_and(|read| read == *value);
    if is_plain { text.clone() } else { value.to_string() }
}

/// The default as it would be written; `None`: there is none, or it cannot be written.
fn default(field: &Field) -> Option<String> {
    let default = field.default.as_ref().filter(|default| !default.contains('{'))?;
    Some(match field.kind {
        Kind::Number { .. } => default.clone(),
        Kind::Choice(_) if default.parse::<bool>().is_ok() => default.clone(),
        _ => scalar(&json!(default)),
    })
}

fn comment(field: &Field, is_default: bool) -> String {
    let mut parts = Vec::new();
    if is_default {
        parts.push("default".to_owned());
    }
    match &field.kind {
        Kind::Quantity { min, max, .. } => match (min, max) {
            (Some(min), Some(max)) => parts.push(format!("{min} to {max}")),
            (Some(min), None) => parts.push(format!("at least {min}")),
            (None, Some(max)) => parts.push(format!("at most {max}")),
            (None, None) => {}
        },
        Kind::Number { min, max, .. } => parts.push(format!("{min} to {max}")),
        Kind::Choice(choices) | Kind::Option(choices) => {
            parts.push(one_of(choices.iter().map(|it| it.value.as_str())));
        }
        Kind::Image { choices, custom } => {
            let names = choices
                .iter()
                .map(|it| it.image.as_str())
                .filter(|image| !image.is_empty());
            parts.push(one_of(names));
            parts.extend(custom.then(|| "or any other".to_owned()));
        }
        Kind::Text { rule: Some(rule) } => parts.push(rule.clone()),
        Kind::Text { rule: None } => {}
    }
    parts.join("; ")
}

fn one_of<'a>(values: impl Iterator<Item = &'a str>) -> String {
    let values: Vec<_> = values.collect();
    let more = if values.len() > LISTED { ", …" } else { "" };
    format!(
        "{}{more}",
        values
            .iter()
            .take(LISTED)
            .copied()
            .collect::<Vec<_>>()
            .join(" | ")
    )
}

/// Text for a comment: one line, without characters that control how it is shown.
fn plain(text: &str) -> String {
    text.replace(api::controls_display, " ")
}
