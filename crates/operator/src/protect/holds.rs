//! Valid workspace, what it refers to -> finalizers that stand before its first child is made (IO).
//!
//! Who was let in is remembered until the workspace's status says it, and one lock is held while a finalizer is set or taken away.
//! So none is taken away between a look at it and the first child of a workspace that relies on it.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use api::names::{IN_USE_FINALIZER, OPERATOR};
use json_patch::Patch as JsonPatch;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Patch, PatchParams};
use rules::ValidWorkspace;
use serde_json::json;

use super::{
    entry::used,
    subject::{Key, Subject},
};
use crate::{context::Context, failure::message_of, memory::version_of, references::References};

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
pub struct Holds {
    /// What each workspace uses, by its UID.
    let_in: Mutex<HashMap<String, Vec<Key>>>,
    /// Our last writes, which caches may not show yet. Locked during such a write.
    written: tokio::sync::Mutex<HashMap<Key, Write>>,
}

/// A write of a finalizer: resourceVersion after it, and whether it stood then.
#[derive(Clone, Copy, Debug)]
struct Write {
    version: u64,
    is_held: bool,
}

impl Holds {
    /// Whether the workspace was let in to use the object.
    pub fn is_held(&self, workspace_uid: Option<&str>, key: &Key) -> bool {
        let let_in = self.lock();
        workspace_uid
            .and_then(|uid| let_in.get(uid))
            .is_some_and(|keys| keys.contains(key))
    }

    fn holds_all(&self, workspace_uid: &str, wanted: &[Key]) -> bool {
        self.lock().get(workspace_uid).is_some_and(|keys| keys == wanted)
    }

    fn is_used(&self, key: &Key) -> bool {
        self.lock().values().any(|keys| keys.contains(key))
    }

    /// Who was let in so far. To be asked before the caches are: whoever is let in later may not be in what they showed.
    pub(super) fn so_far(&self) -> HashMap<String, Vec<Key>> {
        self.lock().clone()
    }

    /// Forgets who of those `so_far` does not refer to an object any more, and objects that are gone.
    pub(super) async fn retain(
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
        self.written.lock().await.retain(|key, _| exists(key));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Vec<Key>>> {
        self.let_in.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sets the finalizer of everything that the workspace uses. To be done before its first child is made; it costs nothing where it
/// was done before.
pub async fn hold(context: &Context, valid: &ValidWorkspace, references: &References) -> Result<(), Error> {
    let holds = &context.holds;
    let objects: Vec<_> = used(valid, references)
        .map(|(kind, meta)| (Key::of(kind, meta), meta))
        .collect();
    let keys: Vec<_> = objects.iter().map(|(key, _)| key.clone()).collect();
    if holds.holds_all(&valid.uid, &keys) {
        return Ok(());
    }
    let mut written = holds.written.lock().await;
    // Nothing can be added to what is being deleted; whoever comes here uses it already.
    let staying = objects
        .iter()
        .filter(|(_, meta)| meta.deletion_timestamp.is_none());
    for (key, meta) in staying {
        if !stands(&written, key, meta) {
            let version = set(context, key).await.map_err(|source| Error {
                kind: key.kind.name(),
                source,
            })?;
            note(&mut written, key, version, true);
        }
    }
    holds.lock().insert(valid.uid.clone(), keys);
    // It counts as a user from now on, although its status may never say so: it may become invalid before.
    context.stores.pulse.beat();
    Ok(())
}

/// Sets the finalizer of an object that is in use and lacks it.
pub(super) async fn mend(context: &Context, subject: &Subject) -> Result<(), kube::Error> {
    let mut written = context.holds.written.lock().await;
    if shows_later_write(&written, &subject.key, subject.version) {
        return Ok(());
    }
    let version = set(context, &subject.key).await?;
    note(&mut written, &subject.key, version, true);
    Ok(())
}

/// Takes the finalizer away, unless somebody was let in meanwhile.
pub(super) async fn release(context: &Context, subject: &Subject) -> Result<(), kube::Error> {
    let mut written = context.holds.written.lock().await;
    if context.holds.is_used(&subject.key) || shows_later_write(&written, &subject.key, subject.version) {
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
        Ok(object) => note(&mut written, &subject.key, version_of(&object.metadata), false),
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
fn stands(written: &HashMap<Key, Write>, key: &Key, cached: &ObjectMeta) -> bool {
    match (written.get(key), version_of(cached)) {
        (Some(write), Some(cached)) if write.version > cached => write.is_held,
        _ => cached
            .finalizers
            .iter()
            .flatten()
            .any(|finalizer| finalizer == IN_USE_FINALIZER),
    }
}

/// Whether we wrote the finalizer later than the cache shows: what is due will be seen once the cache has caught up.
fn shows_later_write(written: &HashMap<Key, Write>, key: &Key, cached: Option<u64>) -> bool {
    written
        .get(key)
        .zip(cached)
        .is_some_and(|(write, cached)| write.version > cached)
}

fn note(written: &mut HashMap<Key, Write>, key: &Key, version: Option<u64>, is_held: bool) {
    if let Some(version) = version {
        written.insert(key.clone(), Write { version, is_held });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protect::Kind;

    fn key(name: &str) -> Key {
        Key {
            kind: Kind::Template,
            namespace: None,
            name: name.to_owned(),
            uid: format!("uid-of-{name}"),
        }
    }

    #[tokio::test]
    async fn whoever_is_let_in_after_the_look_at_the_caches_is_not_forgotten() {
        let holds = Holds::default();
        holds.lock().insert("early".to_owned(), vec![key("t")]);
        let so_far = holds.so_far();
        holds.lock().insert("late".to_owned(), vec![key("t")]);
        // The caches showed neither.
        holds.retain(&so_far, |_, _| false, |_| true).await;
        assert!(!holds.is_held(Some("early"), &key("t")));
        assert!(holds.is_held(Some("late"), &key("t")) && holds.is_used(&key("t")));
    }
}
