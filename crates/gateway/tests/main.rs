//! The gateway over real sockets, its routers, and its process.

mod door;
mod listeners;
mod process;
mod rig;
mod routers;
mod sockets;
