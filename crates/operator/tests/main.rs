//! Passes of the operator against an API server in memory: what is called, what is written, and what is not.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod faults;
mod lifecycle;
mod ownership;
mod protection;
mod settled;
mod stage;
