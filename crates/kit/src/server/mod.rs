//! Sockets -> requests to routers, with TLS and limits (IO).
//!
//! - `https`: TLS connections to a router
//! - `tls`: certificates that can be replaced while serving
//! - `admin`: `/livez`, `/readyz`, `/metrics`
//! - `readiness`: conditions that a process waits for
//! - `bind`: listening sockets

pub mod admin;
mod bind;
pub mod https;
pub mod readiness;
pub mod tls;

pub use bind::bind;
