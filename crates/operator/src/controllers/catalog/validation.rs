//! Template, manager or profile, settings -> whether it is valid, and why not (pure).

use std::collections::BTreeSet;

use api::{WorkspaceExecutionProfile, WorkspaceManager, WorkspaceTemplate, condition::reason, names};
use rules::{
    Settings, Violation, Violations,
    objects::{self, ObjectKind},
    routes,
};

use crate::cache::objects::{ObjectStore, Purpose};

/// The content of an object's condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Validation {
    pub(super) holds: bool,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl Validation {
    fn from_violations(violations: Vec<Violation>, fine: &str) -> Self {
        match Violations::from_list(violations) {
            None => Self {
                holds: true,
                reason: reason::ALL_RULES_HOLD,
                message: fine.to_owned(),
            },
            Some(violations) => Self {
                holds: false,
                reason: reason::RULES_VIOLATED,
                message: violations.to_string(),
            },
        }
    }
}

/// Whether a template contradicts itself, and the kinds of its objects are allowed and installed.
pub(super) fn template(template: &WorkspaceTemplate, settings: &Settings, store: &ObjectStore) -> Validation {
    let validation = Validation::from_violations(
        rules::validate::template(&template.spec, settings),
        "The template does not contradict itself.",
    );
    let unlisted = objects::unlisted_kinds(&template.spec, settings);
    if !unlisted.is_empty() {
        return Validation {
            holds: false,
            reason: reason::OBJECT_KIND_UNAVAILABLE,
            message: format!("{}. {}", validation.message, left_behind(&unlisted)),
        };
    }
    match store.unavailable(&objects::kinds_of(&template.spec)) {
        Some(message) if validation.holds => Validation {
            holds: false,
            reason: reason::OBJECT_KIND_UNAVAILABLE,
            message,
        },
        _ => validation,
    }
}

/// What becomes of objects that were made while these kinds were listed: the operator has no rights on them any more.
fn left_behind(kinds: &BTreeSet<ObjectKind>) -> String {
    let kinds = kinds
        .iter()
        .map(|kind| format!("{}.{}.{}", kind.kind, kind.version(), kind.group()));
    format!(
        "Objects that were made before stay, also when their workspaces stop. To delete them: kubectl delete {} --all-namespaces --selector {},{}={}",
        kinds.collect::<Vec<_>>().join(","),
        names::WORKSPACE_LABEL,
        names::APP_COMPONENT_LABEL,
        Purpose::Template.component()
    )
}

/// The same validation result of a valid template, or an invalid one if `missing` says that a named object does not exist.
pub(super) fn naming(template: Validation, missing: Option<(&'static str, Violation)>) -> Validation {
    match missing {
        Some((reason, violation)) if template.holds => Validation {
            holds: false,
            reason,
            message: violation.to_string(),
        },
        _ => template,
    }
}

/// Whether a profile breaks a rule.
pub(super) fn profile(profile: &WorkspaceExecutionProfile, settings: &Settings) -> Validation {
    Validation::from_violations(
        rules::validate::profile(&profile.spec, settings),
        "Every rule holds.",
    )
}

/// Whether users can connect to workspaces through a manager. A kind that is not installed breaks no rule, nor does a gateway of another kind.
pub(super) fn manager(manager: &WorkspaceManager, settings: &Settings, store: &ObjectStore) -> Validation {
    let validation = Validation::from_violations(
        rules::validate::manager(manager, settings),
        "Workspaces can be routed by this manager.",
    );
    if !validation.holds {
        return validation;
    }
    let not_served = rules::managers::not_served(manager, settings);
    let not_served = not_served.map(|why| (reason::NOT_SERVED, why));
    let unavailable = || {
        Some((
            reason::ROUTE_KIND_UNAVAILABLE,
            store.unavailable(&routes::kinds_of(manager))?,
        ))
    };
    match not_served.or_else(unavailable) {
        Some((reason, message)) => Validation {
            holds: false,
            reason,
            message,
        },
        None => validation,
    }
}
