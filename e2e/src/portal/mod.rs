//! User -> the portal's pages and forms, without a browser (IO).
//!
//! - `attested`: by the proxy's assertion, at a portal pod.
//! - `pages`: by a sign-in, through the proxy.

pub mod attested;
mod pages;

pub use pages::{Portal, address};
