//! Text of YAML or JSON -> objects, or a sentence with the place (pure).
//!
//! YAML is read as Helm and kubectl read it: version 1.1, with anchors and merge keys.

use std::collections::BTreeMap;

use rules::names::is_dns_1123_subdomain;
use serde_json::Value;
use serde_saphyr::budget::BudgetBreach;

use crate::{Error, Input, LONGEST};

/// An object of the source.
#[derive(Debug)]
pub(crate) struct Object {
    /// File and place in it.
    pub(crate) origin: String,
    pub(crate) value: Value,
    /// Group of `apiVersion`; empty for Kubernetes' core.
    pub(crate) group: String,
    pub(crate) kind: String,
    /// Empty: it has none.
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Object {
    /// Kind, namespace and name.
    pub(crate) fn title(&self) -> String {
        let slash = if self.namespace.is_empty() { "" } else { "/" };
        format!("{} {}{slash}{}", self.kind, self.namespace, self.name)
    }

    /// Its UID, as far as it is written as UIDs are: it stands in commands.
    pub(crate) fn uid(&self) -> Option<&str> {
        let is_plain =
            |uid: &&str| !uid.is_empty() && uid.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        self.value["metadata"]["uid"].as_str().filter(is_plain)
    }

    /// Whether it is of this group and kind.
    pub(crate) fn is(&self, group: &str, kind: &str) -> bool {
        self.group == group && self.kind == kind
    }

    /// An error about a field of it.
    pub(crate) fn error(&self, field: &str, rule: &str) -> Error {
        Error::Unreadable(format!("{}: {}: {field}: {rule}", self.origin, self.title()))
    }
}

/// All objects of the inputs, the items of lists one by one. No object is there twice.
pub(crate) fn objects(inputs: &[Input]) -> Result<Vec<Object>, Error> {
    let mut found = Vec::new();
    let mut is_empty = true;
    for input in inputs {
        for (number, document) in documents(input)?.into_iter().enumerate() {
            let origin = format!("{}: document {}", input.name, number + 1);
            flatten(document, origin, &mut found)?;
            is_empty = false;
        }
    }
    if is_empty {
        let words = "the input is empty: give what kubectl get prints with -o json or -o yaml";
        return Err(Error::Unreadable(words.to_owned()));
    }
    unique(&found)?;
    Ok(found)
}

/// Values of a chart, with their file's name.
pub(crate) type Values = Vec<(String, Value)>;

/// The values of each file, and all objects of Kubernetes, as `objects` has them.
pub(crate) fn values(inputs: &[Input]) -> Result<(Values, Vec<Object>), Error> {
    let (mut values, mut found) = (Values::new(), Vec::new());
    for input in inputs {
        let before = values.len();
        for (number, document) in documents(input)?.into_iter().enumerate() {
            let origin = format!("{}: document {}", input.name, number + 1);
            if document["apiVersion"].is_string() && document["kind"].is_string() {
                flatten(document, origin, &mut found)?;
            } else if !document.is_object() {
                let words = "must be values of a chart by name, or an object of Kubernetes";
                return Err(Error::Unreadable(format!("{origin}: {words}")));
            } else if values.len() > before {
                let words = "must be the only values of its file, as Helm reads the first document alone: write each to a file of its own";
                return Err(Error::Unreadable(format!("{origin}: {words}")));
            } else {
                values.push((input.name.clone(), document));
            }
        }
    }
    unique(&found)?;
    Ok((values, found))
}

fn unique(found: &[Object]) -> Result<(), Error> {
    let mut seen = BTreeMap::new();
    for object in found {
        let key = (&object.group, &object.kind, &object.namespace, &object.name);
        if let Some(first) = seen.insert(key, &object.origin) {
            let rule = format!("it is there already ({first}): leave one out");
            return Err(object.error("metadata.name", &rule));
        }
    }
    Ok(())
}

fn flatten(mut value: Value, origin: String, found: &mut Vec<Object>) -> Result<(), Error> {
    let text = |field: &Value| field.as_str().unwrap_or_default().to_owned();
    let (version, kind) = (text(&value["apiVersion"]), text(&value["kind"]));
    if version.is_empty() || kind.is_empty() {
        let words = "must be an object of Kubernetes, with apiVersion and kind: give what kubectl get prints with -o json or -o yaml";
        return Err(Error::Unreadable(format!("{origin}: {words}")));
    }
    if kind.ends_with("List")
        && let Some(Value::Array(items)) = value.get_mut("items")
    {
        for (index, item) in std::mem::take(items).into_iter().enumerate() {
            flatten(item, format!("{origin}, items[{index}]"), found)?;
        }
        return Ok(());
    }
    let metadata = &value["metadata"];
    let object = Object {
        group: version
            .split_once('/')
            .map_or_else(String::new, |(group, _)| group.to_owned()),
        kind,
        namespace: text(&metadata["namespace"]),
        name: text(&metadata["name"]),
        origin,
        value,
    };
    // Names are written into commands.
    let is_label = |name: &str| is_dns_1123_subdomain(name) && !name.contains('.') && name.len() <= 63;
    if !object.namespace.is_empty() && !is_label(&object.namespace) {
        return Err(object.error("metadata.namespace", "must be the name of a namespace"));
    }
    if !object.name.split(':').all(is_dns_1123_subdomain) {
        return Err(object.error("metadata.name", "must be the name of an object"));
    }
    found.push(object);
    Ok(())
}

/// What valid YAML must keep to, as the parser has it.
const BOUNDS: &str = "aliases (*name) must stand for at most 1,000,000 values and 64 MiB of text in all, and fields must be at most 64 deep in one another. Write the aliases out or shorten what they stand for, or split the file by namespace";

/// The documents that are not empty.
fn documents(input: &Input) -> Result<Vec<Value>, Error> {
    let text = input.text.trim_start_matches('\u{feff}');
    let begin = text.trim_start();
    // What kubectl prints as JSON, many times faster.
    if begin.starts_with(['{', '['])
        && !begin.starts_with("{{")
        && let Ok(value) = serde_json::from_str(text)
    {
        return Ok(vec![value]);
    }
    // One for each byte: what aliases add counts, and so do its bytes.
    let options = serde_saphyr::options! {
        legacy_octal_numbers: true,
        budget: serde_saphyr::budget! {
            max_events: LONGEST,
            max_nodes: LONGEST,
            max_documents: LONGEST,
            // What they stand for is bounded.
            enforce_alias_anchor_ratio: false,
        },
    };
    let documents = serde_saphyr::from_multiple_with_options::<Value>(text, options);
    let documents = documents.map_err(|error| {
        let line = error.location().map_or(1, |at| at.line());
        let column = error.location().map_or(1, |at| at.column());
        let line = usize::try_from(line).unwrap_or(1).max(1);
        let column = usize::try_from(column).unwrap_or(1).max(1);
        let place = format!("{}:{line}:{column}", input.name);
        if breaks_a_bound(&error) {
            return Error::Unreadable(format!("{place}: {BOUNDS}"));
        }
        if let Some(line) = template_line(text, line) {
            let words = "{{ begins an expression of a Helm template, which is not YAML: give what helm template or helm get values prints";
            return Error::Unreadable(format!("{}:{line}: {words}", input.name));
        }
        Error::Unreadable(format!(
            "{place}: is neither valid JSON nor valid YAML: check the indentation, the colons and the quotes here and in the line above"
        ))
    })?;
    Ok(documents.into_iter().filter(|value| !value.is_null()).collect())
}

/// Whether valid YAML stands for more than the parser takes.
fn breaks_a_bound(error: &serde_saphyr::Error) -> bool {
    match error {
        serde_saphyr::Error::AliasError { error, .. } | serde_saphyr::Error::WithSnippet { error, .. } => {
            breaks_a_bound(error)
        }
        serde_saphyr::Error::Budget { breach, .. } => !matches!(breach, BudgetBreach::SequenceUnbalanced),
        serde_saphyr::Error::AliasReplayLimitExceeded { .. }
        | serde_saphyr::Error::AliasExpansionLimitExceeded { .. }
        | serde_saphyr::Error::AliasReplayStackDepthExceeded { .. } => true,
        _ => false,
    }
}

/// The line of a Helm expression that makes line `wrong` no YAML.
fn template_line(text: &str, wrong: usize) -> Option<usize> {
    let mut lines = text.lines().take(wrong).enumerate();
    let is_template = |(at, line): &(usize, &str)| {
        line.contains("{{") && (at + 1 == wrong || line.trim_start().starts_with("{{"))
    };
    lines.find(is_template).map(|(at, _)| at + 1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: String) -> Vec<Value> {
        let name = "a.yaml".to_owned();
        documents(&Input { name, text }).unwrap_or_default()
    }

    #[test]
    fn scalars_are_those_of_yaml_1_1() {
        for (text, expected) in [
            ("0644", json!(420)),
            ("-010", json!(-8)),
            ("0x1F", json!(31)),
            ("1_000", json!(1000)),
            ("1e3", json!(1000.0)),
            ("yes", json!(true)),
            ("On", json!(true)),
            ("no", json!(false)),
            ("off", json!(false)),
            ("~", json!(null)),
            // The controls: what is quoted, a time, a version and an amount are texts.
            ("'0644'", json!("0644")),
            ("\"yes\"", json!("yes")),
            ("12:30", json!("12:30")),
            ("1.2.3", json!("1.2.3")),
            ("010m", json!("010m")),
        ] {
            assert_eq!(read(format!("a: {text}\n")), [json!({"a": expected})], "{text}");
        }
    }

    #[test]
    fn a_large_export_in_yaml_is_read_as_a_whole() {
        let document = format!("---\n[{}]\n", ["1"; 1_000].join(", "));
        let found = read(document.repeat(1_100));
        assert_eq!((found.len(), &found[1_099][999]), (1_100, &json!(1)));
    }
}
