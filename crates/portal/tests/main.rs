//! Pages through the router, with an API server in memory (no sockets).

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails where a helper of it does"
)]

mod acting;
mod common;
mod editing;
mod forms;
mod identity;
mod listing;
mod live;
mod logs;
mod outage;
mod owner;
mod sending;
mod sharing;
mod states;
mod texts;
mod typing;
