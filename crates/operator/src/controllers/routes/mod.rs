//! Routes that are objects: made while a workspace runs, put right when they are changed, removed when it stops.
//!
//! `cache/routes.rs` holds what the watches of `watch` see. So routes are found by label and owner, whichever manager asked for them and
//! however often the operator was replaced: no other record is kept. `desired` says what there ought to be, `object` and `diff`
//! turn that into what to write, `apply` writes.

mod apply;
mod desired;
mod diff;
mod object;
mod watch;

pub use self::{
    apply::{Error, has_any, remove, settle},
    desired::{Desired, desired},
    watch::start,
};
