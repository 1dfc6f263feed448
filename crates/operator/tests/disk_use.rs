//! The status says how much of a disk is used, if the door tells it. That stops and starts nothing.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use api::workspace::{DesiredStatus, DiskResource, Phase};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use operator::{
    activity::{Answered, Asker, DiskReading, Reading, Signal, Unanswered},
    controllers::idle,
};
use serde_json::json;
use testkit::objects::NAMESPACE;
use tokio_util::sync::CancellationToken;

use crate::idle::{MINUTE, now, settle};
use crate::stage::{CHILD, Stage};

const GIB: u64 = 1 << 30;

/// The door of a pod, and how often it was asked.
#[derive(Clone)]
struct Door {
    tells: Arc<Mutex<Answered>>,
    asked: Arc<AtomicUsize>,
}

/// A disk of 10 GiB, of which this is used.
fn disk(used_gib: u64) -> DiskReading {
    DiskReading {
        size_bytes: 10 * GIB,
        used_bytes: used_gib * GIB,
        available_bytes: (10 - used_gib) * GIB,
        used_inodes: 10,
        available_inodes: 90,
        full: false,
    }
}

#[expect(clippy::unnecessary_wraps, reason = "an answer beside those that fail")]
fn told(disk: Option<DiskReading>) -> Answered {
    let signal = |name, last_activity| Signal { name, last_activity };
    Ok(Reading {
        signals: vec![signal("user", None), signal("presence", Some(now()))],
        disk,
        ..Reading::default()
    })
}

impl Door {
    fn new(answer: Answered) -> Self {
        Self {
            tells: Arc::new(Mutex::new(answer)),
            asked: Arc::default(),
        }
    }

    fn tells(&self, answer: Answered) {
        *self.tells.lock().unwrap() = answer;
    }

    fn asked(&self) -> usize {
        self.asked.swap(0, Ordering::Relaxed)
    }

    /// Lets the operator ask for so long, and follows its triggers.
    async fn ask_for(&self, stage: &mut Stage, minutes: u32) {
        for _ in 0..minutes {
            let door = self.clone();
            let asker = Asker::new(move |_| {
                door.asked.fetch_add(1, Ordering::Relaxed);
                std::future::ready(door.tells.lock().unwrap().clone())
            });
            let (context, shutdown) = (stage.context.clone(), CancellationToken::new());
            let _ = tokio::time::timeout(MINUTE, idle::run(&context, &asker, &shutdown)).await;
            stage.reconcile().await.unwrap();
        }
    }
}

/// `demo`, ready on a disk of 10 GiB, without an idle rule.
async fn stage() -> Stage {
    let mut stage = Stage::with_demo();
    stage.set_clock(now);
    settle(&mut stage).await;
    stage.cluster();
    stage
        .server
        .edit::<PersistentVolumeClaim>(Some(NAMESPACE), CHILD, |claim| {
            claim["status"]["capacity"] = json!({"storage": "10Gi"});
        });
    stage.get_ready();
    settle(&mut stage).await;
    stage.server.take_calls();
    stage
}

fn shown(stage: &Stage) -> (Option<i32>, Option<DiskResource>, bool) {
    let disk = stage.status().disk.unwrap();
    (disk.used_percent, disk.used_percent_of, disk.full)
}

const NOTHING: (Option<i32>, Option<DiskResource>, bool) = (None, None, false);

fn warnings(stage: &Stage) -> usize {
    let events = stage.events();
    events.iter().filter(|reason| *reason == "DiskNearlyFull").count()
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_fills_up_is_told_in_steps_with_one_event_and_nothing_is_stopped() {
    let mut stage = stage().await;
    let door = Door::new(told(Some(disk(4))));
    door.ask_for(&mut stage, 6).await;
    assert_eq!(shown(&stage), (Some(40), Some(DiskResource::Bytes), false));
    assert_eq!(warnings(&stage), 0);
    let before = stage.status();
    // An hour without change costs the questions alone.
    stage.server.take_calls();
    door.asked();
    door.ask_for(&mut stage, 60).await;
    assert!(stage.server.take_calls().is_empty());
    let asked = door.asked();
    assert!((10..=14).contains(&asked), "{asked}");
    door.tells(told(Some(disk(9))));
    door.ask_for(&mut stage, 7).await;
    assert_eq!(shown(&stage).0, Some(90));
    let full = DiskReading {
        full: true,
        ..disk(10)
    };
    door.tells(told(Some(full)));
    door.ask_for(&mut stage, 30).await;
    assert_eq!(shown(&stage), (Some(100), Some(DiskResource::Bytes), true));
    assert_eq!(warnings(&stage), 1, "{:?}", stage.events());
    let status = stage.status();
    assert_eq!((status.phase, &status.run_id), (before.phase, &before.run_id));
    assert_eq!(
        stage.workspace().spec.desired_status,
        DesiredStatus::Running,
        "a full disk is no reason to stop"
    );
    assert_eq!((status.idle, status.stops_at), (None, None));
}

#[tokio::test(start_paused = true)]
async fn the_figures_go_with_the_run_and_stay_under_another_leader() {
    let mut stage = stage().await;
    let door = Door::new(told(Some(disk(9))));
    door.ask_for(&mut stage, 6).await;
    let known = shown(&stage);
    assert_eq!(known.0, Some(90));
    stage.replace_operator(None);
    stage.set_clock(now);
    stage.server.take_calls();
    settle(&mut stage).await;
    assert!(stage.writes().is_empty(), "it has asked nobody yet");
    assert_eq!(shown(&stage), known);
    // The server of a network disk is gone: the door tells all but this.
    door.tells(told(None));
    door.ask_for(&mut stage, 7).await;
    assert_eq!(shown(&stage), NOTHING);
    door.tells(told(Some(disk(9))));
    door.ask_for(&mut stage, 7).await;
    assert_eq!(shown(&stage), known);
    stage.set(DesiredStatus::Stopped);
    settle(&mut stage).await;
    stage.end_pods();
    settle(&mut stage).await;
    assert_eq!(stage.status().phase, Some(Phase::Stopped));
    assert_eq!(shown(&stage), NOTHING);
    door.asked();
    door.ask_for(&mut stage, 20).await;
    assert_eq!(door.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_image_without_a_door_and_a_pod_that_does_not_answer_show_nothing_and_fail_nothing() {
    let without = || Ok(Reading::default());
    let silent = || Err(Unanswered::new("disk", "no answer within 5 s"));
    for (answer, asked) in [(without(), 1..=1), (silent(), 10..=14)] {
        let mut stage = stage().await;
        let door = Door::new(answer);
        door.ask_for(&mut stage, 60).await;
        assert_eq!(shown(&stage), NOTHING);
        assert!(stage.writes().is_empty());
        let times = door.asked();
        assert!(asked.contains(&times), "{times}");
        let status = stage.status();
        assert_eq!((status.phase, status.idle), (Some(Phase::Running), None));
    }
}

#[tokio::test(start_paused = true)]
async fn with_an_idle_rule_the_same_answers_tell_both() {
    let mut stage = stage().await;
    stage.edit_spec(|spec| spec["idleShutdown"] = json!({"idleTimeoutInMinutes": 30}));
    settle(&mut stage).await;
    let door = Door::new(told(Some(disk(7))));
    door.ask_for(&mut stage, 3).await;
    assert_eq!(shown(&stage).0, Some(70));
    assert!(stage.status().stops_at.is_some());
    let shared = DiskReading {
        size_bytes: 1000 * GIB,
        full: true,
        ..disk(7)
    };
    door.tells(told(Some(shared)));
    door.ask_for(&mut stage, 3).await;
    assert_eq!(
        shown(&stage),
        (None, None, true),
        "a file server's figures are not the user's"
    );
}
