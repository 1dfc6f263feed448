//! What is worth telling -> Events in the cluster (IO). The same said again is counted; anything else is an Event of its own, and so is
//! each step of another run.
//!
//! kube's own recorder takes two Events for one unless their reasons differ, and the API server lets nobody change the text of
//! an Event: the first words would stay, whatever happened since.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use api::condition::reason;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::{
        core::v1::ObjectReference,
        events::v1::{Event as StoredEvent, EventSeries},
    },
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
    runtime::events::{Event, EventType},
};
use serde_json::json;

/// What was said this long ago is said anew, and not counted.
const WINDOW: SignedDuration = SignedDuration::from_mins(10);
/// Events of one reason about one object within [`WINDOW`]. Beyond it they are counted with the newest, whatever they say; but not
/// who handed a workspace over to whom.
const MOST: usize = 10;
/// An Event that takes longer to write is given up: others wait behind it.
const LIMIT: Duration = Duration::from_secs(15);
/// What is said of a run after its beginning, and under which action.
const STEPS: [(&str, &str); 3] = [
    (reason::READY, "Start"),
    (reason::STOPPING, "Stop"),
    (reason::STOPPED, "Stop"),
];
/// How often what is past is forgotten.
const SWEEP: SignedDuration = SignedDuration::from_mins(1);
/// Longest name of an object that the name of an Event begins with, in bytes.
const LONGEST_NAME: usize = 200;

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
        self.publish_at(event, regarding, Timestamp::now()).await
    }

    /// The same, of something that came true at `now`.
    ///
    /// # Errors
    /// As above.
    pub async fn publish_at(
        &self,
        event: &Event,
        regarding: &ObjectReference,
        now: Timestamp,
    ) -> Result<(), kube::Error> {
        let said = tokio::time::timeout(LIMIT, self.say(event, regarding, now)).await;
        let late = || format!("no answer within {} s", LIMIT.as_secs());
        said.unwrap_or_else(|_| Err(kube::Error::Service(late().into())))
    }

    async fn say(
        &self,
        event: &Event,
        regarding: &ObjectReference,
        now: Timestamp,
    ) -> Result<(), kube::Error> {
        let namespace = regarding.namespace.as_deref().unwrap_or("default");
        let events: Api<StoredEvent> = Api::namespaced(self.client.clone(), namespace);
        let topic = Topic::of(event, regarding);
        let again = self.said(|said| said.again(&topic, event, now));
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
                    self.said(|said| said.keep(topic, known));
                    return Ok(());
                }
            }
        }
        let stored = self.stored(event, regarding, now);
        let known = Known::new(event, stored.metadata.name.clone().unwrap_or_default(), now);
        events.create(&PostParams::default(), &stored).await?;
        self.said(|said| said.keep(topic, known));
        Ok(())
    }

    fn said<T>(&self, look: impl FnOnce(&mut Said) -> T) -> T {
        look(&mut self.said.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn stored(&self, event: &Event, regarding: &ObjectReference, now: Timestamp) -> StoredEvent {
        let about = regarding.name.as_deref().unwrap_or(self.controller);
        let about = about[..about.floor_char_boundary(LONGEST_NAME)].trim_end_matches(['.', '-']);
        StoredEvent {
            metadata: ObjectMeta {
                // When it is written: several may have come true at the same moment.
                name: Some(format!("{about}.{:x}", Timestamp::now().as_nanosecond())),
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

fn type_of(event: &Event) -> &'static str {
    match event.type_ {
        EventType::Normal => "Normal",
        EventType::Warning => "Warning",
    }
}

/// What Events have in common that count towards [`MOST`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Topic {
    /// Kind, namespace, name and UID.
    about: [Option<String>; 4],
    type_: &'static str,
    reason: String,
    action: String,
}

impl Topic {
    fn of(event: &Event, regarding: &ObjectReference) -> Self {
        let ObjectReference {
            kind,
            namespace,
            name,
            uid,
            ..
        } = regarding.clone();
        Self {
            about: [kind, namespace, name, uid],
            type_: type_of(event),
            reason: event.reason.clone(),
            action: event.action.clone(),
        }
    }
}

/// An Event that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    name: String,
    note: Option<String>,
    related: Option<String>,
    count: i32,
    last: Timestamp,
}

impl Known {
    fn new(event: &Event, name: String, now: Timestamp) -> Self {
        Self {
            name,
            note: event.note.clone(),
            related: related(event),
            count: 1,
            last: now,
        }
    }
}

fn related(event: &Event) -> Option<String> {
    event.secondary.as_ref()?.uid.clone()
}

/// What was said within [`WINDOW`].
#[derive(Debug, Default)]
struct Said {
    topics: HashMap<Topic, Vec<Known>>,
    swept: Option<Timestamp>,
}

impl Said {
    /// The Event with which this one is counted, with the new count; `None` where it is to be an Event of its own.
    fn again(&mut self, topic: &Topic, event: &Event, now: Timestamp) -> Option<Known> {
        self.sweep(now);
        let known = self.topics.get(topic)?;
        let recent = || known.iter().filter(|known| is_recent(known, now));
        let same = recent().find(|known| known.note == event.note && known.related == related(event));
        let full = recent().count() >= MOST && event.reason != reason::HANDED_OVER;
        // Another run, and a new Event costs the API server less than one that is counted.
        let same = same.filter(|_| topic.reason != reason::STARTING);
        let again = same.or_else(|| recent().max_by_key(|known| known.last).filter(|_| full))?;
        Some(Known {
            count: again.count.saturating_add(1),
            last: now,
            ..again.clone()
        })
    }

    fn keep(&mut self, topic: Topic, known: Known) {
        if topic.reason == reason::STARTING && known.count == 1 {
            for (reason, action) in STEPS {
                let step = Topic {
                    reason: reason.to_owned(),
                    action: action.to_owned(),
                    ..topic.clone()
                };
                self.topics.remove(&step);
            }
        }
        let all = self.topics.entry(topic).or_default();
        all.retain(|other| other.name != known.name);
        all.push(known);
    }

    fn sweep(&mut self, now: Timestamp) {
        if self.swept.is_some_and(|swept| now.duration_since(swept) < SWEEP) {
            return;
        }
        self.swept = Some(now);
        self.topics.retain(|_, known| {
            known.retain(|known| is_recent(known, now));
            !known.is_empty()
        });
    }
}

fn is_recent(known: &Known, now: Timestamp) -> bool {
    now.duration_since(known.last) < WINDOW
}

#[cfg(test)]
mod tests {
    use testkit::api_server::{ApiServer, Hindrance};

    use super::*;

    fn event(note: &str) -> Event {
        Event {
            type_: EventType::Normal,
            reason: reason::IMAGE_PULL_FAILED.to_owned(),
            note: Some(note.to_owned()),
            action: "Reconcile".to_owned(),
            secondary: None,
        }
    }

    fn demo() -> ObjectReference {
        ObjectReference {
            kind: Some("Workspace".to_owned()),
            namespace: Some("team".to_owned()),
            name: Some("demo".to_owned()),
            uid: Some("u".to_owned()),
            ..ObjectReference::default()
        }
    }

    /// Note and count of every Event that is stored, by note.
    fn stored(server: &ApiServer) -> Vec<(String, Option<i32>)> {
        let events = server.all::<StoredEvent>();
        let mut told: Vec<_> = events
            .into_iter()
            .map(|event| (event.note.unwrap(), event.series.map(|series| series.count)))
            .collect();
        told.sort();
        told
    }

    #[tokio::test]
    async fn the_same_words_are_counted_and_other_words_are_another_event() {
        let (server, client) = ApiServer::start();
        let recorder = Recorder::new(client, "operator", "pod-1".to_owned());
        for note in ["to bob", "to carol", "to bob", "to bob"] {
            recorder.publish(&event(note), &demo()).await.unwrap();
        }
        let told = stored(&server);
        assert_eq!(
            told,
            [("to bob".to_owned(), Some(3)), ("to carol".to_owned(), None)]
        );
    }

    #[tokio::test]
    async fn ever_other_words_are_no_flood() {
        let (server, client) = ApiServer::start();
        let recorder = Recorder::new(client, "operator", "pod-1".to_owned());
        for number in 0..30 {
            recorder
                .publish(&event(&format!("number {number:02}")), &demo())
                .await
                .unwrap();
        }
        let told = stored(&server);
        assert_eq!(told.len(), MOST);
        assert_eq!(told.last().unwrap(), &("number 09".to_owned(), Some(21)));
    }

    #[tokio::test]
    async fn each_run_has_events_of_its_own_within_which_the_same_is_counted_and_many_runs_are_no_flood() {
        let (server, client) = ApiServer::start();
        let recorder = Recorder::new(client, "operator", "pod-1".to_owned());
        let step = |reason: &str, action: &str| Event {
            reason: reason.to_owned(),
            action: action.to_owned(),
            ..event(reason)
        };
        let starting = step(reason::STARTING, "Start");
        let steps = STEPS.map(|(reason, action)| step(reason, action));
        for run in 0..MOST + 5 {
            recorder.publish(&starting, &demo()).await.unwrap();
            // The pod is not ready for a moment.
            for event in steps.iter().chain(&steps[..1]) {
                recorder.publish(event, &demo()).await.unwrap();
            }
            let told = stored(&server);
            let of = |reason: &str| told.iter().filter(|(note, _)| note == reason).count();
            for reason in [reason::STARTING, reason::READY, reason::STOPPED] {
                assert_eq!(of(reason), (run + 1).min(MOST), "{reason} {told:?}");
            }
        }
        let ready = stored(&server)
            .into_iter()
            .filter(|(note, _)| note == reason::READY);
        assert!(ready.into_iter().all(|(_, count)| count >= Some(2)));
    }

    #[tokio::test]
    async fn every_hand_over_is_an_event_of_its_own() {
        let (server, client) = ApiServer::start();
        let recorder = Recorder::new(client, "operator", "pod-1".to_owned());
        for number in 0..=MOST {
            let mut event = event(&format!("to {number:02}"));
            event.reason = reason::HANDED_OVER.to_owned();
            recorder.publish(&event, &demo()).await.unwrap();
        }
        let told = stored(&server);
        assert_eq!(told.len(), MOST + 1);
        assert_eq!(told.last().unwrap(), &(format!("to {MOST:02}"), None));
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_answer_is_not_waited_for_for_ever() {
        let (server, client) = ApiServer::start();
        let recorder = Recorder::new(client, "operator", "pod-1".to_owned());
        server.hinder(http::Method::POST, "events", Hindrance::Silence);
        let begun = tokio::time::Instant::now();
        recorder.publish(&event("a"), &demo()).await.unwrap_err();
        assert_eq!(begun.elapsed().as_secs(), LIMIT.as_secs());
        let then = Timestamp::from_second(7).unwrap();
        recorder.publish_at(&event("a"), &demo(), then).await.unwrap();
        let told = server.all::<StoredEvent>().remove(0);
        assert_eq!(told.event_time, Some(MicroTime(then)));
        assert_eq!(told.series, None, "the first one was not said");
    }

    #[tokio::test]
    async fn an_event_that_somebody_deleted_is_said_anew() {
        let (server, client) = ApiServer::start();
        let recorder = Recorder::new(client, "operator", "pod-1".to_owned());
        recorder.publish(&event("a"), &demo()).await.unwrap();
        let first = server.all::<StoredEvent>().remove(0).metadata.name.unwrap();
        server.remove::<StoredEvent>(Some("team"), &first);
        recorder.publish(&event("a"), &demo()).await.unwrap();
        assert_eq!(stored(&server), [("a".to_owned(), None)]);
    }

    #[test]
    fn what_was_said_long_ago_is_forgotten() {
        let mut said = Said::default();
        let (first, topic) = (
            Timestamp::from_second(0).unwrap(),
            Topic::of(&event("a"), &demo()),
        );
        said.keep(topic.clone(), Known::new(&event("a"), "e".to_owned(), first));
        assert!(said.again(&topic, &event("a"), first + SWEEP).is_some());
        assert!(said.again(&topic, &event("a"), first + WINDOW).is_none());
        assert!(said.topics.is_empty());
    }
}
