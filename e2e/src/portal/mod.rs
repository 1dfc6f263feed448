//! User -> the portal's pages and forms, without a browser (IO).
//!
//! - `attested`: by the proxy's assertion, at a portal pod.
//! - `pages`: by a sign-in, through the proxy.

pub mod attested;
mod pages;

pub use pages::{Portal, address};

/// A script that types what a question before a deletion of files asks for.
pub const TYPE: &str =
    "document.getElementById('typed').value = document.querySelector('label[for=typed] code').textContent;";
