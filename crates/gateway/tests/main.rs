//! The gateway over real sockets.

mod listeners;
mod rig;
mod sockets;
