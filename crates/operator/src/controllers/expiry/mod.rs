//! Stopped workspaces whose retention is over -> deleted, after a notice (IO; docs/using.md).
//!
//! The workspace's own reconcile does both, at the announced time. `rules::expiry` decides.
//!
//! | file | input -> output |
//! |---|---|
//! | `announce.rs` | a new status -> the time of the deletion in it, and the Event about that |
//! | `enforce.rs` | a workspace whose time is over -> deleted as by a user, unless it has changed |
//! | `clock.rs` | the API server's date -> whether our clock is right |

mod announce;
mod clock;
mod enforce;

pub use self::{announce::announce, enforce::enforce};
