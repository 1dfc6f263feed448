//! Why a workspace must not run, in words (pure).

use api::condition::reason;
use api::workspace::DesiredStatus;

use crate::violation::Violations;

/// An object that the workspace refers to is not there yet. No rule is broken: manifests come in any order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotYet {
    /// The named template does not exist.
    #[error("WorkspaceTemplate {name:?} (spec.templateRef) does not exist")]
    TemplateNotFound {
        /// Its name.
        name: String,
    },
    /// The named manager does not exist.
    #[error("WorkspaceManager {name:?} does not exist")]
    ManagerNotFound {
        /// Its name.
        name: String,
    },
    /// The named execution profile does not exist.
    #[error("WorkspaceExecutionProfile {name:?} does not exist in this namespace")]
    ExecutionProfileNotFound {
        /// Its name.
        name: String,
    },
    /// No manager is named and none is the default.
    #[error(
        "no WorkspaceManager is the default: annotate one with {}=true, or name one in spec.managerRef",
        api::names::IS_DEFAULT
    )]
    NoDefaultManager,
    /// No manager is named and several are the default.
    #[error(
        "several WorkspaceManagers are the default ({}): leave the annotation {} on one, or name one in spec.managerRef",
        names.join(", "),
        api::names::IS_DEFAULT
    )]
    ManagerAmbiguous {
        /// Their names, sorted.
        names: Vec<String>,
    },
}

impl NotYet {
    /// Reason for the conditions `Valid` and `Degraded`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TemplateNotFound { .. } => reason::TEMPLATE_NOT_FOUND,
            Self::ManagerNotFound { .. } | Self::NoDefaultManager => reason::MANAGER_NOT_FOUND,
            Self::ExecutionProfileNotFound { .. } => reason::EXECUTION_PROFILE_NOT_FOUND,
            Self::ManagerAmbiguous { .. } => reason::MANAGER_AMBIGUOUS,
        }
    }

    /// In words, with what follows for a workspace that is wanted so.
    pub fn told(&self, wanted: DesiredStatus) -> String {
        let then = match (self, wanted) {
            // These say what to do.
            (Self::NoDefaultManager | Self::ManagerAmbiguous { .. }, _) => "",
            (_, DesiredStatus::Running) => ": the workspace starts as soon as it does",
            (_, DesiredStatus::Stopped) => ": the workspace is stopped, and cannot start until it does",
        };
        format!("{self}{then}")
    }
}

/// Why a workspace must not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Rules are broken; the person who wrote the workspace has to change it.
    #[error(transparent)]
    Violations(Violations),
    /// Something else has to appear first.
    #[error(transparent)]
    NotYet(NotYet),
}

impl Rejection {
    /// Reason for the condition `Valid`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Violations(_) => reason::RULES_VIOLATED,
            Self::NotYet(not_yet) => not_yet.reason(),
        }
    }

    /// In words, with what follows for a workspace that is wanted so.
    pub fn told(&self, wanted: DesiredStatus) -> String {
        match self {
            Self::Violations(violations) => violations.to_string(),
            Self::NotYet(not_yet) => not_yet.told(wanted),
        }
    }
}
