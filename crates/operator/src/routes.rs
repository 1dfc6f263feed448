//! Routes that are objects: made while a workspace runs, put right when they are changed, removed when it stops.
//!
//! `store` holds what the watches of `watch` see, so that routes are found by label and owner whoever's manager made them and
//! however often the operator was replaced: no other record is kept. `wish` says what there ought to be, `object` and `covers`
//! turn that into what to write, `apply` writes.

mod apply;
mod covers;
mod object;
pub mod store;
mod watch;
mod wish;

pub use self::{
    apply::{Error, has_any, remove, settle},
    store::{Footing, RouteStore},
    watch::start,
    wish::{Wish, wish},
};
