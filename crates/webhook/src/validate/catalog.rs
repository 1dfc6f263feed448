//! Request for a template, manager or profile -> violations and warnings (IO).
//!
//! A change of metadata alone does not validate the stored spec again.

use api::names::DEFAULT_TEMPLATE_LABEL;
use api::{WorkspaceExecutionProfile, WorkspaceManager, WorkspaceTemplate};
use kube::api::DynamicObject;
use rules::{Settings, Violation};
use serde::de::DeserializeOwned;

use super::{objects, profile_permissions, public_access, unreadable};
use crate::lookups::{LookupError, Lookups};
use crate::records::default_template;
use crate::review::{Changes, Findings, Request};

/// Checks a template for contradictions.
pub(super) async fn template(
    request: &Request,
    changes: &Changes,
    settings: &Settings,
    lookups: &Lookups,
) -> Result<Findings, LookupError> {
    let mut found = written(request, changes, |template: &WorkspaceTemplate| {
        let mut found = rules::validate::presentation(&template.spec, settings);
        // The rest was judged when it was written, by the rules of that time, and cannot change.
        if request.is_create() || changes.spec.iter().any(|field| field != "presentation") {
            found.extend(rules::validate::template(&template.spec, settings));
        }
        found
    });
    let is_new = request.is_create() && found.invalid.is_empty();
    let template = is_new.then(|| request.object.clone().try_parse::<WorkspaceTemplate>());
    if let Some(Ok(template)) = template {
        found
            .invalid
            .extend(objects::cluster_wide(&template.spec, lookups).await?);
        let spec = &template.spec;
        found.warnings.extend(rules::validate::template_advice(spec));
        found.warnings.extend(public_access::warning(
            "spec.defaultAccessType",
            spec.default_access_type.unwrap_or_default(),
            spec.manager_ref.as_deref(),
            &lookups.managers(),
        ));
    }
    if changes.labels_set.contains(DEFAULT_TEMPLATE_LABEL) && !request.is_delete() {
        let label = request
            .object
            .metadata
            .labels
            .as_ref()
            .and_then(|all| all.get(DEFAULT_TEMPLATE_LABEL));
        let is_default = label.is_some_and(|label| label == "true");
        let others = is_default.then(|| default_template::beside_others(&request.name, lookups));
        found.warnings.extend(others.flatten());
    }
    Ok(found)
}

/// Checks that a profile gives pods nothing that the rules forbid, and nothing that its author may not read.
/// `by_us`: the user is the operator, which needs no such permissions.
pub(super) async fn profile(
    request: &Request,
    changes: &Changes,
    by_us: bool,
    settings: &Settings,
    lookups: &Lookups,
) -> Result<Findings, LookupError> {
    let mut found = written(request, changes, |profile: &WorkspaceExecutionProfile| {
        rules::validate::profile(&profile.spec, settings)
    });
    // No access review is requested for an object that is refused anyway.
    let is_refused = !found.invalid.is_empty();
    if !is_refused && !by_us && !request.is_delete() && !changes.spec.is_empty() {
        found.forbidden = profile_permissions::forbidden(request, lookups).await?;
    }
    Ok(found)
}

/// Applies `rules` to an object with a new or changed spec.
fn written<K: DeserializeOwned>(
    request: &Request,
    changes: &Changes,
    rules: impl Fn(&K) -> Vec<Violation>,
) -> Findings {
    if changes.spec.is_empty() && !request.is_create() {
        return Findings::default();
    }
    match serde_json::to_value(&request.object).and_then(serde_json::from_value::<K>) {
        Ok(object) => Findings {
            invalid: rules(&object),
            ..Findings::default()
        },
        Err(error) => unreadable(&error.to_string()),
    }
}

/// Checks that a manager can route. A warning says that running workspaces get another URL.
pub(super) fn manager(request: &Request, changes: &Changes, settings: &Settings) -> Findings {
    let mut found = written(request, changes, |manager: &WorkspaceManager| {
        rules::validate::manager(manager, settings)
    });
    if found.invalid.is_empty() && changes.spec.contains("routing") {
        found.warnings.extend(moves(request));
    }
    found
}

fn moves(request: &Request) -> Option<String> {
    let old = request.old.as_ref()?;
    let differs = |field: &&str| {
        let of = |object: &DynamicObject| object.data["spec"]["routing"][*field].clone();
        of(old) != of(&request.object)
    };
    let moved: Vec<_> = ["baseDomain", "mode", "port"]
        .into_iter()
        .filter(differs)
        .map(|field| format!("spec.routing.{field}"))
        .collect();
    let verb = match moved.len() {
        0 => return None,
        1 => "changes",
        _ => "change",
    };
    Some(format!(
        "{} {verb}: every running workspace of this manager gets another URL, and its sessions end",
        moved.join(", ")
    ))
}
