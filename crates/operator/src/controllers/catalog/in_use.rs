//! Valid workspace, references -> in-use finalizers, set before its first child is made (IO).
//!
//! An admitted workspace is recorded until its status names what it uses. Each object has a lock, held while its finalizer is checked,
//! set or removed. So no finalizer is removed between a check and the first child of a workspace that relies on it. If the finalizer of
//! one object cannot be written, only workspaces that use this object wait.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use api::names::{IN_USE_FINALIZER, OPERATOR};
use json_patch::Patch as JsonPatch;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Patch, PatchParams};
use rules::ValidWorkspace;
use serde_json::json;
use tokio::sync::OwnedMutexGuard;

use super::{
    admission::used,
    subject::{Key, Subject},
};
use crate::{
    cache::{pending_writes::version_of, references::References},
    context::Context,
    support::failure::message_of,
};

/// A finalizer could not be set. The error is transient.
#[derive(Debug, thiserror::Error)]
#[error("the {kind} cannot be held: {}", message_of(.source))]
pub struct Error {
    /// Kind of the object.
    pub kind: &'static str,
    /// The reason.
    #[source]
    pub source: kube::Error,
}

/// The admitted workspaces, and the finalizers that this process wrote.
#[derive(Debug, Default)]
pub struct InUse {
    /// The objects that each workspace uses, by its UID.
    let_in: Mutex<HashMap<String, Vec<Key>>>,
    /// Our last write of each object, which caches may not show yet. It is locked during such a write.
    written: Mutex<HashMap<Key, Arc<tokio::sync::Mutex<Option<Write>>>>>,
}

/// A write of a finalizer: the `resourceVersion` after it, and whether the finalizer was set then.
#[derive(Clone, Copy, Debug)]
struct Write {
    version: u64,
    is_held: bool,
}

impl InUse {
    /// Whether the workspace was admitted to use the object.
    pub fn is_held(&self, workspace_uid: Option<&str>, key: &Key) -> bool {
        let let_in = self.lock();
        workspace_uid
            .and_then(|uid| let_in.get(uid))
            .is_some_and(|keys| keys.contains(key))
    }

    fn has_all(&self, workspace_uid: &str, wanted: &[Key]) -> bool {
        self.lock().get(workspace_uid).is_some_and(|keys| keys == wanted)
    }

    /// Admits the workspace to use one more object.
    fn let_in(&self, workspace_uid: &str, key: &Key) {
        let mut let_in = self.lock();
        let keys = let_in.entry(workspace_uid.to_owned()).or_default();
        if !keys.contains(key) {
            keys.push(key.clone());
        }
    }

    /// Our last write of an object, locked.
    async fn last_write(&self, key: &Key) -> OwnedMutexGuard<Option<Write>> {
        let last = self.written().entry(key.clone()).or_default().clone();
        last.lock_owned().await
    }

    fn written(&self) -> MutexGuard<'_, HashMap<Key, Arc<tokio::sync::Mutex<Option<Write>>>>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_used(&self, key: &Key) -> bool {
        self.lock().values().any(|keys| keys.contains(key))
    }

    /// The workspaces admitted so far. Read it before the caches: a workspace admitted later may be missing in what they showed.
    pub(super) fn so_far(&self) -> HashMap<String, Vec<Key>> {
        self.lock().clone()
    }

    /// Forgets workspaces of `so_far` that no longer refer to an object, and objects that are gone.
    pub(super) fn retain(
        &self,
        so_far: &HashMap<String, Vec<Key>>,
        refers: impl Fn(&str, &Key) -> bool,
        exists: impl Fn(&Key) -> bool,
    ) {
        self.lock().retain(|uid, keys| {
            let earlier = so_far.get(uid);
            keys.retain(|key| earlier.is_none_or(|earlier| !earlier.contains(key)) || refers(uid, key));
            !keys.is_empty()
        });
        self.written().retain(|key, _| exists(key));
    }

    /// Forgets everything: another leader may have removed finalizers.
    pub fn clear(&self) {
        self.lock().clear();
        self.written().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Vec<Key>>> {
        self.let_in.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sets the finalizer of everything that the workspace uses. Call it before the first child is made. It costs no request if the
/// finalizers are set already.
pub async fn ensure_in_use(
    context: &Context,
    valid: &ValidWorkspace,
    references: &References,
) -> Result<(), Error> {
    let in_use = &context.in_use;
    let objects: Vec<_> = used(valid, references)
        .map(|(kind, meta)| (Key::of(kind, meta), meta))
        .collect();
    let keys: Vec<_> = objects.iter().map(|(key, _)| key.clone()).collect();
    if in_use.has_all(&valid.uid, &keys) {
        return Ok(());
    }
    for (key, meta) in &objects {
        let mut last = in_use.last_write(key).await;
        // The API server accepts no new finalizer on an object that is being deleted. A workspace that gets here uses it already.
        if meta.deletion_timestamp.is_none() && !stands(*last, meta) {
            let version = set(context, key).await.map_err(|source| Error {
                kind: key.kind.name(),
                source,
            })?;
            note(&mut last, version, true);
        }
        in_use.let_in(&valid.uid, key);
    }
    in_use.lock().insert(valid.uid.clone(), keys);
    // It counts as a user from now on. Its status may never name the object, because the workspace may become invalid before.
    context.stores.pulse.beat();
    Ok(())
}

/// Sets the finalizer of an object that is in use and lacks it.
pub(super) async fn mend(context: &Context, subject: &Subject) -> Result<(), kube::Error> {
    let mut last = context.in_use.last_write(&subject.key).await;
    if is_later(*last, subject.version) {
        return Ok(());
    }
    let version = set(context, &subject.key).await?;
    note(&mut last, version, true);
    Ok(())
}

/// Removes the finalizer, unless a workspace was admitted meanwhile.
pub(super) async fn release(context: &Context, subject: &Subject) -> Result<(), kube::Error> {
    let mut last = context.in_use.last_write(&subject.key).await;
    if context.in_use.is_used(&subject.key) || is_later(*last, subject.version) {
        return Ok(());
    }
    let others: Vec<_> = subject
        .finalizers
        .iter()
        .filter(|it| *it != IN_USE_FINALIZER)
        .collect();
    let at = "/metadata/finalizers";
    let steps = json!([
        {"op": "test", "path": "/metadata/uid", "value": subject.key.uid},
        {"op": "test", "path": at, "value": subject.finalizers},
        {"op": "replace", "path": at, "value": others},
    ]);
    let patch: JsonPatch = serde_json::from_value(steps).map_err(kube::Error::SerdeError)?;
    let params = PatchParams {
        field_manager: Some(OPERATOR.to_owned()),
        ..PatchParams::default()
    };
    let api = subject.key.api(&context.client);
    match api
        .patch(&subject.key.name, &params, &Patch::Json::<()>(patch))
        .await
    {
        Ok(object) => note(&mut last, version_of(&object.metadata), false),
        // The object is gone.
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
        Err(error) => return Err(error),
    }
    context.metrics.write("protect");
    Ok(())
}

/// Adds our finalizer to the existing ones. The object's UID is a precondition.
async fn set(context: &Context, key: &Key) -> Result<Option<u64>, kube::Error> {
    let resource = key.kind.resource();
    let intent = json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": key.name, "uid": key.uid, "finalizers": [IN_USE_FINALIZER]},
    });
    let params = PatchParams::apply(OPERATOR).force();
    let api = key.api(&context.client);
    let object = api.patch(&key.name, &params, &Patch::Apply(&intent)).await?;
    context.metrics.write("protect");
    Ok(version_of(&object.metadata))
}

/// Whether the finalizer is set, from the cache or from our later write.
fn stands(last: Option<Write>, cached: &ObjectMeta) -> bool {
    match (last, version_of(cached)) {
        (Some(write), Some(cached)) if write.version > cached => write.is_held,
        _ => cached
            .finalizers
            .iter()
            .flatten()
            .any(|finalizer| finalizer == IN_USE_FINALIZER),
    }
}

/// Whether our write of the finalizer is newer than the cache. The next write is decided once the cache has caught up.
fn is_later(last: Option<Write>, cached: Option<u64>) -> bool {
    last.zip(cached)
        .is_some_and(|(write, cached)| write.version > cached)
}

fn note(last: &mut Option<Write>, version: Option<u64>, is_held: bool) {
    if let Some(version) = version {
        *last = Some(Write { version, is_held });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controllers::catalog::Kind;

    fn key(name: &str) -> Key {
        Key {
            kind: Kind::Template,
            namespace: None,
            name: name.to_owned(),
            uid: format!("uid-of-{name}"),
        }
    }

    #[test]
    fn whoever_is_let_in_after_the_look_at_the_caches_is_not_forgotten() {
        let in_use = InUse::default();
        in_use.lock().insert("early".to_owned(), vec![key("t")]);
        let so_far = in_use.so_far();
        in_use.lock().insert("late".to_owned(), vec![key("t")]);
        // The caches showed neither workspace.
        in_use.retain(&so_far, |_, _| false, |_| true);
        assert!(!in_use.is_held(Some("early"), &key("t")));
        assert!(in_use.is_held(Some("late"), &key("t")) && in_use.is_used(&key("t")));
    }

    #[tokio::test]
    async fn an_object_that_is_slow_to_write_keeps_nobody_waiting_who_uses_another() {
        let in_use = InUse::default();
        let _slow = in_use.last_write(&key("slow")).await;
        let other = futures::FutureExt::now_or_never(in_use.last_write(&key("other")));
        assert!(other.is_some());
        let same = futures::FutureExt::now_or_never(in_use.last_write(&key("slow")));
        assert!(same.is_none());
    }
}
