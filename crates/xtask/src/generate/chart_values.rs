//! values.schema.json, values.yaml -> the chart's README.md: a table of all values (pure).

use std::fmt::Write as _;

use anyhow::Context as _;
use serde_json::Value;

/// Maximum length of a default that is shown.
const LONGEST_DEFAULT: usize = 60;

const HEAD: &str = "<!-- Generated from values.schema.json and values.yaml by `./justw gen`; do not edit. -->

# Values of the chart

For administrators. [install.md](../../docs/install.md) shows what to set first, [examples](examples) are complete values files, and
`values.yaml` explains more. Show the defaults:

    helm show values charts/jupyter-k8s

`proxy`, `gateway`, `portal`, `operator`, `webhook`, `identity`, `crds`, `uninstall` and `tests` also have the keys of [`pods`](#pods), for
their own pods. `identity` has no `strategy`, and `crds`, `uninstall` and `tests` have neither `strategy` nor `revisionHistoryLimit`. `[]` marks list
items, `<name>` the keys of a map. Bounds are in brackets.
";

/// Renders the table of all values: one section for each group.
///
/// # Errors
/// When a property has no description, or a reference has no target.
pub(crate) fn render(schema: &Value, values: &Value) -> anyhow::Result<String> {
    let (mut single, mut groups) = (String::new(), String::new());
    for (name, property) in properties(schema) {
        let mut rows = String::new();
        let (schema_of, default) = (resolved(schema, property)?, values.get(name));
        below(&mut rows, schema, schema_of, default, name)?;
        let text = description(schema, property, name)?;
        if rows.is_empty() {
            row(&mut single, schema, property, default, name)?;
        } else {
            write!(groups, "\n## {name}\n\n{text}\n\n{TABLE}{rows}")?;
        }
    }
    Ok(format!("{HEAD}\n## Single values\n\n{TABLE}{single}{groups}"))
}

const TABLE: &str = "| value | type | default | meaning |\n|---|---|---|---|\n";

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema["properties"].as_object().into_iter().flatten()
}

/// The schema that `$ref` names, or the schema itself.
fn resolved<'a>(root: &'a Value, schema: &'a Value) -> anyhow::Result<&'a Value> {
    match schema["$ref"].as_str() {
        Some(reference) => root
            .pointer(reference.trim_start_matches('#'))
            .with_context(|| format!("`{reference}` leads nowhere")),
        None => Ok(schema),
    }
}

/// The description of a property, beside its reference or at the target.
fn description<'a>(root: &'a Value, property: &'a Value, path: &str) -> anyhow::Result<&'a str> {
    let own = property["description"].as_str();
    own.or(resolved(root, property)?["description"].as_str())
        .filter(|text| !text.trim().is_empty())
        .with_context(|| format!("{path} has no `description` in values.schema.json: add a sentence"))
}

/// Whether a property of a component is one of `pods`, too.
fn is_of_pods(property: &Value) -> bool {
    let reference = property["$ref"].as_str().unwrap_or_default();
    reference.starts_with("#/definitions/pods/")
}

/// Whether a property is an object whose keys have their own rows.
fn is_group(root: &Value, property: &Value) -> bool {
    resolved(root, property).is_ok_and(|schema| schema["properties"].is_object())
}

/// Rows of all properties below a schema.
fn below(
    rows: &mut String,
    root: &Value,
    schema: &Value,
    default: Option<&Value>,
    path: &str,
) -> anyhow::Result<()> {
    let (items, entries) = (&schema["items"], &schema["additionalProperties"]);
    if items.is_object() {
        return below(rows, root, resolved(root, items)?, None, &format!("{path}[]"));
    }
    if entries.is_object() {
        return below(
            rows,
            root,
            resolved(root, entries)?,
            None,
            &format!("{path}.<name>"),
        );
    }
    for (name, property) in properties(schema).filter(|(_, property)| !is_of_pods(property)) {
        let path = format!("{path}.{name}");
        let default = default.and_then(|default| default.get(name));
        row(rows, root, property, default, &path)?;
        below(rows, root, resolved(root, property)?, default, &path)?;
    }
    Ok(())
}

fn row(
    rows: &mut String,
    root: &Value,
    property: &Value,
    default: Option<&Value>,
    path: &str,
) -> anyhow::Result<()> {
    // The defaults of a group are in the rows below it.
    let default = default.filter(|_| !is_group(root, property));
    let default = match default.map(Value::to_string) {
        Some(text) if text.len() > LONGEST_DEFAULT => "see values.yaml".to_owned(),
        Some(text) => format!("`{text}`"),
        None => String::new(),
    };
    let (kind, text) = (type_name(root, property)?, description(root, property, path)?);
    let cells = [format!("`{path}`"), kind, default, text.to_owned()];
    writeln!(
        rows,
        "| {} |",
        cells.map(|cell| cell.replace('|', "\\|")).join(" | ")
    )?;
    Ok(())
}

fn type_name(root: &Value, schema: &Value) -> anyhow::Result<String> {
    let schema = resolved(root, schema)?;
    let (items, entries) = (&schema["items"], &schema["additionalProperties"]);
    let code = |values: &Vec<Value>| -> Vec<String> {
        let texts = values.iter().map(|value| value.as_str().unwrap_or_default());
        texts
            .map(|text| format!("`{text}`").replace("``", "empty"))
            .collect()
    };
    let name = if let Some(title) = schema["title"].as_str() {
        title.to_owned()
    } else if let Some(values) = schema["enum"].as_array() {
        code(values).join(", ")
    } else if items.is_object() {
        format!("list of {}", type_name(root, items)?)
    } else if entries.is_object() {
        format!("map of {}", type_name(root, entries)?)
    } else {
        let kinds = schema["type"].as_array();
        let kinds = kinds.map(|kinds| {
            kinds
                .iter()
                .filter_map(Value::as_str)
                .collect::<Vec<_>>()
                .join(" or ")
        });
        kinds.unwrap_or_else(|| schema["type"].as_str().unwrap_or_default().to_owned())
    };
    let bounds = [("minimum", "maximum"), ("minItems", "maxItems")]
        .map(|(least, most)| (&schema[least], &schema[most]))
        .into_iter()
        .find(|(_, most)| !most.is_null());
    Ok(match bounds {
        Some((least, most)) if least.is_null() => format!("{name} [at most {most}]"),
        Some((least, most)) => format!("{name} [{least}-{most}]"),
        None => name,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_property_without_description_is_named() {
        let whole = json!({"properties": {"proxy": {"description": "The proxy.", "properties": {
            "users": {"description": "Who.", "type": "array", "items": {"properties": {
                "name": {"description": "Name.", "type": "string"},
            }}},
            "tls": {"description": "Certificate.", "type": "string"},
        }}}});
        render(&whole, &json!({})).unwrap();
        for (wanted, path) in [
            ("proxy.tls", "/properties/proxy/properties/tls"),
            (
                "proxy.users[].name",
                "/properties/proxy/properties/users/items/properties/name",
            ),
        ] {
            let mut schema = whole.clone();
            let property = schema.pointer_mut(path).unwrap();
            property.as_object_mut().unwrap().remove("description");
            let error = render(&schema, &json!({})).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("{wanted} has no `description`")),
                "{error}"
            );
        }
    }
}
