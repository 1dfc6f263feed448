//! Watches on roles and bindings (metadata only) -> where rights may have changed (IO).

use std::collections::HashMap;
use std::fmt::Debug;
use std::iter::once;
use std::pin::pin;
use std::time::Duration;

use futures::{Stream, StreamExt as _, stream};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::core::PartialObjectMeta;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::scope::Scope;

/// The API server ends a watch after this many seconds. Some seconds later without data the connection counts as dead.
const LONGEST_WATCH: u32 = 30;

/// A changed right is requested at once, and again after these times, because other API servers lag behind.
const RECHECKS: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(10)];
/// No answer is cached for longer, so that older changes of roles say nothing.
pub(super) const LONGEST: Duration = Duration::from_hours(1);

/// Namespace in which rights may have changed; `None`: anywhere.
type ChangedIn = Option<String>;

/// When roles changed last, by namespace and in the whole cluster. Answers from before may be outdated.
#[derive(Debug, Default)]
pub(super) struct RoleChanges {
    everywhere: Option<Instant>,
    namespaces: HashMap<String, Instant>,
}

impl RoleChanges {
    /// Records a change of roles in a namespace (`None`: in the whole cluster).
    pub(super) fn add(&mut self, namespace: Option<&str>, now: Instant) {
        self.namespaces
            .retain(|_, changed| now.duration_since(*changed) < LONGEST);
        match namespace {
            None => self.everywhere = Some(now),
            Some(namespace) => {
                self.namespaces.insert(namespace.to_owned(), now);
            }
        }
    }

    /// The last time at which answers about `namespace` became outdated. Roles of one namespace say nothing about a right in all of them.
    pub(super) fn last(&self, namespace: &str, now: Instant) -> Option<Instant> {
        let of_namespace = self.namespaces.get(namespace).copied();
        let changes = self.everywhere.into_iter().chain(of_namespace);
        let times = changes.flat_map(|changed| once(changed).chain(RECHECKS.map(|after| changed + after)));
        times.filter(|at| *at <= now).max()
    }
}

/// Calls `changed` at every change and `failed` with the resource at every failed watch, forever. Objects that exist at the start are no
/// change. A restarted watch may have missed some, so a restart counts as a change.
pub(super) async fn follow(
    client: Client,
    watched: &Scope,
    failed: impl Fn(&'static str),
    changed: impl Fn(Option<&str>),
) {
    let mut streams = vec![
        changes::<Role>(watched.api(client.clone()), "roles").boxed(),
        changes::<RoleBinding>(watched.api(client.clone()), "rolebindings").boxed(),
    ];
    if watched.is_cluster() {
        streams.push(changes::<ClusterRole>(Api::all(client.clone()), "clusterroles").boxed());
        streams.push(changes::<ClusterRoleBinding>(Api::all(client), "clusterrolebindings").boxed());
    }
    let mut events = pin!(stream::select_all(streams));
    while let Some(event) = events.next().await {
        match event {
            Ok(namespace) => changed(namespace.as_deref()),
            Err(resource) => failed(resource),
        }
    }
}

/// Where rights may have changed, or the resource whose watch failed.
fn changes<K>(
    objects: Api<PartialObjectMeta<K>>,
    resource: &'static str,
) -> impl Stream<Item = Result<ChangedIn, &'static str>> + Send + use<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut started = false;
    watcher(objects, watcher::Config::default().timeout(LONGEST_WATCH))
        .default_backoff()
        .filter_map(move |event| {
            let event = match event {
                Ok(event) => changed_in(event, &mut started).map(Ok),
                Err(error) => {
                    tracing::warn!(resource, %error, "watch failed; it is tried again");
                    Some(Err(resource))
                }
            };
            std::future::ready(event)
        })
}

/// Where rights may have changed according to an event, if anywhere.
fn changed_in<K>(event: watcher::Event<PartialObjectMeta<K>>, started: &mut bool) -> Option<ChangedIn> {
    match event {
        watcher::Event::Apply(object) | watcher::Event::Delete(object) => Some(object.metadata.namespace),
        watcher::Event::InitDone => std::mem::replace(started, true).then_some(None),
        watcher::Event::Init | watcher::Event::InitApply(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use watcher::Event;

    use super::*;

    fn object(namespace: Option<&str>) -> PartialObjectMeta<Role> {
        let mut object = PartialObjectMeta::default();
        object.metadata.namespace = namespace.map(str::to_owned);
        object
    }

    #[test]
    fn the_first_list_is_no_change_and_every_later_one_may_be_any() {
        let mut started = false;
        let mut events = |event| changed_in(event, &mut started);
        assert_eq!(events(Event::Init), None);
        assert_eq!(events(Event::InitApply(object(Some("team")))), None);
        assert_eq!(events(Event::InitDone), None);
        assert_eq!(
            events(Event::Apply(object(Some("team")))),
            Some(Some("team".into()))
        );
        assert_eq!(events(Event::Delete(object(None))), Some(None));
        assert_eq!(events(Event::Init), None);
        assert_eq!(events(Event::InitDone), Some(None));
    }
}
