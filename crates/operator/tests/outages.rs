//! A whole operator with watches and queue, and an API server that is slow, silent or unreachable, or loses answers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use api::{
    Workspace,
    workspace::{DesiredStatus, Phase},
};
use http::Method;
use k8s_openapi::api::{
    core::v1::{PersistentVolumeClaim, Pod, Service},
    events::v1::Event,
};
use kube::runtime::controller::{Config, applier};
use operator::{
    cache::{stores::Writers, watch},
    context::Context,
    reconcile::{error_policy, reconcile_when_filled},
};
use testkit::{api_server::Disruption, objects};
use tokio::task::JoinHandle;

use crate::stage::{POLICIES, Stage, operator, run_id};

/// An operator that works until it is dropped.
pub(crate) struct Process {
    task: JoinHandle<()>,
    reconciles: Arc<AtomicUsize>,
}

impl Process {
    /// How many reconciles it has begun.
    pub(crate) fn reconciles(&self) -> usize {
        self.reconciles.load(Ordering::Relaxed)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn begin(stage: &Stage) -> Process {
    begin_with_context(stage).0
}

/// An operator that reconciles workspaces, and the state that it shares with other controllers.
pub(crate) fn begin_with_context(stage: &Stage) -> (Process, Arc<Context>) {
    let writers = Writers::default();
    let context = operator(stage.server.connect(None), &writers, true);
    begin_as(context, writers)
}

/// An operator with this state.
pub(crate) fn begin_as(context: Arc<Context>, writers: Writers) -> (Process, Arc<Context>) {
    let pending_writes = context.pending_writes.clone();
    let triggers = watch::start(
        &context.client,
        &context.installation.scope,
        writers,
        pending_writes,
        500,
    );
    let workspaces = context.stores.workspaces.clone();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let reconcile = move |object, context| {
        counted.fetch_add(1, Ordering::Relaxed);
        Box::pin(reconcile_when_filled(object, context))
    };
    let config = Config::default().concurrency(4);
    let reconciles = applier(
        reconcile,
        error_policy,
        context.clone(),
        workspaces,
        triggers,
        config,
    );
    let task = tokio::spawn(async move {
        futures::StreamExt::for_each(reconciles, |_| async {}).await;
    });
    let process = Process {
        task,
        reconciles: count,
    };
    (process, context)
}

/// Lets time reconcile until something is the case, for at most this long.
pub(crate) async fn within(what: &str, limit: Duration, holds: impl Fn() -> bool) {
    let watched = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    assert!(
        tokio::time::timeout(limit, watched).await.is_ok(),
        "{what} within {limit:?}"
    );
}

fn phase(stage: &Stage) -> Option<Phase> {
    stage.workspace().status.and_then(|status| status.phase)
}

/// The writes of a start with a Service, as they are called.
pub(crate) fn writes() -> [(Method, &'static str); 5] {
    [
        (Method::PATCH, "persistentvolumeclaims"),
        (Method::POST, "services"),
        (Method::POST, "networkpolicies"),
        (Method::POST, "pods"),
        (Method::PATCH, "status"),
    ]
}

/// One of each child, for the run that the status names.
fn made_once(stage: &Stage) {
    assert_eq!(stage.all::<PersistentVolumeClaim>().len(), 1);
    assert_eq!(stage.all::<Service>().len(), 1);
    assert_eq!(stage.policies(), POLICIES);
    assert_eq!(stage.all::<Pod>().len(), 1);
    assert_eq!(stage.status().run_id, Some(run_id(&stage.child().unwrap())));
}

fn every_disruption_was_met(stage: &Stage) {
    assert_eq!(stage.server.unmet(), Vec::<String>::new());
}

/// An operator and a workspace that runs.
async fn running() -> (Stage, Process) {
    let stage = Stage::with_service();
    let process = begin(&stage);
    within("a start", Duration::from_secs(10), || !stage.is_ending()).await;
    stage.cluster();
    stage.get_ready();
    within("a ready workspace", Duration::from_secs(10), || {
        phase(&stage) == Some(Phase::Running)
    })
    .await;
    (stage, process)
}

#[tokio::test(start_paused = true)]
async fn what_happened_while_watches_were_gone_is_found_after_listing_anew() {
    let (stage, _process) = running().await;
    stage.server.take_calls();
    stage.set(DesiredStatus::Stopped);
    // The stop is older than anything that a watch can begin with now.
    stage.server.forget_history();
    within("the stop", Duration::from_mins(1), || stage.is_ending()).await;
    stage.cluster();
    stage.end_pods();
    stage.server.forget_history();
    within("the end", Duration::from_mins(1), || {
        phase(&stage) == Some(Phase::Stopped)
    })
    .await;
    let written = stage.server.take_calls();
    let ended = written
        .iter()
        .filter(|call| call.is_write() && call.path.contains("pods"));
    assert_eq!(ended.count(), 1);
    assert!(stage.all::<Pod>().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_was_cut_off_goes_on_where_it_was() {
    let (stage, _process) = running().await;
    stage.server.partition(true);
    stage.set(DesiredStatus::Stopped);
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert!(!stage.is_ending(), "the pod is not touched");
    stage.server.partition(false);
    within("the stop", Duration::from_mins(2), || stage.is_ending()).await;
    assert_eq!(stage.all::<Pod>().len(), 1);
    assert_eq!(stage.all::<PersistentVolumeClaim>().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_a_call_delays_one_reconcile_and_no_more() {
    for (method, path) in [
        (Method::PATCH, "persistentvolumeclaims/workspace-demo"),
        // A creation's path names no object: it is the one whose turn comes first that waits.
        (Method::POST, "pods"),
        // Both wait for it.
        (Method::POST, "networkpolicies"),
        (Method::PATCH, "demo/status"),
    ] {
        let stage = Stage::with_demo();
        stage.server.disrupt(method, path, Disruption::NoAnswer);
        stage.server.put(&objects::workspace("other"));
        let _process = begin(&stage);
        let started = || {
            let all = stage.all::<Workspace>().into_iter();
            let phases = all.filter_map(|one| one.status?.phase);
            phases.filter(|phase| *phase == Phase::Starting).count()
        };
        within("the call that is not answered", Duration::from_secs(10), || {
            stage.server.unmet().is_empty()
        })
        .await;
        let alone = usize::from(path != "networkpolicies");
        within("the one that is not held up", Duration::from_secs(10), || {
            started() == alone
        })
        .await;
        within("the next try", Duration::from_mins(1), || started() == 2).await;
        assert_eq!(stage.policies(), POLICIES, "{path}");
        assert_eq!(stage.all::<Pod>().len(), 2, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_lost_double_nothing() {
    let (children, status) = (&writes()[..4], &writes()[4..]);
    for lost in [children, status] {
        let stage = Stage::with_service();
        for (method, path) in lost {
            stage
                .server
                .disrupt(method.clone(), path, Disruption::Unanswered(Duration::ZERO));
        }
        let _process = begin(&stage);
        within("the start", Duration::from_mins(5), || {
            let reported = stage.workspace().status.and_then(|status| status.run_id);
            reported.is_some() && reported == stage.child().map(|it| run_id(&it))
        })
        .await;
        // Calls without an answer are retried, and no Event is written twice.
        tokio::time::sleep(Duration::from_mins(5)).await;
        every_disruption_was_met(&stage);
        made_once(&stage);
        // An Event follows a status that is known to be written: without that answer there is none rather than two.
        let events = stage.events();
        assert!(
            events == ["Starting"] || (lost == status && events.is_empty()),
            "{lost:?}: {events:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_starting_operator_writes_nothing_before_its_caches_are_filled() {
    for late in ["workspacemanagers", "pods", "pods", "persistentvolumeclaims"] {
        let (stage, process) = running().await;
        let before = stage.workspace();
        drop(process);
        stage
            .server
            .disrupt(Method::GET, late, Disruption::Late(Duration::from_secs(8)));
        stage.server.take_calls();
        let events = stage.all::<Event>().len();
        let _process = begin(&stage);
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(stage.workspace(), before, "{late}");
        assert_eq!(stage.all::<Event>().len(), events, "{late}");
        let written = stage.server.take_calls();
        let written: Vec<_> = written.iter().filter(|call| call.is_write()).collect();
        assert!(written.is_empty(), "{late}: {written:?}");
        every_disruption_was_met(&stage);
    }
}
