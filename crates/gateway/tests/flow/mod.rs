//! Signing in, tickets and decisions, through the gateway's routers and without sockets.

mod decisions;
mod fuzz;
mod login;
mod provider;
mod redirects;
mod start;
