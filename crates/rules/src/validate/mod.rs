//! Effective workspace and its template -> every broken rule, each with field, value, rule and remedy (pure).

mod image;
mod resources;
mod storage;
mod template;

use api::{WorkspaceSpec, WorkspaceTemplate};

pub use image::image_syntax;
pub(crate) use resources::shape as resource_shape;
pub use storage::mount_path;
pub(crate) use storage::positive;
pub use template::template;

use crate::defaults::Effective;
use crate::names;
use crate::settings::Settings;
use crate::violation::Violation;

/// Ports that a process without privileges can listen on.
const PORTS: std::ops::RangeInclusive<i32> = 1024..=65535;

/// Every rule about the values of a workspace. `given` is what its author wrote, `effective` what it amounts to.
pub(crate) fn workspace(
    given: &WorkspaceSpec,
    effective: &Effective,
    template: Option<&WorkspaceTemplate>,
    settings: &Settings,
) -> Vec<Violation> {
    let mut found = Vec::new();
    if let Some(template) = template {
        found.extend(template::as_reference(template, settings));
    }
    let bounds = template.map(|template| &template.spec);
    found.extend(image::workspace(given, effective, bounds, settings));
    found.extend(resources::workspace(
        given.resources.as_ref(),
        &effective.resources,
        bounds.and_then(|bounds| bounds.resource_bounds.as_ref()),
    ));
    found.extend(storage::workspace(given, &effective.home, bounds));
    if !PORTS.contains(&effective.port) {
        found.push(port_violation("spec.port", effective.port));
    }
    found
}

/// The rule about the name of a Workspace.
pub fn name(name: &str) -> Vec<Violation> {
    let max = api::names::MAX_WORKSPACE_NAME;
    if names::is_dns_1035_label(name, max) {
        return Vec::new();
    }
    let rule = format!(
        "is not a valid name: use at most {max} lower-case letters, digits and '-', starting with a letter and ending \
         with a letter or digit"
    );
    vec![Violation::new("metadata.name", name, rule)]
}

pub(crate) fn port_violation(field: &str, port: i32) -> Violation {
    let rule = format!(
        "is no port for an application: choose one from {} to {}",
        PORTS.start(),
        PORTS.end()
    );
    Violation::new(field, port.to_string(), rule)
}
