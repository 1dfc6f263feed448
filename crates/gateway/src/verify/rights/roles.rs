//! watches on roles and bindings (metadata only) -> where rights may have changed (IO).

use std::fmt::Debug;
use std::pin::pin;

use futures::{Stream, StreamExt as _, stream};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::core::PartialObjectMeta;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;

use crate::index::following::LONGEST_WATCH;
use crate::metrics::Metrics;

// These watches do not affect the index's age. Without them, answers expire after half a minute and are requested again.

/// Where rights may have changed; `None`: anywhere.
type Scope = Option<String>;

/// Calls `changed` at every change, forever. Objects that exist at the start are no change. A restarted watch may have missed some,
/// so a restart counts as a change.
pub(super) async fn follow(
    client: Client,
    watched: &kit::scope::Scope,
    metrics: &Metrics,
    changed: impl Fn(Option<&str>),
) {
    let mut watches = vec![
        changes::<Role>(watched.api(client.clone()), "roles", metrics).boxed(),
        changes::<RoleBinding>(watched.api(client.clone()), "rolebindings", metrics).boxed(),
    ];
    if watched.is_cluster() {
        watches.push(changes::<ClusterRole>(Api::all(client.clone()), "clusterroles", metrics).boxed());
        watches.push(changes::<ClusterRoleBinding>(Api::all(client), "clusterrolebindings", metrics).boxed());
    }
    let mut events = pin!(stream::select_all(watches));
    while let Some(scope) = events.next().await {
        changed(scope.as_deref());
    }
}

fn changes<K>(
    objects: Api<PartialObjectMeta<K>>,
    resource: &'static str,
    metrics: &Metrics,
) -> impl Stream<Item = Scope> + Send + use<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut started = false;
    let metrics = metrics.clone();
    watcher(objects, watcher::Config::default().timeout(LONGEST_WATCH))
        .default_backoff()
        .filter_map(move |event| {
            let scope = match event {
                Ok(event) => scope(event, &mut started),
                Err(error) => {
                    metrics.watch_failed(resource);
                    tracing::warn!(resource, %error, "watch failed; it is tried again");
                    None
                }
            };
            std::future::ready(scope)
        })
}

/// Where rights may have changed according to an event, if anywhere.
fn scope<K>(event: watcher::Event<PartialObjectMeta<K>>, started: &mut bool) -> Option<Scope> {
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
        let mut events = |event| scope(event, &mut started);
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
