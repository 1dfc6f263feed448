//! Helpers of the end-to-end tests -> objects on the cluster, HTTP, browser, command line (IO).
//!
//! Tests find the installation through a file; see [`environment`]. Every wait is for a condition. Its deadline is
//! long because machines may be slow, and its error contains the last observation.

pub mod afterwards;
pub mod audit;
pub mod browser;
pub mod cluster;
pub mod command;
pub mod component;
pub mod environment;
pub mod hold;
pub mod http;
pub mod kept;
pub mod kernel;
mod leaving;
pub mod link_local;
pub mod process;
pub mod raw;
pub mod release;
pub mod replica;
pub mod robot;
pub mod servers;
pub mod socket;
pub mod sweep;
pub mod template;
pub mod terminal;
mod turn;
pub mod wait;
pub mod why;
pub mod workspace;

pub use environment::Environment;
