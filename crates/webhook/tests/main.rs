//! Requests of the API server -> answers of the router, against an API server in memory (no sockets).

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]
#![expect(clippy::needless_pass_by_value, reason = "literals of JSON are passed")]

mod bounds;
mod catalog;
mod cluster;
mod defaults;
mod disks;
mod expiry;
mod http_surface;
mod keep;
mod limits;
mod objects;
mod ownership;
mod pod_templates;
mod public_access;
mod public_ownership;
mod recovery;
mod references;
mod shares;
mod support;
mod use_permission;
