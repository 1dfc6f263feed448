//! Command line -> requests and output: `kubectl workspace` and `kubectl create workspace` (IO).
//!
//! The modules, from top to bottom. Each imports only modules below it:
//!
//! - `run`: arguments -> a command, with a cluster or without
//! - `complete`: completion of command lines in a shell
//! - `commands`: one file per command
//! - `cluster`: connection and requests
//! - `remote`: sign-in and connections through the gateway
//! - `object`: flags -> the object to create
//! - `manifest`: text -> the object to create, or errors with lines
//! - `output`: objects -> text as kubectl prints it
//! - `console`: output streams, which nothing that others wrote controls, and answers to questions
//! - `failure`: errors, messages, exit codes
//! - `args`: the command line
//! - `duration`: kubectl's durations
//! - `proxy`: the way to an address by a proxy
//! - `system`: what Unix and Windows have otherwise

// Everything that is shown goes through `console`.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod args;
mod cluster;
mod commands;
mod complete;
mod console;
mod duration;
mod failure;
mod manifest;
mod object;
mod output;
mod proxy;
mod remote;
pub mod run;
mod system;

pub use cluster::Cluster;
pub use complete::complete;
pub use console::Console;
pub use failure::{Failure, exit_code};
