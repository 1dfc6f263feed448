//! Events -> the API server (IO). Best effort: the status says the same.

use std::time::Duration;

use api::Workspace;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Resource as _, runtime::events::Event};

use crate::{
    cache::observed::Identity,
    context::Context,
    support::failure::{is_everyday, message_of, reason_of},
};

/// The Recorder has no time limit, and a reconcile waits for it.
const LIMIT: Duration = Duration::from_secs(5);

/// Writes Events about an object, in this order. One that fails is logged, counted and lost; so are all after [`LIMIT`].
pub async fn publish(context: &Context, regarding: &ObjectReference, events: &[Event]) {
    let write = async {
        for event in events {
            if let Err(error) = context.recorder.publish(event, regarding).await {
                failed(context, regarding, &error);
            }
        }
    };
    if tokio::time::timeout(LIMIT, write).await.is_err() {
        let late = format!("no answer within {} s", LIMIT.as_secs());
        failed(context, regarding, &kube::Error::Service(late.into()));
    }
}

fn failed(context: &Context, regarding: &ObjectReference, error: &kube::Error) {
    context.metrics.error("event", reason_of(error));
    let ObjectReference {
        kind,
        namespace,
        name,
        ..
    } = regarding;
    let message = message_of(error);
    if is_everyday(error) {
        tracing::debug!(kind, namespace, name, error = message, "an Event is lost");
    } else {
        tracing::warn!(kind, namespace, name, error = message, "an Event is lost");
    }
}

/// A workspace as its Events name it. `version`: the `resourceVersion` with which a transition was stored. The Recorder compares it and
/// not the text. Without a version it merges Events of one reason within six minutes, with the text of the first.
pub fn regarding(identity: &Identity, version: Option<String>) -> ObjectReference {
    ObjectReference {
        api_version: Some(Workspace::api_version(&()).into_owned()),
        kind: Some(Workspace::kind(&()).into_owned()),
        name: Some(identity.name.clone()),
        namespace: Some(identity.namespace.clone()),
        uid: Some(identity.uid.clone()),
        resource_version: version,
        ..ObjectReference::default()
    }
}
