//! Watches -> caches, and which workspaces to look at (IO).
//!
//! A workspace is looked at when somebody changes it, its status as well, when something of it changes that a pass looks at, and when
//! something that it refers to does. Our own status writes wake nobody. After a watch had to list anew, what differs from before counts as
//! changed, and what is not listed any more as gone: no event tells of it.

mod signs;

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    fmt::Debug,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
};

use api::{Workspace, names};
use futures::{Stream, StreamExt as _, stream, stream::BoxStream};
use k8s_openapi::{api::storage::v1::StorageClass, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api, Client, Resource,
    runtime::{
        WatchStreamExt as _,
        reflector::ObjectRef,
        watcher::{self, Event, watcher},
    },
};
use serde::de::DeserializeOwned;

use crate::{
    gather::gathered,
    pace::paced,
    stores::{
        CacheWriter, ChildrenWriter, Echoes, Guarded, Parent, Pulse, Stores, Writers,
        compact::{Compact, drop_bookkeeping, drop_foreign_annotations},
        skim::Skim,
    },
};

/// A workspace to look at.
pub type Wake = ObjectRef<Guarded<Workspace>>;

/// Who has to be looked at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Call {
    One(Wake),
    Template(String),
    /// All of a namespace.
    Namespace(String),
    Everybody,
}

/// What a change of an object means.
struct News {
    call: Option<Call>,
    /// Whether it matters to those who look at all objects.
    beats: bool,
}

impl News {
    /// Of a kind that seldom changes.
    fn of(call: Option<Call>) -> Self {
        Self { call, beats: true }
    }
}

/// Fills `writers` for as long as the stream is polled, and yields what to look at. It never ends and never fails:
/// watches that break are begun anew, ever later. `page_size`: objects of one answer to a list. `is_crowded`: whether many workspaces
/// are on their way, so that the steps of Deployments, replica sets and pods may be held back for a moment.
pub fn start<F>(
    client: &Client,
    writers: Writers,
    page_size: u32,
    is_crowded: F,
) -> impl Stream<Item = Result<Wake, Infallible>> + Send + use<F>
where
    F: Fn() -> bool + Send + 'static,
{
    let stores = writers.stores();
    let signs = signs::start(client, &writers.signs, &stores);
    let (mut workspaces, mut templates) = (Changes::default(), Changes::default());
    let (mut managers, mut profiles) = (Changes::default(), Changes::default());
    let (mut relations, mut classes) = (Changes::default(), Changes::default());
    let (pulse, echoes) = (writers.pulse, writers.echoes);
    let ours = echoes.clone();
    let told: Vec<BoxStream<'static, Call>> = vec![
        watch(
            client,
            page_size,
            &pulse,
            writers.workspaces,
            move |object, gone| {
                let meta = object.meta();
                // A status that somebody else wrote is to be put right.
                let is_news = workspaces.is_other(object, gone) && (gone || !ours.is_one(meta));
                News {
                    call: is_news.then(|| Call::One(wake(meta, meta.name.as_deref()))),
                    beats: relations.differ(meta, gone, relations_of(object)),
                }
            },
        ),
        watch(
            client,
            page_size,
            &pulse,
            writers.templates,
            move |object, gone| {
                let name = object.meta().name.clone().map(Call::Template);
                News::of(name.filter(|_| templates.is_news(object.meta(), gone)))
            },
        ),
        watch(
            client,
            page_size,
            &pulse,
            writers.managers,
            move |object, gone| News::of(managers.is_news(object.meta(), gone).then_some(Call::Everybody)),
        ),
        watch(
            client,
            page_size,
            &pulse,
            writers.profiles,
            move |object, gone| {
                let namespace = object.meta().namespace.clone().map(Call::Namespace);
                News::of(namespace.filter(|_| profiles.is_news(object.meta(), gone)))
            },
        ),
        watch(client, page_size, &pulse, writers.shares, |_, _| News::of(None)),
        watch(
            client,
            page_size,
            &pulse,
            writers.storage_classes,
            move |object, gone| {
                let is_news = classes.differ(object.meta(), gone, class_of(object));
                News::of(is_news.then_some(Call::Everybody))
            },
        ),
        at_once(children(client, page_size, &echoes, writers.claims)),
        at_once(children(client, page_size, &echoes, writers.services)),
        // One may outlive its workspace, and then nothing else tells of it.
        at_once(children(client, page_size, &echoes, writers.policies))
            .inspect(move |_| pulse.beat())
            .boxed(),
        at_once(children(client, page_size, &echoes, writers.accounts)),
    ];
    let steps = stream::select_all([
        children(client, page_size, &echoes, writers.deployments),
        children(client, page_size, &echoes, writers.replica_sets),
        children(client, page_size, &echoes, writers.pods),
    ]);
    let steps = gathered(steps, is_crowded).boxed();
    let calls = stream::select(stream::select_all(told), steps).map(move |call| expand(&call, &stores));
    paced(Box::pin(stream::select(calls, signs))).map(Ok)
}

/// Every workspace, for a new leader.
pub fn everybody(stores: &Stores) -> Vec<Wake> {
    references_of(&stores.workspaces.state())
}

/// The watch of one kind that people write, on which `pulse` beats with what matters to those who look at all objects.
fn watch<K>(
    client: &Client,
    page_size: u32,
    pulse: &Pulse,
    writer: CacheWriter<K>,
    mut news: impl FnMut(&Guarded<K>, bool) -> News + Send + 'static,
) -> BoxStream<'static, Call>
where
    K: Resource<DynamicType = ()> + Skim + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let api: Api<Guarded<K>> = Api::all(client.clone());
    let kind = K::kind(&()).into_owned();
    let pulse = pulse.clone();
    let mut known = Known::default();
    watcher(api, watcher::Config::default().page_size(page_size))
        .default_backoff()
        .modify(|object: &mut Guarded<K>| {
            drop_bookkeeping(object.meta_mut());
            drop_foreign_annotations(object.meta_mut());
            object.shrink();
        })
        .reflect(writer)
        .flat_map(move |event| {
            let (calls, beats) = match event {
                Ok(Event::Apply(object)) => {
                    let News { call, beats } = news(&object, false);
                    known.remember(object.meta(), call.as_ref());
                    (call.into_iter().collect(), beats)
                }
                Ok(Event::Delete(object)) => {
                    let News { call, beats } = news(&object, true);
                    known.forget(object.meta());
                    (call.into_iter().collect(), beats)
                }
                Ok(Event::InitApply(object)) => {
                    let News { call, beats } = news(&object, false);
                    known.list(object.meta(), call);
                    (Vec::new(), beats)
                }
                Ok(Event::Init) => {
                    known.begin_list();
                    (Vec::new(), true)
                }
                Ok(Event::InitDone) => (known.end_list(), true),
                Err(error) => {
                    tracing::warn!(%error, kind, "the watch broke and is begun anew");
                    (Vec::new(), true)
                }
            };
            if beats {
                pulse.beat();
            }
            stream::iter(calls)
        })
        .boxed()
}

/// Whom each object of a kind concerns, by its UID, and what a list that is under way has told.
#[derive(Default)]
struct Known {
    concerned: HashMap<String, Call>,
    listed: HashMap<String, Call>,
    changed: Vec<Call>,
}

impl Known {
    fn remember(&mut self, meta: &ObjectMeta, call: Option<&Call>) {
        if let Some(call) = call {
            self.concerned.insert(uid_of(meta), call.clone());
        }
    }

    fn forget(&mut self, meta: &ObjectMeta) {
        self.concerned.remove(&uid_of(meta));
    }

    /// One that was under way may have broken off. What it told of is remembered, and is no news another time.
    fn begin_list(&mut self) {
        self.concerned.extend(self.listed.drain());
    }

    /// `call`: whom an object concerns that is listed, if it is another than it was.
    fn list(&mut self, meta: &ObjectMeta, call: Option<Call>) {
        let uid = uid_of(meta);
        let earlier = self.concerned.remove(&uid);
        self.changed.extend(call.clone());
        self.listed.extend(call.or(earlier).map(|call| (uid, call)));
    }

    /// Whom it concerns that objects have changed, or are not listed any more.
    fn end_list(&mut self) -> Vec<Call> {
        let vanished = std::mem::replace(&mut self.concerned, std::mem::take(&mut self.listed));
        let concerned: HashSet<Call> = self.changed.drain(..).chain(vanished.into_values()).collect();
        concerned.into_iter().collect()
    }
}

fn uid_of(meta: &ObjectMeta) -> String {
    meta.uid.clone().unwrap_or_default()
}

/// The watch of one kind of child: whom to look at, and whether that may wait. What ends, or is gone, may not: addresses are given anew.
fn children<K>(
    client: &Client,
    page_size: u32,
    echoes: &Echoes,
    mut writer: ChildrenWriter<K>,
) -> BoxStream<'static, (Call, bool)>
where
    K: Resource<DynamicType = ()> + Compact + Clone + Debug + Send + Sync + 'static,
{
    let api: Api<Guarded<K>> = Api::all(client.clone());
    let config = watcher::Config::default()
        .labels(names::WORKSPACE_LABEL)
        .page_size(page_size);
    let echoes = echoes.clone();
    watcher(api, config)
        .default_backoff()
        .flat_map(move |event| {
            let calls = match event {
                Ok(event) => {
                    let is_echo = matches!(&event, Event::Apply(object) if echoes.is_one(object.meta()));
                    let is_step =
                        matches!(&event, Event::Apply(object) if object.meta().deletion_timestamp.is_none());
                    let parents = writer.apply(event);
                    if is_echo {
                        Vec::new()
                    } else {
                        let wake = |(namespace, name): Parent| ObjectRef::new(&name).within(&namespace);
                        let wakes = parents.into_iter().map(wake);
                        wakes.map(|wake| (Call::One(wake), is_step)).collect()
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, kind = %K::kind(&()), "the watch broke and is begun anew");
                    Vec::new()
                }
            };
            stream::iter(calls)
        })
        .boxed()
}

/// Whoever it wakes, whether that may wait or not.
fn at_once(calls: BoxStream<'static, (Call, bool)>) -> BoxStream<'static, Call> {
    calls.map(|(call, _)| call).boxed()
}

fn wake(meta: &ObjectMeta, name: Option<&str>) -> Wake {
    ObjectRef::new(name.unwrap_or_default()).within(meta.namespace.as_deref().unwrap_or_default())
}

fn expand(call: &Call, stores: &Stores) -> Vec<Wake> {
    match call {
        Call::One(wake) => vec![wake.clone()],
        Call::Everybody => everybody(stores),
        Call::Namespace(name) => {
            let is_there = |object: &Guarded<Workspace>| object.meta().namespace.as_ref() == Some(name);
            references_of(&stores.workspaces.state_filter(is_there))
        }
        Call::Template(name) => {
            let refers = |object: &Guarded<Workspace>| {
                // One that does not parse may refer to it or not: looking costs little.
                object.0.as_ref().map_or(true, |workspace| {
                    workspace.spec.template_ref.as_ref() == Some(name)
                })
            };
            references_of(&stores.workspaces.state_filter(refers))
        }
    }
}

fn references_of(workspaces: &[Arc<Guarded<Workspace>>]) -> Vec<Wake> {
    workspaces
        .iter()
        .map(|object| ObjectRef::from_obj(object.as_ref()))
        .collect()
}

/// What those who look at all workspaces (`protect`, `shares`, `walls`) look at of one, as a hash; nothing of one that does not
/// parse. Its steps from start to stop and back are not in it: where hundreds take them at a time, so many looks at all would follow.
fn relations_of(object: &Guarded<Workspace>) -> Option<u64> {
    let workspace = object.0.as_ref().ok()?;
    let (meta, spec) = (&workspace.metadata, &workspace.spec);
    let resolved = workspace.status.as_ref().map(|status| {
        let resolved = status.resolved.as_ref();
        resolved.map(|it| (&it.template_uid, &it.manager, &it.execution_profile))
    });
    let mut hasher = DefaultHasher::new();
    (names::owner(meta), meta.deletion_timestamp.is_some()).hash(&mut hasher);
    (&spec.template_ref, &spec.manager_ref, &spec.execution_profile_ref).hash(&mut hasher);
    resolved.flatten().hash(&mut hasher);
    Some(hasher.finish())
}

/// What passes look at of a storage class, as a hash.
fn class_of(object: &Guarded<StorageClass>) -> Option<u64> {
    let mut class = StorageClass::clone(object.0.as_ref().ok()?);
    class.metadata.resource_version = None;
    let mut hasher = DefaultHasher::new();
    serde_json::to_string(&class).ok()?.hash(&mut hasher);
    Some(hasher.finish())
}

/// What was last seen of each object.
#[derive(Default)]
struct Changes {
    seen: HashMap<String, u64>,
}

impl Changes {
    /// Whether anything but status and bookkeeping differs from the last time. That it is gone is always news.
    fn is_news(&mut self, meta: &ObjectMeta, gone: bool) -> bool {
        let mut hasher = DefaultHasher::new();
        (meta.generation, &meta.finalizers, &meta.annotations, &meta.labels).hash(&mut hasher);
        meta.deletion_timestamp.is_some().hash(&mut hasher);
        self.differ(meta, gone, Some(hasher.finish()))
    }

    /// Whether anything of it differs from the last time, or whether it can be read.
    fn is_other<K: Resource + Clone>(&mut self, object: &Guarded<K>, gone: bool) -> bool {
        let mut hasher = DefaultHasher::new();
        (&object.meta().resource_version, object.0.is_ok()).hash(&mut hasher);
        self.differ(object.meta(), gone, Some(hasher.finish()))
    }

    /// Whether `now`, a hash of the object, is another than the last time. That it is gone is always news, and so is what is unknown.
    fn differ(&mut self, meta: &ObjectMeta, gone: bool, now: Option<u64>) -> bool {
        let key = meta.uid.clone().unwrap_or_default();
        if let Some(now) = now.filter(|_| !gone) {
            return self.seen.insert(key, now) != Some(now);
        }
        self.seen.remove(&key);
        true
    }
}

#[cfg(test)]
mod tests {
    use testkit::objects;

    use super::*;

    #[test]
    fn a_status_write_is_no_news_and_a_new_annotation_is() {
        let mut changes = Changes::default();
        let mut workspace = objects::workspace("demo");
        assert!(changes.is_news(&workspace.metadata, false));
        workspace.metadata.resource_version = Some("99".to_owned());
        assert!(!changes.is_news(&workspace.metadata, false));
        workspace.metadata.annotations = None;
        assert!(changes.is_news(&workspace.metadata, false));
    }

    #[test]
    fn who_looks_at_all_workspaces_is_woken_by_what_one_refers_to_and_not_by_its_steps() {
        let mut relations = Changes::default();
        let mut beats = |workspace: &Workspace, gone: bool| {
            let object = Guarded::of(workspace.clone());
            relations.differ(object.meta(), gone, relations_of(&object))
        };
        let mut workspace = objects::workspace("demo");
        assert!(beats(&workspace, false), "it is new");
        workspace.spec.desired_status = api::workspace::DesiredStatus::Stopped;
        workspace.metadata.generation = Some(7);
        workspace.status = Some(api::WorkspaceStatus::default());
        assert!(!beats(&workspace, false), "it stops");
        workspace.status.as_mut().unwrap().resolved = Some(api::workspace::Resolved {
            manager: Some("main".to_owned()),
            ..Default::default()
        });
        assert!(beats(&workspace, false), "it is led to a manager");
        workspace.spec.manager_ref = Some("other".to_owned());
        assert!(beats(&workspace, false), "it refers to another");
        workspace.metadata.annotations = None;
        assert!(beats(&workspace, false), "nobody owns it");
        workspace.metadata.deletion_timestamp = workspace.metadata.creation_timestamp.clone();
        assert!(beats(&workspace, false), "it is being deleted");
        assert!(!beats(&workspace, false));
        assert!(beats(&workspace, true), "it is gone");
    }

    #[test]
    fn an_object_that_is_gone_is_news_although_nothing_in_it_changed() {
        let mut changes = Changes::default();
        let manager = objects::manager("main");
        changes.is_news(&manager.metadata, false);
        assert!(changes.is_news(&manager.metadata, true));
        assert!(changes.seen.is_empty());
    }

    #[test]
    fn a_template_wakes_those_that_name_it() {
        let mut writers = Writers::default();
        let mut user = objects::workspace("user");
        user.spec.template_ref = Some("t".to_owned());
        for workspace in [user, objects::workspace("other")] {
            writers
                .workspaces
                .apply_watcher_event(&Event::Apply(Guarded::of(workspace)));
        }
        let stores = writers.stores();
        let names = |call: &Call| -> Vec<String> {
            let mut names: Vec<_> = expand(call, &stores).into_iter().map(|wake| wake.name).collect();
            names.sort();
            names
        };
        assert_eq!(names(&Call::Template("t".to_owned())), ["user"]);
        assert_eq!(names(&Call::Everybody), ["other", "user"]);
        assert_eq!(names(&Call::Namespace("team".to_owned())), ["other", "user"]);
        assert_eq!(names(&Call::Namespace("elsewhere".to_owned())), [""; 0]);
    }

    #[test]
    fn a_broken_workspace_is_kept_and_woken() {
        let broken: Guarded<Workspace> = serde_json::from_value(
            serde_json::json!({"metadata": {"name": "b", "namespace": "team"}, "spec": 7}),
        )
        .unwrap();
        assert!(broken.0.is_err());
        assert_eq!(relations_of(&broken), None);
        let mut writers = Writers::default();
        writers.workspaces.apply_watcher_event(&Event::Apply(broken));
        let stores: Arc<Stores> = Arc::new(writers.stores());
        assert_eq!(everybody(&stores).len(), 1);
    }

    #[test]
    fn after_a_list_those_are_called_whose_objects_differ_or_are_gone_and_nobody_else() {
        let mut known = Known::default();
        let mut changes = Changes::default();
        let mut list = |workspaces: &[&Workspace]| {
            known.begin_list();
            for workspace in workspaces {
                let meta = &workspace.metadata;
                let call = changes
                    .is_news(meta, false)
                    .then(|| Call::One(wake(meta, meta.name.as_deref())));
                known.list(meta, call);
            }
            let calls = known.end_list().into_iter().filter_map(|call| match call {
                Call::One(wake) => Some(wake.name),
                _ => None,
            });
            let mut names: Vec<_> = calls.collect();
            names.sort();
            names
        };
        let (a, mut b, c) = (
            objects::workspace("a"),
            objects::workspace("b"),
            objects::workspace("c"),
        );
        assert_eq!(list(&[&a, &b, &c]), ["a", "b", "c"]);
        assert_eq!(list(&[&a, &b, &c]), [""; 0]);
        b.metadata.generation = Some(2);
        assert_eq!(list(&[&a, &b]), ["b", "c"]);
        assert_eq!(list(&[&a, &b]), [""; 0]);
    }

    #[test]
    fn a_change_that_a_broken_list_told_of_is_told_by_the_next_one() {
        let mut known = Known::default();
        let call = |name: &str| Call::Template(name.to_owned());
        let (a, b) = (objects::template("a").metadata, objects::template("b").metadata);
        known.begin_list();
        known.list(&a, Some(call("a")));
        known.begin_list();
        known.list(&a, None);
        known.list(&b, None);
        assert_eq!(known.end_list(), [call("a")]);
        known.begin_list();
        assert_eq!(known.end_list(), [call("a")], "it is gone");
    }

    #[test]
    fn a_storage_class_is_another_when_something_of_it_is_and_not_for_a_version() {
        let class = |version: &str, expands: bool| -> Guarded<StorageClass> {
            serde_json::from_value(serde_json::json!({
                "metadata": {"name": "c", "resourceVersion": version}, "provisioner": "p", "allowVolumeExpansion": expands,
            }))
            .unwrap()
        };
        assert_eq!(class_of(&class("1", true)), class_of(&class("2", true)));
        assert_ne!(class_of(&class("1", true)), class_of(&class("1", false)));
    }
}
