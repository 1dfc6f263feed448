//! A valid manager's manifests and a workspace's variables -> route objects and URL (pure).

use api::{Workspace, WorkspaceManager};
use serde_json::{Map, Value};

use super::{RESOURCES, Route, RouteKind, Routes, URL_TEMPLATE, check};
use crate::defaults::Effective;
use crate::names;
use crate::settings::Settings;
use crate::variables::{self, Scope};
use crate::violation::{Violation, Violations};

/// The fixed fields of a manifest.
pub(super) struct Given {
    pub(super) kind: RouteKind,
    /// As written; `None`: the default name.
    pub(super) name: Option<String>,
}

impl Given {
    /// Returns `None` for an invalid manifest.
    pub(super) fn of(manifest: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Some(Self {
            kind: RouteKind {
                api_version: text(&manifest["apiVersion"])?,
                kind: text(&manifest["kind"])?,
            },
            name: text(&manifest["metadata"]["name"]),
        })
    }
}

/// The variables of a manager's manifests. Values that users choose must not have a meaning in a proxy's language.
/// So they are restricted to harmless characters.
pub(super) fn scope(
    workspace: &Workspace,
    effective: &Effective,
    manager: &WorkspaceManager,
    settings: &Settings,
) -> Scope {
    let scope = Scope::of(workspace)
        .with_effective(effective)
        .with_manager(manager);
    let gateway = &manager.spec.authentication.gateway;
    match &settings.gateway_address {
        Some(address) if gateway.is_some() => scope.with("authentication.address", address.as_str()),
        _ => scope,
    }
    .typed()
    .strict()
}

/// The routes of a workspace and its URL as browsers see it, or violations for values that cannot be part of them.
pub(crate) fn of(
    workspace: &Workspace,
    effective: &Effective,
    manager: &WorkspaceManager,
    settings: &Settings,
) -> Result<(Routes, String), Vec<Violation>> {
    let scope = scope(workspace, effective, manager, settings);
    let routing = &manager.spec.routing;
    let host = variables::expand_text("{workspace.host}", &scope).unwrap_or_default();
    let base_path = variables::expand_text("{workspace.basePath}", &scope).unwrap_or_default();
    let usual = names::url(&host, routing.external_port()) + base_path.trim_start_matches('/');
    let Some(custom) = &routing.custom else {
        return Ok((Routes::Fed, usual));
    };
    if let Some(violations) = Violations::of(check(manager, settings)) {
        return Ok((Routes::Unknown(violations), usual));
    }
    let name = names::child(workspace.metadata.name.as_deref().unwrap_or_default());
    let (mut routes, mut faults) = (Vec::new(), Vec::new());
    for (index, manifest) in custom.resources.iter().enumerate() {
        match route(&format!("{RESOURCES}[{index}]"), manifest, &name, &scope) {
            Ok(route) => routes.push(route),
            Err(found) => faults.extend(found),
        }
    }
    let url = custom.url_template.as_deref().map_or(Ok(usual), |template| {
        variables::expand_text(template, &scope)
            .map_err(|error| faults.push(Violation::new(URL_TEMPLATE, template, error.to_string())))
    });
    match url {
        Ok(url) if faults.is_empty() => Ok((Routes::Objects(routes), url)),
        _ => Err(of_manager(manager, faults)),
    }
}

fn route(path: &str, manifest: &Value, usual: &str, scope: &Scope) -> Result<Route, Vec<Violation>> {
    let expanded = variables::expand_value(path, manifest, scope)?;
    let fault =
        |field: &str, value: &str, rule: &str| vec![Violation::new(format!("{path}.{field}"), value, rule)];
    let given = Given::of(&expanded).ok_or_else(|| fault("kind", "", "is missing"))?;
    let name = given.name.unwrap_or_else(|| usual.to_owned());
    if !names::is_dns_1123_subdomain(&name) {
        let rule = "is no name: at most 253 lower-case letters, digits, - and .";
        return Err(fault("metadata.name", &name, rule));
    }
    let Value::Object(mut body) = expanded else {
        return Err(fault("kind", "", "is missing"));
    };
    let metadata = body.remove("metadata").unwrap_or_default();
    for key in ["apiVersion", "kind", "status"] {
        body.remove(key);
    }
    let map = |key: &str| metadata[key].as_object().cloned().unwrap_or_default();
    Ok(Route {
        kind: given.kind,
        name,
        labels: reserved(map("labels")),
        annotations: reserved(map("annotations")),
        body,
    })
}

/// Removes our own keys, which only the operator sets.
fn reserved(mut map: Map<String, Value>) -> Map<String, Value> {
    map.retain(|key, _| !key.starts_with(api::names::RESERVED_PREFIX));
    map
}

/// Adds the manager to the fields' paths, because the violations are reported for another object: the workspace.
fn of_manager(manager: &WorkspaceManager, faults: Vec<Violation>) -> Vec<Violation> {
    let name = manager.metadata.name.as_deref().unwrap_or_default();
    let named = |fault: Violation| Violation {
        field: format!("WorkspaceManager {name}: {}", fault.field),
        ..fault
    };
    faults.into_iter().map(named).collect()
}
