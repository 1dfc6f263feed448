//! HTTP request in -> allow, deny or login out, decided from an index that watches feed.
//!
//! Modules from top to bottom. Each imports only from modules further down (`crates/xtask/tests/arrows.rs`):
//!
//! - `run`: wires everything.
//! - `args`: command line and environment.
//! - `router`: one table of routes per listener.
//! - `login`: the browser's way: enter, login, callback, sign-out, start, and the progress of a start.
//! - `relay`: websockets.
//! - `verify`: ticket or token -> decision -> headers for the pod.
//! - `audit`: the audit log.
//! - `server`: listeners, certificates, limits, rate limits.
//! - `pages`: HTML and JSON answers.
//! - `session`: who is signed in, renewal, ending.
//! - `oidc`: providers, discovery, keys, ID tokens, claims.
//! - `index`: watched objects -> snapshot, freshness, Traefik's routes.
//! - `tokens`: what cookies and redirects carry, sealing, keys, assertion.
//! - `site`: where a workspace is: a host or a folder.
//! - `metrics`: metrics, gauges, the rate of log lines.
//! - `clock`: the current time.

mod args;
pub mod audit;
pub mod clock;
pub mod index;
pub mod login;
pub mod metrics;
pub mod oidc;
pub mod pages;
pub mod relay;
pub mod router;
pub mod run;
pub mod server;
pub mod session;
pub mod site;
pub mod tokens;
pub mod verify;
