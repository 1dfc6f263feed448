//! The door of a workspace: HTTP from the gateway -> the application behind it, or a shell by ssh.
//!
//! The image runs it before the application: `door --socket PATH -- COMMAND`. It answers requests with a valid assertion only, hands them
//! to the application on a socket that the pod's user alone can open, and answers a few paths itself.
//!
//! Modules from top to bottom. Each imports only from modules further down (`crates/xtask/tests/modules.rs`):
//!
//! - `run`: environment -> the process; the only module that knows all others.
//! - `args`: command line -> options.
//! - `server`: listening socket -> connections, a bounded number.
//! - `router`: request -> who answers it: the door, ssh or the application.
//! - `ssh`: websocket -> a process of sshd.
//! - `health`: where the application listens -> that it does no more.
//! - `proxy`: request -> the application's answer.
//! - `command`: command line of the application -> its process, signals and exit code.
//! - `last_line`: standard error of the application -> the container's, and its last line for the kubelet.
//! - `application`: where the application listens -> connections to it.
//! - `caller`: headers of a request -> who sends it.
//! - `answers`: the door's own answers.
//! - `permit`: connection -> its place among a bounded number.
//! - `announcement`: questions of the operator -> the stop that pages are told of.
//! - `activity`: uses -> times of the last ones.
//! - `usage`: a request, or data of a websocket -> whether somebody acts or a page is only open.
//! - `frames`: bytes of a websocket -> the data in them.
//! - `disk`: folder of the workspace's disk -> how much of it is used, and whether it is full.
//! - `memory`: the container's control group -> its limit, and when a process of it was ended for memory.

mod activity;
mod announcement;
mod answers;
mod application;
mod args;
mod caller;
mod command;
mod disk;
mod frames;
mod health;
mod last_line;
mod memory;
mod permit;
mod proxy;
mod router;
pub mod run;
mod server;
mod ssh;
mod usage;
