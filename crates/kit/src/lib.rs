//! Configuration -> the parts of every server process, without knowledge of workspaces (IO).
//!
//! Modules from top to bottom. Each imports only from modules further down (`crates/xtask/tests/modules.rs`):
//!
//! - `process`: the life of a server process: log, signals, watchdog, memory.
//! - `server`: TLS, listening sockets, readiness, metrics.
//! - `keys`: certificates, rotated keys, signed tokens.
//! - `kubernetes`: client, retries, access reviews, leader election.
//! - `audit`: an audit log.
//! - `limit`: rates and shares by key.

pub mod audit;
mod keys;
mod kubernetes;
pub mod limit;
pub mod process;
mod server;

pub use keys::{assertion_signer, pki, rotating_keys, shared_secret};
pub use kubernetes::{ABSENT, access_review, api_error, client, lease, scope};
pub use process::{shutdown, telemetry, watchdog};
pub use server::{admin, bind, https, readiness, tls};
