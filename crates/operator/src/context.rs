//! What every pass of the operator needs (a leaf: shared data, no logic).

use jiff::Timestamp;
use kube::{
    Client,
    runtime::events::{Recorder, Reporter},
};
use rules::Settings;

use crate::{
    apply::{Retries, contest::Contests},
    audit::Audit,
    cache::{lists::Lister, pending_writes::PendingWrites, stores::Stores},
    controllers::{assertion_keys::Keys, catalog::InUse, definitions::Definitions, idle},
    metrics::Metrics,
    plan::Site,
    status::{debounce::StatusDebounce, events::EventQueue},
    support::backoff::Backoff,
};

/// Shared by all passes.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// The caches.
    pub stores: Stores,
    /// The installation's settings.
    pub settings: Settings,
    /// The same, as planning needs them.
    pub site: Site,
    /// Source of all Events, shared because it counts repeated ones.
    pub recorder: Recorder,
    /// Events that wait to be written.
    pub events: EventQueue,
    /// Looks at pods that many passes share.
    pub lister: Lister,
    /// Statuses that are put off while much goes on.
    pub debounce: StatusDebounce,
    /// The audit log.
    pub audit: Audit,
    /// What is measured.
    pub metrics: Metrics,
    /// Failures in a row.
    pub backoff: Backoff,
    /// When Deployments of refused pods may be touched.
    pub retries: Retries,
    /// Children that others write as well.
    pub contests: Contests,
    /// Our last writes.
    pub pending_writes: PendingWrites,
    /// What workspaces hold of templates, managers and profiles.
    pub in_use: InUse,
    /// Who uses their workspaces.
    pub idle: idle::Book,
    /// What workspaces' pods check assertions by.
    pub keys: Keys,
    /// What the cluster's definitions of our kinds lack.
    pub definitions: Definitions,
    /// The clock.
    pub now: fn() -> Timestamp,
}

impl Context {
    /// A context at its beginning. `instance` names the source of events.
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
            lister: Lister::default(),
            debounce: StatusDebounce::default(),
            audit: Audit::default(),
            metrics: Metrics::default(),
            backoff: Backoff::default(),
            retries: Retries::default(),
            contests: Contests::default(),
            pending_writes: PendingWrites::default(),
            in_use: InUse::default(),
            idle: idle::Book::default(),
            keys: Keys::default(),
            definitions: Definitions::default(),
            now: Timestamp::now,
        }
    }
}
