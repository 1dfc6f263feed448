//! What every server process needs and that knows nothing of workspaces: the process itself, telemetry, health and metrics
//! endpoints, shutdown, TLS with reloadable certificates, a private certificate authority, a Kubernetes client, leases, keys that rotate
//! and what is signed with them.

pub mod admin;
mod allocator;
pub mod api_error;
pub mod assertion;
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
