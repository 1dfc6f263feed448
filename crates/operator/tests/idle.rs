//! Idle workspaces are stopped. Those in use, and those that do not answer, are not.

use std::{
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use api::{
    Workspace, names,
    workspace::{DesiredStatus, Phase, StopRule},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt as _;
use operator::{
    activity::{Answered, Asker, Reading, Signal, Unanswered},
    context::Context,
    controllers::idle,
};
use serde_json::json;
use testkit::objects::NAMESPACE;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::stage::{CHILD, Stage};

/// When the pods of the stage are ready.
pub(crate) const READY: &str = "2026-01-01T00:00:05Z";

/// The time of day goes as tokio's paused clock does, from that moment on.
pub(crate) fn now() -> Timestamp {
    thread_local!(static BEGIN: OnceLock<Instant> = const { OnceLock::new() });
    let passed = BEGIN.with(|begin| begin.get_or_init(Instant::now).elapsed());
    let ready: Timestamp = READY.parse().unwrap();
    ready + SignedDuration::try_from(passed).unwrap()
}

/// What the pod reports, and how often it was asked.
#[derive(Clone)]
pub(crate) struct Pod {
    says: Arc<Mutex<Option<Timestamp>>>,
    is_broken: Arc<AtomicBool>,
    /// Its image has a door, what it says is the last act of a user, and a page is open.
    has_open_page: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    /// The stop that the last question announced.
    told: Arc<Mutex<Option<String>>>,
}

impl Pod {
    /// One that has been idle for a long time.
    pub(crate) fn new() -> Self {
        Self {
            says: Arc::new(Mutex::new(Some(Timestamp::UNIX_EPOCH))),
            is_broken: Arc::default(),
            has_open_page: Arc::default(),
            asked: Arc::default(),
            told: Arc::default(),
        }
    }

    fn is_used(&self, time: Timestamp) {
        *self.says.lock().unwrap() = Some(time);
    }

    fn asker(&self) -> Asker {
        let pod = self.clone();
        Asker::new(move |subject| {
            pod.told.lock().unwrap().clone_from(&subject.announced);
            std::future::ready(pod.answer())
        })
    }

    fn answer(&self) -> Answered {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.is_broken.load(Ordering::Relaxed) {
            return Err(Unanswered::new("server", "the answer is 500, not 200"));
        }
        let last_activity = *self.says.lock().unwrap();
        let signal = |name, last_activity| Signal { name, last_activity };
        let signals = if self.has_open_page.load(Ordering::Relaxed) {
            vec![signal("user", last_activity), signal("presence", Some(now()))]
        } else {
            vec![signal("server", last_activity)]
        };
        Ok(Reading {
            signals,
            ..Reading::default()
        })
    }
}

/// `demo`, ready, with a timeout of ten minutes, and reconciles over it that know it.
pub(crate) async fn stage() -> Stage {
    let mut stage = Stage::with_demo();
    stage.set_clock(now);
    stage.edit_spec(|spec| spec["idleShutdown"] = json!({"idleTimeoutInMinutes": 10}));
    settle(&mut stage).await;
    stage.cluster();
    stage.get_ready();
    settle(&mut stage).await;
    stage.server.take_calls();
    stage
}

pub(crate) async fn settle(stage: &mut Stage) {
    stage.reconcile().await.unwrap();
    stage.reconcile().await.unwrap();
}

/// Lets the operator ask for so long, in steps after which its triggers are followed as the queue would.
pub(crate) async fn ask_for(stage: &mut Stage, pod: &Pod, span: Duration) {
    let end = Instant::now() + span;
    while Instant::now() < end {
        // Steps that do not end at the very moment of a stop, which would be cut off.
        ask_once(stage, pod, Duration::from_secs(7).min(end - Instant::now())).await;
        stage.reconcile().await.unwrap();
    }
}

pub(crate) async fn ask_once(stage: &Stage, pod: &Pod, span: Duration) {
    let context: Arc<Context> = stage.context.clone();
    let shutdown = CancellationToken::new();
    let asker = pod.asker();
    let _ = tokio::time::timeout(span, idle::run(&context, &asker, &shutdown)).await;
}

pub(crate) fn desired(stage: &Stage) -> DesiredStatus {
    stage.workspace().spec.desired_status
}

pub(crate) const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test(start_paused = true)]
async fn an_idle_workspace_is_stopped_after_its_timeout_with_the_reason() {
    let mut stage = stage().await;
    let pod = Pod::new();
    ask_for(&mut stage, &pod, MINUTE).await;
    let status = stage.status();
    assert_eq!(
        status.stops_at.unwrap().0,
        READY.parse::<Timestamp>().unwrap() + SignedDuration::from_mins(10)
    );
    assert_eq!(status.stops_because, Some(StopRule::Idle));
    ask_for(&mut stage, &pod, MINUTE * 8 + Duration::from_secs(50)).await;
    assert_eq!(desired(&stage), DesiredStatus::Running, "{:?}", stage.status());
    ask_for(&mut stage, &pod, Duration::from_secs(25)).await;
    assert_eq!(desired(&stage), DesiredStatus::Stopped);
    let status = stage.status();
    assert_eq!(status.stopped_because.unwrap().rule, StopRule::Idle);
    assert_eq!((status.stops_at, status.idle), (None, None));
    assert!(
        stage.events().contains(&"IdleStopped".to_owned()),
        "{:?}",
        stage.events()
    );
    let asked = pod.asked.load(Ordering::Relaxed);
    assert!((10..=14).contains(&asked), "{asked}");
    ask_for(&mut stage, &pod, MINUTE * 10).await;
    assert_eq!(
        pod.asked.load(Ordering::Relaxed),
        asked,
        "who is stopped is not asked"
    );
    // Starting it again takes the cause away, and gives it a whole timeout.
    stage.cluster();
    stage.end_pods();
    settle(&mut stage).await;
    assert_eq!(stage.status().phase, Some(Phase::Stopped));
    assert!(stage.status().stopped_because.is_some());
    let reported = stage.status().message.unwrap_or_default();
    assert!(
        reported.starts_with("Stopped at ") && reported.contains("after 10 min without use. No pod is left"),
        "{reported}"
    );
    stage.edit_spec(|spec| spec["desiredStatus"] = json!("Running"));
    settle(&mut stage).await;
    assert_eq!(stage.status().stopped_because, None);
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_page_ends_after_its_minutes_and_a_timeout_and_an_act_begins_them_anew() {
    let mut stage = stage().await;
    stage.edit_spec(|spec| spec["idleShutdown"]["openTabMinutes"] = json!(30));
    settle(&mut stage).await;
    assert_eq!(stage.status().resolved.unwrap().open_tab_minutes, Some(30));
    let pod = Pod::new();
    pod.has_open_page.store(true, Ordering::Relaxed);
    ask_for(&mut stage, &pod, MINUTE * 20).await;
    let acted = now();
    pod.is_used(acted);
    ask_for(&mut stage, &pod, MINUTE * 20).await;
    let until = acted + SignedDuration::from_mins(30);
    let idle = stage.status().idle.unwrap();
    assert_eq!(idle.open_tab_until.unwrap().0.as_second(), until.as_second());
    let names: Vec<_> = idle.signals.into_iter().map(|signal| signal.name).collect();
    assert_eq!(names, ["user", "presence"]);
    ask_for(&mut stage, &pod, MINUTE * 19).await;
    assert_eq!(
        desired(&stage),
        DesiredStatus::Running,
        "39 minutes after the act"
    );
    let status = stage.status();
    let stops_at = until + SignedDuration::from_mins(10);
    let early = stops_at.duration_since(status.stops_at.unwrap().0);
    assert!(early.as_secs() <= 60 && !early.is_negative(), "{early:?}");
    ask_for(&mut stage, &pod, MINUTE * 3).await;
    assert_eq!(desired(&stage), DesiredStatus::Stopped);
    let because = stage.status().stopped_because.unwrap();
    assert!(
        because.time.0 >= stops_at && because.rule == StopRule::Idle,
        "{because:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_workspace_in_use_reaches_its_maximum_age_which_is_announced_once_it_comes_first() {
    let mut stage = stage().await;
    stage.edit_spec(|spec| spec["limits"] = json!({"maxAgeMinutes": 30}));
    let (pod, over) = (Pod::new(), "2026-01-01T00:30:04Z".parse::<Timestamp>().unwrap());
    ask_for(&mut stage, &pod, MINUTE).await;
    assert_eq!(stage.status().stops_because, Some(StopRule::Idle));
    for _ in 0..28 {
        pod.is_used(now());
        ask_for(&mut stage, &pod, MINUTE).await;
    }
    let status = stage.status();
    assert_eq!(
        (status.stops_because, status.stops_at.unwrap().0),
        (Some(StopRule::MaxAge), over)
    );
    assert_eq!(desired(&stage), DesiredStatus::Running);
    pod.is_used(now());
    ask_for(&mut stage, &pod, MINUTE * 2).await;
    let because = stage.status().stopped_because.unwrap();
    assert_eq!(because.rule, StopRule::MaxAge);
    assert!(because.time.0 >= over, "{because:?}");
}

#[tokio::test(start_paused = true)]
async fn a_question_announces_the_stop_and_idleness_in_the_second_half_of_its_timeout_alone() {
    let mut stage = stage().await;
    let pod = Pod::new();
    let told = || pod.told.lock().unwrap().clone();
    ask_for(&mut stage, &pod, MINUTE * 4).await;
    assert_eq!(stage.status().stops_because, Some(StopRule::Idle));
    assert_eq!(told(), None);
    ask_for(&mut stage, &pod, MINUTE * 3).await;
    assert_eq!(told().as_deref(), Some("2026-01-01T00:10:05Z Idle false"));
    pod.is_used(now());
    ask_for(&mut stage, &pod, MINUTE * 3).await;
    assert_eq!(told(), None);
    stage.edit_spec(|spec| spec["limits"] = json!({"maxAgeMinutes": 15}));
    ask_for(&mut stage, &pod, MINUTE * 2).await;
    assert_eq!(told().as_deref(), Some("2026-01-01T00:15:04Z MaxAge false"));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_while_nothing_moves() {
    let mut stage = stage().await;
    let pod = Pod::new();
    ask_for(&mut stage, &pod, MINUTE * 2).await;
    stage.server.take_calls();
    ask_for(&mut stage, &pod, MINUTE * 7).await;
    assert!(stage.server.take_calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_does_not_answer_is_never_stopped_and_reported_once() {
    let mut stage = stage().await;
    let pod = Pod::new();
    pod.is_broken.store(true, Ordering::Relaxed);
    ask_for(&mut stage, &pod, MINUTE * 60).await;
    assert_eq!(desired(&stage), DesiredStatus::Running);
    let reported = stage
        .events()
        .iter()
        .filter(|reason| *reason == "IdleCheckFailed")
        .count();
    assert_eq!(reported, 1);
    let status = stage.status();
    assert_eq!(status.stops_at, None);
    let signal = status.idle.unwrap().signals.remove(0);
    let told = (signal.name.as_str(), signal.error.as_deref());
    assert_eq!(told, ("server", Some("the answer is 500, not 200")));
    assert_eq!(status.stops_because, None);
    let writes = stage.writes();
    let statuses = writes
        .iter()
        .filter(|write| *write == "PATCH workspaces/demo/status");
    assert!(statuses.count() <= 2, "{writes:?}");
    pod.is_broken.store(false, Ordering::Relaxed);
    ask_for(&mut stage, &pod, MINUTE * 3).await;
    assert_eq!(desired(&stage), DesiredStatus::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_user_who_starts_it_at_the_same_moment_wins() {
    let mut stage = stage().await;
    let pod = Pod::new();
    ask_for(&mut stage, &pod, MINUTE * 9).await;
    // They write the workspace, and the operator's cache has not seen it.
    stage.server.edit::<Workspace>(Some(NAMESPACE), "demo", |object| {
        object["metadata"]["annotations"][names::STARTED_BY] = json!("alice");
    });
    stage.server.take_calls();
    let (context, asker, shutdown) = (stage.context.clone(), pod.asker(), CancellationToken::new());
    let _ = tokio::time::timeout(MINUTE * 5, idle::run(&context, &asker, &shutdown)).await;
    assert_eq!(desired(&stage), DesiredStatus::Running);
    let refused = stage.writes();
    assert!(
        !refused.is_empty() && refused.iter().all(|write| write == "PATCH workspaces/demo"),
        "{refused:?}"
    );
    assert!(
        !stage
            .workspace()
            .annotations()
            .contains_key(names::STOPPED_BECAUSE)
    );
}

#[tokio::test(start_paused = true)]
async fn a_new_leader_stops_no_workspace_early_and_continues_from_the_status() {
    let mut stage = stage().await;
    let pod = Pod::new();
    tokio::time::advance(MINUTE * 5).await;
    pod.is_used(now());
    ask_for(&mut stage, &pod, MINUTE * 2).await;
    // The pod has forgotten it meanwhile: a kernel that computed is gone, for example.
    pod.is_used(Timestamp::UNIX_EPOCH);
    stage.replace_operator(None);
    stage.set_clock(now);
    settle(&mut stage).await;
    ask_for(&mut stage, &pod, MINUTE * 7).await;
    assert_eq!(desired(&stage), DesiredStatus::Running);
    ask_for(&mut stage, &pod, MINUTE * 3).await;
    assert_eq!(desired(&stage), DesiredStatus::Stopped);
}

#[tokio::test(start_paused = true)]
async fn disabling_the_idle_stop_restarts_nothing() {
    let mut stage = stage().await;
    let pod = Pod::new();
    ask_for(&mut stage, &pod, MINUTE * 9).await;
    let run = stage.status().run_id;
    stage.edit_spec(|spec| spec["idleShutdown"]["enabled"] = json!(false));
    ask_for(&mut stage, &pod, MINUTE * 30).await;
    let status = stage.status();
    assert_eq!(desired(&stage), DesiredStatus::Running);
    assert_eq!((status.stops_at, status.idle, status.run_id), (None, None, run));
    assert_eq!(status.pending_update, Vec::<String>::new());
    stage.edit_spec(|spec| spec["idleShutdown"] = json!({"idleTimeoutInMinutes": 20}));
    ask_for(&mut stage, &pod, MINUTE * 5).await;
    assert_eq!(
        desired(&stage),
        DesiredStatus::Stopped,
        "a change takes effect at once"
    );
}

#[tokio::test(start_paused = true)]
async fn a_disk_deleted_an_instant_before_the_stop_is_kept_too() {
    let mut stage = stage().await;
    let pod = Pod::new();
    ask_for(&mut stage, &pod, MINUTE * 9).await;
    stage
        .server
        .edit::<PersistentVolumeClaim>(Some(NAMESPACE), CHILD, |claim| {
            claim["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:09:00Z");
            claim["metadata"]["finalizers"] = json!(["kubernetes.io/pvc-protection"]);
        });
    // The watch has reported, and no reconcile has followed yet.
    stage.sync();
    let (context, asker, shutdown) = (stage.context.clone(), pod.asker(), CancellationToken::new());
    let _ = tokio::time::timeout(MINUTE * 5, idle::run(&context, &asker, &shutdown)).await;
    assert_eq!(desired(&stage), DesiredStatus::Running);
}
