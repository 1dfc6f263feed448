//! A reason or a state -> the remedy, who can apply it, and the changes (pure).

use api::Workspace;
use api::condition::reason::{self, Reason};
use kube::ResourceExt as _;
use serde::Serialize;

use super::actions::{self, Change, edit};

/// A remedy, and who can apply it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Remedy {
    /// Who can do it.
    pub who: Who,
    /// The remedy.
    pub what: String,
    /// Changes that apply it; one of them is enough. Empty: no change of a workspace or a share applies it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
}

/// Who can do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Who {
    /// The user whom the explanation is for.
    User,
    /// The owner, and holders of the verb `administer`.
    Owner,
    /// Administrators of the namespace or the cluster.
    Administrator,
}

/// A change, and the command that makes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// The change.
    pub action: Change,
    /// As a shell command. Placeholders are in capitals.
    pub command: String,
}

/// Where the files are, in recovery.
const RECOVERED: &str = "the folder `disk` of the home";
/// How long a proposed share lasts, in minutes.
const SHARED: i64 = 8 * 60;

impl Remedy {
    /// Remedies for the owner.
    pub(super) fn of_owner(what: impl Into<String>) -> Self {
        Self {
            who: Who::Owner,
            what: what.into(),
            steps: Vec::new(),
        }
    }

    /// Remedies for the user whom the explanation is for.
    pub(super) fn of_user(what: impl Into<String>) -> Self {
        Self {
            who: Who::User,
            ..Self::of_owner(what)
        }
    }

    /// Remedies for an administrator.
    pub(super) fn of_administrator(what: impl Into<String>) -> Self {
        Self {
            who: Who::Administrator,
            ..Self::of_owner(what)
        }
    }

    /// To see why the operator does nothing.
    pub(super) fn operator() -> Self {
        Self::of_administrator("See whether the operator's pods run, and their log.")
    }

    /// The same, for an administrator alone.
    pub(super) fn for_administrator(self) -> Self {
        Self {
            who: Who::Administrator,
            ..self
        }
    }

    /// To create new workspaces from another template.
    pub(super) fn create(namespace: &str, template: &str) -> Self {
        let what = format!("Create new workspaces from {template}. Existing ones keep this template.");
        let template = template.to_owned();
        let action = Change::Create { template };
        let command = action.command("", namespace);
        Self {
            steps: vec![Step { action, command }],
            ..Self::of_owner(what)
        }
    }

    /// To start the workspace.
    pub(super) fn start(workspace: &Workspace) -> Self {
        Self::of_owner("Start it.").by(workspace, [Change::Start])
    }

    /// To start the workspace in recovery.
    pub(super) fn recover(workspace: &Workspace) -> Self {
        let what = format!("Start it in recovery, to repair the files in {RECOVERED}.");
        Self::of_owner(what).by(workspace, [Change::Recover])
    }

    /// To start the workspace normally, repaired or not.
    pub(super) fn leave_recovery(workspace: &Workspace) -> Self {
        Self::of_owner("Start it normally, which leaves recovery.").by(workspace, [Change::Start])
    }

    /// To start the workspace normally, once it is repaired.
    pub(super) fn start_normally(workspace: &Workspace) -> Self {
        let what = format!("Repair the files in {RECOVERED}, then start it normally.");
        Self::of_owner(what).by(workspace, [Change::Start])
    }

    /// To restart the workspace.
    pub(super) fn restart(workspace: &Workspace) -> Self {
        Self::of_owner("Restart it.").by(workspace, [Change::Restart])
    }

    /// To change a field of the workspace.
    pub(super) fn edit(workspace: &Workspace, what: impl Into<String>, field: &str) -> Self {
        Self::of_owner(what).by(workspace, [edit(field)])
    }

    /// To share the workspace with a user, for this long at most.
    pub(super) fn share(workspace: &Workspace, user: &str, most: Option<i64>) -> Self {
        let action = Change::Share {
            user: user.to_owned(),
            minutes: most.map_or(SHARED, |most| most.clamp(1, SHARED)),
        };
        let guests = if workspace.is_in_recovery() {
            " In recovery, guests of a share have a terminal and all files."
        } else {
            ""
        };
        Self::of_owner(format!("Share it with {user}.{guests}")).by(workspace, [action])
    }

    /// To move the end of a share of the workspace.
    pub(super) fn prolong(workspace: &Workspace, share: &str) -> Self {
        let share = share.to_owned();
        Self::of_owner(format!("Move spec.expiresAt of the share {share}."))
            .by(workspace, [Change::Prolong { share }])
    }

    /// The documented remedy of a reason, if there is one.
    pub(super) fn for_reason(name: &str) -> Option<Self> {
        let Reason { remedy, who, .. } = reason::find(name)?;
        let who = match who {
            reason::Who::Owner => Who::Owner,
            reason::Who::Administrator => Who::Administrator,
        };
        (!remedy.is_empty()).then(|| Self {
            who,
            ..Self::of_owner(*remedy)
        })
    }

    /// The same, with the changes of the workspace that do it.
    pub(super) fn of_reason(workspace: &Workspace, name: &str, message: &str) -> Option<Self> {
        let actions = actions::of_reason(workspace, reason::find(name)?, message);
        Some(Self::for_reason(name)?.by(workspace, actions))
    }

    fn by(mut self, workspace: &Workspace, actions: impl IntoIterator<Item = Change>) -> Self {
        let (name, namespace) = (workspace.name_any(), workspace.namespace().unwrap_or_default());
        let steps = actions.into_iter().map(|action| Step {
            command: action.command(&name, &namespace),
            action,
        });
        self.steps = steps.collect();
        self
    }
}
