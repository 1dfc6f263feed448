//! Client, caches, settings -> the state that all reconciles share (in memory): data, no logic.

use std::sync::Arc;

use jiff::Timestamp;
use kube::{
    Client,
    runtime::events::{Recorder, Reporter},
};
use rules::Settings;

use crate::{
    apply::contest::Contests,
    audit::Audit,
    cache::{pending_writes::PendingWrites, stores::Stores},
    controllers::{assertion_keys::Keys, definitions::Definitions, idle},
    metrics::Metrics,
    plan::Site,
    status::events::EventQueue,
    support::backoff::Backoff,
};

/// State that all reconciles share.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// The caches.
    pub stores: Stores,
    /// The installation's settings.
    pub settings: Settings,
    /// The settings that planning needs.
    pub site: Site,
    /// Source of all Events. It is shared because it counts repeated Events.
    pub recorder: Recorder,
    /// Events that wait to be written.
    pub events: EventQueue,
    /// The audit log.
    pub audit: Audit,
    /// What is measured.
    pub metrics: Metrics,
    /// Failures in a row.
    pub backoff: Backoff,
    /// Children that other field managers write as well.
    pub contests: Contests,
    /// Our last writes, which the caches may not show yet.
    pub pending_writes: Arc<PendingWrites>,
    /// The last activity of workspaces that stop when idle.
    pub idle: idle::ActivityTracker,
    /// The public keys with which workspaces' pods check assertions.
    pub keys: Keys,
    /// What the CRDs of our kinds in the cluster lack.
    pub definitions: Definitions,
    /// The clock.
    pub now: fn() -> Timestamp,
}

impl Context {
    /// A context with empty state. `instance` names the source of Events.
    pub fn new(client: Client, stores: Stores, settings: Settings, site: Site, instance: String) -> Self {
        let reporter = Reporter {
            controller: api::names::OPERATOR.to_owned(),
            instance: Some(instance),
        };
        Self {
            recorder: Recorder::new(client.clone(), reporter),
            events: EventQueue::default(),
            client,
            stores,
            settings,
            site,
            audit: Audit::default(),
            metrics: Metrics::default(),
            backoff: Backoff::default(),
            contests: Contests::default(),
            pending_writes: Arc::default(),
            idle: idle::ActivityTracker::default(),
            keys: Keys::default(),
            definitions: Definitions::default(),
            now: Timestamp::now,
        }
    }
}
