//! Command line in, a Workspace on the cluster out: the kubectl plugin behind `kubectl create workspace`.

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
