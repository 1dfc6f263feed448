//! Activity tracker -> due pods asked, statuses written, idle workspaces stopped (IO).

use std::{collections::HashMap, sync::Arc, time::Duration};

use api::workspace::StopRule;
use futures::{StreamExt as _, stream::FuturesUnordered};
use rules::stops;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{status as idle_status, stop};
use crate::{
    activity::{Asker, Subject, tracker::Job},
    context::Context,
    controllers::attempt::{Attempt, Failed, attempt},
    status::{publish, transitions},
    support::failure::message_of,
};

/// Most pods that are asked concurrently, of those that answer and again of the silent ones.
const CONCURRENCY: usize = 32;
/// Most pods of one namespace among them, so that one namespace cannot take all places.
const CONCURRENCY_PER_NAMESPACE: usize = 16;
/// A write that takes longer is stuck. It is cancelled and retried after the next answer.
const LIMIT: Duration = Duration::from_secs(15);

/// Asks pods until shutdown. The workspace reconciles register which.
pub async fn run(context: &Context, asker: &Asker, shutdown: &CancellationToken) {
    let tracker = &context.idle;
    let mut under_way = FuturesUnordered::new();
    let mut lanes = Lanes::default();
    loop {
        let now = Instant::now();
        while let Some(job) = tracker.take(now, |namespace, is_silent| {
            lanes.of(is_silent).has_room(namespace)
        }) {
            let (namespace, is_silent) = (job.subject.identity.namespace.clone(), job.is_silent);
            lanes.of(is_silent).begin(&namespace);
            under_way.push(Box::pin(async move {
                check(context, asker, job).await;
                (namespace, is_silent)
            }));
        }
        // Where there is no room, due pods wait for a request in progress to end.
        let next = tracker.next(now).filter(|_| lanes.have_room());
        let due = async {
            match next {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            Some((namespace, is_silent)) = under_way.next() => lanes.of(is_silent).end(&namespace),
            () = due => {}
            () = tracker.wait_for_change() => {}
        }
    }
}

/// The pods that are asked now. Those that gave no answer the last time have a lane of their own, so that they delay only each other.
#[derive(Debug, Default)]
struct Lanes([Lane; 2]);

impl Lanes {
    fn of(&mut self, is_silent: bool) -> &mut Lane {
        let [others, silent] = &mut self.0;
        if is_silent { silent } else { others }
    }

    fn have_room(&self) -> bool {
        self.0.iter().any(|lane| lane.all < CONCURRENCY)
    }
}

/// How many pods of one kind, silent ones or others, are asked now.
#[derive(Debug, Default)]
struct Lane {
    all: usize,
    by_namespace: HashMap<String, usize>,
}

impl Lane {
    fn has_room(&self, namespace: &str) -> bool {
        let here = self.by_namespace.get(namespace).copied().unwrap_or_default();
        self.all < CONCURRENCY && here < CONCURRENCY_PER_NAMESPACE
    }

    fn begin(&mut self, namespace: &str) {
        self.all += 1;
        *self.by_namespace.entry(namespace.to_owned()).or_default() += 1;
    }

    fn end(&mut self, namespace: &str) {
        self.all -= 1;
        if let Some(here) = self.by_namespace.get_mut(namespace) {
            *here -= 1;
            if *here == 0 {
                self.by_namespace.remove(namespace);
            }
        }
    }
}

/// The pod to ask, with the stop that its status announces now. No reconcile follows our own writes of a status, which could set it before.
fn with_announcement(context: &Context, subject: &Subject) -> Arc<Subject> {
    let newest = context
        .pending_writes
        .newest_workspace(&subject.identity, &context.stores);
    let workspace = newest.and_then(|newest| newest.object());
    let announced = workspace.and_then(|it| idle_status::announcement(&it, &subject.run_id, (context.now)()));
    Arc::new(Subject {
        announced,
        ..subject.clone()
    })
}

async fn check(context: &Context, asker: &Asker, job: Job) {
    let subject = &job.subject;
    let told = with_announcement(context, subject);
    let begin = Instant::now();
    let answer = context.metrics.time("idle", asker.ask(told)).await;
    if let Err(unanswered) = &answer {
        if subject.idle.is_some() {
            context.metrics.count_unanswered();
        }
        tracing::debug!(
            workspace = job.key,
            signal = unanswered.name,
            why = unanswered.why,
            "a pod does not answer about its use"
        );
    }
    let now = (context.now)();
    let Some((report, stop)) = context.idle.record_answer(&job, answer, begin.elapsed(), now) else {
        return;
    };
    let newest = context
        .pending_writes
        .newest_workspace(&subject.identity, &context.stores);
    let Some(workspace) = newest.as_ref().and_then(|newest| newest.object()) else {
        return;
    };
    let status = workspace.status.clone().unwrap_or_default();
    let last_use = report.activity.as_ref().map(|activity| activity.last_activity);
    let first = idle_status::first_stop(&status, last_use, now);
    if stop && stops::decide(first, idle_status::announced(&status), now) == Some(StopRule::Idle) {
        end(context, &job, now).await;
    } else if idle_status::differs(&status, &report, now) {
        context.idle.trigger(&subject.identity);
    }
}

/// Stops a workspace. A failed stop is retried when its pod has answered once more.
async fn end(context: &Context, job: &Job, now: jiff::Timestamp) {
    let what = Attempt {
        step: "idle",
        key: format!("idle stop of {}", job.key),
        limit: LIMIT,
        complaint: "the workspace is idle and cannot be stopped",
    };
    let stopped = attempt(context, &what, stop::stop_idle(context, &job.subject, now)).await;
    if let Err(Failed { error, .. }) = stopped
        && stop::is_refusal(&error)
        && context.idle.is_first_refusal(job)
    {
        let event = transitions::not_stopped(StopRule::Idle, &message_of(&error));
        publish::event(context, &job.subject.identity, event).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silent_pods_leave_room_for_others_of_the_same_namespace() {
        let mut lanes = Lanes::default();
        for _ in 0..CONCURRENCY_PER_NAMESPACE {
            lanes.of(true).begin("team");
        }
        assert!(!lanes.of(true).has_room("team") && lanes.of(true).has_room("free"));
        assert!(lanes.of(false).has_room("team"));
        for number in CONCURRENCY_PER_NAMESPACE..CONCURRENCY {
            lanes.of(true).begin(&format!("ns-{number}"));
        }
        assert!(!lanes.of(true).has_room("free") && lanes.of(false).has_room("free") && lanes.have_room());
        for number in 0..CONCURRENCY {
            lanes.of(false).begin(&format!("ns-{number}"));
        }
        assert!(!lanes.have_room());
        lanes.of(true).end("team");
        assert!(lanes.of(true).has_room("team") && lanes.of(true).has_room("free") && lanes.have_room());
    }
}
