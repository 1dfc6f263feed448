//! Helpers of the end-to-end tests -> objects on the cluster, HTTP, browser, command line (IO).
//!
//! Tests find the installation through a file; see [`environment`]. Every wait is for a condition. Its deadline is
//! long because machines may be slow, and its error contains the last observation.

pub mod accessibility;
pub mod api_server;
pub mod attested;
pub mod audit;
pub mod axe;
pub mod browser;
pub mod catalog_object;
pub mod check;
pub mod cleanup;
pub mod cluster;
pub mod command;
pub mod component;
pub mod definitions;
pub mod devtools;
pub mod environment;
pub mod failures;
pub mod finally;
pub mod hostile_page;
pub mod http;
pub mod kernel;
pub mod keyboard;
pub mod load;
pub mod node_network;
pub mod notebook;
pub mod portal;
pub mod process;
pub mod program;
pub mod provider;
pub mod raw;
pub mod release;
pub mod removal;
pub mod replica;
pub mod servers;
pub mod service_account;
pub mod shell;
mod sign_in_lock;
pub mod socket;
mod teardown;
pub mod template;
pub mod terminal;
pub mod traefik;
pub mod wait;
pub mod workspace;
pub mod write_block;

pub use environment::Environment;
