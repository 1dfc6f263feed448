//! HTTP request in -> allow, deny or login out, decided from an index that watches feed.
//!
//! `router` is the table of contents of what is served; `index` is what every answer is decided from.

pub mod answers;
pub mod args;
pub mod clock;
pub mod crypto;
pub mod index;
pub mod listen;
pub mod metrics;
pub mod oidc;
pub mod pages;
pub mod relay;
pub mod request;
pub mod router;
pub mod run;
pub mod session;
pub mod settings;
pub mod sign_in;
pub mod verify;
