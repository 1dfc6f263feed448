//! Templates, managers and execution profiles: they stay while workspaces use them, and say how many do (IO: [`run`]).
//!
//! `subject` sees the three kinds as one, `usage` says who uses what, `validation` what is wrong with an object, `decide` what is due;
//! all of them are pure. `admission` turns workspaces away from objects that are being deleted, `in_use` sets a finalizer before the
//! first child of the first user is made, and `reconcile` does what is due whenever something changed.

mod admission;
mod decide;
mod in_use;
mod reconcile;
mod subject;
mod usage;
mod validation;

pub use self::{
    admission::admit,
    in_use::{Error, InUse, ensure_in_use},
    reconcile::{CatalogState, reconcile, run},
    subject::{Key, Kind},
};
