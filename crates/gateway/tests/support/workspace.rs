//! One workspace and its domain.

use std::net::SocketAddr;
use std::sync::Arc;

use api::workspace::{AccessType, Phase};
use gateway::index::{Domain, Snapshot, Target};

pub(crate) const HOST: &str = "lab.ws.example";

pub(crate) fn target(endpoint: Option<SocketAddr>) -> Target {
    Target {
        uid: "uid".into(),
        namespace: "team".into(),
        name: "lab".into(),
        display_name: None,
        site: HOST.into(),
        owner: "alice".into(),
        access_type: AccessType::OwnerOnly,
        shared: Arc::default(),
        run_id: String::new(),
        phase: Phase::Running,
        message: String::new(),
        story: None,
        endpoint,
    }
}

pub(crate) fn snapshot(target: Option<Target>) -> Snapshot {
    Snapshot::new(Some(Domain::new("ws.example", 443)), target)
}
