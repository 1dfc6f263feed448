//! Status of a workspace -> what becomes of its files at a stop or a deletion, in words (pure).
//!
//! Every sentence about that comes from here, whoever says it.

use api::condition::{DEGRADED, find, reason};
use api::workspace::{Retain, WorkspaceSpec};
use api::{Workspace, WorkspaceStatus};

use crate::names;

/// Paths of `status.pendingUpdate` that give a home without a disk one at the next start.
const NEW_HOME: [&str; 2] = ["spec.storage", "spec.storage.claimName"];

/// What is known of the disk that is a workspace's home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disk {
    /// There is none: the files end with the pod.
    None,
    /// It is deleted with the workspace.
    Own,
    /// It outlives the workspace.
    Retained,
    /// A claim of this name that the workspace does not own.
    Named(String),
    /// A new, empty one in place of a deleted one, and what becomes of it at a deletion.
    Replaced(Retain),
    /// A user deleted its claim, or another one that the pod mounts. The claim goes when no pod uses it.
    Terminating,
    /// Its volume is gone.
    Lost,
    /// There was never one, or never a volume for it.
    NeverMade,
}

/// When the question is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment<'a> {
    /// Before or during a stop.
    Stop,
    /// After a stop.
    Stopped,
    /// Before the workspace of this name is deleted.
    Deletion(&'a str),
}

/// What becomes of the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fate {
    /// A clause, such as `the disk is kept`.
    pub text: String,
    /// Whether files are deleted, or may be.
    pub loses_files: bool,
}

impl Fate {
    /// The clause as a sentence of its own.
    pub fn sentence(&self) -> String {
        let mut letters = self.text.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        first.into_iter().chain(letters).chain(['.']).collect()
    }
}

impl Disk {
    /// The disk of this workspace.
    pub fn from_workspace(workspace: &Workspace) -> Self {
        workspace.status.as_ref().map_or_else(
            || Self::from_spec(&workspace.spec),
            |status| Self::new(Some(&workspace.spec), status),
        )
    }

    /// The disk, as far as a status alone tells.
    pub fn from_status(status: &WorkspaceStatus) -> Self {
        Self::new(None, status)
    }

    /// Before the operator has seen the workspace.
    fn from_spec(spec: &WorkspaceSpec) -> Self {
        let named = spec.storage.as_ref().and_then(|own| own.claim_name.clone());
        named.map_or(Self::NeverMade, Self::Named)
    }

    fn new(spec: Option<&WorkspaceSpec>, status: &WorkspaceStatus) -> Self {
        let resolved = status.resolved.as_ref().and_then(|it| it.storage.as_ref());
        let own = spec.and_then(|spec| spec.storage.as_ref());
        let degraded = find(&status.conditions, DEGRADED).filter(|it| it.status == "True");
        let problem = degraded.map_or("", |it| it.reason.as_str());
        if problem == reason::VOLUME_TERMINATING {
            return Self::Terminating;
        }
        let is_new_home = |path: &String| NEW_HOME.contains(&path.as_str());
        if resolved.is_some_and(|it| it.ephemeral) || status.pending_update.iter().any(is_new_home) {
            return Self::None;
        }
        let named = resolved
            .and_then(|it| it.claim_name.clone())
            .or_else(|| own?.claim_name.clone());
        if let Some(claim) = named {
            return Self::Named(claim);
        }
        let Some(disk) = &status.disk else {
            return Self::NeverMade;
        };
        // A claim in `spec.volumes` that does not exist has the same reason.
        let is_unbound =
            problem == reason::VOLUME_UNBOUND && spec.is_some_and(|spec| spec.volumes.is_empty());
        let is_gone = disk.size.is_none() || is_unbound;
        if disk.volume_name.is_none() && (is_gone || problem == reason::STORAGE_CLASS_NOT_FOUND) {
            return Self::NeverMade;
        }
        // As the operator decides it: the spec, even if the status does not show it yet.
        let retain = own.and_then(|own| own.retain).or_else(|| resolved?.retain);
        match retain.unwrap_or_default() {
            _ if is_gone => Self::Lost,
            retain if disk.replaces_deleted => Self::Replaced(retain),
            Retain::Delete => Self::Own,
            Retain::Retain => Self::Retained,
        }
    }

    /// What becomes of the files.
    pub fn fate(&self, moment: Moment<'_>) -> Fate {
        use Moment::{Deletion, Stop, Stopped};
        let (text, loses_files) = match (self, moment) {
            (Self::None, Stop | Deletion(_)) => (
                "its files are deleted, because it has no disk".to_owned(),
                true,
            ),
            (Self::None, Stopped) => ("its files are gone: it has no disk".to_owned(), true),
            (Self::Replaced(Retain::Delete), Deletion(_)) => return Self::Own.fate(moment),
            (Self::Replaced(Retain::Retain), Deletion(_)) => return Self::Retained.fate(moment),
            (Self::Replaced(_), Stopped) => (
                "its disk is a new, empty one: the disk that the workspace had before was deleted (see its Events)"
                    .to_owned(),
                false,
            ),
            (Self::Own | Self::Retained | Self::Named(_) | Self::Replaced(_), Stop | Stopped) => {
                ("the disk is kept".to_owned(), false)
            }
            (Self::Own, Deletion(name)) => (
                format!(
                    "its disk {} and all files on it are deleted (spec.storage.retain: Retain would keep them)",
                    names::child(name)
                ),
                true,
            ),
            (Self::Retained, Deletion(name)) => (
                format!("its disk {} is kept: a workspace of the same name uses it again", names::child(name)),
                false,
            ),
            (Self::Named(claim), Deletion(_)) => (
                format!("the PersistentVolumeClaim {claim}, which is its home, is kept"),
                false,
            ),
            (Self::Terminating, _) => (
                "files are deleted with a PersistentVolumeClaim that a user deleted, unless its volume is kept".to_owned(),
                true,
            ),
            (Self::Lost, _) => ("its disk is gone, and its files with it".to_owned(), false),
            (Self::NeverMade, _) => ("it has no files yet".to_owned(), false),
        };
        Fate { text, loses_files }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn disk(spec: &Value, status: &Value) -> Disk {
        let mut object = json!({"metadata": {"name": "demo"}, "spec": spec, "status": status});
        object["spec"]["displayName"] = json!("d");
        Disk::from_workspace(&serde_json::from_value(object).unwrap())
    }

    fn degraded(reason: &str, status: &str) -> Value {
        json!([{
            "type": "Degraded", "status": status, "reason": reason, "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }])
    }

    #[test]
    fn every_state_of_a_disk_has_its_words_at_a_stop_after_it_and_at_a_deletion() {
        const KEPT: (&str, bool) = ("the disk is kept", false);
        const DELETED: (&str, bool) = (
            "its disk workspace-demo and all files on it are deleted (spec.storage.retain: Retain would keep them)",
            true,
        );
        const RETAINED: (&str, bool) = (
            "its disk workspace-demo is kept: a workspace of the same name uses it again",
            false,
        );
        const NEW: (&str, bool) = (
            "its disk is a new, empty one: the disk that the workspace had before was deleted (see its Events)",
            false,
        );
        const TERMINATING: (&str, bool) = (
            "files are deleted with a PersistentVolumeClaim that a user deleted, unless its volume is kept",
            true,
        );
        const GONE: (&str, bool) = ("its disk is gone, and its files with it", false);
        const NOTHING: (&str, bool) = ("it has no files yet", false);
        const NO_DISK: (&str, bool) = ("its files are deleted, because it has no disk", true);
        for (disk, stop, stopped, deletion) in [
            (
                Disk::None,
                NO_DISK,
                ("its files are gone: it has no disk", true),
                NO_DISK,
            ),
            (Disk::Own, KEPT, KEPT, DELETED),
            (Disk::Retained, KEPT, KEPT, RETAINED),
            (
                Disk::Named("course".to_owned()),
                KEPT,
                KEPT,
                (
                    "the PersistentVolumeClaim course, which is its home, is kept",
                    false,
                ),
            ),
            (Disk::Replaced(Retain::Delete), KEPT, NEW, DELETED),
            (Disk::Replaced(Retain::Retain), KEPT, NEW, RETAINED),
            (Disk::Terminating, TERMINATING, TERMINATING, TERMINATING),
            (Disk::Lost, GONE, GONE, GONE),
            (Disk::NeverMade, NOTHING, NOTHING, NOTHING),
        ] {
            for (moment, (text, loses_files)) in [
                (Moment::Stop, stop),
                (Moment::Stopped, stopped),
                (Moment::Deletion("demo"), deletion),
            ] {
                let expected = Fate {
                    text: text.to_owned(),
                    loses_files,
                };
                assert_eq!(disk.fate(moment), expected, "{disk:?} {moment:?}");
            }
        }
        let sentence = Disk::Own.fate(Moment::Stop).sentence();
        assert_eq!(sentence, "The disk is kept.");
    }

    /// A disk of the workspace's own that a pod used, with these changes.
    fn used(storage: Value, disk: Value, more: Value) -> Value {
        let mut status = json!({
            "resolved": {"storage": {"mountPath": "/h", "retain": "Delete"}},
            "disk": {"claimUID": "c", "size": "1Gi", "volumeName": "pv"},
        });
        for (at, changes) in [("/resolved/storage", storage), ("/disk", disk), ("", more)] {
            for (field, value) in changes.as_object().unwrap() {
                status.pointer_mut(at).unwrap()[field] = value.clone();
            }
        }
        status
    }

    #[test]
    fn a_status_tells_the_disk() {
        let none = || json!({});
        let is = |reason: &str| json!({"conditions": degraded(reason, "True")});
        let was = |reason: &str| json!({"conditions": degraded(reason, "False")});
        let waits = |field: &str| json!({"pendingUpdate": [field]});
        // It may be a retained disk that the workspace took over.
        let fresh = || json!({"volumeName": null});
        let retain = |retain: &str| json!({"storage": {"retain": retain}});
        let volumes = || json!({"volumes": [{"name": "data", "persistentVolumeClaimName": "data", "mountPath": "/data"}]});
        let named = || json!({"storage": {"claimName": "course"}});
        let course = || Disk::Named("course".to_owned());
        let no_claim = || json!({"size": null});
        let no_disk = || json!({"disk": null});
        for (spec, status, expected) in [
            (none(), used(none(), none(), none()), Disk::Own),
            (none(), used(none(), fresh(), none()), Disk::Own),
            (
                none(),
                used(json!({"retain": "Retain"}), none(), none()),
                Disk::Retained,
            ),
            (
                retain("Delete"),
                used(json!({"retain": "Retain"}), none(), none()),
                Disk::Own,
            ),
            (retain("Retain"), used(none(), none(), none()), Disk::Retained),
            (
                none(),
                used(json!({"ephemeral": true}), none(), no_disk()),
                Disk::None,
            ),
            // The present pod has no disk. The next one would have.
            (none(), used(none(), fresh(), waits("spec.storage")), Disk::None),
            (
                named(),
                used(none(), none(), waits("spec.storage.claimName")),
                Disk::None,
            ),
            (
                none(),
                used(none(), none(), waits("spec.storage.subPath")),
                Disk::Own,
            ),
            (named(), used(none(), none(), no_disk()), course()),
            (
                none(),
                used(json!({"claimName": "course"}), none(), no_disk()),
                course(),
            ),
            (named(), Value::Null, course()),
            (
                none(),
                used(none(), none(), is("VolumeTerminating")),
                Disk::Terminating,
            ),
            (none(), used(none(), none(), was("VolumeTerminating")), Disk::Own),
            (
                none(),
                used(none(), json!({"replacesDeleted": true}), none()),
                Disk::Replaced(Retain::Delete),
            ),
            (none(), used(none(), no_claim(), none()), Disk::Lost),
            (none(), used(none(), none(), is("VolumeUnbound")), Disk::Lost),
            (none(), used(none(), none(), was("VolumeUnbound")), Disk::Own),
            (volumes(), used(none(), none(), is("VolumeUnbound")), Disk::Own),
            (
                none(),
                used(none(), fresh(), is("VolumeUnbound")),
                Disk::NeverMade,
            ),
            (volumes(), used(none(), fresh(), is("VolumeUnbound")), Disk::Own),
            (
                none(),
                used(none(), fresh(), is("StorageClassNotFound")),
                Disk::NeverMade,
            ),
            (none(), used(none(), none(), no_disk()), Disk::NeverMade),
            (none(), Value::Null, Disk::NeverMade),
        ] {
            assert_eq!(disk(&spec, &status), expected, "{spec} {status}");
        }
    }
}
