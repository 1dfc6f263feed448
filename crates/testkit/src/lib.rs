//! Objects and calls for tests (in memory, no sockets): an API server that remembers, and builders of objects.
//!
//! [`api_server::ApiServer`] answers a real `kube::Client`, keeps what it is sent, records every call and fails on
//! request. [`objects`] builds the objects that tests start from.

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
