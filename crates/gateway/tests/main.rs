//! The gateway over real sockets, its routers, its process, and Traefik before it.

mod door;
mod flow;
mod listeners;
mod process;
mod proxy;
mod rig;
mod routers;
mod sockets;
mod traefik;
