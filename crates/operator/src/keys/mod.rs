//! Public keys of the gateway and of the operator -> a ConfigMap in each namespace that has workspaces, from which their pods
//! check who asks them (docs/decisions/0045).
//!
//! | file | in -> out |
//! |---|---|
//! | `keep.rs` | the API server -> our own keys, rotated, and every such ConfigMap there is |
//! | `spread.rs` | what there is -> what there ought to be |
//!
//! One per namespace and not per workspace: the keys are the same for all, and a rotation writes a few objects instead of
//! thousands. Nothing in it is secret; whoever may change it may run pods in that namespace.

mod keep;
mod spread;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use api::names::{ASSERTION_KEYS, GATEWAY_KEYS, OPERATOR_KEYS};
use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kit::assertion::Signer;

pub use self::{
    keep::{keep, renew},
    spread::{ensure, run, sweep},
};

/// What a ConfigMap holds.
type Entries = BTreeMap<String, String>;

/// The operator's own keys, and what is known of the ConfigMaps.
#[derive(Debug, Default)]
pub struct Keys {
    signer: Arc<Signer>,
    /// By namespace.
    seen: Mutex<HashMap<String, Seen>>,
    /// Held while one is written or deleted.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Clone, Debug, PartialEq)]
struct Seen {
    uid: Option<String>,
    ours: bool,
    entries: Entries,
}

impl Keys {
    /// Signs what the operator asks.
    pub fn signer(&self) -> Arc<Signer> {
        self.signer.clone()
    }

    /// Takes note of one that is there.
    pub fn saw(&self, object: &ConfigMap) {
        let namespace = object.metadata.namespace.clone().unwrap_or_default();
        self.seen().insert(namespace, Seen::of(object));
    }

    /// Takes note that one is gone.
    pub fn lost(&self, object: &ObjectMeta) {
        let mut seen = self.seen();
        let namespace = object.namespace.as_deref().unwrap_or_default();
        if seen.get(namespace).is_some_and(|seen| seen.uid == object.uid) {
            seen.remove(namespace);
        }
    }

    /// What each namespace ought to have: the gateway's keys, as they stand in the installation's namespace, and our own. `None`
    /// while there are neither.
    fn wanted(&self, system_namespace: &str) -> Option<Entries> {
        let gateway = self.seen().get(system_namespace).and_then(|seen| {
            let keys = seen.entries.get(GATEWAY_KEYS)?;
            Some((GATEWAY_KEYS.to_owned(), keys.clone()))
        });
        let own = (!self.signer.is_empty()).then(|| (OPERATOR_KEYS.to_owned(), self.signer.key_set()));
        let entries: Entries = gateway.into_iter().chain(own).collect();
        (!entries.is_empty()).then_some(entries)
    }

    /// Whether a namespace has what it ought to have.
    fn is_right(&self, namespace: &str, wanted: &Entries) -> bool {
        self.seen()
            .get(namespace)
            .is_some_and(|seen| seen.entries == *wanted)
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<String, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn of(object: &ConfigMap) -> Self {
        let labels = object.metadata.labels.as_ref();
        Self {
            uid: object.metadata.uid.clone(),
            ours: labels.is_some_and(|labels| {
                spread::labels()
                    .iter()
                    .all(|(key, value)| labels.get(key) == Some(value))
            }),
            entries: object.data.clone().unwrap_or_default(),
        }
    }
}

/// The name that all of them have.
const NAME: &str = ASSERTION_KEYS;
