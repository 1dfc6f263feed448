//! Components end while users work.
//!
//! These tests have their own stages (`.config/nextest.toml`).

mod definitions;
mod evictions;
mod keys;
mod opened;
mod operator_down;
mod replicas;
mod starts;

/// Tests of this binary kill the same pods, so they take turns.
static EXCLUSIVE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
