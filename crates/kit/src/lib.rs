//! What every server process needs and that knows nothing of workspaces: the process itself, telemetry, health and metrics
//! endpoints, shutdown, TLS with reloadable certificates, a private certificate authority, a Kubernetes client, leases, keys that rotate
//! and what is signed with them, an audit log.

pub mod admin;
mod allocator;
pub mod api_error;
pub mod assertion;
pub mod audit;
mod bind;
pub mod client;
pub mod https;
pub mod lease;
pub mod patience;
pub mod pki;
mod places;
pub mod process;
pub mod readiness;
pub mod rotating_keys;
pub mod shared_secret;
pub mod shutdown;
pub mod stall;
pub mod telemetry;
pub mod tls;

pub use bind::bind;

/// The `metadata.resourceVersion` of an apply that expects nothing under its name. No stored object has it: etcd's first write is number 2. So
/// such an apply makes the object or conflicts, and never merges into one that somebody else made since we looked. A `POST` says the same, but
/// records ownership of fields otherwise than later applies do, and no role can limit it to names (docs/decisions/0020, 0064).
pub const ABSENT: &str = "1";
