//! Rejection by the rules -> why a workspace must not run, as text (pure).

use std::fmt;

use api::{condition::reason, workspace::DesiredStatus};
use rules::Rejection;

use super::Problem;

/// Why a workspace must not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// A rule is broken or a reference does not resolve.
    Rules(Rejection),
    /// A template, manager or profile exists but cannot be parsed.
    Unreadable(String),
    /// An object that it refers to is being deleted and accepts no new workspace.
    Terminating {
        /// Kind of the object.
        kind: &'static str,
        /// Its name.
        name: String,
        /// Reason for the condition `Valid`.
        reason: &'static str,
    },
}

impl Rejected {
    /// Reason for the condition `Valid`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Rules(rejection) => rejection.reason(),
            Self::Unreadable(_) => reason::UNREADABLE,
            Self::Terminating { reason, .. } => reason,
        }
    }

    /// The message, with the consequence for a workspace with this desired status.
    pub fn message(&self, wanted: DesiredStatus) -> String {
        match self {
            Self::Rules(rejection) => rejection.message(wanted),
            other => other.to_string(),
        }
    }

    /// The problem for the condition `Degraded`, depending on the desired status. Broken rules are not reported there: only the author can
    /// fix them.
    pub fn problem(&self, wanted: DesiredStatus) -> Option<Problem> {
        match self {
            Self::Rules(Rejection::Violations(_)) => None,
            other => Some(Problem {
                reason: other.reason(),
                message: other.message(wanted),
                failed: true,
            }),
        }
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rules(rejection) => rejection.fmt(f),
            Self::Unreadable(what) => f.write_str(what),
            Self::Terminating { kind, name, .. } => {
                write!(
                    f,
                    "{kind} {name:?} is being deleted and takes no new workspace: choose another one"
                )
            }
        }
    }
}
