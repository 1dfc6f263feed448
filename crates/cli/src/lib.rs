//! Command line -> requests and output: the plugin `kubectl workspace` and `kubectl create workspace` (IO).

mod commands;
pub mod complete;
pub mod run;

pub mod cluster;

mod judge;
mod lint;
mod manifest;
mod object;
mod output;
mod template;

mod failure;

pub mod args;
mod duration;
mod jsonpath;

pub use failure::{Failure, exit_code};
