//! Namespaces with workspaces, existing key ConfigMaps -> one correct ConfigMap in each (IO).

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use api::{condition::reason, names};
use futures::{StreamExt as _, stream};
use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api, Resource as _,
    api::{Patch, PatchParams},
    runtime::events::EventType,
};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::NAME;
use crate::{
    context::{
        Context,
        keys::{Entries, Failure, can_be_changed, labels},
    },
    controllers::attempt::{Attempt, Failed, attempt},
    status::{events, transitions},
    support::{
        failure::message_of,
        send::{delete_uid, patch_as},
    },
};

/// A write that takes longer is stuck. It is cancelled and retried.
const LIMIT: Duration = Duration::from_secs(10);
/// Namespaces that are written concurrently.
const CONCURRENCY: usize = 8;

/// Makes sure that a namespace has the keys before a pod starts there. If the namespace has no object of that name, a failure is only
/// logged and does not block the start: the pod rejects all assertions until the keys exist. Starts that wait for the same write fail with
/// it, because each would wait as long.
///
/// # Errors
/// The object holds other keys and cannot be corrected: a pod would trust the owner of those keys.
pub async fn ensure(context: &Context, namespace: &str) -> Result<(), kube::Error> {
    let keys = &context.keys;
    let Some(wanted) = keys.entries(&context.installation.system_namespace) else {
        return Ok(());
    };
    // The common case. A task that removes keys records that before it checks for workspaces.
    if keys.is_supplied(namespace, &wanted) {
        return Ok(());
    }
    let since = Instant::now();
    let _held = context.namespaces.lock(namespace).write_owned().await;
    if keys.is_supplied(namespace, &wanted) {
        return Ok(());
    }
    let written = match keys.failure(namespace).filter(|failure| failure.at > since) {
        Some(failure) => Err(kube::Error::Service(failure.why.into())),
        None => write(context, namespace, wanted)
            .await
            .map_err(|failed| failed.error),
    };
    match written {
        Err(error) if keys.has_any(namespace) => Err(error),
        _ => Ok(()),
    }
}

/// Writes the keys into namespaces with workspaces where they are missing or old. Deletes them where no workspace is left. Returns the
/// wait before failed writes are retried.
pub async fn reconcile(context: &Context) -> Option<Duration> {
    let keys = &context.keys;
    let wanted = &keys.entries(&context.installation.system_namespace)?;
    let in_use = in_use(context);
    keys.forget_failures(&in_use);
    let lacking = in_use
        .iter()
        .filter(|namespace| !keys.is_supplied(namespace, wanted));
    let written = lacking.map(|namespace| add_keys(context, namespace, wanted));
    let left = keys.leftovers(&in_use).into_iter();
    let deleted = left.map(|(namespace, uid)| remove_keys(context, namespace, uid));
    let written: Vec<_> = stream::iter(written)
        .buffer_unordered(CONCURRENCY)
        .collect()
        .await;
    let deleted: Vec<_> = stream::iter(deleted)
        .buffer_unordered(CONCURRENCY)
        .collect()
        .await;
    written.into_iter().chain(deleted).flatten().min()
}

/// Writes the keys into a namespace that lacks them. Returns the wait before a retry.
async fn add_keys(context: &Context, namespace: &str, wanted: &Entries) -> Option<Duration> {
    let _held = context.namespaces.lock(namespace).write_owned().await;
    if context.keys.is_supplied(namespace, wanted) {
        return None;
    }
    // This runs at each change of any object.
    if let Some(left) = context.keys.failure(namespace).and_then(|failure| failure.left()) {
        return Some(left);
    }
    let written = write(context, namespace, wanted.clone()).await;
    written.err().map(|failed| failed.again)
}

/// Deletes the keys of a namespace without workspaces. Returns the wait before a retry.
async fn remove_keys(context: &Context, namespace: String, uid: Option<String>) -> Option<Duration> {
    let _held = context.namespaces.lock(&namespace).write_owned().await;
    // Record the loss first, then check. A pod start at the same time is either seen here, or sees the loss and waits for this task.
    let noted = context.keys.record_loss(&ObjectMeta {
        namespace: Some(namespace.clone()),
        uid: uid.clone(),
        ..ObjectMeta::default()
    });
    if has_workspaces(context, &namespace) {
        context.keys.restore(&namespace, noted);
        return None;
    }
    let is_over =
        |error: &kube::Error| matches!(error, kube::Error::Api(status) if [404, 409].contains(&status.code));
    let objects = api(context, &namespace);
    let deleted = async {
        match objects.delete(NAME, &delete_uid(uid)).await {
            Err(error) if !is_over(&error) => Err(error),
            _ => Ok(()),
        }
    };
    let deleted = attempt(context, &job(&namespace), deleted).await;
    if deleted.is_err() {
        context.keys.restore(&namespace, noted);
    }
    deleted.err().map(|failed| failed.again)
}

/// Namespaces with workspaces that this operator reconciles.
fn in_use(context: &Context) -> HashSet<String> {
    let mut namespaces = HashSet::new();
    for workspace in context.stores.workspaces.state() {
        let namespace = workspace.meta().namespace.as_deref().unwrap_or_default();
        if !namespaces.contains(namespace) && !context.installation.ignores(namespace) {
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

/// Makes the object hold exactly these entries. A failure carries the wait before a retry.
async fn write(context: &Context, namespace: &str, entries: Entries) -> Result<(), Failed> {
    let written = attempt(context, &job(namespace), put(context, namespace, entries)).await;
    let failure = written.as_ref().err().map(|failed| Failure {
        at: Instant::now(),
        again: failed.again,
        why: message_of(&failed.error),
    });
    context.keys.record_write(namespace, failure);
    context.keys.record(&written?);
    context.metrics.write("keys");
    Ok(())
}

fn job(namespace: &str) -> Attempt {
    Attempt {
        step: "keys",
        key: format!("keys of {namespace}"),
        limit: LIMIT,
        complaint: "assertion keys cannot be written: workspaces there cannot verify who sends a request",
    }
}

async fn put(context: &Context, namespace: &str, entries: Entries) -> Result<ConfigMap, kube::Error> {
    let objects = api(context, namespace);
    // The gateway's own object is the source: it is never deleted, and the gateway alone writes its entry.
    let is_source = namespace == context.installation.system_namespace;
    let mut object = ConfigMap {
        metadata: ObjectMeta {
            name: Some(NAME.to_owned()),
            namespace: Some(namespace.to_owned()),
            labels: (!is_source).then(labels),
            ..ObjectMeta::default()
        },
        data: Some(entries.clone()),
        ..ConfigMap::default()
    };
    if is_source {
        object.data.get_or_insert_default().remove(names::GATEWAY_KEYS);
    }
    let params = PatchParams::apply(names::OPERATOR).force();
    match objects.patch(NAME, &params, &Patch::Apply(&object)).await {
        Ok(applied) if can_be_changed(&applied) || is_source => {
            strip(context, &objects, &entries, applied).await
        }
        Ok(applied) => recreate(context, &objects, &object, applied.metadata.uid).await,
        // The object is immutable or full: its foreign content cannot be corrected in place.
        Err(kube::Error::Api(status)) if status.code == 422 && !is_source => {
            match context.keys.uid(namespace) {
                Some(uid) => recreate(context, &objects, &object, Some(uid)).await,
                None => Err(kube::Error::Api(status)),
            }
        }
        Err(error) => Err(error),
    }
}

/// Removes entries of other field managers, which an apply leaves in place. Pods would trust a foreign key set among them.
async fn strip(
    context: &Context,
    objects: &Api<ConfigMap>,
    wanted: &Entries,
    applied: ConfigMap,
) -> Result<ConfigMap, kube::Error> {
    let is_source = objects.namespace() == Some(context.installation.system_namespace.as_str());
    let is_wanted = |key: &str| wanted.contains_key(key) || (is_source && key == names::GATEWAY_KEYS);
    let foreign = applied.data.iter().flatten();
    let foreign: serde_json::Map<String, Value> = foreign
        .filter(|(key, _)| !is_wanted(key))
        .map(|(key, _)| (key.clone(), Value::Null))
        .collect();
    let is_text = applied.binary_data.as_ref().is_none_or(BTreeMap::is_empty);
    if foreign.is_empty() && is_text {
        return Ok(applied);
    }
    let patch = Patch::Merge(json!({"data": foreign, "binaryData": null}));
    let stripped = objects.patch(NAME, &patch_as(names::OPERATOR), &patch).await?;
    report(
        context,
        &stripped,
        "It contained foreign entries, which were removed.",
    )
    .await;
    Ok(stripped)
}

/// Deletes the existing object, if it still has this UID, and makes a new one.
async fn recreate(
    context: &Context,
    objects: &Api<ConfigMap>,
    wanted: &ConfigMap,
    uid: Option<String>,
) -> Result<ConfigMap, kube::Error> {
    let gone = |error: &kube::Error| matches!(error, kube::Error::Api(status) if status.code == 404);
    // No finalizer has work to do before the deletion, and one would keep the object forever.
    let free = Patch::Merge(json!({"metadata": {"uid": uid, "finalizers": null}}));
    match objects.patch(NAME, &PatchParams::default(), &free).await {
        Err(error) if !gone(&error) => return Err(error),
        _ => {}
    }
    match objects.delete(NAME, &delete_uid(uid)).await {
        Err(error) if !gone(&error) => return Err(error),
        _ => {}
    }
    // By apply: the operator may create ConfigMaps only under this name, and RBAC cannot restrict a POST by name.
    let params = PatchParams::apply(names::OPERATOR).force();
    let made = objects.patch(NAME, &params, &Patch::Apply(wanted)).await?;
    let what = "It could not be changed, or contained invalid values, and was recreated.";
    report(context, &made, what).await;
    Ok(made)
}

/// Reports that a foreign change was corrected: it may have been an attempt to impersonate users.
async fn report(context: &Context, object: &ConfigMap, what: &str) {
    let text = format!(
        "Workspaces here verify users by the keys in this ConfigMap. {what} Find out who may write ConfigMaps here."
    );
    let event = transitions::event(EventType::Warning, "Replace", reason::KEYS_REPLACED, &text);
    events::publish(context, object.object_ref(&()), vec![event]).await;
}

fn api(context: &Context, namespace: &str) -> Api<ConfigMap> {
    Api::namespaced(context.client.clone(), namespace)
}
