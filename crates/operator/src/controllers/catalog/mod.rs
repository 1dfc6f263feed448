//! Templates, managers and execution profiles: they stay while workspaces use them, and say how many do (IO: [`run`]).
//!
//! `subject` sees the three kinds as one, `uses` says who uses what, `verdict` what is wrong with an object, `decide` what is due;
//! all of them are pure. `entry` turns workspaces away from objects that are being deleted, `holds` sets a finalizer before the
//! first child of the first user is made, and `sweep` does what is due whenever something changed.

mod decide;
mod entry;
mod holds;
mod subject;
mod sweep;
mod uses;
mod verdict;

pub use self::{
    entry::admit,
    holds::{Error, Holds, hold},
    subject::{Key, Kind},
    sweep::{Sweeps, run, sweep},
};
