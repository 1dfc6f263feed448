//! Workspace and field -> whether the field may change, and when a change takes effect (pure).

use api::Workspace;
use api::workspace::{DesiredStatus, UpdatePolicy};

use super::model::Change;
use crate::effective::{Effective, Home};

/// Fields that count without a restart. All others are inputs of the pod, which the operator records at each start
/// (docs/using.md).
const WITHOUT_RESTART: [&str; 9] = [
    "metadata.labels",
    "spec.displayName",
    "spec.storage.size",
    "spec.storage.retain",
    "spec.idleShutdown",
    "spec.limits",
    "spec.updatePolicy",
    "spec.accessType",
    "spec.ownershipType",
];

/// The known state of an existing workspace.
pub(super) struct Changes {
    /// When a change of the pod takes effect.
    of_pod: Change,
    /// The claim that is its home, if a user set one.
    claim: Option<String>,
    has_storage: bool,
    is_ephemeral: bool,
}

impl Changes {
    pub(super) fn of(workspace: Option<&Workspace>, now: &Effective) -> Self {
        let Some(workspace) = workspace else {
            return Self {
                of_pod: Change::New,
                claim: None,
                has_storage: false,
                is_ephemeral: false,
            };
        };
        let spec = &workspace.spec;
        let has_started = workspace
            .status
            .as_ref()
            .is_some_and(|status| status.started_at.is_some());
        Self {
            of_pod: match (spec.desired_status, spec.update_policy) {
                (DesiredStatus::Stopped, _) => Change::NextStart,
                (DesiredStatus::Running, UpdatePolicy::Always) => Change::RestartsNow,
                (DesiredStatus::Running, UpdatePolicy::OnStop) if has_started => Change::NextStart,
                (DesiredStatus::Running, UpdatePolicy::OnStop) => Change::Now,
            },
            claim: spec
                .storage
                .as_ref()
                .and_then(|storage| storage.claim_name.clone()),
            has_storage: spec.storage.is_some(),
            is_ephemeral: matches!(now.home, Home::Ephemeral { .. }),
        }
    }

    pub(super) fn of_field(&self, path: &str) -> Change {
        if self.of_pod == Change::New {
            return Change::New;
        }
        let refused = |why: &str| Change::Refused(why.to_owned());
        if path == "metadata.name" {
            return refused("cannot change: create another workspace of that name");
        }
        if let Some(claim) = &self.claim
            && ["size", "retain", "storageClassName"]
                .iter()
                .any(|name| path == format!("spec.storage.{name}"))
        {
            return Change::Refused(format!(
                "cannot be set: the home is the PersistentVolumeClaim {claim}, which has its own and is never deleted with the workspace"
            ));
        }
        match path {
            "spec.storage.storageClassName" if self.has_storage => refused(
                "is immutable: a disk cannot move to another class; copy the files to another workspace",
            ),
            "spec.storage.claimName" if self.has_storage => refused(
                "is immutable: a workspace keeps its disk; create another workspace for the other claim",
            ),
            "spec.storage.size" if self.is_ephemeral => self.of_pod.clone(),
            _ if counts_now(path) => Change::Now,
            _ => self.of_pod.clone(),
        }
    }
}

fn counts_now(path: &str) -> bool {
    WITHOUT_RESTART.iter().any(|field| {
        let rest = path.strip_prefix(field);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    })
}
