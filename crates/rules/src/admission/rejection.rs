//! Reasons why a workspace must not run -> condition reasons and messages (pure).

use api::condition::reason;
use api::workspace::DesiredStatus;

use crate::violation::Violations;

/// An object that the workspace refers to does not exist yet. This breaks no rule, because manifests come in any order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MissingReference {
    /// The named template does not exist.
    #[error("WorkspaceTemplate {name:?} (spec.templateRef) does not exist")]
    TemplateNotFound {
        /// Name of the template.
        name: String,
    },
    /// The named manager does not exist.
    #[error("WorkspaceManager {name:?} does not exist")]
    ManagerNotFound {
        /// Name of the manager.
        name: String,
    },
    /// The named execution profile does not exist.
    #[error("WorkspaceExecutionProfile {name:?} does not exist in this namespace")]
    ExecutionProfileNotFound {
        /// Name of the profile.
        name: String,
    },
    /// No manager is named and there is no default manager.
    #[error(
        "no WorkspaceManager is the default: annotate one with {}=true, or name one in spec.managerRef",
        api::names::IS_DEFAULT
    )]
    NoDefaultManager,
    /// No manager is named and there are several default managers.
    #[error(
        "several WorkspaceManagers are the default ({}): leave the annotation {} on one, or name one in spec.managerRef",
        names.join(", "),
        api::names::IS_DEFAULT
    )]
    ManagerAmbiguous {
        /// Names of the default managers, sorted.
        names: Vec<String>,
    },
}

impl MissingReference {
    /// Reason for the conditions `Valid` and `Degraded`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TemplateNotFound { .. } => reason::TEMPLATE_NOT_FOUND,
            Self::ManagerNotFound { .. } | Self::NoDefaultManager => reason::MANAGER_NOT_FOUND,
            Self::ExecutionProfileNotFound { .. } => reason::EXECUTION_PROFILE_NOT_FOUND,
            Self::ManagerAmbiguous { .. } => reason::MANAGER_AMBIGUOUS,
        }
    }

    /// The message, with the consequence for the desired status.
    pub fn message(&self, wanted: DesiredStatus) -> String {
        let then = match (self, wanted) {
            // These messages already say what to do.
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
    /// Rules are broken. The author of the workspace must change it.
    #[error(transparent)]
    Violations(Violations),
    /// Another object must be created first.
    #[error(transparent)]
    MissingReference(MissingReference),
}

impl Rejection {
    /// Reason for the condition `Valid`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Violations(_) => reason::RULES_VIOLATED,
            Self::MissingReference(missing_reference) => missing_reference.reason(),
        }
    }

    /// The message, with the consequence for the desired status.
    pub fn message(&self, wanted: DesiredStatus) -> String {
        match self {
            Self::Violations(violations) => violations.to_string(),
            Self::MissingReference(missing_reference) => missing_reference.message(wanted),
        }
    }
}
