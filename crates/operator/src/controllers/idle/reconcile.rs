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

/// Most pods that are asked concurrently.
const CONCURRENCY: usize = 32;
/// Most pods of one namespace that are asked concurrently. Pods that never answer delay only pods of their own namespace.
const CONCURRENCY_PER_NAMESPACE: usize = 8;
/// A write that takes longer is stuck. It is cancelled and retried after the next answer.
const LIMIT: Duration = Duration::from_secs(15);

/// Asks pods until shutdown. The workspace reconciles register which.
pub async fn run(context: &Context, asker: &Asker, shutdown: &CancellationToken) {
    let tracker = &context.idle;
    let mut under_way = FuturesUnordered::new();
    let mut by_namespace = HashMap::<String, usize>::new();
    loop {
        let now = Instant::now();
        while under_way.len() < CONCURRENCY
            && let Some(job) = tracker.take(now, |namespace| has_room(&by_namespace, namespace))
        {
            let namespace = job.subject.identity.namespace.clone();
            *by_namespace.entry(namespace.clone()).or_default() += 1;
            under_way.push(Box::pin(async {
                check(context, asker, job).await;
                namespace
            }));
        }
        // At the limit, due pods wait for a request in progress to end.
        let next = tracker.next(now).filter(|_| under_way.len() < CONCURRENCY);
        let due = async {
            match next {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            Some(namespace) = under_way.next() => {
                if let Some(count) = by_namespace.get_mut(&namespace) {
                    *count -= 1;
                }
            }
            () = due => {}
            () = tracker.wait_for_change() => {}
        }
    }
}

fn has_room(by_namespace: &HashMap<String, usize>, namespace: &str) -> bool {
    let under_way = by_namespace.get(namespace);
    under_way.is_none_or(|under_way| *under_way < CONCURRENCY_PER_NAMESPACE)
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
