//! Requests of the API server -> answers of the router, against an API server in memory (no sockets).

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod bounds;
mod http_surface;
mod ownership;
mod support;
