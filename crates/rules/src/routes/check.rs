//! Manager and settings -> violations that prevent its routes (pure).
//!
//! The result does not depend on a workspace.

use std::collections::BTreeSet;

use api::{Workspace, WorkspaceManager};

use super::scope::scope;
use super::{RESOURCES, collisions, url_template};
use crate::effective::effective;
use crate::effective::variables::{self, Scope};
use crate::names;
use crate::objects::{AllowList, Described, Identity, each_text, kind_of, manifest_depth, name, shape};
use crate::settings::{ObjectKind, Settings};
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
    let allowed = AllowList {
        kinds: &settings.route_kinds,
        setting: "routeKinds",
        never: "can never be a route: use a kind that only routes, such as Ingress",
        author: "a manager",
    };
    let (usual, mut described) = (names::child("{workspace.name}"), Described::default());
    for (index, manifest) in custom.resources.iter().enumerate() {
        let path = format!("{RESOURCES}[{index}]");
        found.extend(manifest_depth(&path, manifest));
        found.extend(shape(&path, manifest, allowed));
        found.extend(name(&path, manifest, &DISTINCT));
        found.extend(collisions::in_manifest(&path, manifest, manager));
        if let Some(identity) = Identity::from_manifest(manifest, &usual) {
            found.extend(described.add(&path, identity));
        }
        each_text(&path, manifest, &mut |field, text| {
            found.extend(unknown(field, text, &scope));
        });
    }
    found.extend(authentication(manager, settings));
    found
}

/// The kinds that a manager's manifests name.
pub fn kinds_of(manager: &WorkspaceManager) -> BTreeSet<ObjectKind> {
    let manifests = manager.spec.routing.custom.iter();
    manifests
        .flat_map(|custom| &custom.resources)
        .filter_map(kind_of)
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
