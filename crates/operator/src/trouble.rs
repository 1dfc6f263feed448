//! What goes wrong with a workspace, and what keeps a child from being written (pure).

use std::fmt;

use api::condition::reason;

use crate::refusal::Refusal;

/// Something that is wrong, as people are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Reason for the condition `Degraded`.
    pub reason: &'static str,
    /// What is wrong and what to do.
    pub message: String,
    /// False while it may still pass by itself, so that the workspace counts as starting.
    pub failed: bool,
}

/// Why a child is not as planned although nothing failed on our side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The API server refused it, and will until somebody acts.
    Refused(Refusal),
    /// Its name is taken by an object that is not ours.
    Conflict {
        /// Kind of the object.
        kind: String,
        /// Its name.
        name: String,
    },
    /// An object of its name is still on its way out.
    Leaving {
        /// Kind of the object.
        kind: String,
        /// Its name.
        name: String,
    },
}

impl Obstacle {
    /// What to show as the cause; nothing for what passes by itself.
    pub fn trouble(&self) -> Option<Trouble> {
        let reason = match self {
            Self::Refused(refusal) => refusal.reason,
            Self::Conflict { .. } => reason::NAME_CONFLICT,
            Self::Leaving { .. } => return None,
        };
        Some(Trouble {
            reason,
            message: self.to_string(),
            failed: true,
        })
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => f.write_str(&refusal.message),
            Self::Conflict { kind, name } => write!(
                f,
                "A {kind} named {name} exists and is not this workspace's. Delete or rename it, or create the workspace \
                 under another name."
            ),
            Self::Leaving { kind, name } => write!(f, "Waiting for an earlier {kind} {name} to be gone."),
        }
    }
}
