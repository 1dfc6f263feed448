//! What a workspace refers to, and why one must not run (pure).

use std::{fmt, sync::Arc};

use api::{
    WorkspaceExecutionProfile, WorkspaceManager, WorkspaceStatus, WorkspaceTemplate, condition::reason,
    manager::NetworkPolicySettings, workspace::DesiredStatus,
};
use kube::ResourceExt as _;
use rules::Rejection;

use crate::trouble::Trouble;

/// The objects that a workspace refers to.
#[derive(Clone, Debug, Default)]
pub struct References {
    /// The template that it names, if it exists.
    pub template: Option<Arc<WorkspaceTemplate>>,
    /// The execution profile that it or its template names, if it exists.
    pub profile: Option<Arc<WorkspaceExecutionProfile>>,
    /// Every manager.
    pub managers: Vec<Arc<WorkspaceManager>>,
    /// What exists but could not be parsed: kind, name and why.
    pub unreadable: Option<String>,
}

impl References {
    /// The wall around the pod of a workspace that must not run, but does: as the manager wants it that `status` names; the
    /// usual one where nobody knows that manager any more.
    pub fn last_wall(&self, status: Option<&WorkspaceStatus>) -> NetworkPolicySettings {
        let resolved = status.and_then(|status| status.resolved.as_ref());
        let last = resolved.and_then(|resolved| resolved.manager.as_deref());
        let manager = last.and_then(|name| self.managers.iter().find(|manager| manager.name_any() == name));
        manager
            .and_then(|manager| manager.spec.network_policy.clone())
            .unwrap_or_default()
    }
}

/// Why a workspace must not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// A rule is broken or a reference does not resolve.
    Rules(Rejection),
    /// A template, manager or profile exists but cannot be parsed.
    Unreadable(String),
    /// Something that it refers to is being deleted, and takes no new workspace.
    Leaving {
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
            Self::Leaving { reason, .. } => reason,
        }
    }

    /// In words, with what follows for a workspace that is wanted so.
    pub fn told(&self, wanted: DesiredStatus) -> String {
        match self {
            Self::Rules(rejection) => rejection.told(wanted),
            other => other.to_string(),
        }
    }

    /// What to show as the cause in `Degraded` of a workspace that is wanted so: everything but broken rules, which only the author
    /// can mend.
    pub fn trouble(&self, wanted: DesiredStatus) -> Option<Trouble> {
        match self {
            Self::Rules(Rejection::Violations(_)) => None,
            other => Some(Trouble {
                reason: other.reason(),
                message: other.told(wanted),
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
            Self::Leaving { kind, name, .. } => {
                write!(
                    f,
                    "{kind} {name:?} is being deleted and takes no new workspace: choose another one"
                )
            }
        }
    }
}
