//! Managers with custom routes, and the network policies of managers.
//!
//! A second proxy, an authorization service and a client run in their own pods.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy exempts functions marked #[test], but not what they call"
)]

mod edge;
mod examples;
mod kinds;
mod network_policy;
