//! Routes as Kubernetes objects: made on start, corrected on changes, removed on stop (IO).
//!
//! `cache/routes.rs` stores what the watches of `watch` see. Routes are found by label and owner, independent of the manager that
//! requested them and of operator restarts. There is no other record. `desired` returns which routes should exist. `object` and `diff`
//! compute the write, and `apply` sends it.

mod apply;
mod desired;
mod diff;
mod object;
mod watch;

pub use self::{
    apply::{has_any, remove, settle},
    desired::{Desired, desired},
    watch::start,
};
