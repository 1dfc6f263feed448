//! Rejections, refusals -> why a workspace or a child is blocked, as text for users (pure).
//!
//! - `refusal.rs`: an object that the API server refused (quota, policy) -> the reason and what to do
//! - `rejected.rs`: a workspace that fails the rules -> why it must not run

pub(crate) mod refusal;
pub(crate) mod rejected;

use std::fmt;

use api::{condition::reason, names};

use crate::{blockers::refusal::Refusal, cache::observed::held_by, plan::disks::ownership::Withheld};

/// A problem, as it is reported to users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Reason for the condition `Degraded`.
    pub reason: &'static str,
    /// What is wrong and what to do.
    pub message: String,
    /// False while the problem may still be transient, so that the workspace counts as starting.
    pub failed: bool,
}

/// Why a child is not as planned although the operator had no error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blocker {
    /// The API server refused it. Retries fail until a user or administrator acts.
    Refused(Refusal),
    /// Its name is taken by an object that is not ours.
    Conflict {
        /// Kind of the object.
        kind: String,
        /// Its name.
        name: String,
    },
    /// An object of its name is still being deleted.
    Terminating {
        /// Kind of the object.
        kind: String,
        /// Its name.
        name: String,
        /// Finalizers of other software that hold it.
        holders: Option<String>,
    },
    /// Another field manager writes it as well, so that it does not stay as planned. It does not block a run.
    Contested {
        /// Kind of the object.
        kind: String,
        /// Its name.
        name: String,
        /// The other field manager; `None` if only ours is recorded.
        manager: Option<String>,
    },
    /// A problem with a disk.
    Disk(DiskBlocker),
    /// A route is not as its manager wants it, or an object not as its template does. It does not block a run.
    Object {
        /// Reason for the condition `Degraded`.
        reason: &'static str,
        /// What is wrong and what to do.
        message: String,
        /// Whether a route is missing, so that no user can connect to the workspace.
        is_unrouted: bool,
    },
}

/// What keeps a workspace from a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskBlocker {
    /// A disk of its name was retained, and the workspace may not take it over.
    Withheld {
        /// Name of the claim.
        claim: String,
        /// The reason.
        why: Withheld,
    },
    /// The disk cannot grow. It does not block a run.
    Ungrowable {
        /// Its size.
        size: String,
        /// Its storage class; empty if it names none.
        class: String,
    },
    /// The workspace requests a smaller size than its disk has. It does not block a run.
    Unchangeable {
        /// What is wrong and what to do.
        message: String,
    },
    /// A claim that the workspace names does not exist.
    Missing {
        /// Its name.
        claim: String,
    },
    /// A claim that the workspace names is being deleted.
    Terminating {
        /// Its name.
        claim: String,
        /// Finalizers of other software that hold it.
        holders: Option<String>,
    },
    /// A claim that the workspace names is, or was, the disk of a workspace.
    OfAnother {
        /// Its name.
        claim: String,
    },
    /// The claim with the first content of a further disk does not exist, or is being deleted.
    NoSource {
        /// Name of the disk's claim.
        claim: String,
        /// Name of the other claim.
        source: String,
    },
    /// A further disk would be a copy of a claim that is, or was, the disk or home of a workspace.
    CopyOfAnother {
        /// Name of the disk's claim.
        claim: String,
        /// Name of the other claim.
        source: String,
    },
    /// The claim that is the home is used by another object.
    InUse {
        /// Its name.
        claim: String,
        /// Kind and name of its user.
        by: String,
    },
}

impl Blocker {
    /// The problem to report; `None` for a transient blocker.
    pub fn problem(&self) -> Option<Problem> {
        let reason = match self {
            Self::Refused(refusal) => refusal.reason,
            Self::Conflict { .. } => reason::NAME_CONFLICT,
            Self::Contested { .. } => reason::CHILD_CONTESTED,
            Self::Terminating { .. } => return None,
            Self::Disk(disk) => disk.reason(),
            Self::Object { reason, .. } => reason,
        };
        Some(Problem {
            reason,
            message: self.to_string(),
            failed: self.blocks() && !self.is_passed_on(),
        })
    }

    /// Whether no run may start while it exists.
    pub fn blocks(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.reason != reason::VOLUME_RESIZE_FAILED,
            Self::Disk(DiskBlocker::Ungrowable { .. } | DiskBlocker::Unchangeable { .. })
            | Self::Contested { .. }
            | Self::Object { .. } => false,
            Self::Conflict { .. } | Self::Terminating { .. } | Self::Disk(_) => true,
        }
    }

    /// Whether it ends when another object releases something, without triggering a reconcile. It counts as starting.
    pub fn is_passed_on(&self) -> bool {
        matches!(
            self,
            Self::Disk(DiskBlocker::InUse { .. } | DiskBlocker::Terminating { .. })
        )
    }

    /// Whether it ends only by a change that triggers a reconcile.
    pub fn ends_by_trigger(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.is_invalid,
            Self::Disk(DiskBlocker::Ungrowable { .. } | DiskBlocker::Unchangeable { .. }) => true,
            _ => false,
        }
    }
}

impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => f.write_str(&refusal.message),
            Self::Conflict { kind, name } => {
                let with = if *kind == "PersistentVolumeClaim" {
                    " with the files on it"
                } else {
                    ""
                };
                write!(
                    f,
                    "A {kind} named {name} exists and is not this workspace's. Create the workspace under another name, or have an \
                     administrator delete the {kind}{with}."
                )
            }
            Self::Terminating { kind, name, holders } => {
                let held = held_by(holders.as_deref());
                write!(f, "Waiting for an earlier {kind} {name} to be gone.{held}")
            }
            Self::Contested { kind, name, manager } => {
                match manager {
                    Some(manager) => write!(
                        f,
                        "The {kind} {name} is repeatedly changed by another client, {manager:?}: stop that client from writing it."
                    )?,
                    None => write!(
                        f,
                        "The {kind} {name} is repeatedly changed, and no field manager but {:?} is recorded: check for a second \
                         installation of this product.",
                        names::OPERATOR
                    )?,
                }
                f.write_str(" The operator restores it with growing delays.")
            }
            Self::Disk(disk) => disk.fmt(f),
            Self::Object { message, .. } => f.write_str(message),
        }
    }
}

/// How a workspace gets another claim than the one that it names.
const OTHER_CLAIM: &str = "name another claim in spec.volumes. spec.storage.claimName and a template never change. For another home create \
                           another workspace. Where the template names the claim, create one from another template.";

impl DiskBlocker {
    fn reason(&self) -> &'static str {
        match self {
            Self::Withheld { .. } => reason::RETAINED_VOLUME_OF_ANOTHER_OWNER,
            Self::Ungrowable { .. } | Self::Unchangeable { .. } => reason::VOLUME_RESIZE_FAILED,
            Self::Missing { .. } | Self::NoSource { .. } => reason::VOLUME_UNBOUND,
            Self::Terminating { .. } => reason::VOLUME_TERMINATING,
            Self::OfAnother { .. } | Self::CopyOfAnother { .. } => reason::VOLUME_OF_ANOTHER_WORKSPACE,
            Self::InUse { .. } => reason::VOLUME_IN_USE,
        }
    }
}

impl fmt::Display for DiskBlocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Withheld {
                claim,
                why: Withheld::OtherOwner,
            } => write!(
                f,
                "The disk {claim} was kept from an earlier workspace of this name and belongs to another owner. Use \
                 another name, or have a user who may update the claim change its annotation {}, or delete it with its files.",
                names::CREATED_BY
            ),
            Self::Withheld {
                claim,
                why: Withheld::Unattested,
            } => write!(
                f,
                "The disk {claim} was kept from an earlier workspace of this name, and the owner \
                 of this workspace was not verified. Have a user who may update the claim set its annotation {} to this workspace's UID.",
                names::WORKSPACE_UID
            ),
            Self::Withheld {
                claim,
                why: Withheld::Assigned,
            } => write!(
                f,
                "The disk {claim} was kept from an earlier workspace of this name, and another user set the owner \
                 of this workspace and chose what runs in it. Have the owner create the workspace, or have a user who may update the claim \
                 set its annotation {} to this workspace's UID.",
                names::WORKSPACE_UID
            ),
            Self::Ungrowable { size, class } => write!(
                f,
                "The disk stays at {size}: its storage class {class:?} cannot grow disks. Have the class allow volume \
                 expansion, and the disk grows by itself; or copy the files to a workspace with a larger disk."
            ),
            Self::Unchangeable { message } => write!(f, "The disk stays as it is: {message}."),
            Self::Missing { claim } => write!(
                f,
                "The claim {claim}, which the workspace or its template names, does not exist. Have it made, and the workspace starts by \
                 itself. Or {OTHER_CLAIM}"
            ),
            Self::Terminating { claim, holders } => write!(
                f,
                "A user deleted the claim {claim}, which the workspace or its template names. It is removed with its files once no pod uses it, \
                 unless its volume is kept; a deletion cannot be undone. Have one of that name created after the removal, and \
                 the workspace starts by itself. Or {OTHER_CLAIM}{}",
                held_by(holders.as_deref())
            ),
            Self::OfAnother { claim } => write!(
                f,
                "The claim {claim}, which the workspace or its template names, is or was the disk of another workspace. To start it, \
                 {OTHER_CLAIM}"
            ),
            Self::NoSource { claim, source } => write!(
                f,
                "The disk {claim} is not made: its template has it copied from the claim {source}, which does not exist or is being \
                 deleted. Have that claim made, and the workspace starts by itself."
            ),
            Self::CopyOfAnother { claim, source } => write!(
                f,
                "The disk {claim} is not made: its template has it copied from the claim {source}, which is or was the disk of a \
                 workspace, or is the home of one. A template never changes: create the workspace from one whose dataSourceRef names \
                 another claim or a VolumeSnapshot. Or have such a template made."
            ),
            Self::InUse { claim, by } => write!(
                f,
                "The claim {claim} is in use by the {by}, and only one at a time may write to it. This workspace starts once \
                 that has stopped. For several at a time, use a claim with access mode ReadWriteMany."
            ),
        }
    }
}
