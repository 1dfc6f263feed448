//! Valid workspace, what it refers to -> finalizers that stand before its first child is made (IO).
//!
//! Who was let in is remembered until the workspace's status says it. While the finalizer of an object is looked at, set or taken away, the
//! lock of that object is held: so none is taken away between a look at it and the first child of a workspace that relies on it, and an
//! object whose finalizer cannot be written keeps only those waiting who use it.

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

/// A finalizer could not be set, in a way that passes by itself.
#[derive(Debug, thiserror::Error)]
#[error("the {kind} cannot be held: {}", message_of(.source))]
pub struct Error {
    /// Kind of the object.
    pub kind: &'static str,
    /// Why not.
    #[source]
    pub source: kube::Error,
}

/// Who was let in, and which finalizers we wrote.
#[derive(Debug, Default)]
pub struct InUse {
    /// What each workspace uses, by its UID.
    let_in: Mutex<HashMap<String, Vec<Key>>>,
    /// Our last write of each object, which caches may not show yet. Locked during such a write.
    written: Mutex<HashMap<Key, Arc<tokio::sync::Mutex<Option<Write>>>>>,
}

/// A write of a finalizer: resourceVersion after it, and whether it stood then.
#[derive(Clone, Copy, Debug)]
struct Write {
    version: u64,
    is_held: bool,
}

impl InUse {
    /// Whether the workspace was let in to use the object.
    pub fn is_held(&self, workspace_uid: Option<&str>, key: &Key) -> bool {
        let let_in = self.lock();
        workspace_uid
            .and_then(|uid| let_in.get(uid))
            .is_some_and(|keys| keys.contains(key))
    }

    fn has_all(&self, workspace_uid: &str, wanted: &[Key]) -> bool {
        self.lock().get(workspace_uid).is_some_and(|keys| keys == wanted)
    }

    /// Lets the workspace in to use one more object.
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

    /// Who was let in so far. To be asked before the caches are: whoever is let in later may not be in what they showed.
    pub(super) fn so_far(&self) -> HashMap<String, Vec<Key>> {
        self.lock().clone()
    }

    /// Forgets who of those `so_far` does not refer to an object any more, and objects that are gone.
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

    /// Forgets everything: while another led, it may have taken finalizers away.
    pub fn clear(&self) {
        self.lock().clear();
        self.written().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Vec<Key>>> {
        self.let_in.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sets the finalizer of everything that the workspace uses. To be done before its first child is made; it costs nothing where it
/// was done before.
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
        // Nothing can be added to what is being deleted; whoever comes here uses it already.
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
    // It counts as a user from now on, although its status may never say so: it may become invalid before.
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

/// Takes the finalizer away, unless somebody was let in meanwhile.
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
        // It is gone.
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
        Err(error) => return Err(error),
    }
    context.metrics.write("protect");
    Ok(())
}

/// Adds our finalizer to those that are there; the object's UID is a precondition.
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

/// Whether the finalizer stands, by what the cache shows or by what we did since.
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

/// Whether we wrote the finalizer later than the cache shows: what is due will be seen once the cache has caught up.
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
        // The caches showed neither.
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
