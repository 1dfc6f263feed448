//! Shares: bound to a workspace, active or not and why, ended to the second, removed in the end (IO: [`run`]).
//!
//! What makes a share count is `rules::shares`; `due` says what of that is to be written (pure), `reconcile` writes it.

mod due;
mod reconcile;

pub use self::reconcile::{Resync, reconcile, run};
