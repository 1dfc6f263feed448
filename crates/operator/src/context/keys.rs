//! The operator's keys, key ConfigMaps -> what each namespace has and needs (in memory).

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use api::names::{self, GATEWAY_KEYS, OPERATOR_KEYS};
use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kit::assertion_signer::Signer;
use parking_lot::Mutex;
use tokio::time::Instant;

/// The data of a `ConfigMap`.
pub(crate) type Entries = BTreeMap<String, String>;

/// The operator's own keys, and the known state of the key ConfigMaps.
#[derive(Debug, Default)]
pub struct Keys {
    signer: Arc<Signer>,
    /// By namespace; `None` until all of them were listed. Before that, an unknown object appears absent.
    seen: Mutex<Option<HashMap<String, ConfigMapState>>>,
    /// The gateway's keys as last seen. If its object is deleted for a moment, the copies in other namespaces stay.
    gateway: Mutex<Option<String>>,
    /// By namespace: the last write, if it failed.
    failures: Mutex<HashMap<String, Failure>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) at: Instant,
    /// The wait before a retry.
    pub(crate) again: Duration,
    pub(crate) why: String,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ConfigMapState {
    uid: Option<String>,
    ours: bool,
    /// The object can be changed and holds only text.
    sound: bool,
    entries: Entries,
}

impl Keys {
    /// Signs the operator's requests to pods.
    pub fn signer(&self) -> Arc<Signer> {
        self.signer.clone()
    }

    /// Records the complete list of objects.
    pub fn record_list(&self, objects: &[ConfigMap]) {
        let seen = objects.iter().map(|object| {
            (
                namespace_of(&object.metadata),
                ConfigMapState::from_object(object),
            )
        });
        *self.seen.lock() = Some(seen.collect());
    }

    /// Records an existing object. Returns whether it changed; our own writes are already known.
    pub fn record(&self, object: &ConfigMap) -> bool {
        let (namespace, now) = (
            namespace_of(&object.metadata),
            ConfigMapState::from_object(object),
        );
        let mut seen = self.seen.lock();
        let Some(seen) = seen.as_mut() else { return false };
        let is_changed = seen.get(&namespace) != Some(&now);
        seen.insert(namespace, now);
        is_changed
    }

    /// Records that an object is gone. Returns its last known state.
    pub(crate) fn record_loss(&self, object: &ObjectMeta) -> Option<ConfigMapState> {
        let namespace = namespace_of(object);
        let mut seen = self.seen.lock();
        let seen = seen.as_mut()?;
        let is_it = seen.get(&namespace).is_some_and(|seen| seen.uid == object.uid);
        is_it.then(|| seen.remove(&namespace)).flatten()
    }

    /// Records that an object still exists, unless a newer state of that namespace is known.
    pub(crate) fn restore(&self, namespace: &str, noted: Option<ConfigMapState>) {
        if let (Some(seen), Some(noted)) = (self.seen.lock().as_mut(), noted) {
            seen.entry(namespace.to_owned()).or_insert(noted);
        }
    }

    /// The entries that each namespace needs: the gateway's keys from the installation's namespace, and the operator's own. `None` if
    /// neither exists, or before all objects were listed.
    pub(crate) fn entries(&self, system_namespace: &str) -> Option<Entries> {
        let source = self.seen.lock().as_ref()?.get(system_namespace).cloned();
        let source = source.and_then(|source| source.entries.get(GATEWAY_KEYS).cloned());
        let mut gateway = self.gateway.lock();
        *gateway = source.or_else(|| gateway.take());
        let gateway = gateway.clone().map(|keys| (GATEWAY_KEYS.to_owned(), keys));
        let own = (!self.signer.is_empty()).then(|| (OPERATOR_KEYS.to_owned(), self.signer.key_set()));
        let entries: Entries = gateway.into_iter().chain(own).collect();
        (!entries.is_empty()).then_some(entries)
    }

    /// Whether nothing has to be written into a namespace.
    pub(crate) fn is_supplied(&self, namespace: &str, wanted: &Entries) -> bool {
        self.is_right(namespace, wanted) || self.would_lose(namespace, wanted)
    }

    /// Whether a namespace has exactly the wanted entries.
    fn is_right(&self, namespace: &str, wanted: &Entries) -> bool {
        let seen = self.seen.lock();
        let seen = seen.as_ref().and_then(|seen| seen.get(namespace));
        seen.is_some_and(|seen| seen.sound && seen.entries == *wanted)
    }

    /// Whether a write would remove the gateway's keys from a copy, because after a restart their source was not seen yet. Pods would
    /// then reject all assertions.
    fn would_lose(&self, namespace: &str, wanted: &Entries) -> bool {
        let seen = self.seen.lock();
        let copy = seen.as_ref().and_then(|seen| seen.get(namespace));
        !wanted.contains_key(GATEWAY_KEYS)
            && copy.is_some_and(|copy| {
                let mut entries = copy.entries.keys();
                let is_clean = entries.all(|key| key == GATEWAY_KEYS || key == OPERATOR_KEYS);
                copy.ours && copy.sound && is_clean && copy.entries.contains_key(GATEWAY_KEYS)
            })
    }

    /// Whether a namespace has an object of that name, correct or not.
    pub(crate) fn has_any(&self, namespace: &str) -> bool {
        self.seen
            .lock()
            .as_ref()
            .is_some_and(|seen| seen.contains_key(namespace))
    }

    /// UID of the object of that name in a namespace.
    pub(crate) fn uid(&self, namespace: &str) -> Option<String> {
        self.seen.lock().as_ref()?.get(namespace)?.uid.clone()
    }

    /// The operator's objects in namespaces that are not in `in_use`, with their UIDs.
    pub(crate) fn leftovers(&self, in_use: &HashSet<String>) -> Vec<(String, Option<String>)> {
        let seen = self.seen.lock();
        let all = seen.iter().flatten();
        let left = all.filter(|(namespace, seen)| seen.ours && !in_use.contains(*namespace));
        left.map(|(namespace, seen)| (namespace.clone(), seen.uid.clone()))
            .collect()
    }

    /// Records whether a write failed.
    pub(crate) fn record_write(&self, namespace: &str, failure: Option<Failure>) {
        let mut failures = self.failures.lock();
        match failure {
            Some(failure) => failures.insert(namespace.to_owned(), failure),
            None => failures.remove(namespace),
        };
    }

    /// The last write, if it failed.
    pub(crate) fn failure(&self, namespace: &str) -> Option<Failure> {
        self.failures.lock().get(namespace).cloned()
    }

    /// Drops the failures of namespaces that are not in `in_use`.
    pub(crate) fn forget_failures(&self, in_use: &HashSet<String>) {
        self.failures
            .lock()
            .retain(|namespace, _| in_use.contains(namespace));
    }
}

impl Failure {
    /// How long the write is still not retried.
    pub(crate) fn left(&self) -> Option<Duration> {
        let left = self.again.checked_sub(self.at.elapsed())?;
        (!left.is_zero()).then_some(left)
    }
}

impl ConfigMapState {
    fn from_object(object: &ConfigMap) -> Self {
        let theirs = object.metadata.labels.as_ref();
        Self {
            uid: object.metadata.uid.clone(),
            ours: theirs
                .is_some_and(|theirs| labels().iter().all(|(key, value)| theirs.get(key) == Some(value))),
            sound: can_be_changed(object) && object.binary_data.as_ref().is_none_or(BTreeMap::is_empty),
            entries: object.data.clone().unwrap_or_default(),
        }
    }
}

fn namespace_of(object: &ObjectMeta) -> String {
    object.namespace.clone().unwrap_or_default()
}

/// Labels of the objects that the operator writes and deletes.
pub(crate) fn labels() -> BTreeMap<String, String> {
    [
        (names::APP_NAME_LABEL, names::PRODUCT),
        (names::APP_COMPONENT_LABEL, "assertion-keys"),
        (names::APP_PART_OF_LABEL, names::PRODUCT),
        (names::APP_MANAGED_BY_LABEL, names::OPERATOR),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

/// Whether the content of an object can be changed: it is neither immutable nor being deleted.
pub(crate) fn can_be_changed(object: &ConfigMap) -> bool {
    object.immutable != Some(true) && object.metadata.deletion_timestamp.is_none()
}
