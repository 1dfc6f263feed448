//! A workspace -> its children and its status (IO). Start reading at `workspace.rs`.
//!
//! | file | input -> output |
//! |---|---|
//! | `workspace.rs` | one workspace -> one reconcile: observe, admit, plan, apply, assess, publish |
//! | `admit.rs` | workspace, references -> a valid workspace, or why it must not run |
//! | `delete.rs` | a workspace that is being deleted -> its finalizer released |
//! | `teardown.rs` | children of a deleted workspace -> deleted, its disk deleted or retained |

pub mod admit;
mod delete;
pub mod teardown;
mod workspace;

pub use self::workspace::{Error, error_policy, reconcile, reconcile_when_filled};
