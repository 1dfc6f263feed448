//! Manager, endpoint of a workspace -> its route objects: made, corrected, removed on stop (IO).
//!
//! | file | input -> output |
//! |---|---|
//! | `watch.rs` | allowed kinds -> a watch of each, and which workspaces to reconcile (IO) |
//! | `desired.rs` | validation result, desired status, observed state -> which routes should exist (pure) |
//! | `object.rs` | route and its workspace -> the object as it is applied (pure) |
//! | `diff.rs` | planned and live object -> whether the live one is as planned (pure) |
//! | `apply.rs` | desired and existing routes -> routes as desired (IO) |
//!
//! `cache/routes.rs` stores what the watches see. Routes are found by label and owner, independent of the manager that requested them and
//! of operator restarts. There is no other record.

mod apply;
mod desired;
mod diff;
mod object;
mod watch;

pub use self::{
    apply::{apply_desired, has_any, remove},
    desired::{Desired, desired},
    watch::start,
};
