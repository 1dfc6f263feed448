//! The gateway over real sockets.

mod door;
mod listeners;
mod rig;
mod sockets;
