//! HTTP request in -> allow, deny or login out, decided from an index that watches feed.
//!
//! `router` is the table of contents of what is served; `index` is what every answer is decided from.

pub mod answers;
pub mod args;
pub mod callback;
pub mod clock;
pub mod cookies;
pub mod decision;
pub mod discovery;
pub mod doorkeeper;
pub mod endpoints;
pub mod enter;
pub mod facts;
pub mod forwarded;
pub mod frames;
pub mod gate;
pub mod identity;
pub mod index;
pub mod keys;
pub mod listen;
pub mod login;
pub mod metrics;
pub mod oidc_http;
pub mod pages;
pub mod pipe;
pub mod pki;
pub mod places;
pub mod pod_headers;
pub mod provider;
pub mod relay;
pub mod request;
pub mod router;
pub mod routes;
pub mod run;
pub mod seal;
pub mod secret;
pub mod session;
pub mod sessions;
pub mod settings;
pub mod source_rule;
pub mod start;
pub mod tokens;
pub mod verify;
pub mod watch;
pub mod workspace_callback;
