//! Namespaces with workspaces, and the ConfigMaps that there are -> those that there ought to be (IO).

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use api::names;
use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api, Resource as _,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};
use tokio_util::sync::CancellationToken;

use super::{Entries, NAME};
use crate::{
    context::Context,
    failure::{is_everyday, message_of, reason_of},
    rounds,
};

/// A write that takes longer has got stuck; it is given up and tried again.
const LIMIT: Duration = Duration::from_secs(10);

/// Sweeps now and whenever something changed, until shutdown. To be begun when the caches are filled.
pub async fn run(context: &Context, shutdown: &CancellationToken) {
    rounds::make(&context.stores.pulse, shutdown, async || {
        Box::pin(sweep(context)).await
    })
    .await;
}

/// Sees to it that a namespace has the keys, before a pod starts there. A failure is told and is no obstacle: the pod believes
/// nobody until the keys are there.
pub async fn ensure(context: &Context, namespace: &str) {
    let Some(wanted) = context.keys.wanted(&context.site.system_namespace) else {
        return;
    };
    // A round that takes these keys away ends first, and leaves a note of it.
    let _turn = context.keys.turn.lock().await;
    if !context.keys.is_right(namespace, &wanted) {
        write(context, namespace, wanted).await;
    }
}

/// Writes the keys wherever there are workspaces and they are missing or old, and deletes them where no workspace is left. Says
/// after which time to try again what failed.
pub async fn sweep(context: &Context) -> Option<Duration> {
    let keys = &context.keys;
    let wanted = keys.wanted(&context.site.system_namespace)?;
    let inhabited = inhabited(context);
    let mut again: Option<Duration> = None;
    for namespace in &inhabited {
        if !keys.is_right(namespace, &wanted) {
            let _turn = keys.turn.lock().await;
            let wait = write(context, namespace, wanted.clone()).await;
            again = [again, wait].into_iter().flatten().min();
        }
    }
    for (namespace, uid) in keys.left(&inhabited) {
        let _turn = keys.turn.lock().await;
        if !has_workspaces(context, &namespace) {
            let wait = delete(context, &namespace, uid).await;
            again = [again, wait].into_iter().flatten().min();
        }
    }
    again
}

/// Namespaces that have workspaces which are looked after.
fn inhabited(context: &Context) -> HashSet<String> {
    let mut namespaces = HashSet::new();
    for workspace in context.stores.workspaces.state() {
        let namespace = workspace.meta().namespace.as_deref().unwrap_or_default();
        if !namespaces.contains(namespace) && !context.site.ignores(namespace) {
            namespaces.insert(namespace.to_owned());
        }
    }
    namespaces
}

fn has_workspaces(context: &Context, namespace: &str) -> bool {
    let workspaces = &context.stores.workspaces;
    workspaces
        .find(|workspace| workspace.meta().namespace.as_deref() == Some(namespace))
        .is_some()
}

/// Marks of what is ours to write and to delete.
pub(super) fn labels() -> BTreeMap<String, String> {
    [
        (names::APP_NAME_LABEL, names::PRODUCT),
        (names::APP_COMPONENT_LABEL, "assertion-keys"),
        (names::APP_PART_OF_LABEL, names::PRODUCT),
        (names::APP_MANAGED_BY_LABEL, names::OPERATOR),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

async fn write(context: &Context, namespace: &str, entries: Entries) -> Option<Duration> {
    let object = ConfigMap {
        metadata: ObjectMeta {
            name: Some(NAME.to_owned()),
            namespace: Some(namespace.to_owned()),
            labels: Some(labels()),
            ..ObjectMeta::default()
        },
        data: Some(entries),
        ..ConfigMap::default()
    };
    let params = PatchParams::apply(names::OPERATOR).force();
    let patch = Patch::Apply(&object);
    let objects = api(context, namespace);
    let written = objects.patch(NAME, &params, &patch);
    let written = limited(async { written.await.map(|written| context.keys.saw(&written)) }).await;
    if written.is_ok() {
        context.metrics.write("keys");
    }
    settle(context, namespace, written)
}

async fn delete(context: &Context, namespace: &str, uid: Option<String>) -> Option<Duration> {
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid: uid.clone(),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    // Noted before it is done: who starts a pod there meanwhile writes it anew.
    context.keys.lost(&ObjectMeta {
        namespace: Some(namespace.to_owned()),
        uid,
        ..ObjectMeta::default()
    });
    let objects = api(context, namespace);
    let deleted = limited(async { objects.delete(NAME, &params).await.map(drop) }).await;
    settle(context, namespace, deleted)
}

fn api(context: &Context, namespace: &str) -> Api<ConfigMap> {
    Api::namespaced(context.client.clone(), namespace)
}

async fn limited(work: impl Future<Output = Result<(), kube::Error>>) -> Result<(), kube::Error> {
    let late = |_| Err(kube::Error::Service("the API server does not answer".into()));
    tokio::time::timeout(LIMIT, work).await.unwrap_or_else(late)
}

/// After which time to try again.
fn settle(context: &Context, namespace: &str, done: Result<(), kube::Error>) -> Option<Duration> {
    let key = format!("keys of {namespace}");
    let Err(error) = done else {
        context.backoff.reset(&key);
        return None;
    };
    context.metrics.error("keys", reason_of(&error));
    let message = message_of(&error);
    if is_everyday(&error) {
        tracing::debug!(namespace, message, "keys are written again");
    } else {
        tracing::warn!(
            namespace,
            message,
            "keys cannot be written: workspaces there cannot check who asks them"
        );
    }
    Some(context.backoff.after_failure(&key).max(rounds::BREATH))
}
