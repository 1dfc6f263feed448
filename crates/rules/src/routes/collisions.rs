//! A manager's manifests and URL -> collisions of same-named workspaces in two namespaces (pure).
//!
//! In a collision, one workspace would receive the other's requests.

use api::WorkspaceManager;
use api::manager::RoutingMode;
use serde_json::Value;

use crate::effective::variables::{self, Piece};
use crate::violation::Violation;

/// Variables with equal values for workspaces of the same name.
const SHARED: [&str; 2] = ["workspace.name", "service.name"];

/// A text in a manifest that a proxy matches requests with.
struct MatchedText<'a> {
    field: String,
    text: &'a str,
    is_path: bool,
}

/// Hosts and rules that same-named workspaces would share. Paths count only if no host separates the workspaces.
pub(super) fn in_manifest(path: &str, manifest: &Value, manager: &WorkspaceManager) -> Vec<Violation> {
    let mut given = Vec::new();
    if let Value::Object(body) = manifest {
        for (key, value) in body.iter().filter(|(key, _)| *key != "metadata") {
            collect(&format!("{path}.{key}"), ["", key], value, &mut given);
        }
    }
    let has_own_host = given
        .iter()
        .any(|given| !given.is_path && distinguishes(given.text, manager));
    given
        .into_iter()
        .filter(|given| !(given.is_path && has_own_host))
        .filter_map(|given| in_text(&given.field, given.text, manager))
        .collect()
}

/// Checks a text that decides where requests go.
pub(super) fn in_text(field: &str, text: &str, manager: &WorkspaceManager) -> Option<Violation> {
    let used = variables::names_in(text, &|_| false);
    let names_it = SHARED.iter().any(|name| used.contains(name));
    let rule = "can be the same for workspaces of two namespaces, so that one takes the other's requests: put \
                {workspace.host}, {workspace.uid}, or {workspace.name} and {workspace.namespace} with a . or / between them into it";
    (names_it && !distinguishes(text, manager)).then(|| Violation::new(field, text, rule))
}

fn distinguishes(text: &str, manager: &WorkspaceManager) -> bool {
    let used = variables::names_in(text, &|_| false);
    let own = match manager.spec.routing.mode {
        RoutingMode::Subdomain => "workspace.host",
        RoutingMode::Path => "workspace.basePath",
    };
    are_delimited(text) || used.contains(&own) || used.contains(&"workspace.uid")
}

/// Whether the text contains namespace and name, separated by literal text that neither can contain.
/// With `-` as separator, `a-b` in `c` and `a` in `b-c` would be equal.
fn are_delimited(text: &str) -> bool {
    // How many such separators are before each of them.
    let (mut names, mut namespaces, mut before) = (Vec::new(), Vec::new(), 0);
    for piece in variables::pieces(text) {
        match piece {
            Piece::Text(text) if text.contains(['.', '/']) => before += 1,
            Piece::Variable("workspace.namespace") => namespaces.push(before),
            Piece::Variable(name) if SHARED.contains(&name) => names.push(before),
            Piece::Text(_) | Piece::Variable(_) | Piece::Escaped(_) => {}
        }
    }
    names
        .iter()
        .any(|name| namespaces.iter().any(|namespace| namespace != name))
}

/// Collects the texts of Ingress, `IngressRoute`, `HTTPRoute` and similar kinds.
/// `keys` are the key of the surrounding object and the key of the value in it.
fn collect<'a>(field: &str, keys: [&str; 2], value: &'a Value, found: &mut Vec<MatchedText<'a>>) {
    match value {
        Value::String(text) => {
            let is_path = match keys {
                // This is the backend of a request, in the same namespace.
                ["destination", "host"] => return,
                [_, "host" | "hosts" | "hostname" | "hostnames" | "match"] => false,
                [_, "path"] | ["path", "value"] => true,
                _ => return,
            };
            found.push(MatchedText {
                field: field.to_owned(),
                text,
                is_path,
            });
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect(&format!("{field}[{index}]"), keys, item, found);
            }
        }
        Value::Object(map) => {
            for (key, value) in map {
                collect(&format!("{field}.{key}"), [keys[1], key], value, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
