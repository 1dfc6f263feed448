//! The gateway over real sockets, its routers, its process, and Traefik before it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot be set up fails"
)]

mod chart;
mod door;
mod flow;
mod listeners;
mod process;
mod proxy;
mod rig;
mod routers;
mod sockets;
mod traefik;
