//! HTTP request in -> allow, deny or login out, decided from an index that watches feed.
//!
//! `run` wires. `listen` takes connections, `router` is the table of contents of what is served: `verify` (the proxy's
//! question about each request), `relay` (websockets), `index::traefik` (the proxy's routes), `sign_in` and `pages`
//! (people) and `progress` (the events of a start). They decide from `index` (which host is which workspace) and `session`
//! (who is signed in), and use `oidc`, `crypto` and `request`. Modules further down this list never import those above:
//! `sign_in`, `progress`, `relay`, `verify`, `listen`, `answers`, `audit`, `session`, `oidc`, `pages`, `index`, `throttle`, `crypto`,
//! `site`, `request`, `metrics`, `clock`, `random`.

mod answers;
mod args;
pub mod audit;
mod bearer_settings;
pub mod clock;
pub mod crypto;
pub mod foreign;
mod further_providers;
mod gauges;
pub mod index;
pub mod listen;
pub mod metrics;
mod neighbours;
pub mod oidc;
pub mod pages;
pub mod progress;
pub mod random;
pub mod relay;
pub mod request;
pub mod router;
pub mod run;
pub mod session;
mod settings;
pub mod sign_in;
pub mod site;
pub mod throttle;
pub mod verify;
