//! Statuses that another operator wrote -> what it may not have lived to tell, told once (IO).
//!
//! An Event follows its status, so whoever dies in between leaves it untold. Its successor looks, before its first pass, at what statuses
//! have said since when, and at what was told since then: one list of Events, if any status has changed lately (docs/decisions/0067).

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use api::{Workspace, names};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::events::v1::Event as StoredEvent;
use kube::{Api, Resource as _, api::ListParams};

use crate::{
    cache::observed::Identity,
    context::Context,
    status::{early, events, outbox::Stamped, publish, transitions},
    support::failure::{is_everyday, message_of, reason_of},
};

/// Of what has been so for longer than this it is not asked whether it was told: the cluster forgets Events.
const LATELY: SignedDuration = SignedDuration::from_mins(10);
/// Events are read by so many.
const PAGE: u32 = 500;
/// How long to wait after a list that failed.
const AGAIN: Duration = Duration::from_secs(30);

/// What statuses say that this operator did not write.
#[derive(Default)]
pub struct Inherited {
    /// Nothing before they were looked at.
    found: Mutex<Option<Vec<Inheritance>>>,
}

/// What was to be told of a workspace, whoever told it.
struct Inheritance {
    about: Identity,
    events: Vec<Stamped>,
}

impl Inherited {
    /// Looks at all statuses, once, before this operator has written any.
    pub fn note(&self, context: &Context) {
        let mut found = self.lock();
        if found.is_some() {
            return;
        }
        let all = context.stores.workspaces.state();
        let readable = all.iter().filter_map(|object| object.0.as_ref().ok());
        let lately = readable.filter_map(|workspace| lately(context, workspace));
        *found = Some(lately.collect());
    }

    fn take(&self) -> Vec<Inheritance> {
        self.lock().as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Forgets everything: another leads.
    pub fn clear(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<Inheritance>>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lately(context: &Context, workspace: &Workspace) -> Option<Inheritance> {
    let (about, now) = (Identity::of(&workspace.metadata), (context.now)());
    if context.site.ignores(&about.namespace) || workspace.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let newness = early::newness(workspace, now);
    let held = |Stamped { event, at, mark }| {
        // Nobody has told it yet: it waits here as it did there.
        let told = context.early.hold(&about, newness, vec![event]).pop();
        told.map(|event| Stamped { event, at, mark })
    };
    let standing = transitions::standing(workspace.status.as_ref()?).into_iter();
    let recent = standing.filter(|it| now.duration_since(it.at) < LATELY);
    let events: Vec<_> = recent.filter_map(held).collect();
    (!events.is_empty()).then_some(Inheritance { about, events })
}

/// Tells what nobody told. It ends when that is done.
pub async fn tell(context: &Context) {
    context.inherited.note(context);
    let inherited = context.inherited.take();
    let times = inherited.iter().flat_map(|it| &it.events).map(|event| event.at);
    let Some(since) = times.min() else { return };
    let Some(told) = listed(context, since).await else {
        return;
    };
    for Inheritance { about, events } in inherited {
        for event in &events {
            let topic = Topic {
                namespace: about.namespace.clone(),
                uid: about.uid.clone(),
                reason: event.event.reason.clone(),
            };
            if told.get(&topic).is_none_or(|last| *last < event.at) {
                tracing::info!(
                    workspace = about.key(),
                    event.reason = event.event.reason,
                    "told what another operator left untold"
                );
                publish::write(context, &about, event).await;
            }
        }
    }
}

/// What an Event is about. Whoever may write Events elsewhere says nothing of a workspace here.
#[derive(PartialEq, Eq, Hash)]
struct Topic {
    namespace: String,
    uid: String,
    reason: String,
}

/// When something was told last.
type Told = HashMap<Topic, Timestamp>;

/// What was told since then; nothing if it cannot be known in time.
async fn listed(context: &Context, since: Timestamp) -> Option<Told> {
    let end = tokio::time::Instant::now() + LATELY.unsigned_abs();
    while tokio::time::Instant::now() < end {
        match list(context, since).await {
            Ok(told) => return Some(told),
            Err(error) => {
                context.metrics.error("event", reason_of(&error));
                if !is_everyday(&error) {
                    let error = message_of(&error);
                    tracing::warn!(error, "it cannot be known what another operator told last");
                }
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
    None
}

async fn list(context: &Context, since: Timestamp) -> Result<Told, kube::Error> {
    let stored: Api<StoredEvent> = Api::all(context.client.clone());
    let (controller, kind) = (names::OPERATOR, Workspace::kind(&()));
    let ours = format!("reportingController={controller},regarding.kind={kind}");
    let mut params = ListParams::default().fields(&ours).limit(PAGE);
    let mut told = Told::new();
    loop {
        let page = stored.list(&params).await?;
        for event in page.items {
            let last = events::last_told(&event)
                .filter(|last| *last >= since && events::is_past(*last, Timestamp::now()));
            let uid = event.regarding.and_then(|about| about.uid);
            let (Some(last), Some(namespace), Some(uid), Some(reason)) =
                (last, event.metadata.namespace, uid, event.reason)
            else {
                continue;
            };
            let topic = Topic {
                namespace,
                uid,
                reason,
            };
            let known = told.entry(topic).or_insert(last);
            *known = last.max(*known);
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(told),
        }
    }
}
