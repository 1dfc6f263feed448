//! Manager and settings -> violations that prevent its routes (pure).
//!
//! The result does not depend on a workspace.

use std::collections::BTreeSet;

use api::{Workspace, WorkspaceManager};
use serde_json::{Map, Value};

use super::manifest::{Identity, scope};
use super::{RESOURCES, collisions, url_template};
use crate::effective::effective;
use crate::effective::variables::{self, Scope};
use crate::settings::{RouteKind, Settings};
use crate::violation::Violation;

/// The variable for the URL of the service that authorizes requests.
const ADDRESS: &str = "authentication.address";
/// Variables with a distinct value for each workspace. One of them in a name makes that name unique.
const DISTINCT: [&str; 4] = [
    "workspace.name",
    "workspace.uid",
    "workspace.host",
    "service.name",
];
/// Allowed metadata of a manifest. The namespace is accepted because many manifests have one. It is replaced.
const METADATA: [&str; 4] = ["name", "namespace", "labels", "annotations"];

/// All violations of the manager. While there is one, no workspace gets new routes from it, and existing routes stay as they are.
/// Managers with `routing.traefik` have none.
pub fn check(manager: &WorkspaceManager, settings: &Settings) -> Vec<Violation> {
    let routing = &manager.spec.routing;
    if routing.traefik.is_some() {
        return Vec::new();
    }
    let scope = sample(manager, settings);
    let mut found = Vec::new();
    if let Some((path, template)) = url_template(routing) {
        found.extend(url(path, template, &scope, manager));
    }
    let Some(custom) = &routing.custom else {
        return found;
    };
    if custom.resources.is_empty() {
        found.push(Violation::new(
            RESOURCES,
            "",
            "is empty: give at least one manifest",
        ));
    }
    let mut names = BTreeSet::new();
    for (index, manifest) in custom.resources.iter().enumerate() {
        let path = format!("{RESOURCES}[{index}]");
        found.extend(shape(&path, manifest, settings));
        found.extend(name(&path, manifest));
        found.extend(collisions::in_manifest(&path, manifest, manager));
        let identity = Identity::from_manifest(manifest).map(|identity| (identity.kind, identity.name));
        if let Some(identity) = identity
            && !names.insert(identity)
        {
            let rule = "is the second manifest of this kind and name: give it a metadata.name of its own";
            found.push(Violation::new(&path, "", rule));
        }
        each_text(&path, manifest, &mut |field, text| {
            found.extend(unknown(field, text, &scope));
        });
    }
    found.extend(authentication(manager, settings));
    found
}

/// The kinds that a manager's manifests name.
pub fn kinds_of(manager: &WorkspaceManager) -> BTreeSet<RouteKind> {
    let manifests = manager.spec.routing.custom.iter();
    manifests
        .flat_map(|custom| &custom.resources)
        .filter_map(|manifest| Some(Identity::from_manifest(manifest)?.kind))
        .collect()
}

/// The variables that every workspace has.
fn sample(manager: &WorkspaceManager, settings: &Settings) -> Scope {
    let mut workspace = Workspace::new("name", api::WorkspaceSpec::default());
    workspace.metadata.namespace = Some("namespace".to_owned());
    workspace.metadata.annotations = Some([(api::names::CREATED_BY.to_owned(), "owner".to_owned())].into());
    let effective = effective(&workspace.spec, None, settings);
    scope(&workspace, &effective, manager, settings)
}

fn shape(path: &str, manifest: &Value, settings: &Settings) -> Vec<Violation> {
    let mut found = Vec::new();
    match Identity::from_manifest(manifest) {
        None => found.push(Violation::new(path, "", "must have apiVersion and kind")),
        Some(Identity { kind, .. }) if kind.is_denied() => {
            let rule = "can never be a route: use a kind that only routes, such as Ingress";
            found.push(Violation::new(format!("{path}.kind"), kind.to_string(), rule));
        }
        Some(Identity { kind, .. }) if !settings.route_kinds.contains(&kind) => {
            let allowed: Vec<_> = settings.route_kinds.iter().map(ToString::to_string).collect();
            let rule = format!(
                "is not among the kinds that this installation allows ({}): use one of them, or have it added to the \
                 setting routeKinds",
                allowed.join(", ")
            );
            found.push(Violation::new(format!("{path}.kind"), kind.to_string(), rule));
        }
        Some(_) => {}
    }
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
        let rule = "must not be set by a manager: leave it out";
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

/// Checks that the name differs for each workspace. Otherwise the workspaces would overwrite each other's objects.
fn name(path: &str, manifest: &Value) -> Option<Violation> {
    let field = format!("{path}.metadata.name");
    match manifest.get("metadata")?.get("name")? {
        Value::String(name) => {
            let used = variables::names_in(name, &|_| false);
            let distinct = used.iter().any(|name| DISTINCT.contains(name));
            let rule = "is the same for every workspace: put {workspace.name} into it, or leave it out";
            (!distinct).then(|| Violation::new(field, name, rule))
        }
        _ => Some(Violation::new(field, "", "must be a string")),
    }
}

/// Reports unknown built-in variables. The workspace may define other variables.
fn unknown(field: &str, text: &str, scope: &Scope) -> Vec<Violation> {
    let names = variables::names_in(text, &|_| false);
    let ours = names
        .into_iter()
        .filter(|name| variables::is_built_in(name) && !name.starts_with("pvcs."));
    ours.filter_map(|name| variables::expand_text(&format!("{{{name}}}"), scope).err())
        .map(|error| Violation::new(field, text, error.to_string()))
        .collect()
}

fn url(path: &str, template: &str, scope: &Scope, manager: &WorkspaceManager) -> Vec<Violation> {
    let mut found = unknown(path, template, scope);
    found.extend(collisions::in_text(path, template, manager));
    if !template.starts_with("https://") && !template.starts_with("http://") {
        let rule = "must be a URL that begins with https://";
        found.push(Violation::new(path, template, rule));
    }
    let host = template
        .split_once("://")
        .and_then(|(_, rest)| rest.split(['/', '?', '#', '\\']).next());
    let mut names = variables::names_in(host.unwrap_or_default(), &|_| false).into_iter();
    if names.any(|name| !variables::is_built_in(name)) {
        let rule = "must have a / between the host and a variable that workspaces set: its value would choose the host";
        found.push(Violation::new(path, template, rule));
    }
    found
}

/// Checks that the manifests make the proxy call the authorization service. Only the manifests can configure that.
fn authentication(manager: &WorkspaceManager, settings: &Settings) -> Option<Violation> {
    let authentication = &manager.spec.authentication;
    if authentication.none.is_some() || authentication.application.is_some() {
        return None;
    }
    let way = if authentication.gateway.is_some() {
        "spec.authentication.gateway"
    } else {
        "spec.authentication.forwardAuth"
    };
    if authentication.gateway.is_some() && settings.gateway_address.is_none() {
        let rule = "cannot be used with routing.custom here: the setting gatewayAddress is missing";
        return Some(Violation::new(way, "", rule));
    }
    let mut asked = false;
    for manifest in manager
        .spec
        .routing
        .custom
        .iter()
        .flat_map(|custom| &custom.resources)
    {
        each_text("", manifest, &mut |_, text| {
            asked |= variables::names_in(text, &|_| false).contains(&ADDRESS);
        });
    }
    let rule = "is used by no manifest of routing.custom: a manifest must configure the proxy to send each request to \
                {authentication.address} for authorization. Set authentication.none or application if no service authorizes requests";
    (!asked).then(|| Violation::new(way, "", rule))
}

/// Calls `see` for every string of a manifest, including keys.
fn each_text(path: &str, value: &Value, see: &mut dyn FnMut(&str, &str)) {
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
