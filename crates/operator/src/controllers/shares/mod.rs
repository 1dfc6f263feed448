//! Shares -> bound to a workspace, active or not and why, ended on time, removed (IO: [`reconcile`]).
//!
//! `rules::shares` decides whether a share is active. `due` returns what to write (pure), `reconcile` writes it.

mod due;
mod reconcile;

pub use self::reconcile::{SharesState, reconcile};
