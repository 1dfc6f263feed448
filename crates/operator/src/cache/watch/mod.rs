//! Watches -> caches, and which workspaces to reconcile (IO).
//!
//! Three changes trigger a reconcile of a workspace:
//!
//! - a change of the workspace by another client, including its status
//! - a change of a child, in a field that a reconcile reads
//! - a change of an object that it refers to
//!
//! Our own status writes trigger none. After a watch had to list again, differing objects count as changed, and objects that are no
//! longer listed as deleted: no event reports them.

mod changes;
mod warnings;

use std::{collections::HashSet, convert::Infallible, fmt::Debug, sync::Arc};

use api::{Workspace, names};
use futures::{Stream, StreamExt as _, stream, stream::BoxStream};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kit::scope::Scope;
use kube::{
    Api, Client, Resource,
    runtime::{
        WatchStreamExt as _,
        reflector::ObjectRef,
        watcher::{self, Event, watcher},
    },
};
use serde::de::DeserializeOwned;
use tokio::sync::watch::Sender;

use self::changes::Change;
use crate::{
    cache::stores::{CacheWriter, ChildrenWriter, OwnWrites, Parsed, Stores, Writers, trim::Trim},
    support::{debounce::debounced, pace::paced},
};

/// A workspace to reconcile.
pub type Trigger = ObjectRef<Parsed<Workspace>>;

/// Which workspaces to reconcile.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Target {
    One(Trigger),
    Template(String),
    /// All of a namespace.
    Namespace(String),
    All,
}

/// What a change of an object triggers.
struct Effect {
    target: Option<Target>,
    /// Whether it matters to controllers that reconcile all objects.
    is_global: bool,
}

impl Effect {
    /// Of a change of a kind that rarely changes.
    fn of(target: Option<Target>) -> Self {
        Self {
            target,
            is_global: true,
        }
    }
}

/// Fills `writers` while the stream is polled, and yields which workspaces to reconcile. It never ends and never fails: broken watches
/// are restarted with growing backoff. `page_size`: objects per page of a list. `is_loaded`: whether many workspaces are starting or
/// stopping, so that triggers of Deployments, ReplicaSets and pods may be debounced.
pub fn start<F>(
    client: &Client,
    scope: &Scope,
    writers: Writers,
    page_size: u32,
    is_loaded: F,
) -> impl Stream<Item = Result<Trigger, Infallible>> + Send + use<F>
where
    F: Fn() -> bool + Send + 'static,
{
    let stores = writers.stores();
    let cluster_warnings = warnings::start(client, scope, &writers.cluster_warnings, &stores);
    let (notify, own_writes) = (writers.changes, writers.own_writes);
    let ours = own_writes.clone();
    let storage_classes = match scope {
        Scope::Cluster => watch(
            Api::all(client.clone()),
            page_size,
            &notify,
            writers.storage_classes,
            |change| Effect::of(change.is_of_class().then_some(Target::All)),
        ),
        // No class is known, so the API server decides whether a disk can grow.
        Scope::Namespace(_) => {
            let mut classes = writers.storage_classes;
            classes.apply_watcher_event(&Event::Init);
            classes.apply_watcher_event(&Event::InitDone);
            stream::empty().boxed()
        }
    };
    let at_once: Vec<BoxStream<'static, Target>> = vec![
        watch(
            scope.api(client.clone()),
            page_size,
            &notify,
            writers.workspaces,
            move |change| {
                // A status that another client wrote has to be corrected.
                let is_ours = change
                    .after
                    .as_ref()
                    .is_some_and(|after| ours.contains(after.meta()));
                let meta = change.meta().filter(|_| change.is_any() && !is_ours);
                Effect {
                    target: meta.map(|meta| Target::One(trigger(meta, meta.name.as_deref()))),
                    is_global: change.is_of_references(),
                }
            },
        ),
        watch(
            Api::all(client.clone()),
            page_size,
            &notify,
            writers.templates,
            |change| {
                let meta = change.meta().filter(|_| change.is_of_spec());
                Effect::of(meta.and_then(|meta| meta.name.clone()).map(Target::Template))
            },
        ),
        watch(
            Api::all(client.clone()),
            page_size,
            &notify,
            writers.managers,
            |change| Effect::of(change.is_of_spec().then_some(Target::All)),
        ),
        watch(
            scope.api(client.clone()),
            page_size,
            &notify,
            writers.profiles,
            |change| {
                let meta = change.meta().filter(|_| change.is_of_spec());
                Effect::of(
                    meta.and_then(|meta| meta.namespace.clone())
                        .map(Target::Namespace),
                )
            },
        ),
        watch(
            scope.api(client.clone()),
            page_size,
            &notify,
            writers.shares,
            |_| Effect::of(None),
        ),
        storage_classes,
        undebounced(children(
            scope.api(client.clone()),
            page_size,
            &own_writes,
            writers.claims,
        )),
        undebounced(children(
            scope.api(client.clone()),
            page_size,
            &own_writes,
            writers.services,
        )),
        // A network policy may outlive its workspace, and then no other event reports it.
        undebounced(children(
            scope.api(client.clone()),
            page_size,
            &own_writes,
            writers.policies,
        ))
        .inspect(move |_| {
            notify.send_replace(());
        })
        .boxed(),
        undebounced(children(
            scope.api(client.clone()),
            page_size,
            &own_writes,
            writers.accounts,
        )),
    ];
    let steps = stream::select_all([
        children(
            scope.api(client.clone()),
            page_size,
            &own_writes,
            writers.deployments,
        ),
        children(
            scope.api(client.clone()),
            page_size,
            &own_writes,
            writers.replica_sets,
        ),
        children(scope.api(client.clone()), page_size, &own_writes, writers.pods),
    ]);
    let steps = debounced(steps, is_loaded).boxed();
    let targets =
        stream::select(stream::select_all(at_once), steps).map(move |target| expand(&target, &stores));
    paced(Box::pin(stream::select(targets, cluster_warnings))).map(Ok)
}

/// Every workspace, for a new leader.
pub fn all_workspaces(stores: &Stores) -> Vec<Trigger> {
    references_of(&stores.workspaces.state())
}

/// The watch of one kind that users write. It sends to `notify` on changes that matter to controllers that reconcile all objects.
fn watch<K>(
    api: Api<Parsed<K>>,
    page_size: u32,
    notify: &Sender<()>,
    mut writer: CacheWriter<K>,
    effect: impl Fn(&Change<K>) -> Effect + Send + 'static,
) -> BoxStream<'static, Target>
where
    K: Trim + Send + Sync + 'static,
{
    let notify = notify.clone();
    events(api, watcher::Config::default().page_size(page_size))
        .flat_map(move |event| {
            let mut targets = HashSet::new();
            let mut is_global = matches!(event, Event::InitDone);
            for change in &changes::apply(&mut writer, &event) {
                let effect = effect(change);
                targets.extend(effect.target);
                is_global |= effect.is_global;
            }
            if is_global {
                notify.send_replace(());
            }
            stream::iter(targets)
        })
        .boxed()
}

/// The watch of one kind of child: which workspaces to reconcile, and whether that may be debounced. Changes of objects
/// that are being deleted or are gone may not: their addresses are soon reused.
fn children<K>(
    api: Api<Parsed<K>>,
    page_size: u32,
    own_writes: &OwnWrites,
    mut writer: ChildrenWriter<K>,
) -> BoxStream<'static, (Target, bool)>
where
    K: Trim + Send + Sync + 'static,
{
    let config = watcher::Config::default()
        .labels(names::WORKSPACE_LABEL)
        .page_size(page_size);
    let own_writes = own_writes.clone();
    events(api, config)
        .flat_map(move |event| {
            let applied = match &event {
                Event::Apply(object) => Some(object.meta()),
                _ => None,
            };
            let is_own = applied.is_some_and(|meta| own_writes.contains(meta));
            let may_wait = applied.is_some_and(|meta| meta.deletion_timestamp.is_none());
            let parents = writer.apply(event).into_iter().filter(move |_| !is_own);
            let targets = parents.map(move |(namespace, name)| {
                let trigger = ObjectRef::new(&name).within(&namespace);
                (Target::One(trigger), may_wait)
            });
            stream::iter(targets)
        })
        .boxed()
}

/// The events of a watch, which is restarted with growing backoff when it fails.
pub(crate) fn events<K>(api: Api<K>, config: watcher::Config) -> impl Stream<Item = Event<K>> + Send
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    watcher(api, config).default_backoff().filter_map(|event| {
        let event = event.inspect_err(|error| {
            tracing::warn!(%error, kind = %K::kind(&()), "the watch failed and is restarted");
        });
        std::future::ready(event.ok())
    })
}

/// All targets, whether they may be debounced or not.
fn undebounced(targets: BoxStream<'static, (Target, bool)>) -> BoxStream<'static, Target> {
    targets.map(|(target, _)| target).boxed()
}

fn trigger(meta: &ObjectMeta, name: Option<&str>) -> Trigger {
    ObjectRef::new(name.unwrap_or_default()).within(meta.namespace.as_deref().unwrap_or_default())
}

fn expand(target: &Target, stores: &Stores) -> Vec<Trigger> {
    match target {
        Target::One(trigger) => vec![trigger.clone()],
        Target::All => all_workspaces(stores),
        Target::Namespace(name) => {
            let is_there = |object: &Parsed<Workspace>| object.meta().namespace.as_ref() == Some(name);
            references_of(&stores.workspaces.state_filter(is_there))
        }
        Target::Template(name) => {
            let refers = |object: &Parsed<Workspace>| {
                // A workspace that does not parse may refer to it. A needless reconcile costs little.
                object.0.as_ref().map_or(true, |workspace| {
                    workspace.spec.template_ref.as_ref() == Some(name)
                })
            };
            references_of(&stores.workspaces.state_filter(refers))
        }
    }
}

fn references_of(workspaces: &[Arc<Parsed<Workspace>>]) -> Vec<Trigger> {
    workspaces
        .iter()
        .map(|object| ObjectRef::from_obj(object.as_ref()))
        .collect()
}

#[cfg(test)]
mod tests {
    use testkit::objects;

    use super::*;

    #[test]
    fn a_template_triggers_workspaces_that_name_it() {
        let mut writers = Writers::default();
        let mut user = objects::workspace("user");
        user.spec.template_ref = Some("t".to_owned());
        for workspace in [user, objects::workspace("other")] {
            writers
                .workspaces
                .apply_watcher_event(&Event::Apply(Parsed::of(workspace)));
        }
        let stores = writers.stores();
        let names = |target: &Target| -> Vec<String> {
            let mut names: Vec<_> = expand(target, &stores)
                .into_iter()
                .map(|trigger| trigger.name)
                .collect();
            names.sort();
            names
        };
        assert_eq!(names(&Target::Template("t".to_owned())), ["user"]);
        assert_eq!(names(&Target::All), ["other", "user"]);
        assert_eq!(names(&Target::Namespace("team".to_owned())), ["other", "user"]);
        assert_eq!(names(&Target::Namespace("elsewhere".to_owned())), [""; 0]);
    }

    #[test]
    fn a_broken_workspace_is_kept_and_triggered() {
        let broken: Parsed<Workspace> = serde_json::from_value(
            serde_json::json!({"metadata": {"name": "b", "namespace": "team"}, "spec": 7}),
        )
        .unwrap();
        assert!(broken.0.is_err());
        let mut writers = Writers::default();
        writers.workspaces.apply_watcher_event(&Event::Apply(broken));
        let stores: Arc<Stores> = Arc::new(writers.stores());
        assert_eq!(all_workspaces(&stores).len(), 1);
    }
}
