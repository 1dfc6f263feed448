//! Command line -> requests and output: the plugin `kubectl workspace` and `kubectl create workspace` (IO).

mod commands;
pub mod complete;
pub mod run;

pub mod cluster;

mod judge;
mod lint;
mod object;
mod output;

mod consequence;
mod failure;

pub mod args;
mod duration;

pub use failure::{Failure, exit_code};
