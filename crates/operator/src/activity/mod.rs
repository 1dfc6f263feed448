//! Running workspaces, answers of their pods -> their last activity, and which are idle.
//!
//! | file | input -> output |
//! |---|---|
//! | `subject.rs` | valid workspace, its ready pod -> which pod to ask what and how often, and its timeout (pure) |
//! | `tracker/` | subjects, answers -> which pod to ask next, and whether a workspace is idle: here the stop is decided |
//! | `ask/` | subject -> answer of its pod (IO) |
//! | `read/` | bodies of answers -> times of last activity (pure) |

mod ask;
mod read;
pub(crate) mod subject;
pub(crate) mod tracker;

pub use self::{
    ask::{Answered, Asker, Unanswered},
    read::{Reading, Signal},
    subject::Subject,
    tracker::ActivityTracker,
};
