//! Sign-in for programs, ssh through the gateway -> what programs of a user can do (IO).
//!
//! - `machine`: a person's machine: the plugin, signed in without a browser, and the system's ssh.
//! - `forward`: ports that ssh forwards.
//! - `program`: the steps of the sign-in, without the plugin.
//! - `door`: websockets to the pod's ssh, with any headers.

pub mod door;
pub mod forward;
pub mod machine;
pub mod program;

pub use machine::Machine;
