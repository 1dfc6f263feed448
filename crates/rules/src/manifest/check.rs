//! Text -> one workspace, or everything that is wrong with its form (pure).
//!
//! The schema's bounds and the rules of templates are not checked here: a dry run does that, and [`Document::finding`] places its answer.

use api::Workspace;
use serde_ignored::Path;
use serde_json::{Map, Value};

use super::document::{Document, Finding, Place};
use super::parse::{MAX_BYTES, MAX_FINDINGS, parse};
use crate::violation::Violation;

const API_VERSION: &str = "workspaces.jupyter.org/v1alpha1";
const KIND: &str = "Workspace";
/// What a line of a message shows of a value, in characters.
const SHOWN: usize = 100;

/// A text that holds one workspace.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The workspace. A `status` in the text is left out.
    pub workspace: Workspace,
    /// The document, which knows the places of its fields.
    pub document: Document,
}

/// Reads one workspace. Findings are in the order of the text; there is at least one, and at most as many as a user reads.
pub fn workspace(text: &str) -> Result<Manifest, Vec<Finding>> {
    if text.len() > MAX_BYTES {
        return Err(vec![too_long(text)]);
    }
    let mut documents = parse(text)?;
    if documents.len() > 1 {
        let second = documents[1].start();
        let message =
            "begins a second document, and one workspace is read here: leave out what follows the line ---";
        return Err(vec![Finding::new(second, "", message)]);
    }
    let Some(document) = documents.pop() else {
        let message = format!("the text is empty: write a {KIND}, beginning with apiVersion: {API_VERSION}");
        return Err(vec![Finding::new(Place { line: 1, column: 1 }, "", message)]);
    };
    let Some(fields) = document.value.as_object() else {
        let message = format!(
            "must be an object: write fields as name: value, beginning with apiVersion: {API_VERSION}"
        );
        return Err(vec![Finding::new(document.start(), "", message)]);
    };
    let mut findings = of_kind(fields, &document);
    findings.extend(of_name(fields, &document));
    let (read, unknown) = typed(&document);
    if findings.iter().all(|finding| finding.field != "kind") {
        findings.extend(unknown);
    }
    findings.sort_by_key(|finding| finding.place);
    findings.truncate(MAX_FINDINGS);
    match read {
        Ok(workspace) if findings.is_empty() => Ok(Manifest { workspace, document }),
        Err(violation) if findings.is_empty() => Err(vec![document.finding(&violation)]),
        _ => Err(findings),
    }
}

/// The workspace, or the first field that has another type; and the fields before it that the type does not have.
fn typed(document: &Document) -> (Result<Workspace, Violation>, Vec<Finding>) {
    let mut object = document.value.clone();
    if let Some(fields) = object.as_object_mut() {
        for name in ["apiVersion", "kind", "status"] {
            fields.remove(name);
        }
    }
    let mut unknown = Vec::new();
    let mut track = serde_path_to_error::Track::new();
    let deserializer = serde_path_to_error::Deserializer::new(&object, &mut track);
    let read = serde_ignored::deserialize(deserializer, |path| {
        // To find the place of each takes a search of the text.
        if unknown.len() < MAX_FINDINGS {
            unknown.push(unknown_finding(document, &field(&path)));
        }
    });
    let read = read.map_err(|error: serde_json::Error| {
        let path = track.path().to_string();
        let field = if path == "." { "spec" } else { &path };
        Violation::new(field, "", plain(&error.to_string()))
    });
    (read, unknown)
}

/// The path in the notation of messages.
fn field(path: &Path<'_>) -> String {
    match path {
        Path::Root => String::new(),
        Path::Seq { parent, index } => format!("{}[{index}]", field(parent)),
        Path::Map { parent, key } => match field(parent) {
            parent if parent.is_empty() => key.clone(),
            parent => format!("{parent}.{key}"),
        },
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => {
            field(parent)
        }
    }
}

/// A field that the type does not have, at its key. Readers may copy the proposed command, so it holds no name of the text.
fn unknown_finding(document: &Document, field: &str) -> Finding {
    let explained = match field.split_once('.') {
        Some(("metadata", _)) => "workspace.metadata",
        Some(("spec", _)) => "workspace.spec",
        _ => "workspace",
    };
    let rule = format!("is an unknown field: see `kubectl explain {explained}`");
    let finding = document.finding(&Violation::new(field, "", rule));
    Finding {
        place: document.key_place(field),
        ..finding
    }
}

/// What a parser expected, without the names of Rust's types.
fn plain(error: &str) -> String {
    if let Some(field) = error.strip_prefix("missing field ") {
        return format!("{field} must be set");
    }
    let Some((_, expected)) = error.split_once(", expected ") else {
        return error.to_owned();
    };
    let expected = match expected {
        "i32" => "a whole number of at most 2147483647",
        "a string" => "text: put it in quotes",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "Quantity" => "a quantity such as 500m or 2Gi",
        // Of the types of fields, those of our own objects and of Kubernetes'.
        name if name.starts_with("struct ") || name.starts_with(|c: char| c.is_ascii_uppercase()) => {
            "an object"
        }
        other => other,
    };
    format!("must be {expected}")
}

fn too_long(text: &str) -> Finding {
    let end = text.floor_char_boundary(MAX_BYTES);
    let before = &text[..end];
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let place = Place {
        line: before.matches('\n').count() + 1,
        column: before[start..].chars().count() + 1,
    };
    let message = format!(
        "the text has {} bytes, more than the maximum {MAX_BYTES}, which ends here: shorten it",
        text.len()
    );
    Finding::new(place, "", message)
}

fn of_kind(fields: &Map<String, Value>, document: &Document) -> Vec<Finding> {
    [("apiVersion", API_VERSION), ("kind", KIND)]
        .into_iter()
        .filter_map(|(name, expected)| {
            let violation = match fields.get(name) {
                None | Some(Value::Null) => {
                    Violation::new(name, "", format!("is missing: write {name}: {expected}"))
                }
                Some(value) if value == expected => return None,
                Some(value) => Violation::new(
                    name,
                    shown(value),
                    format!("must be {expected}: write {name}: {expected}"),
                ),
            };
            Some(document.finding(&violation))
        })
        .collect()
}

/// The name. The type says what is wrong with values of other types.
fn of_name(fields: &Map<String, Value>, document: &Document) -> Vec<Finding> {
    let metadata = match fields.get("metadata") {
        None | Some(Value::Null) => None,
        Some(Value::Object(metadata)) => Some(metadata),
        Some(_) => return Vec::new(),
    };
    let found = match metadata.and_then(|metadata| metadata.get("name")) {
        None | Some(Value::Null) => {
            let rule = "is missing: name the workspace, such as name: my-lab";
            vec![Violation::new("metadata.name", "", rule)]
        }
        Some(Value::String(name)) => crate::checks::name(name),
        Some(_) => Vec::new(),
    };
    found
        .iter()
        .map(|violation| document.finding(violation))
        .collect()
}

fn shown(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.chars().take(SHOWN).collect()
}
