//! Public keys of the gateway and of the operator -> a ConfigMap in each namespace that has workspaces, from which their pods
//! check who asks them (docs/decisions/0045).
//!
//! | file | in -> out |
//! |---|---|
//! | `own_keys.rs` | the API server -> our own keys, rotated, and every such ConfigMap there is |
//! | `distribute.rs` | what there is -> what there ought to be |
//!
//! One per namespace and not per workspace: the keys are the same for all, and a rotation writes a few objects instead of
//! thousands. Nothing in it is secret; whoever may change it may run pods in that namespace.

mod distribute;
mod own_keys;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use api::names::{ASSERTION_KEYS, GATEWAY_KEYS, OPERATOR_KEYS};
use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kit::assertion::Signer;
use tokio::time::Instant;

pub use self::{
    distribute::{ensure, reconcile, run},
    own_keys::{maintain, renew},
};

/// What a ConfigMap holds.
type Entries = BTreeMap<String, String>;

/// The operator's own keys, and what is known of the ConfigMaps.
#[derive(Debug, Default)]
pub struct Keys {
    signer: Arc<Signer>,
    /// By namespace; none before all of them were listed. What is not known yet looks as if it were gone.
    seen: Mutex<Option<HashMap<String, Seen>>>,
    /// The gateway's keys as they were last seen: whoever deletes its object for a moment takes nobody's keys away.
    gateway: Mutex<Option<String>>,
    /// By namespace: held while its own is written or deleted.
    turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// By namespace: until when a write that failed is not tried again, and why it failed.
    failures: Mutex<HashMap<String, (Instant, String)>>,
}

#[derive(Clone, Debug, PartialEq)]
struct Seen {
    uid: Option<String>,
    ours: bool,
    /// Nothing is in it that keeps it from being put right, and nothing but text.
    sound: bool,
    entries: Entries,
}

impl Keys {
    /// Signs what the operator asks.
    pub fn signer(&self) -> Arc<Signer> {
        self.signer.clone()
    }

    /// These are all that there are.
    pub fn listed(&self, objects: &[ConfigMap]) {
        let seen = objects
            .iter()
            .map(|object| (namespace_of(&object.metadata), Seen::of(object)));
        *self.seen() = Some(seen.collect());
    }

    /// Takes note of one that is there; whether that is news. What we wrote ourselves is known.
    pub fn saw(&self, object: &ConfigMap) -> bool {
        let (namespace, now) = (namespace_of(&object.metadata), Seen::of(object));
        let mut seen = self.seen();
        let Some(seen) = seen.as_mut() else { return false };
        let is_news = seen.get(&namespace) != Some(&now);
        seen.insert(namespace, now);
        is_news
    }

    /// Takes note that one is gone, and says what was known of it.
    fn lost(&self, object: &ObjectMeta) -> Option<Seen> {
        let namespace = namespace_of(object);
        let mut seen = self.seen();
        let seen = seen.as_mut()?;
        let is_it = seen.get(&namespace).is_some_and(|seen| seen.uid == object.uid);
        is_it.then(|| seen.remove(&namespace)).flatten()
    }

    /// Takes note that one is there still, unless something is known of that namespace meanwhile.
    fn kept(&self, namespace: &str, noted: Seen) {
        if let Some(seen) = self.seen().as_mut() {
            seen.entry(namespace.to_owned()).or_insert(noted);
        }
    }

    /// What each namespace ought to have: the gateway's keys, as they stand in the installation's namespace, and our own. `None`
    /// while there are neither, and before it is known what there is.
    fn wanted(&self, system_namespace: &str) -> Option<Entries> {
        let source = self.seen().as_ref()?.get(system_namespace).cloned();
        let source = source.and_then(|source| source.entries.get(GATEWAY_KEYS).cloned());
        let mut gateway = lock(&self.gateway);
        *gateway = source.or_else(|| gateway.take());
        let gateway = gateway.clone().map(|keys| (GATEWAY_KEYS.to_owned(), keys));
        let own = (!self.signer.is_empty()).then(|| (OPERATOR_KEYS.to_owned(), self.signer.key_set()));
        let entries: Entries = gateway.into_iter().chain(own).collect();
        (!entries.is_empty()).then_some(entries)
    }

    /// Whether nothing is to be written into a namespace.
    fn has_enough(&self, namespace: &str, wanted: &Entries) -> bool {
        self.is_right(namespace, wanted) || self.would_lose(namespace, wanted)
    }

    /// Whether a namespace has what it ought to have.
    fn is_right(&self, namespace: &str, wanted: &Entries) -> bool {
        let seen = self.seen();
        let seen = seen.as_ref().and_then(|seen| seen.get(namespace));
        seen.is_some_and(|seen| seen.sound && seen.entries == *wanted)
    }

    /// Whether a write would take the gateway's keys out of our copy, since after a restart theirs were not seen yet: pods would
    /// believe nobody.
    fn would_lose(&self, namespace: &str, wanted: &Entries) -> bool {
        let seen = self.seen();
        let copy = seen.as_ref().and_then(|seen| seen.get(namespace));
        !wanted.contains_key(GATEWAY_KEYS)
            && copy.is_some_and(|copy| {
                let mut entries = copy.entries.keys();
                let is_clean = entries.all(|key| key == GATEWAY_KEYS || key == OPERATOR_KEYS);
                copy.ours && copy.sound && is_clean && copy.entries.contains_key(GATEWAY_KEYS)
            })
    }

    /// Whether a namespace has something of that name, right or not.
    fn has_any(&self, namespace: &str) -> bool {
        self.seen()
            .as_ref()
            .is_some_and(|seen| seen.contains_key(namespace))
    }

    /// UID of what a namespace has of that name.
    fn uid(&self, namespace: &str) -> Option<String> {
        self.seen().as_ref()?.get(namespace)?.uid.clone()
    }

    /// Ours in namespaces that are not among these, with their UIDs.
    fn left(&self, inhabited: &HashSet<String>) -> Vec<(String, Option<String>)> {
        let seen = self.seen();
        let all = seen.iter().flatten();
        let left = all.filter(|(namespace, seen)| seen.ours && !inhabited.contains(*namespace));
        left.map(|(namespace, seen)| (namespace.clone(), seen.uid.clone()))
            .collect()
    }

    /// What is held while a namespace's own is written or deleted. Those that nobody waits for are forgotten.
    fn turn(&self, namespace: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = lock(&self.turns);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        turns.entry(namespace.to_owned()).or_default().clone()
    }

    fn failed(&self, namespace: &str, again: Duration, why: &str) {
        let until = Instant::now() + again;
        lock(&self.failures).insert(namespace.to_owned(), (until, why.to_owned()));
    }

    fn succeeded(&self, namespace: &str) {
        lock(&self.failures).remove(namespace);
    }

    /// For how long still a write is not tried again, and why the last one failed.
    fn failed_lately(&self, namespace: &str) -> Option<(Duration, String)> {
        let failures = lock(&self.failures);
        let (until, why) = failures.get(namespace)?;
        let left = until.checked_duration_since(Instant::now())?;
        (!left.is_zero()).then(|| (left, why.clone()))
    }

    /// Nothing is kept of namespaces that are not among these.
    fn forget_failures(&self, inhabited: &HashSet<String>) {
        lock(&self.failures).retain(|namespace, _| inhabited.contains(namespace));
    }

    fn seen(&self) -> MutexGuard<'_, Option<HashMap<String, Seen>>> {
        lock(&self.seen)
    }
}

impl Seen {
    fn of(object: &ConfigMap) -> Self {
        let labels = object.metadata.labels.as_ref();
        Self {
            uid: object.metadata.uid.clone(),
            ours: labels.is_some_and(|labels| {
                distribute::labels()
                    .iter()
                    .all(|(key, value)| labels.get(key) == Some(value))
            }),
            sound: distribute::can_be_changed(object)
                && object.binary_data.as_ref().is_none_or(BTreeMap::is_empty),
            entries: object.data.clone().unwrap_or_default(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn namespace_of(object: &ObjectMeta) -> String {
    object.namespace.clone().unwrap_or_default()
}

/// The name that all of them have.
const NAME: &str = ASSERTION_KEYS;
