//! Calls and names -> an in-memory API server and objects for tests (in-process IO, no sockets).
//!
//! Modules from top to bottom. Each imports only from modules further down (`crates/xtask/tests/modules.rs`):
//!
//! - `api_server`: answers a real `kube::Client`, stores objects, records every call and fails on request.
//! - `lagging`: watches that lag.
//! - `issuer`: an OpenID Connect provider.
//! - `random`: random workspaces and templates.
//! - `objects`: initial objects of tests.
//! - `standards`: the pods by which Kubernetes tests Pod Security.
//! - `cache`: the folder of the project's tool.
//! - `unknown`: statuses with unknown values.
//! - `log`: captured logs.
//! - `documented`: the check of docs/monitoring.md.

pub mod api_server;
pub mod cache;
pub mod documented;
pub mod issuer;
pub mod lagging;
pub mod log;
pub mod objects;
pub mod random;
pub mod standards;
pub mod unknown;
