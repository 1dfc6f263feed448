//! Status of a workspace -> what becomes of its files at a stop or a deletion, in words (pure).
//!
//! Every sentence about that comes from here, whoever says it.

use api::condition::{DEGRADED, find, reason};
use api::workspace::{ClaimStatus, Retain, WorkspaceSpec};
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

/// What is known of all disks of a workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disks {
    /// Its home.
    pub home: Disk,
    /// Its further disks that may hold files, mounted or not.
    pub further: Vec<FurtherDisk>,
}

/// A further disk that may hold files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FurtherDisk {
    /// Name of its claim.
    pub claim: String,
    /// What becomes of it when the workspace is deleted.
    pub retain: Retain,
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

impl Disks {
    /// The disks of this workspace.
    pub fn from_workspace(workspace: &Workspace) -> Self {
        let (spec, status) = (&workspace.spec, workspace.status.as_ref());
        let home = status.map_or_else(|| Disk::from_spec(spec), |status| Disk::new(Some(spec), status));
        Self::with(home, status)
    }

    /// The disks, as far as a status alone tells.
    pub fn from_status(status: &WorkspaceStatus) -> Self {
        Self::with(Disk::new(None, status), Some(status))
    }

    fn with(home: Disk, status: Option<&WorkspaceStatus>) -> Self {
        let claims = status.iter().flat_map(|status| &status.claims);
        Self {
            home,
            further: claims.filter_map(FurtherDisk::from_status).collect(),
        }
    }

    /// What becomes of the files.
    pub fn fate(&self, moment: Moment<'_>) -> Fate {
        self.fates(moment, moment)
    }

    /// What becomes of the files of a stopped workspace of this name when it is deleted: an emptyDir went with the pod.
    pub fn fate_of_stopped(&self, name: &str) -> Fate {
        let deletion = Moment::Deletion(name);
        let home = if self.home == Disk::None {
            Moment::Stopped
        } else {
            deletion
        };
        self.fates(home, deletion)
    }

    /// What becomes of the home, at one moment, and of further disks, at another.
    fn fates(&self, of_home: Moment<'_>, of_further: Moment<'_>) -> Fate {
        let home = self.home.fate(of_home);
        let is_deletion = matches!(of_further, Moment::Deletion(_));
        let is_told = !is_deletion && !matches!(self.home, Disk::None | Disk::NeverMade);
        if is_told || self.further.is_empty() {
            return home;
        }
        let text = match (&self.home, of_home) {
            (Disk::NeverMade, _) => None,
            (Disk::None, Moment::Stopped) => {
                Some("the files in its home are gone: the home has no disk".to_owned())
            }
            (Disk::None, _) => {
                Some("the files in its home are deleted, because the home has no disk".to_owned())
            }
            _ => Some(home.text),
        };
        let (going, staying): (Vec<_>, Vec<_>) = self
            .further
            .iter()
            .partition(|disk| is_deletion && disk.retain == Retain::Delete);
        let going = in_words(
            &going,
            "and all files on it are deleted",
            "and all files on them are deleted",
        );
        let loses_files = home.loses_files || going.is_some();
        let clauses = [text, going, in_words(&staying, "is kept", "are kept")];
        Fate {
            text: clauses.into_iter().flatten().collect::<Vec<_>>().join("; "),
            loses_files,
        }
    }
}

/// What becomes of these disks. `None`: there are none.
fn in_words(disks: &[&FurtherDisk], of_one: &str, of_several: &str) -> Option<String> {
    let names: Vec<_> = disks.iter().map(|disk| disk.claim.as_str()).collect();
    match &*names {
        [] => None,
        [one] => Some(format!("its further disk {one} {of_one}")),
        several => Some(format!("its further disks {} {of_several}", several.join(", "))),
    }
}

impl FurtherDisk {
    /// `None`: there is none, it never had a volume, or a user deleted its claim, which is told already.
    fn from_status(claim: &ClaimStatus) -> Option<Self> {
        let phase = claim.phase.as_deref()?;
        let is_terminating = claim.reason.as_deref() == Some(reason::VOLUME_TERMINATING);
        (phase != "Pending" && !is_terminating).then(|| Self {
            claim: claim.claim.clone(),
            retain: claim.retain.unwrap_or_default(),
        })
    }
}

impl Disk {
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
        let is_of_further = |claim: &ClaimStatus| claim.reason.as_deref() == Some(problem);
        let problem = if status.claims.iter().any(is_of_further) {
            ""
        } else {
            problem
        };
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
        // Another claim of the pod that does not exist has the same reason. Messages about the home name its claim.
        let names_home = degraded.is_some_and(|it| it.message.contains(&names::child("")));
        let names_no_other = spec.is_some_and(|spec| spec.volumes.is_empty());
        let is_unbound = problem == reason::VOLUME_UNBOUND && names_home && names_no_other;
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
mod tests;
