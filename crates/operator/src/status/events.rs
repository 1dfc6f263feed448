//! Events -> the API server (IO). Best effort: the status says the same.

use std::time::Duration;

use api::Workspace;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Resource as _, runtime::events::Event};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    cache::observed::Identity,
    context::{Context, Queued},
    support::failure::{is_expected, message_of, reason_of},
};

/// The Recorder has no time limit of its own.
const LIMIT: Duration = Duration::from_secs(5);
/// Longest queue, in objects with pending Events. Further Events are lost.
const QUEUE: usize = 4096;
/// How long pending Events are still written when the process ends.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(3);

/// Queues Events of an object, in this order and after the pending ones, so that no reconcile waits for their writes. Until [`run`] starts,
/// it writes them itself. Events that cannot be written are logged, counted and lost.
pub async fn publish(context: &Context, regarding: ObjectReference, events: Vec<Event>) {
    if events.is_empty() {
        return;
    }
    let queued = (regarding, events);
    match context.events.get() {
        None => write(context, &queued).await,
        Some(queue) => {
            if let Err(error) = queue.try_send(queued) {
                context.metrics.error("event", "QueueFull".to_owned());
                tracing::warn!(%error, "Events are lost");
            }
        }
    }
}

/// Writes queued Events one after the other until `end`. Then it writes pending ones for at most `SHUTDOWN_LIMIT`.
pub async fn run(context: &Context, end: &CancellationToken) {
    let (sender, mut queue) = mpsc::channel(QUEUE);
    if context.events.set(sender).is_err() {
        return;
    }
    while let Some(Some(queued)) = end.run_until_cancelled(queue.recv()).await {
        write(context, &queued).await;
    }
    let rest = async {
        while let Ok(queued) = queue.try_recv() {
            write(context, &queued).await;
        }
    };
    if tokio::time::timeout(SHUTDOWN_LIMIT, rest).await.is_err() {
        tracing::warn!("Events are lost at the end of the process");
    }
}

async fn write(context: &Context, (regarding, events): &Queued) {
    let write = async {
        for event in events {
            if let Err(error) = context.recorder.publish(event, regarding).await {
                log_failure(context, regarding, &error);
            }
        }
    };
    if tokio::time::timeout(LIMIT, write).await.is_err() {
        let late = format!("no answer within {} s", LIMIT.as_secs());
        log_failure(context, regarding, &kube::Error::Service(late.into()));
    }
}

fn log_failure(context: &Context, regarding: &ObjectReference, error: &kube::Error) {
    context.metrics.error("event", reason_of(error));
    let ObjectReference {
        kind,
        namespace,
        name,
        ..
    } = regarding;
    let message = message_of(error);
    if is_expected(error) {
        tracing::debug!(kind, namespace, name, error = message, "an Event is lost");
    } else {
        tracing::warn!(kind, namespace, name, error = message, "an Event is lost");
    }
}

/// A workspace as its Events name it. `version`: the `resourceVersion` with which a transition was stored. By it the Recorder tells Events
/// apart, not by their text. Without a version it merges Events of one reason within six minutes, with the text of the first.
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
