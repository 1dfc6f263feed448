//! Manager, template and pod of a workspace -> its routes and objects, kept as desired (IO).
//!
//! | file | input -> output |
//! |---|---|
//! | `watch.rs` | allowed kinds -> a watch of each, and which workspaces to reconcile (IO) |
//! | `desired.rs` | validation result, desired status, observed state -> which should exist (pure) |
//! | `object.rs` | rendered object and its workspace -> the object as it is applied (pure) |
//! | `wording.rs` | purpose of an object -> messages for users (pure) |
//! | `diff.rs` | planned and live object -> whether the live one is as planned (pure) |
//! | `apply.rs` | desired and existing objects -> objects as desired (IO) |
//! | `write.rs` | one rendered object -> made or corrected, or its blocker (IO) |
//!
//! `cache/objects.rs` stores what the watches see. Objects are found by label and owner, independent of the manager or template that
//! requested them and of operator restarts. There is no other record.

mod apply;
mod desired;
mod diff;
mod object;
mod watch;
mod wording;
mod write;

pub use self::{
    apply::{apply_desired, has_any, remove},
    desired::{Desired, desired_objects, desired_routes},
    watch::start,
};
