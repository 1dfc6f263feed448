//! Effective workspace and its template -> every broken rule, each with field, value, rule and remedy (pure).

mod image;
mod storage;
mod template;

use api::{WorkspaceSpec, WorkspaceTemplate};

pub use template::template;

use crate::checks::{self, resources};
use crate::defaults::Effective;
use crate::settings::Settings;
use crate::violation::Violation;

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
    found.extend(checks::port("spec.port", effective.port));
    found
}
