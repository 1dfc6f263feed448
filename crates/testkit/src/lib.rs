//! Calls and names -> an in-memory API server and objects for tests (in-process IO, no sockets).
//!
//! - [`api_server`]: answers a real `kube::Client`, stores objects, records every call and fails on request
//! - [`store`], `watches`: its objects and its events
//! - [`faults`], [`lagging`]: failures of single calls, and watches that lag
//! - [`issuer`]: an OpenID Connect provider
//! - [`objects`], [`unknown`]: initial objects of tests, and statuses with unknown values
//! - [`log`], [`documented`]: captured logs, and the check of docs/metrics.md

pub mod api_server;
pub mod documented;
pub mod faults;
pub mod issuer;
pub mod lagging;
pub mod log;
pub mod objects;
pub mod store;
pub mod unknown;
mod watches;
