//! Workspace and action -> what the action also deletes or ends, as text (pure).

use api::Workspace;
use api::workspace::{DesiredStatus, Retain};
use kube::ResourceExt as _;

/// A user's action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A pod should run.
    Start,
    /// No pod should run.
    Stop,
    /// Another run should begin.
    Restart,
    /// The workspace should be deleted.
    Delete,
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
        let runs = workspace.spec.desired_status == DesiredStatus::Running;
        let (files, loses_files) = match action {
            Action::Start => return None,
            Action::Stop | Action::Restart if !runs => return None,
            Action::Stop | Action::Restart => at_stop(workspace),
            Action::Delete => at_deletion(workspace),
        };
        let ends = if runs { "kernels and terminals end; " } else { "" };
        Some(Self {
            text: format!("{}: {ends}{files}", workspace.name_any()),
            loses_files,
        })
    }
}

fn at_stop(workspace: &Workspace) -> (String, bool) {
    if is_ephemeral(workspace) {
        let text = "its files are deleted, because it has no disk (status.resolved.storage.ephemeral)";
        return (text.to_owned(), true);
    }
    ("its disk is kept".to_owned(), false)
}

fn at_deletion(workspace: &Workspace) -> (String, bool) {
    if is_ephemeral(workspace) {
        return ("its files are deleted, because it has no disk".to_owned(), true);
    }
    let own = workspace.spec.storage.as_ref();
    let resolved = resolved_storage(workspace);
    let claim = resolved
        .and_then(|storage| storage.claim_name.as_ref())
        .or_else(|| own?.claim_name.as_ref());
    if let Some(claim) = claim {
        let text = format!("the PersistentVolumeClaim {claim}, which is its home, is kept");
        return (text, false);
    }
    let name = workspace.name_any();
    match resolved
        .and_then(|storage| storage.retain)
        .or_else(|| own?.retain)
    {
        Some(Retain::Retain) => (
            format!(
                "its disk {} is kept: a workspace of the same name uses it again",
                rules::names::child(&name)
            ),
            false,
        ),
        _ => (
            format!(
                "its disk {} and all files on it are deleted (spec.storage.retain: Retain would keep them)",
                rules::names::child(&name)
            ),
            true,
        ),
    }
}

fn resolved_storage(workspace: &Workspace) -> Option<&api::workspace::ResolvedStorage> {
    workspace.status.as_ref()?.resolved.as_ref()?.storage.as_ref()
}

/// Whether the home is on no disk, so that a stop deletes the files.
pub fn is_ephemeral(workspace: &Workspace) -> bool {
    resolved_storage(workspace).is_some_and(|storage| storage.ephemeral)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn consequence(action: Action, spec: Value, storage: &Value) -> Option<(String, bool)> {
        let mut spec = spec;
        spec["displayName"] = json!("d");
        let object =
            json!({"metadata": {"name": "demo"}, "spec": spec, "status": {"resolved": {"storage": storage}}});
        let workspace = serde_json::from_value(object).unwrap();
        Consequence::from_action(action, &workspace).map(|it| (it.text, it.loses_files))
    }

    #[test]
    fn a_stop_keeps_a_disk_and_deletes_files_without_one() {
        let disk = json!({"mountPath": "/home", "size": "1Gi"});
        let (text, loses) = consequence(Action::Stop, json!({}), &disk).unwrap();
        assert_eq!(text, "demo: kernels and terminals end; its disk is kept");
        assert!(!loses);
        let (text, loses) = consequence(
            Action::Stop,
            json!({}),
            &json!({"mountPath": "/home", "ephemeral": true}),
        )
        .unwrap();
        assert!(loses && text.contains("its files are deleted"), "{text}");
        assert_eq!(
            consequence(Action::Stop, json!({"desiredStatus": "Stopped"}), &disk),
            None
        );
    }

    #[test]
    fn a_deletion_says_what_becomes_of_the_disk() {
        for (storage, part, expected) in [
            (
                json!({"mountPath": "/h", "retain": "Delete"}),
                "are deleted",
                true,
            ),
            (
                json!({"mountPath": "/h", "retain": "Retain"}),
                "disk workspace-demo is kept",
                false,
            ),
            (
                json!({"mountPath": "/h", "claimName": "course"}),
                "PersistentVolumeClaim course",
                false,
            ),
            (json!({"mountPath": "/h", "ephemeral": true}), "has no disk", true),
        ] {
            let (text, loses) =
                consequence(Action::Delete, json!({"desiredStatus": "Stopped"}), &storage).unwrap();
            assert!(text.contains(part), "{text}");
            assert!(!text.contains("kernels"), "{text}");
            assert_eq!(loses, expected, "{text}");
        }
    }
}
