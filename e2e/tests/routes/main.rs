//! Managers with routes of their own, and the network policies that managers set: a second proxy, a service that decides, and a client,
//! each of them a pod of its own.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy exempts functions marked #[test], but not what they call"
)]

mod edge;
mod endings;
mod examples;
mod kinds;
mod network_policy;
