//! One kind of objects -> a store that a watch keeps up to date (IO).

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt as _, Stream, StreamExt as _, future};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kit::readiness::Readiness;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::reflector::Store;
use kube::runtime::watcher::{self, Event, watcher};
use kube::runtime::{WatchStreamExt as _, reflector};
use kube::{Api, Resource};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use tokio::sync::watch as signal;
use tokio::time::{Instant, sleep};

/// The API server ends a watch after this many seconds. Some seconds later without data the connection counts as dead.
const LONGEST_WATCH: u32 = 30;
/// Pause before the first new attempt; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// Which watches are interrupted, and since when.
#[derive(Debug, Default)]
pub(super) struct Health(Mutex<BTreeMap<&'static str, (Timestamp, Instant)>>);

impl Health {
    pub(super) fn interrupted_since(&self) -> Option<Timestamp> {
        self.0.lock().values().map(|(since, _)| *since).min()
    }

    /// How long the oldest interruption lasts; zero if there is none.
    pub(super) fn lag(&self) -> Duration {
        let all = self.0.lock();
        let lags = all.values().map(|(_, since)| since.elapsed());
        lags.max().unwrap_or_default()
    }

    /// Notes an interruption. Returns whether it is new.
    fn interrupt(&self, kind: &'static str) -> bool {
        let mut all = self.0.lock();
        let is_new = !all.contains_key(kind);
        all.entry(kind)
            .or_insert_with(|| (Timestamp::now(), Instant::now()));
        is_new
    }

    fn resume(&self, kind: &'static str) {
        self.0.lock().remove(kind);
    }
}

/// What all watches have in common.
pub(super) struct Watch<'a> {
    pub(super) readiness: &'a Readiness,
    pub(super) health: &'a Arc<Health>,
    pub(super) changes: &'a signal::Sender<u64>,
}

impl Watch<'_> {
    /// A store of whole objects, and the watch that fills it. An object that cannot be parsed is left out.
    pub(super) fn objects<K>(
        &self,
        api: Api<DeserializeGuard<K>>,
        kind: &'static str,
    ) -> (Store<K>, BoxFuture<'static, ()>)
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        let begin = move || {
            let events = watcher(api.clone(), watcher::Config::default().timeout(LONGEST_WATCH));
            events.filter_map(|event| future::ready(readable(event)))
        };
        self.store(begin, kind)
    }

    /// A store of metadata.
    pub(super) fn metadata<K>(
        &self,
        api: Api<PartialObjectMeta<K>>,
        config: watcher::Config,
        kind: &'static str,
    ) -> (Store<PartialObjectMeta<K>>, BoxFuture<'static, ()>)
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        let config = config.timeout(LONGEST_WATCH);
        self.store(move || watcher(api.clone(), config.clone()), kind)
    }

    /// The store, and what fills it. After an error the watch begins anew, because only the end of a list shows that it is whole again.
    fn store<K, S>(
        &self,
        begin: impl Fn() -> S + Send + 'static,
        kind: &'static str,
    ) -> (Store<K>, BoxFuture<'static, ()>)
    where
        S: Stream<Item = watcher::Result<Event<K>>> + Send + 'static,
        K: Resource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static,
        K::DynamicType: Hash + Eq + Clone,
    {
        let (store, mut writer) = reflector::store::<K>();
        let gate = self.readiness.gate(kind);
        let (health, changes) = (self.health.clone(), self.changes.clone());
        let follow = async move {
            let mut pause = FIRST_PAUSE;
            loop {
                let events = begin().modify(|object| {
                    let records = object.meta_mut().managed_fields.take();
                    object.meta_mut().managed_fields = records.and_then(last_change);
                });
                let mut events = pin!(events);
                while let Some(event) = events.next().await {
                    match event {
                        Ok(event) => {
                            writer.apply_watcher_event(&event);
                            if matches!(event, Event::InitDone) {
                                pause = FIRST_PAUSE;
                                gate.open();
                            }
                            if !matches!(event, Event::Init | Event::InitApply(_)) {
                                health.resume(kind);
                                changes.send_modify(|count| *count += 1);
                            }
                        }
                        Err(error) => {
                            tracing::warn!(kind, %error, "a watch was interrupted and starts again");
                            if health.interrupt(kind) {
                                changes.send_modify(|count| *count += 1);
                            }
                            break;
                        }
                    }
                }
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        };
        (store, follow.boxed())
    }
}

/// When the object was changed last, but for its status: the rest of these records is large, and nothing reads it.
fn last_change(records: Vec<ManagedFieldsEntry>) -> Option<Vec<ManagedFieldsEntry>> {
    let of_object = records
        .into_iter()
        .filter(|record| record.subresource.as_deref().unwrap_or_default().is_empty());
    let time = of_object
        .filter_map(|record| record.time)
        .max_by_key(|time| time.0)?;
    Some(vec![ManagedFieldsEntry {
        time: Some(time),
        ..ManagedFieldsEntry::default()
    }])
}

/// The same event with the object itself; `None` for an object that cannot be parsed.
fn readable<K: Debug>(
    event: watcher::Result<Event<DeserializeGuard<K>>>,
) -> Option<watcher::Result<Event<K>>> {
    let known = |guard: DeserializeGuard<K>| match guard.0 {
        Ok(object) => Some(object),
        Err(invalid) => {
            let (namespace, name) = (invalid.metadata.namespace, invalid.metadata.name);
            tracing::warn!(
                ?namespace,
                ?name,
                error = invalid.error,
                "an object cannot be read and is not shown"
            );
            None
        }
    };
    Some(Ok(match event {
        Err(error) => return Some(Err(error)),
        Ok(Event::Init) => Event::Init,
        Ok(Event::InitDone) => Event::InitDone,
        Ok(Event::InitApply(guard)) => Event::InitApply(known(guard)?),
        Ok(Event::Apply(guard)) => Event::Apply(known(guard)?),
        Ok(Event::Delete(guard)) => Event::Delete(known(guard)?),
    }))
}
