//! Objects of a template -> conditions that name nothing (pure).
//!
//! What the installation's settings decide is in `crate::objects`: workspaces of such a template run, without its objects.

use api::WorkspaceTemplateSpec;

use super::options::unknown_names;
use crate::violation::Violation;

/// Checks that the conditions name choices of options.
pub(super) fn conditions(spec: &WorkspaceTemplateSpec) -> Vec<Violation> {
    let objects = spec.objects.iter().enumerate();
    let found = objects.flat_map(|(index, object)| {
        unknown_names(
            &format!("spec.objects[{index}].when"),
            &object.when,
            &spec.options,
        )
    });
    found.collect()
}
