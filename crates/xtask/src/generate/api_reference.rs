//! CRDs -> docs/api.md: a table of fields per kind (pure).

use std::fmt::Write as _;

use anyhow::Context as _;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};

/// Renders the reference of all kinds.
pub(crate) fn render(crds: &[CustomResourceDefinition]) -> anyhow::Result<String> {
    let mut page = String::from(
        "<!-- Generated from crates/api by `./justw gen`; do not edit. -->\n\n# The objects\n\n\
         For users and administrators who look up a field. In a cluster: `kubectl explain workspace.spec`.\n\n\
         The API server checks bounds in brackets. `[]` marks list items, `{}` map values. *Kubernetes'*: fields of a Kubernetes object;\n\
         `kubectl explain <the field> --recursive` lists the allowed ones.\n",
    );
    for crd in crds {
        kind(&mut page, crd)?;
    }
    Ok(page)
}

fn kind(page: &mut String, crd: &CustomResourceDefinition) -> anyhow::Result<()> {
    let names = &crd.spec.names;
    let version = crd.spec.versions.first().context("a CRD without versions")?;
    let schema = version
        .schema
        .as_ref()
        .and_then(|schema| schema.open_api_v3_schema.as_ref());
    let schema = schema.context("a CRD without a schema")?;
    writeln!(page, "\n## {}\n", names.kind)?;
    writeln!(
        page,
        "`{}/{}`, {}",
        crd.spec.group,
        version.name,
        crd.spec.scope.to_lowercase()
    )?;
    if let Some(short) = names.short_names.as_ref().and_then(|names| names.first()) {
        writeln!(page, "(`kubectl get {short}`)")?;
    }
    writeln!(page, "\n{}\n", schema.description.as_deref().unwrap_or_default())?;
    rules(page, "", schema)?;
    writeln!(page, "| field | type | meaning |\n|---|---|---|")?;
    let mut text = String::new();
    for root in ["spec", "status"] {
        let parts = schema.properties.as_ref();
        if let Some(part) = parts.and_then(|parts| parts.get(root)) {
            fields(page, root, part)?;
            rules(&mut text, root, part)?;
        }
    }
    if !text.is_empty() {
        write!(page, "\nRules across fields:\n\n{text}")?;
    }
    Ok(())
}

fn fields(page: &mut String, path: &str, schema: &JSONSchemaProps) -> anyhow::Result<()> {
    let required = schema.required.clone().unwrap_or_default();
    for (name, property) in schema.properties.iter().flatten() {
        let path = format!("{path}.{name}");
        let (inner, suffix) = unwrap(property);
        let mark = if required.contains(name) { ", required" } else { "" };
        let meaning = property
            .description
            .as_deref()
            .unwrap_or_default()
            .replace('\n', " ");
        let foreign = inner.properties.is_some() && undescribed(inner);
        let whose = if foreign { ", *Kubernetes'*" } else { "" };
        writeln!(
            page,
            "| `{path}` | {}{mark}{whose} | {meaning} |",
            type_name(property)
        )?;
        if !foreign && !path.contains("conditions") {
            fields(page, &format!("{path}{suffix}"), inner)?;
        }
    }
    Ok(())
}

/// Whether nothing below has a description. Our types have doc comments; types of Kubernetes do not, and have their own reference.
fn undescribed(schema: &JSONSchemaProps) -> bool {
    let mut below = schema.properties.iter().flatten();
    below.all(|(_, property)| property.description.is_none() && undescribed(unwrap(property).0))
}

/// Messages of the CEL rules of a schema and of everything below it.
fn rules(page: &mut String, path: &str, schema: &JSONSchemaProps) -> anyhow::Result<()> {
    for rule in schema.x_kubernetes_validations.iter().flatten() {
        let place = if path.is_empty() {
            String::new()
        } else {
            format!("`{path}`: ")
        };
        let readable = rule
            .message
            .clone()
            .or_else(|| rule.message_expression.as_deref().map(constant_text));
        writeln!(page, "- {place}{}", readable.as_ref().unwrap_or(&rule.rule))?;
    }
    if path.is_empty() {
        if schema.x_kubernetes_validations.is_some() {
            page.push('\n');
        }
        return Ok(());
    }
    for (name, property) in schema.properties.iter().flatten() {
        let (inner, suffix) = unwrap(property);
        rules(page, &format!("{path}.{name}{suffix}"), inner)?;
    }
    Ok(())
}

/// The constant parts of a message; an ellipsis stands for the values that it quotes.
fn constant_text(expression: &str) -> String {
    let mut constant_text = String::new();
    let (mut depth, mut quoted) = (0, false);
    for c in expression.chars() {
        match c {
            '\'' => quoted = !quoted,
            _ if quoted && depth == 0 => constant_text.push(c),
            _ if quoted => {}
            '(' | '[' => {
                if depth == 0 && !constant_text.ends_with('…') {
                    constant_text.push('…');
                }
                depth += 1;
            }
            ')' | ']' => depth -= 1,
            ' ' | '+' => {}
            _ if depth == 0 && !constant_text.ends_with('…') => constant_text.push('…'),
            _ => {}
        }
    }
    constant_text
}

/// The schema of a list's items or a map's values, and its notation in a path.
fn unwrap(schema: &JSONSchemaProps) -> (&JSONSchemaProps, &'static str) {
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaPropsOrBool::Schema;
    match (&schema.items, &schema.additional_properties) {
        (Some(JSONSchemaPropsOrArray::Schema(items)), _) => (items, "[]"),
        (_, Some(Schema(values))) => (values, "{}"),
        _ => (schema, ""),
    }
}

fn type_name(schema: &JSONSchemaProps) -> String {
    let mut name = if schema.x_kubernetes_int_or_string == Some(true) {
        "quantity".to_owned()
    } else if let Some(values) = &schema.enum_ {
        let values: Vec<_> = values.iter().filter_map(|value| value.0.as_str()).collect();
        values
            .iter()
            .map(|value| format!("`{value}`"))
            .collect::<Vec<_>>()
            .join(" or ")
    } else {
        let (inner, suffix) = unwrap(schema);
        if suffix.is_empty() {
            schema.type_.clone().unwrap_or_else(|| "any".to_owned())
        } else {
            let kind = if suffix == "[]" { "list of" } else { "map of" };
            format!("{kind} {}", type_name(inner))
        }
    };
    let bounds = match (schema.min_length, schema.max_length, schema.max_items) {
        (Some(min), Some(max), _) => format!(" [{min}-{max} characters]"),
        (None, Some(max), _) if schema.x_kubernetes_int_or_string != Some(true) => {
            format!(" [at most {max} characters]")
        }
        (_, _, Some(max)) => format!(" [at most {max}]"),
        _ => String::new(),
    };
    name.push_str(&bounds);
    if let (Some(min), Some(max)) = (schema.minimum, schema.maximum) {
        let _ = write!(name, " [{min}-{max}]");
    }
    if let Some(default) = &schema.default {
        let _ = write!(name, ", default `{}`", default.0);
    }
    name
}
