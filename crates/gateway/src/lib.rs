//! HTTP request -> allow, deny or redirect to login, decided from an index fed by watches (IO).
//!
//! Modules from top to bottom. Each imports only from modules further down (`crates/xtask/tests/modules.rs`):
//!
//! - `run`: wires everything.
//! - `check`: the command that checks an installation.
//! - `args`: command line and environment.
//! - `router`: one table of routes per listener.
//! - `login`: sign-in in the browser: enter, login, callback, sign-out, start.
//! - `relay`: websockets.
//! - `verify`: ticket or token -> decision -> headers for the pod.
//! - `audit`: the audit log.
//! - `server`: listeners, certificates, limits, rate limits.
//! - `pages`: HTML and JSON answers.
//! - `session`: signed-in users, renewal, ending.
//! - `oidc`: providers, discovery, keys, ID tokens, claims.
//! - `index`: watched objects -> snapshot, freshness, Traefik's routes.
//! - `tokens`: content of cookies and redirects, sealing, keys, assertion.
//! - `site`: host or folder of a workspace.
//! - `metrics`: metrics for Prometheus.
//! - `clock`: the current time.

mod args;
pub mod audit;
pub mod check;
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
