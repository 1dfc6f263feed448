//! Workspace and action -> what the action also deletes or ends, as text (pure).
//!
//! What becomes of the files is in [`rules::files`].

use api::Workspace;
use api::request;
use api::workspace::DesiredStatus;
use kube::ResourceExt as _;
use rules::files::{Disks, Fate, Moment};

/// A user's action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A pod should run, not in recovery.
    Start,
    /// A pod should run in recovery.
    Recover,
    /// No pod should run.
    Stop,
    /// Another run should begin.
    Restart,
    /// The workspace should be deleted.
    Delete,
}

impl Action {
    /// When files may go by the action on this workspace; `None`: they stay as they are.
    pub fn moment(self, workspace: &Workspace) -> Option<Moment<'_>> {
        let runs = workspace.spec.desired_status == DesiredStatus::Running;
        match self {
            Self::Start | Self::Recover => {
                request::replaces_run(workspace, self == Self::Recover).then_some(Moment::Stop)
            }
            Self::Stop | Self::Restart => runs.then_some(Moment::Stop),
            Self::Delete => Some(Moment::Deletion(
                workspace.metadata.name.as_deref().unwrap_or_default(),
            )),
        }
    }
}

/// What an action also deletes or ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consequence {
    /// As text, beginning with the workspace's name.
    pub text: String,
    /// Whether files are lost, or may be.
    pub loses_files: bool,
}

impl Consequence {
    /// `None`: nothing else.
    pub fn from_action(action: Action, workspace: &Workspace) -> Option<Self> {
        let name = workspace.name_any();
        if action == Action::Recover && has_no_disk(workspace) {
            return None;
        }
        let moment = action.moment(workspace)?;
        let Fate { text, loses_files } = Disks::from_workspace(workspace).fate(moment);
        let outside = if moment == Moment::Stop && workspace.is_in_recovery() {
            "; files outside of `disk` are deleted"
        } else {
            ""
        };
        let ends = match workspace.spec.desired_status {
            DesiredStatus::Running => "kernels and terminals end; ",
            DesiredStatus::Stopped => "",
        };
        Some(Self {
            text: format!("{name}: {ends}{text}{outside}"),
            loses_files,
        })
    }
}

/// Whether its home has no disk, so that recovery is refused and ends no run.
fn has_no_disk(workspace: &Workspace) -> bool {
    let status = workspace.status.as_ref();
    let status = status.filter(|status| status.observed_generation == workspace.metadata.generation);
    let storage = status.and_then(|status| status.resolved.as_ref()?.storage.as_ref());
    storage.is_some_and(|storage| storage.ephemeral)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_action_says_what_ends_and_what_becomes_of_files() {
        let workspace = |desired: &str, terminating: &[&str]| -> Workspace {
            serde_json::from_value(json!({
                "metadata": {"name": "demo"},
                "spec": {"displayName": "d", "desiredStatus": desired},
                "status": {
                    "resolved": {"storage": {"mountPath": "/home"}},
                    "disk": {"claimUID": "c", "size": "1Gi"},
                    "terminatingClaims": terminating,
                },
            }))
            .unwrap()
        };
        let terminating = ["workspace-demo"];
        let claim = "files are deleted with the PersistentVolumeClaim workspace-demo, which a user deleted, unless its volume is kept";
        let stop = |desired: &str| {
            let disk = Consequence::from_action(Action::Stop, &workspace(desired, &[]));
            let lost = Consequence::from_action(Action::Restart, &workspace(desired, &terminating));
            [disk, lost].map(|it| it.map(|it| (it.text, it.loses_files)))
        };
        let [disk, lost] = stop("Running");
        let kept = "demo: kernels and terminals end; the disk is kept".to_owned();
        assert_eq!(disk, Some((kept, false)));
        let lost_text = format!("demo: kernels and terminals end; {claim}");
        assert_eq!(lost, Some((lost_text, true)));
        assert_eq!(stop("Stopped"), [None, None]);
        let delete = Consequence::from_action(Action::Delete, &workspace("Stopped", &[])).unwrap();
        assert!(delete.loses_files);
        assert!(
            delete.text.starts_with("demo: its disk workspace-demo"),
            "{}",
            delete.text
        );
        let start = Consequence::from_action(Action::Start, &workspace("Stopped", &terminating));
        assert_eq!(start, None);
    }

    #[test]
    fn what_ends_recovery_says_that_files_outside_of_the_disk_are_deleted() {
        let text = |in_recovery: bool, action: Action| {
            let spec = json!({"displayName": "d", "recoveryMode": in_recovery});
            let status = json!({"disk": {"claimUID": "c", "size": "1Gi"}});
            let object = json!({"metadata": {"name": "demo"}, "spec": spec, "status": status});
            let consequence = Consequence::from_action(action, &serde_json::from_value(object).unwrap());
            consequence.map(|it| (it.text, it.loses_files))
        };
        let kept = "demo: kernels and terminals end; the disk is kept";
        let with_outside = format!("{kept}; files outside of `disk` are deleted");
        for action in [Action::Start, Action::Stop, Action::Restart] {
            assert_eq!(
                text(true, action),
                Some((with_outside.clone(), false)),
                "{action:?}"
            );
        }
        for action in [Action::Recover, Action::Stop, Action::Restart] {
            assert_eq!(text(false, action), Some((kept.to_owned(), false)), "{action:?}");
        }
        assert_eq!(text(true, Action::Recover), None);
        assert_eq!(text(false, Action::Start), None);
    }
}
