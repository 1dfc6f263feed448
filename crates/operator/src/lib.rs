//! Workspaces in, children and status out: the operator.
//!
//! [`run`] wires it, [`watch`] says what wakes it, [`reconcile`] is the table of contents of one pass.

pub mod admit;
pub mod apply;
pub mod args;
pub mod assess;
mod attempt;
pub mod audit;
pub mod backoff;
pub mod begun;
pub mod census;
pub mod contest;
pub mod context;
pub mod definitions;
pub mod differ;
pub mod disks;
pub mod events;
pub mod failure;
pub mod finalizer;
pub mod gather;
pub mod hands;
pub mod idle;
pub mod intent;
pub mod keys;
pub mod memory;
pub mod metrics;
pub mod observe;
mod pace;
pub mod plan;
pub mod protect;
pub mod publish;
pub mod putoff;
mod random;
pub mod reconcile;
pub mod record;
pub mod references;
pub mod refusal;
pub mod retire;
pub mod rounds;
pub mod routes;
pub mod run;
mod send;
pub mod shares;
pub mod signs;
pub mod stores;
pub mod tasks;
pub mod transitions;
pub mod trouble;
pub mod walls;
pub mod watch;
pub mod world;

#[cfg(test)]
mod fixtures;
