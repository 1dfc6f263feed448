//! Routes that are objects: made while a workspace runs, put right when they are changed, removed when it stops.
//!
//! `cache/routes.rs` holds what the watches of `watch` see. So routes are found by label and owner, whichever manager asked for them and
//! however often the operator was replaced: no other record is kept. `wish` says what there ought to be, `object` and `covers`
//! turn that into what to write, `apply` writes.

mod apply;
mod covers;
mod object;
mod watch;
mod wish;

pub use self::{
    apply::{Error, has_any, remove, settle},
    watch::start,
    wish::{Wish, wish},
};
