//! What is worth telling -> Events in the cluster (IO). The same said again is counted; anything else is an Event of its own, and so is
//! each step of another run.
//!
//! kube's own recorder takes two Events for one unless their reasons differ, and the API server lets nobody change the text of
//! an Event: the first words would stay, whatever happened since.
//!
//! What a status says by an Event names it, so that an operator which lost the lead and its successor, reading the same status, write
//! one.

mod said;

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::{
        core::v1::ObjectReference,
        events::v1::{Event as StoredEvent, EventSeries},
    },
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{
    Api, Client, Resource as _,
    api::{ListParams, Patch, PatchParams, PostParams},
    core::request::{self, Request},
    runtime::events::{Event, EventType},
};
use serde::de::IgnoredAny;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use self::said::Said;
use crate::support::send::send;

/// What was said this long ago is said anew, and not counted.
const WINDOW: SignedDuration = SignedDuration::from_mins(10);
/// An Event that takes longer to write is given up: others wait behind it.
const LIMIT: Duration = Duration::from_secs(15);
/// How far the clocks of two operators may be apart.
const CLOCKS: SignedDuration = SignedDuration::from_mins(1);
/// Longest name of an object that the name of an Event begins with, in bytes.
const LONGEST_NAME: usize = 200;

/// By what a status tells an Event, the same for every operator that reads that status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The run, or the time of its end, within which the same words are counted; empty where they are counted whenever they come.
    pub step: String,
    /// What tells it from all others about this object.
    pub name: String,
}

/// Writes Events.
pub struct Recorder {
    controller: &'static str,
    instance: String,
    client: Client,
    said: Mutex<Said>,
}

impl Recorder {
    /// A recorder that has said nothing yet. `controller` and `instance` are the source that its Events name.
    pub fn new(client: Client, controller: &'static str, instance: String) -> Self {
        Self {
            controller,
            instance,
            client,
            said: Mutex::default(),
        }
    }

    /// Tells something about an object, in the object's namespace.
    ///
    /// # Errors
    /// When the API server does not take it, or does not answer in time. It counts as not said then.
    pub async fn publish(&self, event: &Event, regarding: &ObjectReference) -> Result<(), kube::Error> {
        self.publish_at(event, regarding, Timestamp::now(), None).await
    }

    /// The same, of something that came true at `now`. With a `mark` it is told once, by whichever of several operators.
    ///
    /// # Errors
    /// As above.
    pub async fn publish_at(
        &self,
        event: &Event,
        regarding: &ObjectReference,
        now: Timestamp,
        mark: Option<&Mark>,
    ) -> Result<(), kube::Error> {
        let said = tokio::time::timeout(LIMIT, self.say(event, regarding, now, mark)).await;
        let late = || format!("no answer within {} s", LIMIT.as_secs());
        said.unwrap_or_else(|_| Err(kube::Error::Service(late().into())))
    }

    async fn say(
        &self,
        event: &Event,
        regarding: &ObjectReference,
        now: Timestamp,
        mark: Option<&Mark>,
    ) -> Result<(), kube::Error> {
        let namespace = regarding.namespace.as_deref().unwrap_or("default");
        let events: Api<StoredEvent> = Api::namespaced(self.client.clone(), namespace);
        let step = mark.map_or("", |mark| mark.step.as_str());
        let again = self.said(|said| said.again(event, regarding, step, now));
        if let Some(known) = again {
            let series =
                json!({"series": EventSeries { count: known.count, last_observed_time: MicroTime(now) }});
            let counted = events
                .patch(&known.name, &PatchParams::default(), &Patch::Merge(series))
                .await;
            match counted {
                // Somebody deleted it, or it has expired: it is said anew.
                Err(kube::Error::Api(answer)) if answer.code == 404 => {}
                Err(error) => return Err(error),
                Ok(_) => {
                    self.said(|said| said.keep(event, regarding, known));
                    return Ok(());
                }
            }
        }
        // What this process has told by that mark before is told another time now.
        let mark = mark.map(|mark| digest(regarding, &mark.name));
        let mark = mark.filter(|mark| !self.said(|said| said.has_mark(*mark)));
        let mut name = self.name(regarding, mark);
        let mut stored = self.stored(event, regarding, now, &name);
        match self.create(namespace, &stored).await {
            Err(kube::Error::Api(answer)) if answer.code == 409 && mark.is_some() => {
                if !was_told(&events, &stored, now).await? {
                    name = self.name(regarding, None);
                    stored.metadata.name = Some(name.clone());
                    self.create(namespace, &stored).await?;
                }
            }
            other => other?,
        }
        self.said(|said| {
            if let Some(mark) = mark {
                said.keep_mark(mark, now);
            }
            said.keep_new(event, regarding, step, name, now);
        });
        Ok(())
    }

    /// Makes an Event. Of the answer nothing is of interest.
    async fn create(&self, namespace: &str, stored: &StoredEvent) -> Result<(), kube::Error> {
        let text = serde_json::to_vec(stored).map_err(request::Error::SerializeBody);
        let events = Request::new(StoredEvent::url_path(&(), Some(namespace)));
        let request = text.and_then(|text| events.create(&PostParams::default(), text));
        send::<IgnoredAny>(&self.client, "create", request)
            .await
            .map(drop)
    }

    /// Of what has a mark always the same one; else of the moment at which it is written, for several may have come true at once.
    fn name(&self, regarding: &ObjectReference, mark: Option<u64>) -> String {
        let about = regarding.name.as_deref().unwrap_or(self.controller);
        let about = about[..about.floor_char_boundary(LONGEST_NAME)].trim_end_matches(['.', '-']);
        match mark {
            Some(mark) => format!("{about}.{mark:016x}"),
            None => format!("{about}.{:x}", Timestamp::now().as_nanosecond()),
        }
    }

    fn said<T>(&self, look: impl FnOnce(&mut Said) -> T) -> T {
        look(&mut self.said.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn stored(&self, event: &Event, regarding: &ObjectReference, now: Timestamp, name: &str) -> StoredEvent {
        StoredEvent {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: regarding.namespace.clone(),
                ..ObjectMeta::default()
            },
            type_: Some(type_of(event).to_owned()),
            reason: Some(event.reason.clone()),
            action: Some(event.action.clone()),
            note: event.note.clone(),
            event_time: Some(MicroTime(now)),
            regarding: Some(regarding.clone()),
            related: event.secondary.clone(),
            reporting_controller: Some(self.controller.to_owned()),
            reporting_instance: Some(self.instance.clone()),
            ..StoredEvent::default()
        }
    }
}

/// What of an object a mark says, as a number.
fn digest(regarding: &ObjectReference, mark: &str) -> u64 {
    let uid = regarding.uid.as_deref().unwrap_or_default();
    let digest = Sha256::digest(format!("{uid} {mark}"));
    digest
        .iter()
        .take(8)
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Whether this very Event was told within [`WINDOW`]: by another operator, or by this one in another life. Its name can be foreseen, so
/// what bears it tells nothing unless it says the same, of now.
async fn was_told(
    events: &Api<StoredEvent>,
    ours: &StoredEvent,
    now: Timestamp,
) -> Result<bool, kube::Error> {
    let name = ours.metadata.name.as_deref().unwrap_or_default();
    let named = ListParams::default().fields(&format!("metadata.name={name}"));
    let found = events.list(&named).await?.items.into_iter();
    let mut found = found.filter(|event| event.metadata.name.as_deref() == Some(name));
    Ok(found.next().is_some_and(|event| {
        says_the_same(&event, ours)
            && last_told(&event).is_some_and(|last| is_past(last, now) && now.duration_since(last) < WINDOW)
    }))
}

fn says_the_same(one: &StoredEvent, other: &StoredEvent) -> bool {
    let uid = |event: &StoredEvent| event.regarding.as_ref().and_then(|about| about.uid.clone());
    let words = |event: &StoredEvent| {
        (
            event.type_.clone(),
            event.reason.clone(),
            event.note.clone(),
            uid(event),
        )
    };
    words(one) == words(other)
}

/// When an Event was told last, counted ones included.
pub fn last_told(event: &StoredEvent) -> Option<Timestamp> {
    let counted = event.series.as_ref().map(|series| series.last_observed_time.0);
    counted.max(event.event_time.as_ref().map(|time| time.0))
}

/// Whether this has been, by anybody's clock: whoever may write Events may write of times to come.
pub fn is_past(time: Timestamp, now: Timestamp) -> bool {
    time.duration_since(now) <= CLOCKS
}

fn type_of(event: &Event) -> &'static str {
    match event.type_ {
        EventType::Normal => "Normal",
        EventType::Warning => "Warning",
    }
}

#[cfg(test)]
mod tests;
