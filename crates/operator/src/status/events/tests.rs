use api::condition::reason;
use testkit::api_server::{ApiServer, Hindrance};

use super::{said::MOST, *};

pub(super) fn event(note: &str) -> Event {
    Event {
        type_: EventType::Normal,
        reason: reason::IMAGE_PULL_FAILED.to_owned(),
        note: Some(note.to_owned()),
        action: "Reconcile".to_owned(),
        secondary: None,
    }
}

pub(super) fn demo() -> ObjectReference {
    ObjectReference {
        kind: Some("Workspace".to_owned()),
        namespace: Some("team".to_owned()),
        name: Some("demo".to_owned()),
        uid: Some("u".to_owned()),
        ..ObjectReference::default()
    }
}

fn mark(step: &str, name: &str) -> Mark {
    Mark {
        step: step.to_owned(),
        name: format!("{name} {step}"),
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
    let (starting, ready) = (step(reason::STARTING, "Start"), step(reason::READY, "Start"));
    let stopped = step(reason::STOPPED, "Stop");
    for run in 0..MOST + 5 {
        // The pod is not ready for a moment. Among many nobody is told that it starts, and one that is restarted has no end.
        let alone = [&starting, &ready, &ready, &stopped];
        let told: &[_] = match run % 3 {
            0 => &alone,
            1 => &alone[1..],
            _ => &alone[1..3],
        };
        for event in told {
            let mark = mark(&run.to_string(), &event.reason);
            recorder
                .publish_at(event, &demo(), Timestamp::now(), Some(&mark))
                .await
                .unwrap();
        }
        let told = stored(&server);
        let of = |reason: &str| told.iter().filter(|(note, _)| note == reason).count();
        for (reason, runs) in [
            (reason::STARTING, run / 3 + 1),
            (reason::READY, run + 1),
            (reason::STOPPED, run + 1 - (run + 1) / 3),
        ] {
            assert_eq!(of(reason), runs.min(MOST), "{reason} {told:?}");
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
    recorder
        .publish_at(&event("a"), &demo(), then, None)
        .await
        .unwrap();
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

#[tokio::test]
async fn what_has_a_mark_is_told_once_by_whichever_operator_and_anew_after_a_while() {
    let (server, client) = ApiServer::start();
    let old = Recorder::new(client.clone(), "operator", "pod-1".to_owned());
    let new = Recorder::new(client, "operator", "pod-2".to_owned());
    let tell = async |recorder: &Recorder, at: Timestamp, name: Option<&str>| {
        let mark = name.map(|name| mark("", name));
        recorder
            .publish_at(&event("a"), &demo(), at, mark.as_ref())
            .await
            .unwrap();
    };
    let then = Timestamp::now();
    tell(&old, then, Some("m")).await;
    tell(&new, then - SignedDuration::from_secs(1), Some("m")).await;
    assert_eq!(stored(&server), [("a".to_owned(), None)]);
    // Its own words again are counted, whoever wrote them first.
    tell(&new, then, Some("m")).await;
    assert_eq!(stored(&server), [("a".to_owned(), Some(2))]);
    let later = Recorder::new(server.connect(None), "operator", "pod-3".to_owned());
    tell(&later, then + WINDOW + SignedDuration::from_secs(1), Some("m")).await;
    assert_eq!(stored(&server).len(), 2, "so long ago is another time");
    for other in [Some("n"), None] {
        let another = Recorder::new(server.connect(None), "operator", "pod-4".to_owned());
        let before = stored(&server).len();
        tell(&another, then, other).await;
        assert_eq!(stored(&server).len(), before + 1, "{other:?}");
    }
    // The same second, another time: nobody but this process tells it.
    let before = stored(&server).len();
    for note in ["s", "t"] {
        new.publish_at(&event(note), &demo(), then, Some(&mark("", "s")))
            .await
            .unwrap();
    }
    assert_eq!(stored(&server).len(), before + 2);
    let mut elsewhere = demo();
    elsewhere.uid = Some("v".to_owned());
    let again = Recorder::new(server.connect(None), "operator", "pod-5".to_owned());
    let before = stored(&server).len();
    again
        .publish_at(&event("a"), &elsewhere, then, Some(&mark("", "m")))
        .await
        .unwrap();
    assert_eq!(stored(&server).len(), before + 1, "another workspace of the name");
}

#[tokio::test]
async fn what_bears_a_foreseen_name_silences_nothing_unless_it_says_the_same_of_now() {
    type Forgery = (&'static str, fn(&mut StoredEvent));
    let then = Timestamp::now();
    let forgeries: [Forgery; 5] = [
        ("another note", |event| {
            event.note = Some("all is well".to_owned());
        }),
        ("another reason", |event| {
            event.reason = Some("Fine".to_owned());
        }),
        ("another type", |event| {
            event.type_ = Some("Warning".to_owned());
        }),
        ("another object", |event| {
            event.regarding.as_mut().unwrap().uid = Some("v".to_owned());
        }),
        ("a time to come", |event| {
            event.event_time = Some(MicroTime("9999-01-01T00:00:00Z".parse().unwrap()));
        }),
    ];
    for (what, forge) in forgeries {
        let (server, client) = ApiServer::start();
        let told = |client| async move {
            let recorder = Recorder::new(client, "operator", "pod-1".to_owned());
            recorder
                .publish_at(&event("a"), &demo(), then, Some(&mark("", "m")))
                .await
                .unwrap();
        };
        told(client).await;
        let mut forged = server.all::<StoredEvent>().remove(0);
        forge(&mut forged);
        server.put(&forged);
        told(server.connect(None)).await;
        let truth = server.all::<StoredEvent>().into_iter().filter(|event| {
            event.metadata.name != forged.metadata.name && event.note.as_deref() == Some("a")
        });
        assert_eq!(truth.count(), 1, "{what}");
    }
}
