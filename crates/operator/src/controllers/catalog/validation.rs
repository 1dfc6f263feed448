//! Template, manager or profile, settings -> whether it is valid, and why not (pure).

use api::{WorkspaceExecutionProfile, WorkspaceManager, WorkspaceTemplate, condition::reason};
use rules::{Settings, Violation, Violations, objects, routes};

use crate::cache::objects::ObjectStore;

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

/// Whether a template contradicts itself, and the kinds of its objects are installed.
pub(super) fn template(template: &WorkspaceTemplate, settings: &Settings, store: &ObjectStore) -> Validation {
    let validation = Validation::from_violations(
        rules::validate::template(&template.spec, settings),
        "The template does not contradict itself.",
    );
    match store.unavailable(&objects::kinds_of(&template.spec)) {
        Some(message) if validation.holds => Validation {
            holds: false,
            reason: reason::OBJECT_KIND_UNAVAILABLE,
            message,
        },
        _ => validation,
    }
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
