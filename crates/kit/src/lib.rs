//! What every server process needs and that knows nothing of workspaces.
//!
//! Modules from top to bottom. Each imports only from those below it:
//!
//! - `process`: a server's whole life, down to its exit status
//! - `https`: TLS connections to a router
//! - `tls`: certificates that can be replaced while serving
//! - `pki`: a private certificate authority
//! - `admin`: `/livez`, `/readyz`, `/metrics`
//! - `readiness`: what a process waits for
//! - `bind`: listening sockets
//! - `client`: the Kubernetes client
//! - `retry`: its retries and concurrent requests
//! - `audit`: an audit log
//! - `lease`: leader election
//! - `telemetry`: the log
//! - `assertion`: JSON Web Tokens that say which user calls
//! - `rotating_keys`: key sets that are renewed daily
//! - `shared_secret`: a Secret that replicas agree on
//! - `api_error`: errors of the API server without their content
//! - `watchdog`: ends a process whose event loop stands still
//! - `shutdown`: signals
//! - `allocator`: jemalloc

pub mod admin;
mod allocator;
pub mod api_error;
pub mod assertion;
pub mod audit;
mod bind;
pub mod client;
pub mod https;
pub mod lease;
pub mod pki;
pub mod process;
pub mod readiness;
mod retry;
pub mod rotating_keys;
pub mod shared_secret;
pub mod shutdown;
pub mod telemetry;
pub mod tls;
pub mod watchdog;

pub use bind::bind;

/// The `metadata.resourceVersion` of an apply that expects nothing under its name. No stored object has it: etcd's first write is number 2. So
/// such an apply makes the object or conflicts, and never merges into one that somebody else made since we looked. A `POST` says the same, but
/// records ownership of fields otherwise than later applies do, and no role can limit it to names (docs/decisions/0020, 0064).
pub const ABSENT: &str = "1";
