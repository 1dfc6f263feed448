//! New status -> the object's status, if it differs, and Events (IO).

use std::time::Duration;

use api::{Workspace, WorkspaceStatus, names};
use kube::{
    Api, Resource as _,
    api::{Patch, PatchParams},
    core::PartialObjectMeta,
    runtime::events::Event,
};
use serde_json::json;

use crate::{
    audit::People,
    cache::{
        observed::Identity,
        stores::{self, Guarded},
    },
    context::Context,
    status::{
        outbox::{Left, Marked, Stamped},
        transitions,
    },
    support::{
        failure::{is_everyday, message_of, reason_of},
        send::unchecked,
    },
};

/// The status could not be written.
#[derive(Debug, thiserror::Error)]
#[error("the status cannot be written: {}", message_of(.0))]
pub struct Error(#[from] pub kube::Error);

/// What is to be said of a workspace.
#[derive(Default)]
pub struct Word {
    /// Its status.
    pub status: WorkspaceStatus,
    /// What to tell besides the transition.
    pub news: Vec<Event>,
    /// That no pod runs any more was asked for, so that nobody is let in whatever the status says.
    pub asked: bool,
    /// Who owns the workspace and who changed it last.
    pub people: People,
    /// The run of its Deployment.
    pub run: Option<String>,
    /// For how much longer the workspace is new: what may still come is not told to be missing.
    pub newness: Option<Duration>,
}

/// When to look again at a workspace that somebody else wrote meanwhile, should the watch not tell of it before.
const WRITTEN_MEANWHILE: Duration = Duration::from_secs(1);

/// Writes the status of the workspace if it differs from `before`, which is the newest that is known, and tells the
/// transition and the news that came with it. An Event that cannot be written is logged and lost: the status says the same.
/// The answer is until when the status was put off, where it was. `seen`: the version of the workspace that the status was made from. A
/// leader that lost its lease without noticing has an old one, and nothing is written.
pub async fn publish(
    context: &Context,
    identity: &Identity,
    seen: Option<String>,
    before: Option<&WorkspaceStatus>,
    word: Word,
) -> Result<Option<Duration>, Error> {
    let Word {
        status,
        news,
        asked,
        people,
        run,
        newness,
    } = word;
    let stored = (&people, run.as_deref());
    let key = identity.key();
    let kind = Workspace::kind(&());
    // What the cluster does not store would differ for ever.
    let status = context.definitions.fit(&kind, status);
    context.metrics.phase(&key, status.phase);
    if before == Some(&status) {
        if context.put_off.has_put_off(&key, &identity.uid) {
            context.put_off.forget(&key);
        }
        context.audit.stored(identity, stored, before, &status);
        // A write that got no answer came about.
        let told = context.untold.found(identity, &status);
        say(context, identity, newness, told, &status).await;
        return Ok(None);
    }
    let passes = news.is_empty() && transitions::is_passing(before, &status, asked);
    if passes && let Some(left) = context.put_off.put_off(&key, &identity.uid, &status) {
        return Ok(Some(left));
    }
    // Of the answer only the version is of interest.
    let workspaces: Api<Guarded<PartialObjectMeta<Workspace>>> =
        Api::namespaced(context.client.clone(), &identity.namespace);
    let intent = json!({
        "apiVersion": Workspace::api_version(&()),
        "kind": kind,
        "metadata": {"name": identity.name, "uid": identity.uid, "resourceVersion": seen},
        "status": context.definitions.fit(&kind, json!(status)),
    });
    let params = unchecked(PatchParams::apply(names::OPERATOR_STATUS).force());
    let word = context.untold.send(identity, before, news);
    match workspaces
        .patch_status(&identity.name, &params, &Patch::Apply(&intent))
        .await
    {
        Ok(answer) => {
            context.stores.echoes.expect(answer.meta());
            context.memory.wrote_status(&key, answer.meta(), status.clone());
            context.memory.shed(|key| {
                let (namespace, name) = key.split_once('/')?;
                stores::guarded(&context.stores.workspaces, Some(namespace), name)
            });
        }
        // Gone, or another one of the same name: nobody is left to be told.
        Err(kube::Error::Api(answer)) if answer.code == 404 => {
            word.is_in_vain();
            return Ok(None);
        }
        Err(kube::Error::Api(answer)) if answer.code == 409 => {
            tracing::debug!(workspace = key, "written meanwhile: it is looked at again");
            return Ok(Some(WRITTEN_MEANWHILE));
        }
        Err(error) => {
            context.definitions.suspect(&error);
            return Err(error.into());
        }
    }
    context.metrics.write("publish");
    context.audit.stored(identity, stored, before, &status);
    if !passes {
        context.put_off.forget(&key);
    }
    let told = word.stands(&status);
    say(context, identity, newness, told, &status).await;
    Ok(None)
}

/// Tells what does not wait. `newness`: for how much longer the workspace is new. `status`: what stands.
async fn say(
    context: &Context,
    identity: &Identity,
    newness: Option<Duration>,
    told: Vec<Event>,
    status: &WorkspaceStatus,
) {
    let told = context.early.hold(identity, newness, told);
    if told.is_empty() {
        return;
    }
    let standing = transitions::standing(status);
    let marked = |event: Event| {
        let same = standing.iter().find(|it| it.event.reason == event.reason);
        let mark = same.and_then(|it| it.mark.clone());
        (event, mark)
    };
    tell(context, identity, told.into_iter().map(marked).collect()).await;
}

/// Tells what waited, if it is still so: `missing` is why the workspace must not run. The answer is how long the rest waits.
pub async fn late(context: &Context, identity: &Identity, missing: Option<&str>) -> Option<Duration> {
    let due = context.early.due(identity, missing);
    tell(context, identity, due.events.into_iter().map(unmarked).collect()).await;
    due.again
}

/// Tells Events about the workspace, in this order: beside the pass, where somebody writes them there.
async fn tell(context: &Context, identity: &Identity, events: Vec<Marked>) {
    if events.is_empty() {
        return;
    }
    match context.outbox.leave(identity, events) {
        Left::Taken => {}
        Left::Lost => context.metrics.error("event", "TooMany".to_owned()),
        Left::Back(events) => {
            for event in &events {
                write(context, identity, event).await;
            }
        }
    }
}

/// Tells an Event about the workspace.
pub async fn event(context: &Context, identity: &Identity, event: Event) {
    tell(context, identity, vec![unmarked(event)]).await;
}

fn unmarked(event: Event) -> Marked {
    (event, None)
}

/// Writes an Event about the workspace. One that cannot be written is logged and lost.
pub(crate) async fn write(context: &Context, identity: &Identity, stamped: &Stamped) {
    let Stamped { event, at, mark } = stamped;
    let about = reference(identity);
    let said = context.recorder.publish_at(event, &about, *at, mark.as_ref());
    if let Err(error) = said.await {
        context.metrics.error("event", reason_of(&error));
        if !is_everyday(&error) {
            let error = message_of(&error);
            tracing::warn!(error, event.reason = event.reason, "the event cannot be written");
        }
    }
}

fn reference(identity: &Identity) -> k8s_openapi::api::core::v1::ObjectReference {
    k8s_openapi::api::core::v1::ObjectReference {
        api_version: Some(Workspace::api_version(&()).into_owned()),
        kind: Some(Workspace::kind(&()).into_owned()),
        name: Some(identity.name.clone()),
        namespace: Some(identity.namespace.clone()),
        uid: Some(identity.uid.clone()),
        ..Default::default()
    }
}
