//! Status of a workspace -> what becomes of its files at a stop or a deletion, in words (pure).
//!
//! Every sentence about that comes from here, whoever says it.

use api::condition::{DEGRADED, find, reason};
use api::template::VolumeClaim;
use api::workspace::{ClaimStatus, DiskStatus, Retain, WorkspaceSpec};
use api::{Workspace, WorkspaceStatus};

use crate::names;

/// Paths of `status.pendingUpdate` that give a home without a disk one at the next start.
const NEW_HOME: [&str; 2] = ["spec.storage", "spec.storage.claimName"];
/// Stands for the name of a claim that is known only from the message of `Degraded`.
const OF_MESSAGE: &str = "that the condition Degraded names";

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
    /// A user deleted its claim of this name. It goes when no pod uses it.
    Terminating(String),
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
    /// Its other claims that a user deleted, by name. Each goes when no pod uses it.
    pub terminating: Vec<String>,
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
        let (spec, name) = (&workspace.spec, workspace.metadata.name.as_deref());
        match &workspace.status {
            Some(status) => Self::new(Some(spec), name.unwrap_or_default(), status),
            None => Self {
                home: Disk::from_spec(spec),
                further: Vec::new(),
                terminating: Vec::new(),
            },
        }
    }

    /// The disks of the workspace of this name, as far as a status alone tells.
    pub fn from_status(name: &str, status: &WorkspaceStatus) -> Self {
        Self::new(None, name, status)
    }

    fn new(spec: Option<&WorkspaceSpec>, name: &str, status: &WorkspaceStatus) -> Self {
        let resolved = status.resolved.as_ref().and_then(|it| it.storage.as_ref());
        let own = spec.and_then(|spec| spec.storage.as_ref());
        let named = resolved
            .and_then(|it| it.claim_name.clone())
            .or_else(|| own?.claim_name.clone());
        let claim = named.clone().unwrap_or_else(|| names::child(name));
        let terminating = terminating(&claim, status);
        let is_new_home = |path: &String| NEW_HOME.contains(&path.as_str());
        let home = if resolved.is_some_and(|it| it.ephemeral) || status.pending_update.iter().any(is_new_home)
        {
            Disk::None
        } else if terminating.contains(&claim) {
            Disk::Terminating(claim)
        } else if let Some(claim) = named {
            Disk::Named(claim)
        } else if let Some(disk) = &status.disk {
            // As the operator decides it: the spec, even if the status does not show it yet.
            let retain = own.and_then(|own| own.retain).or_else(|| resolved?.retain);
            Disk::from_status(disk, retain.unwrap_or_default())
        } else {
            Disk::NeverMade
        };
        Self::with_home(home, &status.claims, &terminating)
    }

    /// This home, with the further disks that a template gives the workspace of this name.
    pub fn from_template(home: Disk, disks: &[VolumeClaim], workspace: &str) -> Self {
        let further = disks.iter().map(|disk| FurtherDisk {
            claim: names::further_claim(&disk.name, workspace),
            retain: disk.retain.unwrap_or_default(),
        });
        Self {
            home,
            further: further.collect(),
            terminating: Vec::new(),
        }
    }

    /// This home, with the further disks of a status and its claims that a user deleted.
    pub fn with_home(home: Disk, claims: &[ClaimStatus], terminating: &[String]) -> Self {
        let is_other = |claim: &&String| !matches!(&home, Disk::Terminating(of_home) if of_home == *claim);
        let is_there = |claim: &&ClaimStatus| !terminating.contains(&claim.claim);
        Self {
            terminating: terminating.iter().filter(is_other).cloned().collect(),
            further: claims
                .iter()
                .filter(is_there)
                .filter_map(FurtherDisk::from_status)
                .collect(),
            home,
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
        if self.terminating.is_empty() && self.further.is_empty() {
            return home;
        }
        let is_kept = match &self.home {
            Disk::Own | Disk::Retained | Disk::Named(_) => !is_deletion,
            Disk::Replaced(_) => of_home == Moment::Stop,
            _ => false,
        };
        let text = match &self.home {
            _ if is_kept && self.terminating.is_empty() => {
                let text = "its disks are kept".to_owned();
                return Fate {
                    text,
                    loses_files: false,
                };
            }
            _ if is_kept => Some("its home is kept".to_owned()),
            Disk::NeverMade | Disk::Terminating(_) => None,
            _ => Some(home.text),
        };
        let of_home = match &self.home {
            Disk::Terminating(claim) => Some(claim),
            _ => None,
        };
        let terminating: Vec<_> = of_home.into_iter().chain(&self.terminating).collect();
        let terminating = (!terminating.is_empty()).then(|| with_claims(&terminating));
        let (going, staying): (Vec<_>, Vec<_>) = self
            .further
            .iter()
            .partition(|disk| is_deletion && disk.retain == Retain::Delete);
        let going = in_words(
            &going,
            "and all files on it are deleted",
            "and all files on them are deleted",
        );
        let loses_files = home.loses_files || terminating.is_some() || going.is_some();
        let staying = in_words(&staying, "is kept", "are kept");
        let clauses = [text, terminating, going, staying];
        Fate {
            text: clauses.into_iter().flatten().collect::<Vec<_>>().join("; "),
            loses_files,
        }
    }
}

/// Claims that a user deleted, by name. `home`: the claim that is the home. Older operators and definitions have no list of them, and
/// report one in `Degraded`. It counts while there is a pod, with which the claim goes.
fn terminating(home: &str, status: &WorkspaceStatus) -> Vec<String> {
    let is_told = |word: &str| word == reason::VOLUME_TERMINATING;
    let degraded = find(&status.conditions, DEGRADED).filter(|it| it.status == "True" && is_told(&it.reason));
    let has_no_list = status.terminating_claims.is_empty() && status.pod_name.is_some();
    let Some(problem) = degraded.filter(|_| has_no_list) else {
        return status.terminating_claims.clone();
    };
    let told = ["A user deleted the disk ", "A user deleted the claim "]
        .into_iter()
        .find_map(|begin| problem.message.strip_prefix(begin)?.split([' ', ',']).next());
    if told.is_some_and(|claim| claim.trim_end_matches('.') == home) {
        return vec![home.to_owned()];
    }
    let claims = status.claims.iter();
    let further = claims.filter(|claim| claim.reason.as_deref().is_some_and(is_told));
    let further: Vec<_> = further.map(|claim| claim.claim.clone()).collect();
    if further.is_empty() {
        return vec![OF_MESSAGE.to_owned()];
    }
    further
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

/// What becomes of the files on claims that a user deleted.
fn with_claims(claims: &[&String]) -> String {
    match claims {
        [one] => format!(
            "files are deleted with the PersistentVolumeClaim {one}, which a user deleted, unless its volume is kept"
        ),
        several => {
            let names: Vec<_> = several.iter().map(|name| name.as_str()).collect();
            format!(
                "files are deleted with the PersistentVolumeClaims {}, which a user deleted, unless their volumes are kept",
                names.join(", ")
            )
        }
    }
}

impl FurtherDisk {
    /// `None`: there is none, or it never had a volume.
    fn from_status(claim: &ClaimStatus) -> Option<Self> {
        let phase = claim.phase.as_deref()?;
        (phase != "Pending").then(|| Self {
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

    /// The disk of a status, whose claim the operator named.
    fn from_status(disk: &DiskStatus, retain: Retain) -> Self {
        match (disk.phase.as_deref(), retain) {
            (Some("Lost"), _) => Self::Lost,
            (Some("Pending"), _) => Self::NeverMade,
            _ if disk.size.is_none() && disk.volume_name.is_none() => Self::NeverMade,
            _ if disk.size.is_none() => Self::Lost,
            (_, retain) if disk.replaces_deleted => Self::Replaced(retain),
            (_, Retain::Delete) => Self::Own,
            (_, Retain::Retain) => Self::Retained,
        }
    }

    /// What becomes of the files.
    pub fn fate(&self, moment: Moment<'_>) -> Fate {
        use Moment::{Deletion, Stop, Stopped};
        let (text, loses_files) = match (self, moment) {
            (Self::None, Stop | Deletion(_)) => (
                "the files in its home are deleted, because the home has no disk".to_owned(),
                true,
            ),
            (Self::None, Stopped) => ("the files in its home are gone: the home has no disk".to_owned(), true),
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
            (Self::Terminating(claim), _) => (with_claims(&[claim]), true),
            (Self::Lost, _) => ("its disk is gone, and its files with it".to_owned(), false),
            (Self::NeverMade, _) => ("it has no files yet".to_owned(), false),
        };
        Fate { text, loses_files }
    }
}

#[cfg(test)]
mod tests;
