//! Request for a new Workspace that names no template -> the default one (IO).
//!
//! The webhook writes it into the object. So the template is visible, and stays when another one becomes the
//! default.

use std::collections::BTreeSet;

use api::names::{DEFAULT_TEMPLATE, DEFAULT_TEMPLATE_LABEL};
use rules::Violation;

use crate::lookups::{LookupError, Lookups};
use crate::review::Request;

const FIELD: &str = "spec.templateRef";

/// The default template for a new workspace, or why there is none.
pub(crate) async fn due(
    request: &Request,
    lookups: &Lookups,
) -> Result<Result<Option<String>, Violation>, LookupError> {
    let spec = &request.object.data["spec"];
    let is_new = request.is_create() && spec.is_object();
    if !is_new || !spec["templateRef"].is_null() {
        return Ok(Ok(None));
    }
    let of_namespace = lookups
        .annotation_of_namespace(&request.namespace, DEFAULT_TEMPLATE)
        .await?;
    Ok(match of_namespace {
        Some(name) => Ok(Some(name)),
        None => the_one(lookups.default_templates()),
    })
}

fn the_one(names: BTreeSet<String>) -> Result<Option<String>, Violation> {
    if names.len() < 2 {
        return Ok(names.into_iter().next());
    }
    let names = names.into_iter().collect::<Vec<_>>().join(", ");
    let rule = format!(
        "is missing, and the default template is ambiguous: {names} all have the label {DEFAULT_TEMPLATE_LABEL}: \"true\". Name \
         one of them, or have an administrator leave the label on one"
    );
    Err(Violation::new(FIELD, "", rule))
}

/// The warning if `name` becomes a default template while others exist.
pub(crate) fn beside_others(name: &str, lookups: &Lookups) -> Option<String> {
    let mut others = lookups.default_templates();
    others.remove(name);
    (!others.is_empty()).then(|| {
        let others = others.into_iter().collect::<Vec<_>>().join(", ");
        format!(
            "metadata.labels[{DEFAULT_TEMPLATE_LABEL}]: {others} has it too: workspaces that name no template are refused until one \
             template has it"
        )
    })
}
