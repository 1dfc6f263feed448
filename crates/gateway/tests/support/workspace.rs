//! One workspace and its domain.

use std::net::SocketAddr;

use api::workspace::AccessType;
use gateway::index::{Domain, Snapshot, Target};

use super::fixture;

pub(crate) const HOST: &str = "lab.ws.example";

pub(crate) fn target(endpoint: Option<SocketAddr>) -> Target {
    Target {
        endpoint,
        ..fixture::target(HOST, "alice", AccessType::OwnerOnly)
    }
}

pub(crate) fn snapshot(target: Option<Target>) -> Snapshot {
    Snapshot::new(Some(Domain::new("ws.example", 443)), target)
}
