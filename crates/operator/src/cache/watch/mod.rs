//! Watches -> caches, and which workspaces to reconcile (IO).
//!
//! - `changes.rs`: a watch event -> the changed objects, and what about them matters
//! - `warnings.rs`: watches of warning Events, Nodes and other claims -> warnings, and workspaces to reconcile
//!
//! Three changes trigger a reconcile of a workspace:
//!
//! - a change of the workspace by another client, including its status
//! - a change of a child, in a field that a reconcile reads
//! - a change of an object that it refers to
//!
//! Our own status writes trigger none: the text of a refusal may differ at each attempt, and each would cause the next. After a watch had
//! to list again, differing objects count as changed, and objects that are no longer listed as deleted: no event reports them.

mod changes;
mod warnings;

use std::{collections::HashSet, convert::Infallible, fmt::Debug, sync::Arc};

use api::{Workspace, names};
use futures::{Stream, StreamExt as _, stream, stream::BoxStream};
use k8s_openapi::{
    api::{networking::v1::NetworkPolicy, storage::v1::StorageClass},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kit::scope::Scope;
use kube::{
    Api, Client, Resource,
    core::NamespaceResourceScope,
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
    cache::{
        pending_writes::PendingWrites,
        stores::{CacheWriter, Content, Parsed, Stores, Trim, Writers},
    },
    support::spacing::space_out,
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
    targets: Vec<Target>,
    /// Whether it matters to controllers that reconcile all objects.
    is_global: bool,
}

impl Effect {
    /// Of a change of a kind that rarely changes.
    fn global(target: Option<Target>) -> Self {
        Self {
            targets: target.into_iter().collect(),
            is_global: true,
        }
    }
}

/// Fills `writers` while the stream is polled, and yields which workspaces to reconcile. It never ends and never fails: broken watches
/// are restarted with growing backoff. `pending_writes`: our own writes. `page_size`: objects per page of a list.
pub fn start(
    client: &Client,
    scope: &Scope,
    writers: Writers,
    pending_writes: Arc<PendingWrites>,
    page_size: u32,
) -> impl Stream<Item = Result<Trigger, Infallible>> + Send + use<> {
    let stores = writers.stores();
    let cluster_warnings = warnings::start(client, scope, &writers.cluster_warnings, &stores);
    let watches = Watches {
        client,
        scope,
        page_size,
        notify: writers.changes,
    };
    let (pods, policies) = (pending_writes.clone(), pending_writes.clone());
    let targets: Vec<BoxStream<'static, Target>> = vec![
        watches.in_scope(writers.workspaces, move |change| {
            // A status that another client wrote has to be corrected.
            let after = change.after.as_ref().and_then(|after| after.0.as_ref().ok());
            let is_ours =
                !change.is_of_spec() && after.is_some_and(|after| pending_writes.is_own_status(after));
            let meta = change.meta().filter(|_| change.is_any() && !is_ours);
            Effect {
                targets: meta
                    .map(|meta| Target::One(trigger(meta, meta.name.as_deref())))
                    .into_iter()
                    .collect(),
                is_global: change.is_of_references(),
            }
        }),
        watches.of_cluster(writers.templates, |change| {
            let meta = change.meta().filter(|_| change.is_of_spec());
            Effect::global(meta.and_then(|meta| meta.name.clone()).map(Target::Template))
        }),
        watches.of_cluster(writers.managers, |change| {
            Effect::global(change.is_of_spec().then_some(Target::All))
        }),
        watches.in_scope(writers.profiles, |change| {
            let meta = change.meta().filter(|_| change.is_of_spec());
            let namespace = meta.and_then(|meta| meta.namespace.clone());
            Effect::global(namespace.map(Target::Namespace))
        }),
        watches.in_scope(writers.shares, |_| Effect::global(None)),
        watches.storage_classes(writers.storage_classes),
        watches.children(writers.claims, of_child),
        watches.children(writers.services, of_child),
        watches.policies(writers.policies, move |change| {
            if let Some(meta) = change.meta() {
                policies.policies.show(meta);
            }
            Effect {
                targets: Vec::new(),
                is_global: change.is_of_content(),
            }
        }),
        watches.children(writers.accounts, of_child),
        watches.children(writers.pods, move |change| {
            if let Some(meta) = change.meta() {
                pods.pods.show(meta);
            }
            of_child(change)
        }),
    ];
    let batches = stream::select_all(targets).map(move |target| expand(&target, &stores));
    space_out(stream::select(batches, cluster_warnings)).map(Ok)
}

/// Every workspace, for a new leader.
pub fn all_workspaces(stores: &Stores) -> Vec<Trigger> {
    references_of(&stores.workspaces.state())
}

/// What all watches of kinds that users write, and of children, have in common.
struct Watches<'a> {
    client: &'a Client,
    scope: &'a Scope,
    page_size: u32,
    /// Gets changes that matter to controllers that reconcile all objects.
    notify: Sender<()>,
}

impl Watches<'_> {
    /// The watch of one kind that users write, in the namespaces of the scope.
    fn in_scope<K>(
        &self,
        writer: CacheWriter<K>,
        effect: impl Fn(&Change<K>) -> Effect + Send + 'static,
    ) -> BoxStream<'static, Target>
    where
        K: Trim<Scope = NamespaceResourceScope> + Send + Sync + 'static,
    {
        let config = watcher::Config::default();
        self.watch(self.scope.api(self.client.clone()), config, writer, effect)
    }

    /// The watch of one kind of the cluster.
    fn of_cluster<K>(
        &self,
        writer: CacheWriter<K>,
        effect: impl Fn(&Change<K>) -> Effect + Send + 'static,
    ) -> BoxStream<'static, Target>
    where
        K: Trim + Send + Sync + 'static,
    {
        let config = watcher::Config::default();
        self.watch(Api::all(self.client.clone()), config, writer, effect)
    }

    fn watch<K>(
        &self,
        api: Api<Parsed<K>>,
        config: watcher::Config,
        mut writer: CacheWriter<K>,
        effect: impl Fn(&Change<K>) -> Effect + Send + 'static,
    ) -> BoxStream<'static, Target>
    where
        K: Trim + Send + Sync + 'static,
    {
        let notify = self.notify.clone();
        events(api, config.page_size(self.page_size))
            .flat_map(move |event| {
                let mut targets = HashSet::new();
                let mut is_global = matches!(event, Event::InitDone);
                for change in &changes::apply(&mut writer, &event) {
                    let effect = effect(change);
                    targets.extend(effect.targets);
                    is_global |= effect.is_global;
                }
                if is_global {
                    notify.send_replace(());
                }
                stream::iter(targets)
            })
            .boxed()
    }

    /// In one namespace no class is known, so the API server decides whether a disk can grow.
    fn storage_classes(&self, mut writer: CacheWriter<StorageClass>) -> BoxStream<'static, Target> {
        if self.scope.is_cluster() {
            return self.of_cluster(writer, |change| {
                Effect::global(change.is_of_content().then_some(Target::All))
            });
        }
        writer.apply_watcher_event(&Event::Init);
        writer.apply_watcher_event(&Event::InitDone);
        stream::empty().boxed()
    }

    /// The watch of the operator's network policies.
    fn policies(
        &self,
        writer: CacheWriter<NetworkPolicy>,
        effect: impl Fn(&Change<NetworkPolicy>) -> Effect + Send + 'static,
    ) -> BoxStream<'static, Target> {
        let selector = format!("{}={}", names::APP_MANAGED_BY_LABEL, names::OPERATOR);
        let config = watcher::Config::default().labels(&selector);
        self.watch(self.scope.api(self.client.clone()), config, writer, effect)
    }

    /// The watch of one kind of child.
    fn children<K>(
        &self,
        writer: CacheWriter<K>,
        effect: impl Fn(&Change<K>) -> Effect + Send + 'static,
    ) -> BoxStream<'static, Target>
    where
        K: Trim<Scope = NamespaceResourceScope> + Send + Sync + 'static,
    {
        let config = watcher::Config::default().labels(names::WORKSPACE_LABEL);
        let api = self.scope.api(self.client.clone());
        self.watch(api, config, writer, effect)
    }
}

/// The effect of a change of a child: its workspace is reconciled, if a reconcile reads what changed.
fn of_child<K: Content>(change: &Change<K>) -> Effect {
    let is_relevant = change.is_of_content();
    let parents = change.sides().filter_map(|object| parent(object.meta()));
    Effect {
        targets: parents.filter(|_| is_relevant).map(Target::One).collect(),
        is_global: false,
    }
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

fn trigger(meta: &ObjectMeta, name: Option<&str>) -> Trigger {
    ObjectRef::new(name.unwrap_or_default()).within(meta.namespace.as_deref().unwrap_or_default())
}

/// The workspace in the label of a child.
fn parent(meta: &ObjectMeta) -> Option<Trigger> {
    let workspace = meta.labels.as_ref()?.get(names::WORKSPACE_LABEL)?;
    Some(trigger(meta, Some(workspace)))
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
                .apply_watcher_event(&Event::Apply(Parsed::new(workspace)));
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
}
