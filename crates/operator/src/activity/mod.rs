//! Running workspaces, answers of their pods -> last activity, which are idle, use of disks.
//!
//! | file | input -> output |
//! |---|---|
//! | `subject/` | valid workspace, its ready pod -> which pod to ask what and how often, and its timeout (pure) |
//! | `tracker/` | subjects, answers -> which pod to ask next, and whether a workspace is idle: here the stop is decided |
//! | `ask/` | subject -> answer of its pod (IO) |
//! | `read/` | bodies of answers -> times of last activity (pure) |
//! | `disk.rs` | figures of a pod's disk, its capacity -> how much of it is used (pure) |

mod ask;
mod disk;
mod read;
pub(crate) mod subject;
pub(crate) mod tracker;

pub use self::{
    ask::Asker,
    disk::{DiskReading, DiskUse},
    read::{Answered, Reading, Signal, Unanswered},
    subject::Subject,
    tracker::ActivityTracker,
};
