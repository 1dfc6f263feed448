//! Workspaces -> children and status: the operator.
//!
//! Modules from top to bottom. Each imports only from modules further down (`crates/xtask/tests/modules.rs`):
//!
//! - `run`: wires everything
//! - `commands`: maintenance commands, which Helm's hooks run
//! - `args`: the command line
//! - `reconcile`: one workspace, from observed state to status
//! - `controllers`: what is reconciled beside workspaces
//! - `apply`: planned and live children -> writes
//! - `status`: observed state, blockers -> conditions, phase, Events
//! - `context`: the state that all of the above share
//! - `activity`: running workspaces -> their last activity, and which are idle
//! - `blockers`: what keeps a workspace from running, as text for users
//! - `plan`: a valid workspace -> children (pure)
//! - `audit`: transitions -> records of the audit log
//! - `metrics`: what is measured
//! - `cache`: watches, caches and reads
//! - `support`: backoff, spaced triggers, errors

pub mod activity;
mod apply;
mod args;
mod audit;
mod blockers;
pub mod cache;
pub mod commands;
pub mod context;
pub mod controllers;
mod metrics;
pub mod plan;
pub mod reconcile;
pub mod run;
pub mod status;
mod support;

#[cfg(test)]
mod testing;
