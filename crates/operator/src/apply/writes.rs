//! A planned object -> the object as written, or what blocks it (IO). Writes carry preconditions.

use std::{fmt::Debug, sync::Arc};

use api::names;
use json_patch::Patch as JsonPatch;
use k8s_openapi::{NamespaceResourceScope, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api, Resource,
    api::{Patch, PatchParams, PostParams},
    core::request::{self, Request},
};
use serde::{Deserialize as _, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::WriteError;
use crate::{
    blockers::{Blocker, refusal},
    cache::{
        observe,
        observed::{Identity, holders},
        partial,
        stores::{Parsed, Trim},
    },
    context::{
        Context,
        contest::{contest_blocker, other_manager},
    },
    support::send::{patch_as, send, without_validation},
};

/// Result of writing a child.
pub(crate) enum Outcome<K> {
    /// It is as planned, or it should be absent and is.
    Is(Option<Arc<K>>),
    /// It is ours, but something about it is not as planned.
    But(Arc<K>, Blocker),
    /// It could not be written.
    Blocked(Blocker),
}

impl<K> Outcome<K> {
    pub(crate) fn blocker(&self) -> Option<Blocker> {
        match self {
            Self::Is(_) => None,
            Self::But(_, blocker) | Self::Blocked(blocker) => Some(blocker.clone()),
        }
    }

    pub(super) fn put_into(self, place: &mut Option<Arc<K>>) {
        match self {
            Self::Is(object) => *place = object,
            Self::But(object, _) => *place = Some(object),
            Self::Blocked(_) => {}
        }
    }
}

/// Makes a write fail unless the object is exactly the version that was seen; `None`: absent.
pub(super) fn expect(intent: &mut ObjectMeta, seen: Option<&ObjectMeta>) {
    intent.uid = seen.and_then(|seen| seen.uid.clone());
    intent.resource_version = seen.map_or_else(
        || Some(kit::ABSENT.to_owned()),
        |seen| seen.resource_version.clone(),
    );
}

/// Whether another client wrote first.
pub(crate) fn is_conflict(error: &WriteError) -> bool {
    matches!(&error.source, kube::Error::Api(status) if status.code == 409)
}

/// The object of this name in the API server, reduced to what reconciles read.
pub(super) async fn get_live<K>(
    context: &Context,
    namespace: &str,
    name: &str,
) -> Result<Option<Arc<K>>, WriteError>
where
    K: Trim + Resource<Scope = NamespaceResourceScope> + NamedKind,
{
    observe::get(&context.client, namespace, name)
        .await
        .map_err(write_error::<K>)
}

/// Applies a child by force: every field in `intent` becomes ours.
pub(super) async fn write<K>(
    context: &Context,
    identity: &Identity,
    (manager, name): (&str, &str),
    intent: &impl Serialize,
) -> Result<Outcome<K>, WriteError>
where
    K: Trim + Resource<Scope = NamespaceResourceScope> + NamedKind,
{
    let params = without_validation(PatchParams::apply(manager).force());
    let patch = Patch::Apply(intent);
    outcome(
        send_patch::<K, _>(context, identity, name, &params, &patch).await,
        None,
    )
}

/// Makes a child, unless its name is taken.
pub(super) async fn create<K>(
    context: &Context,
    identity: &Identity,
    intent: &impl Serialize,
) -> Result<Outcome<K>, WriteError>
where
    K: Trim + Resource<Scope = NamespaceResourceScope> + NamedKind,
{
    outcome(post(context, identity, intent).await, None)
}

/// Sends a `POST`. The text of the object is dropped before the answer is awaited.
pub(super) async fn post<K>(
    context: &Context,
    identity: &Identity,
    intent: &impl Serialize,
) -> Result<Arc<K>, WriteError>
where
    K: Trim + Resource<Scope = NamespaceResourceScope> + NamedKind,
{
    let params = PostParams {
        field_manager: Some(names::OPERATOR.to_owned()),
        ..PostParams::default()
    };
    let text = serde_json::to_vec(intent).map_err(request::Error::SerializeBody);
    let request = text.and_then(|text| requests::<K>(identity).create(&params, text));
    send_write::<K>(context, "create", request).await
}

/// Result of making an absent child.
pub(super) enum Made<K> {
    /// It was made, or the write was refused.
    New(Outcome<K>),
    /// Another client made one first. The error is that of our write.
    Exists(Arc<K>, WriteError),
}

/// Makes an absent child by `write`, which fails if one exists.
pub(super) async fn make<K>(
    context: &Context,
    identity: &Identity,
    name: &str,
    write: impl Future<Output = Result<Outcome<K>, WriteError>>,
) -> Result<Made<K>, WriteError>
where
    K: Trim + Resource<Scope = NamespaceResourceScope> + NamedKind,
{
    match write.await {
        Err(error) if is_conflict(&error) => match get_live::<K>(context, &identity.namespace, name).await? {
            Some(live) => Ok(Made::Exists(live, error)),
            None => Err(error),
        },
        made => made.map(Made::New),
    }
}

/// Writes a child that differs from `planned`. If another field manager writes it as well, the backoff grows, and a blocker reports it.
pub(crate) async fn with_backoff<K>(
    context: &Context,
    identity: &Identity,
    (objects, kind): (&Api<K>, &str),
    planned: &impl Serialize,
    live: &Arc<K>,
    write: impl Future<Output = Result<Outcome<K>, WriteError>>,
) -> Result<Outcome<K>, WriteError>
where
    K: Resource + Clone + Debug + DeserializeOwned,
{
    let name = live.meta().name.as_deref().unwrap_or_default();
    let child = (kind, name);
    let is_contested = match context.contests.check(identity, child, planned) {
        Ok(is_contested) => is_contested,
        Err(blocker) => return Ok(Outcome::But(live.clone(), blocker)),
    };
    let manager = if is_contested {
        let found = objects.get_metadata_opt(name).await;
        let found = found.map_err(|source| WriteError::new(kind, source))?;
        found.and_then(|found| other_manager(&found.metadata))
    } else {
        None
    };
    let outcome = write.await?;
    let Outcome::Is(Some(written)) = outcome else {
        return Ok(outcome);
    };
    let blocker = is_contested.then(|| contest_blocker(child, manager.as_deref()));
    context.contests.written(identity, child, planned, manager);
    Ok(match blocker {
        Some(blocker) => Outcome::But(written, blocker),
        None => Outcome::Is(Some(written)),
    })
}

/// Changes a child by a merge patch, in which lists are replaced as a whole.
pub(super) async fn merge_patch<K>(
    context: &Context,
    identity: &Identity,
    patch: &Value,
) -> Result<Outcome<K>, WriteError>
where
    K: Trim + Resource<Scope = NamespaceResourceScope> + NamedKind,
{
    let (params, patch) = (without_validation(patch_as(names::OPERATOR)), Patch::Merge(patch));
    outcome(
        send_patch::<K, _>(context, identity, &identity.child_name(), &params, &patch).await,
        None,
    )
}

/// Changes a child by a JSON patch. Its `add` operations replace existing values.
pub(super) async fn json_patch<K>(
    context: &Context,
    identity: &Identity,
    steps: Vec<Value>,
) -> Result<Outcome<K>, WriteError>
where
    K: Trim + Resource<Scope = NamespaceResourceScope> + NamedKind,
{
    let params = without_validation(patch_as(names::OPERATOR));
    let request = JsonPatch::deserialize(Value::Array(steps))
        .map_err(request::Error::SerializeBody)
        .and_then(|steps| {
            requests::<K>(identity).patch(&identity.child_name(), &params, &Patch::Json::<()>(steps))
        });
    outcome(send_write::<K>(context, "patch", request).await, None)
}

/// The meaning of an answer to a write. Transient errors stay errors. `profile`: name of the execution profile of a pod.
pub(super) fn outcome<K: NamedKind>(
    answer: Result<Arc<K>, WriteError>,
    profile: Option<&str>,
) -> Result<Outcome<K>, WriteError> {
    let error = match answer {
        Ok(object) => return Ok(Outcome::Is(Some(object))),
        Err(error) => error,
    };
    let refusal = match &error.source {
        kube::Error::Api(status) => refusal::of_answer(K::KIND, status, profile),
        _ => None,
    };
    refusal.map_or(Err(error), |refusal| {
        Ok(Outcome::Blocked(Blocker::Refused(refusal)))
    })
}

/// The objects of a kind in the workspace's namespace.
pub(super) fn objects<K>(context: &Context, identity: &Identity) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    Api::namespaced(context.client.clone(), &identity.namespace)
}

/// Sends any patch.
pub(super) async fn send_patch<K, P>(
    context: &Context,
    identity: &Identity,
    name: &str,
    params: &PatchParams,
    patch: &Patch<P>,
) -> Result<Arc<K>, WriteError>
where
    K: Trim + Resource<Scope = NamespaceResourceScope> + NamedKind,
    P: Serialize,
{
    let request = requests::<K>(identity).patch(name, params, patch);
    send_write::<K>(context, "patch", request).await
}

/// Builds requests for objects of a kind in the workspace's namespace.
fn requests<K: Resource<DynamicType = ()>>(identity: &Identity) -> Request {
    Request::new(K::url_path(&(), Some(&identity.namespace)))
}

/// Sends a write. The answer is trimmed: when many workspaces start at a time, as many answers are in memory.
async fn send_write<K>(
    context: &Context,
    verb: &'static str,
    request: Result<http::Request<Vec<u8>>, request::Error>,
) -> Result<Arc<K>, WriteError>
where
    K: Trim + NamedKind,
{
    let answer = send::<Parsed<K>>(&context.client, verb, request).await;
    let object = answer.and_then(Parsed::read).map_err(write_error::<K>)?;
    context.metrics.write("apply");
    Ok(object)
}

pub(super) fn write_error<K: NamedKind>(source: kube::Error) -> WriteError {
    WriteError::new(K::KIND, source)
}

pub(super) fn conflict<K: NamedKind>(name: &str) -> Blocker {
    Blocker::Conflict {
        kind: K::KIND.to_owned(),
        name: name.to_owned(),
    }
}

pub(super) fn terminating<K: NamedKind>(live: &ObjectMeta) -> Blocker {
    Blocker::Terminating {
        kind: K::KIND.to_owned(),
        name: live.name.clone().unwrap_or_default(),
        holders: holders(live),
    }
}

/// The name of a kind in messages.
pub(super) trait NamedKind {
    const KIND: &'static str;
}

impl<K: k8s_openapi::Resource> NamedKind for K {
    const KIND: &'static str = <K as k8s_openapi::Resource>::KIND;
}

impl NamedKind for partial::Pod {
    const KIND: &'static str = "Pod";
}
