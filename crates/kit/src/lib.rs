//! Configuration -> the parts of every server process, without knowledge of workspaces (IO).
//!
//! The modules, from top to bottom. Each imports only modules below it:
//!
//! - `process`: the life of a server process, including its exit status
//! - `https`: TLS connections to a router
//! - `tls`: certificates that can be replaced while serving
//! - `pki`: a private certificate authority
//! - `admin`: `/livez`, `/readyz`, `/metrics`
//! - `readiness`: conditions that a process waits for
//! - `bind`: listening sockets
//! - `access_review`: what a user may do
//! - `role_changes`: where rights may have changed
//! - `client`: the Kubernetes client
//! - `scope`: the watched namespace, or all
//! - `retry`: the client's retries and concurrency limit
//! - `audit`: an audit log
//! - `lease`: leader election
//! - `telemetry`: the log
//! - `assertion`: JSON Web Tokens that name the calling user, signed and checked
//! - `rotating_keys`: key sets that are renewed daily
//! - `shared_secret`: a Secret that replicas agree on
//! - `api_error`: errors of the API server without their content
//! - `watchdog`: ends a process whose event loop is blocked
//! - `shutdown`: signals
//! - `allocator`: jemalloc

pub mod access_review;
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
pub mod role_changes;
pub mod rotating_keys;
pub mod scope;
pub mod shared_secret;
pub mod shutdown;
pub mod telemetry;
pub mod tls;
pub mod watchdog;

pub use bind::bind;

/// The `metadata.resourceVersion` of a server-side apply that must create the object.
/// No stored object has this version, because etcd's first write has number 2.
/// So the apply creates the object or conflicts. It never merges into an object that another client created meanwhile.
/// A `POST` has the same effect, but records field ownership differently than later applies do.
/// A role also cannot limit a `POST` to names (docs/decisions/0020, 0064).
pub const ABSENT: &str = "1";
