//! Client, caches, settings -> the state that all reconciles share (in memory).
//!
//! | file | input -> output |
//! |---|---|
//! | `contest.rs` | repeated writes of a child -> backoff, if another client writes it as well |
//! | `definitions.rs` | CRDs of our kinds in the cluster -> statuses with only the fields that the CRDs declare (IO) |
//! | `keys.rs` | the operator's keys, key ConfigMaps -> what each namespace has and needs |
//! | `namespaces.rs` | a namespace -> the lock of what workspaces share there |

pub(crate) mod contest;
pub(crate) mod definitions;
pub(crate) mod keys;
pub(crate) mod namespaces;

use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kit::limit::KeyedRate;
use kube::{
    Client,
    runtime::events::{Event, Recorder, Reporter},
};
use parking_lot::Mutex;
use rules::Settings;
use tokio::sync::mpsc;

use self::{contest::Contests, definitions::Definitions, keys::Keys, namespaces::NamespaceLocks};
use crate::{
    activity::ActivityTracker,
    audit::Audit,
    cache::{pending_writes::PendingWrites, stores::Stores},
    metrics::Metrics,
    plan::Installation,
    support::{backoff::Backoff, random},
};

/// Events of one object, in order.
pub type Queued = (ObjectReference, Vec<Event>);

/// State that all reconciles share.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// The caches.
    pub stores: Stores,
    /// The installation's settings.
    pub settings: Settings,
    /// The settings that planning needs.
    pub installation: Installation,
    /// Source of all Events. It is shared because it counts repeated Events.
    pub recorder: Recorder,
    /// Takes Events that wait to be written. Until it is set, they are written at once.
    pub events: OnceLock<mpsc::Sender<Queued>>,
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
    /// Locks of what workspaces of a namespace share: the keys, the network policies.
    pub namespaces: NamespaceLocks,
    /// Names the time in which this process leads. Another one, or the same at another time, has another name.
    pub term: Mutex<String>,
    /// The last activity of workspaces that stop when idle.
    pub idle: ActivityTracker,
    /// How often stopped workspaces are deleted.
    pub deletions: KeyedRate,
    /// The public keys with which workspaces' pods check assertions.
    pub keys: Keys,
    /// What the CRDs of our kinds in the cluster lack.
    pub definitions: Definitions,
    /// The clock.
    pub now: fn() -> Timestamp,
}

impl Context {
    /// A context with empty state. `instance` names the source of Events.
    pub fn new(
        client: Client,
        stores: Stores,
        settings: Settings,
        installation: Installation,
        instance: String,
    ) -> Self {
        let reporter = Reporter {
            controller: api::names::OPERATOR.to_owned(),
            instance: Some(instance),
        };
        Self {
            recorder: Recorder::new(client.clone(), reporter),
            events: OnceLock::new(),
            client,
            stores,
            settings,
            installation,
            audit: Audit::default(),
            metrics: Metrics::default(),
            backoff: Backoff::default(),
            contests: Contests::default(),
            pending_writes: Arc::default(),
            namespaces: NamespaceLocks::default(),
            term: Mutex::new(random::identifier()),
            idle: ActivityTracker::default(),
            deletions: KeyedRate::new(1),
            keys: Keys::default(),
            definitions: Definitions::default(),
            now: Timestamp::now,
        }
    }

    /// From now on policies that were written before count as written in another term.
    pub(crate) fn rename_term(&self) {
        *self.term.lock() = random::identifier();
    }

    /// Forgets what may have changed while another replica led.
    pub fn end_term(&self) {
        self.rename_term();
        self.pending_writes.clear();
        self.contests.clear();
        self.idle.clear();
        self.audit.clear();
    }
}
