//! Request for a template, manager or profile -> violations and warnings (IO).
//!
//! A change of metadata alone does not validate the stored spec again.

use std::time::Duration;

use api::names::DEFAULT_TEMPLATE_LABEL;
use api::{WorkspaceExecutionProfile, WorkspaceManager, WorkspaceTemplate, WorkspaceTemplateSpec};
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use rules::{Settings, Violation};
use serde::de::DeserializeOwned;

use super::{profile_permissions, public_access, unreadable};
use crate::lookups::{LookupError, Lookups};
use crate::records::default_template;
use crate::review::{Changes, Findings, Request};

/// Maximum time for counting workspaces, which serves only a warning.
const COUNTING: Duration = Duration::from_secs(2);

/// Checks a template for contradictions.
pub(super) fn template(
    request: &Request,
    changes: &Changes,
    settings: &Settings,
    lookups: &Lookups,
) -> Findings {
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
        let spec = &template.spec;
        found.warnings = rules::validate::template_advice(spec);
        found.warnings.extend(public_access::warning(
            "spec.defaultAccessType",
            spec.default_access_type.unwrap_or_default(),
            spec.manager_ref.as_deref(),
            &lookups.managers(),
        ));
        found.warnings.extend(missing(spec, lookups));
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
    found
}

/// Objects that a template names and the watches do not know. Like templates, they may be created later.
fn missing(spec: &WorkspaceTemplateSpec, lookups: &Lookups) -> Vec<String> {
    let manager = spec.manager_ref.as_deref();
    let no_manager =
        manager.filter(|name| !lookups.managers().iter().any(|known| known.name_any() == **name));
    let no_profile = spec
        .execution_profile_ref
        .as_deref()
        .filter(|name| !lookups.has_profile_anywhere(name));
    let manager = no_manager.map(rules::validate::no_manager);
    let profile = no_profile.map(rules::validate::no_profile);
    manager
        .into_iter()
        .chain(profile)
        .map(|it| it.to_string())
        .collect()
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

/// Checks that a manager can route. A warning says how many running workspaces get another URL.
pub(super) async fn manager(
    request: &Request,
    changes: &Changes,
    settings: &Settings,
    lookups: &Lookups,
) -> Findings {
    let mut found = written(request, changes, |manager: &WorkspaceManager| {
        rules::validate::manager(manager, settings)
    });
    if found.invalid.is_empty() && changes.spec.contains("routing") {
        found.warnings.extend(moves(request, lookups).await);
    }
    if request.is_delete() {
        found.warnings.extend(left_behind(&request.name, lookups));
    }
    found
}

/// A warning with the templates that name a manager which is being deleted.
fn left_behind(manager: &str, lookups: &Lookups) -> Option<String> {
    let templates = lookups.templates_of_manager(manager);
    (!templates.is_empty()).then(|| {
        format!(
            "WorkspaceManager {manager:?} is named by the WorkspaceTemplates {}: their new workspaces wait until there is a manager of \
             that name",
            templates.join(", ")
        )
    })
}

async fn moves(request: &Request, lookups: &Lookups) -> Option<String> {
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
    let count = tokio::time::timeout(COUNTING, lookups.running_of_manager(&request.name)).await;
    let running = match count {
        Ok(Ok(1)) => "1 running workspace gets another URL, and its sessions end".to_owned(),
        Ok(Ok(running)) => format!("{running} running workspaces get other URLs, and their sessions end"),
        Ok(Err(_)) | Err(_) => {
            "every running workspace of this manager gets another URL, and its sessions end".to_owned()
        }
    };
    Some(format!("{} {verb}: {running}", moved.join(", ")))
}
