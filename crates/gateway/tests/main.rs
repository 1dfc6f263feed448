//! The gateway over real sockets, its routers, its process, and Traefik before it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot be set up fails"
)]

mod flow;
mod listeners;
mod listeners_full;
mod pages;
mod process;
mod proxies;
mod routers;
mod sockets;
mod support;
mod traefik;
mod traefik_cookies;
mod traefik_edge;
mod traefik_folders;
mod traefik_fronts;
mod traefik_paths;
mod traefik_refusals;
mod traefik_routes;
mod traefik_upgrades;
