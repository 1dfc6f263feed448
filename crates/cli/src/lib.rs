//! Command line -> Workspace on the cluster: the plugin `kubectl create workspace` (IO).

pub mod args;
mod connect;
mod create;
mod duration;
mod failure;
mod judge;
mod object;
mod output;
pub mod run;
mod wait;
mod warning;

pub use failure::{Failure, exit_code};
