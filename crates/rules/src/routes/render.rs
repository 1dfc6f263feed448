//! A valid manager's manifests and a workspace's variables -> route objects and URL (pure).

use api::{Workspace, WorkspaceManager};

use super::check::check;
use super::scope::scope;
use super::{RESOURCES, Routes, url_template};
use crate::effective::Effective;
use crate::effective::variables;
use crate::names;
use crate::objects::{self, Described};
use crate::settings::Settings;
use crate::violation::{Violation, Violations};

/// The routes of a workspace and its URL as browsers see it, if the manager knows one, or violations for values that cannot be part of them.
pub(crate) fn render(
    workspace: &Workspace,
    effective: &Effective,
    manager: &WorkspaceManager,
    settings: &Settings,
) -> Result<(Routes, Option<String>), Vec<Violation>> {
    let scope = scope(workspace, effective, manager, settings);
    let routing = &manager.spec.routing;
    let host = variables::expand_text("{workspace.host}", &scope).unwrap_or_default();
    let base_path = variables::expand_text("{workspace.basePath}", &scope).unwrap_or_default();
    let usual = names::url(&host, routing.external_port()) + base_path.trim_start_matches('/');
    let usual = Some(usual).filter(|_| routing.external.is_none());
    if let Some(violations) = Violations::from_list(check(manager, settings)) {
        return Ok((Routes::Unknown(violations), usual));
    }
    let name = names::child(workspace.metadata.name.as_deref().unwrap_or_default());
    let (mut routes, mut described, mut faults) = (Vec::new(), Described::default(), Vec::new());
    let manifests = routing.custom.iter().flat_map(|custom| &custom.resources);
    for (index, manifest) in manifests.enumerate() {
        let path = format!("{RESOURCES}[{index}]");
        match objects::render(&path, manifest, &name, &scope) {
            Ok(route) => {
                faults.extend(described.add(&path, route.identity()));
                routes.push(route);
            }
            Err(found) => faults.extend(found),
        }
    }
    let url = url_template(routing).map_or(Ok(usual), |(path, template)| {
        variables::expand_text(template, &scope)
            .map(Some)
            .map_err(|error| faults.push(Violation::new(path, template, error.to_string())))
    });
    let routes = match (&routing.custom, &routing.external) {
        (Some(_), _) => Routes::Objects(routes),
        (None, Some(_)) => Routes::External,
        (None, None) => Routes::NoObjects,
    };
    match url {
        Ok(url) if faults.is_empty() => Ok((routes, url)),
        _ => Err(of_manager(manager, faults)),
    }
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
