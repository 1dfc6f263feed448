//! An operator dies between a status and its Events: its successor tells them, and nothing twice.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use api::{
    Workspace,
    condition::reason,
    workspace::{DesiredStatus, Phase},
};
use http::Method;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::{core::v1::Pod, events::v1::Event as StoredEvent},
    apimachinery::pkg::apis::meta::v1::{MicroTime, Time},
};
use kube::ResourceExt as _;
use operator::status::{inherited, outbox};
use serde_json::json;
use testkit::{
    api_server::{Hindrance, Life},
    objects::{self, NAMESPACE},
};

use tokio_util::sync::CancellationToken;

use crate::stage::Stage;

/// More calls than any of the stories below takes.
const MANY: usize = 60;

/// A second later at each look, so that no two things happen in the same second; never later than now, as Events tell it.
fn clock() -> Timestamp {
    static LOOKS: AtomicI64 = AtomicI64::new(0);
    let seconds = LOOKS.fetch_add(1, Ordering::Relaxed);
    Timestamp::now() - SignedDuration::from_hours(24) + SignedDuration::from_secs(seconds)
}

/// Another operator takes over.
async fn succeed(stage: &mut Stage, life: Option<Life>) {
    stage.replace_operator(life);
    stage.set_clock(clock);
    stage.sync();
    inherited::tell(&stage.context).await;
}

/// Passes, which may fail, and the cluster's own work by turns, until nothing moves.
async fn go_on(stage: &mut Stage, work: impl Fn(&Stage)) {
    for _ in 0..6 {
        let _ = stage.pass().await;
        stage.cluster();
        work(stage);
    }
}

fn gets_ready(stage: &Stage) {
    stage.get_ready();
}

/// Not before it is told that they end: pods take their time.
fn ends(stage: &Stage) {
    if stage.status().phase == Some(Phase::Stopping) {
        stage.end_pods();
    }
}

/// The image cannot be pulled.
fn is_not_pulled(stage: &Stage) {
    for pod in stage.all::<Pod>() {
        stage.server.edit::<Pod>(Some(NAMESPACE), &pod.name_any(), |pod| {
            pod["status"] = json!({"phase": "Pending", "containerStatuses": [{
                "name": "workspace", "ready": false, "restartCount": 0, "image": "", "imageID": "",
                "state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}},
            }]});
        });
    }
}

async fn fresh() -> Stage {
    let mut stage = Stage::with_demo();
    succeed(&mut stage, None).await;
    stage
}

async fn to_be_stopped() -> Stage {
    let mut stage = fresh().await;
    go_on(&mut stage, gets_ready).await;
    assert_eq!(stage.status().phase, Some(Phase::Running));
    stage.set(DesiredStatus::Stopped);
    stage
}

/// Every reason that was told, and how often.
fn told(stage: &Stage) -> Vec<(String, i32)> {
    let counted = |event: StoredEvent| {
        let count = event.series.map_or(1, |series| series.count);
        (event.reason.unwrap(), count)
    };
    let mut told: Vec<_> = stage.all::<StoredEvent>().into_iter().map(counted).collect();
    told.sort();
    told
}

/// Lets operators die at each call in turn, done or not, and holds what was told in the end to `expected`: of `over` that may be lacking
/// what had passed before anybody could tell it. How often a successor had something to tell.
async fn with_every_death<F: Future<Output = Stage>>(
    prepare: impl Fn() -> F,
    work: fn(&Stage),
    expected: &[&str],
    over: Option<&str>,
) -> usize {
    let mut retold = 0;
    for last_is_done in [false, true] {
        for calls in 1..MANY {
            let life = Life { calls, last_is_done };
            let mut stage = prepare().await;
            stage.server.take_calls();
            succeed(&mut stage, Some(life)).await;
            go_on(&mut stage, work).await;
            let died = stage.server.take_calls().len() >= calls - usize::from(!last_is_done);
            // Who lived to the end of the story has told everything.
            let may_lack = |reason: &str| died && Some(reason) == over;
            let told = |stage: &Stage| {
                let mut told = told(stage);
                told.retain(|(reason, count)| *count > 1 || !may_lack(reason));
                told
            };
            let expected = expected.iter().filter(|reason| !may_lack(reason));
            let expected: Vec<_> = expected.map(|reason| ((*reason).to_owned(), 1)).collect();
            let before = told(&stage).len();
            succeed(&mut stage, None).await;
            retold += told(&stage).len() - before;
            go_on(&mut stage, work).await;
            assert_eq!(told(&stage), expected, "{life:?}");
            succeed(&mut stage, None).await;
            go_on(&mut stage, work).await;
            assert_eq!(told(&stage), expected, "{life:?}, and another one takes over");
            if !died {
                break;
            }
            assert!(calls < MANY - 1, "the story takes more calls than expected");
        }
    }
    retold
}

#[tokio::test(start_paused = true)]
async fn a_start_is_told_once_whenever_the_operator_dies() {
    let expected = [reason::READY, reason::STARTING];
    let retold = with_every_death(fresh, gets_ready, &expected, Some(reason::STARTING)).await;
    assert!(retold >= 2, "{retold}");
}

#[tokio::test(start_paused = true)]
async fn a_restart_of_which_no_step_could_be_told_is_told_by_its_end() {
    let mut stage = fresh().await;
    go_on(&mut stage, gets_ready).await;
    let first = stage.status().run_id;
    stage.fail(Method::PATCH, "/status", 500, "no", 6);
    stage.edit_spec(|spec| {
        spec["updatePolicy"] = json!("Always");
        spec["image"] = json!("localhost/code:7");
    });
    go_on(&mut stage, |stage| match stage.replicas() {
        Some(0) => stage.end_pods(),
        _ => stage.get_ready(),
    })
    .await;
    assert_eq!(stage.status().run_id, first, "nothing could be written");
    succeed(&mut stage, None).await;
    go_on(&mut stage, gets_ready).await;
    assert_ne!(stage.status().run_id, first);
    let once = |reason: &str| (reason.to_owned(), 1);
    let expected = [reason::READY, reason::READY, reason::STARTING].map(once);
    assert_eq!(told(&stage), expected);
}

#[tokio::test(start_paused = true)]
async fn of_a_stop_everything_is_told_once_whenever_the_operator_dies() {
    let expected = [reason::READY, reason::STARTING, reason::STOPPED, reason::STOPPING];
    let retold = with_every_death(to_be_stopped, ends, &expected, None).await;
    assert!(retold >= 2, "{retold}");
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_told_once_whenever_the_operator_dies() {
    let expected = [reason::IMAGE_PULL_FAILED, reason::STARTING];
    let retold = with_every_death(fresh, is_not_pulled, &expected, None).await;
    assert!(retold >= 2, "{retold}");
}

#[tokio::test]
async fn events_are_listed_only_if_a_status_has_changed_lately() {
    let mut stage = Stage::with_running_demo().await;
    let lists = |stage: &Stage| {
        let calls = stage.server.take_calls();
        calls.iter().filter(|call| call.path.ends_with("/events")).count()
    };
    for (now, expected) in [
        (
            (|| Timestamp::now() + SignedDuration::from_mins(9)) as fn() -> Timestamp,
            1,
        ),
        (|| Timestamp::now() + SignedDuration::from_mins(11), 0),
    ] {
        stage.replace_operator(None);
        stage.set_clock(now);
        stage.sync();
        stage.server.take_calls();
        inherited::tell(&stage.context).await;
        assert_eq!(lists(&stage), expected);
        assert_eq!(stage.events(), [reason::STARTING, reason::READY]);
    }
}

#[tokio::test]
async fn what_a_successor_wrote_itself_is_not_inherited() {
    let mut stage = Stage::with_demo();
    stage.sync();
    stage.context.inherited.note(&stage.context);
    stage.pass().await.unwrap();
    stage.sync();
    for event in stage.all::<StoredEvent>() {
        stage
            .server
            .remove::<StoredEvent>(Some(NAMESPACE), &event.name_any());
    }
    inherited::tell(&stage.context).await;
    assert_eq!(stage.events(), [""; 0]);
}

#[tokio::test]
async fn words_in_another_namespace_or_of_a_time_to_come_are_not_taken_for_told() {
    let forgeries: [fn(&mut StoredEvent); 2] = [
        |event| event.metadata.namespace = Some("elsewhere".to_owned()),
        |event| {
            let later = Timestamp::now() + SignedDuration::from_hours(1);
            event.event_time = Some(MicroTime(later));
        },
    ];
    for forge in forgeries {
        let mut stage = Stage::with_running_demo().await;
        let ready = |stage: &Stage| {
            let told = stage.all::<StoredEvent>().into_iter();
            let mut told: Vec<_> = told
                .filter(|event| event.reason.as_deref() == Some(reason::READY))
                .collect();
            told.sort_by_key(|event| event.metadata.namespace.clone());
            told
        };
        let mut forged = ready(&stage).remove(0);
        stage
            .server
            .remove::<StoredEvent>(Some(NAMESPACE), &forged.name_any());
        forge(&mut forged);
        forged.metadata.name = Some("forged".to_owned());
        stage.server.put(&forged);
        stage.replace_operator(None);
        stage.sync();
        inherited::tell(&stage.context).await;
        let told = ready(&stage);
        let ours = told.iter().filter(|event| {
            event.name_any() != "forged" && event.metadata.namespace.as_deref() == Some(NAMESPACE)
        });
        assert_eq!(ours.count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_waited_whether_it_comes_true_waits_with_the_successor() {
    let mut stage = Stage::new();
    let mut lab: Workspace = objects::workspace("demo");
    lab.spec.template_ref = Some("none-such".to_owned());
    lab.metadata.creation_timestamp = Some(Time(Timestamp::now()));
    stage.server.put(&lab);
    stage.pass().await.unwrap();
    assert_eq!(stage.events(), [""; 0]);
    stage.replace_operator(None);
    stage.sync();
    inherited::tell(&stage.context).await;
    stage.pass().await.unwrap();
    assert_eq!(stage.events(), [""; 0]);
    tokio::time::advance(Duration::from_secs(5)).await;
    for _ in 0..2 {
        stage.pass().await.unwrap();
        assert_eq!(stage.events(), [reason::TEMPLATE_NOT_FOUND]);
    }
}

/// The same, but within the minutes in which Events are taken for the same.
fn lately() -> Timestamp {
    static LOOKS: AtomicI64 = AtomicI64::new(0);
    let seconds = LOOKS.fetch_add(1, Ordering::Relaxed);
    Timestamp::now() - SignedDuration::from_mins(8) + SignedDuration::from_secs(seconds)
}

/// The first Event of `story` is on its way for a while, and what follows waits behind it. Meanwhile its operator loses the lead, and
/// another one reads the status, by when `by_then` is told. What the first one knows is written in the end all the same.
async fn told_by_two(story: impl AsyncFn(&mut Stage), by_then: &[&str], in_the_end: &[&str]) {
    let mut stage = Stage::with_demo();
    stage.set_clock(lately);
    let end = CancellationToken::new();
    let old = (stage.context.clone(), end.clone());
    let carried = tokio::spawn(async move { outbox::carry(&old.0, &old.1).await });
    tokio::task::yield_now().await;
    story(&mut stage).await;
    let before = told(&stage);
    stage.replace_operator(None);
    stage.set_clock(lately);
    stage.sync();
    inherited::tell(&stage.context).await;
    let once = |reasons: &[&str]| -> Vec<_> {
        let once = reasons.iter().map(|reason| ((*reason).to_owned(), 1));
        once.collect()
    };
    assert_eq!(told(&stage), once(by_then));
    assert!(before.len() < by_then.len(), "the new one tells: {before:?}");
    stage.server.take_calls();
    tokio::time::sleep(Duration::from_mins(1)).await;
    let tried = stage.server.take_calls();
    assert!(
        tried
            .iter()
            .any(|call| call.is_write() && call.path.ends_with("/events")),
        "the old one tells as well"
    );
    assert_eq!(told(&stage), once(in_the_end));
    end.cancel();
    carried.await.unwrap();
}

/// From now on the next Event takes ten seconds to be written.
fn hold_up(stage: &Stage) {
    let late = Hindrance::Late(Duration::from_secs(10));
    stage.server.hinder(Method::POST, "events", late);
}

#[tokio::test(start_paused = true)]
async fn who_loses_the_lead_without_dying_tells_nothing_that_its_successor_has_told() {
    let start = async |stage: &mut Stage| {
        hold_up(stage);
        go_on(stage, gets_ready).await;
        assert_eq!(stage.status().phase, Some(Phase::Running));
    };
    let both = [reason::READY, reason::STARTING];
    told_by_two(start, &both[..1], &both).await;

    let failure = async |stage: &mut Stage| {
        hold_up(stage);
        go_on(stage, is_not_pulled).await;
    };
    let both = [reason::IMAGE_PULL_FAILED, reason::STARTING];
    told_by_two(failure, &both, &both).await;

    let stop = async |stage: &mut Stage| {
        go_on(stage, gets_ready).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        hold_up(stage);
        stage.set(DesiredStatus::Stopped);
        go_on(stage, ends).await;
        assert_eq!(stage.status().phase, Some(Phase::Stopped));
    };
    // A status that says that it stopped tells no more of how it came to that.
    let all = [reason::READY, reason::STARTING, reason::STOPPED, reason::STOPPING];
    told_by_two(stop, &all[..3], &all).await;
}
