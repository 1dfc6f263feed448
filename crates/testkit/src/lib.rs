//! Calls and names -> an in-memory API server and objects for tests (in-process IO, no sockets).
//!
//! [`api_server::ApiServer`] answers a real `kube::Client`, stores objects, records every call and fails on
//! request. [`objects`] builds the initial objects of tests.

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
