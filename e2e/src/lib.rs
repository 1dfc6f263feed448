//! Helpers of the end-to-end tests -> objects on the cluster, HTTP, browser, command line (IO).
//!
//! Tests find the installation through a file; see [`environment`]. Every wait is for a condition. Its deadline is
//! long because machines may be slow, and its error contains the last observation.
//!
//! Modules from top to bottom. Each imports only from modules further down (`crates/xtask/tests/modules.rs`):
//!
//! - `failures`: staged failures and the product's reports about them.
//! - `installation`: the release under test: upgraded, checked, scaled, removed.
//! - `portal`: the portal's pages and forms, without a browser.
//! - `remote`: sign-in for programs, and ssh through the gateway.
//! - `jupyter`: kernels, terminals and notebooks in a workspace.
//! - `browser`: headless Chromium, keyboard, accessibility.
//! - `http`: HTTP sessions, websockets, single replicas, load.
//! - `objects`: workspaces, templates and other objects of the API.
//! - `cluster`: clients, namespaces, pods, audit log, cleanup.
//! - `command`: kubectl and shells.
//! - `test_run`: locks, signals and restored state of tests that run at once.
//! - `environment`: addresses and users of the installation.
//! - `wait`: waiting for a condition.

pub mod browser;
pub mod cluster;
pub mod command;
pub mod environment;
pub mod failures;
pub mod http;
pub mod installation;
pub mod jupyter;
pub mod objects;
pub mod portal;
pub mod remote;
pub mod test_run;
pub mod wait;

pub use environment::Environment;
