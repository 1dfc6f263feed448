//! A stopped workspace whose announced time is over -> deleted, unless it has changed (IO).

use std::time::Duration;

use api::Workspace;
use jiff::Timestamp;
use kit::limit::Rate;
use kube::{
    Api,
    api::{DeleteParams, Preconditions},
};
use rules::expiry;
use tokio::time::Instant;

use super::clock;
use crate::{
    cache::observed::Identity,
    context::Context,
    controllers::{
        attempt::{Attempt, Failed, attempt},
        idle::is_refusal,
    },
    status::{publish, transitions},
    support::{backoff::up_to, failure::message_of},
};

/// Ten deletions a minute: who sees a mistake has time to act.
const RATE: Rate = Rate::new(1, Duration::from_secs(6));
/// A deletion that takes longer is stuck. It is cancelled and retried.
const LIMIT: Duration = Duration::from_secs(15);
/// The wait before another reconcile if the deletion was sent, or the workspace changed. A watch event usually triggers one before.
const AGAIN: Duration = Duration::from_secs(5);
/// The longest wait of those that are due together, and while our clock is wrong.
const LATER: Duration = Duration::from_mins(5);

/// Deletes the workspace if its time is over. `next`: its time by the status that is stored now. Returns when to reconcile again.
pub async fn enforce(context: &Context, workspace: &Workspace, next: Option<Timestamp>) -> Option<Duration> {
    let (next, now) = (next?, (context.now)());
    if next > now {
        return Duration::try_from(next.duration_since(now)).ok();
    }
    if !expiry::is_due(workspace, Some(next), now) {
        return Some(AGAIN);
    }
    if let Err(wait) = context.deletions.take((), RATE, Instant::now().into_std()) {
        return Some(wait + up_to(LATER));
    }
    let identity = Identity::from_meta(&workspace.metadata);
    let what = Attempt {
        step: "expiry",
        key: format!("deletion of {}", identity.key()),
        limit: LIMIT,
        complaint: "the retention of a stopped workspace is over and it cannot be deleted",
    };
    let deletion = Box::pin(delete(context, &identity, next));
    match attempt(context, &what, deletion).await {
        Ok(again) => Some(again),
        Err(Failed { error, again }) => {
            if is_refusal(&error) {
                let event = transitions::not_deleted(&message_of(&error));
                publish::event(context, &identity, event).await;
            }
            Some(again)
        }
    }
}

/// Deletes what the API server has now, if its time is over by that, too. Returns when to reconcile again.
async fn delete(context: &Context, identity: &Identity, at: Timestamp) -> Result<Duration, kube::Error> {
    if !clock::is_right(context).await? {
        return Ok(LATER);
    }
    let workspaces: Api<Workspace> = Api::namespaced(context.client.clone(), &identity.namespace);
    let live = workspaces.get_opt(&identity.name).await?;
    let is_due = |live: &Workspace| {
        live.metadata.uid.as_ref() == Some(&identity.uid) && expiry::is_due(live, Some(at), (context.now)())
    };
    let Some(live) = live.filter(is_due) else {
        return Ok(AGAIN);
    };
    let params = DeleteParams::default().preconditions(Preconditions {
        uid: live.metadata.uid.clone(),
        resource_version: live.metadata.resource_version.clone(),
    });
    let workspace = identity.key();
    match workspaces.delete(&identity.name, &params).await {
        Ok(_) => {
            context.metrics.write("expiry");
            context.metrics.count_expired();
            let days = live
                .status
                .as_ref()
                .and_then(|it| it.resolved.as_ref()?.stopped_retention_days);
            tracing::info!(
                workspace,
                days,
                "the retention of the stopped workspace is over: it is deleted"
            );
            let event = transitions::deleted(&identity.name, &live.status.unwrap_or_default());
            publish::event(context, identity, event).await;
        }
        // Somebody else was faster.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {
            tracing::info!(workspace, "the workspace changed and is not deleted");
        }
        Err(error) => return Err(error),
    }
    Ok(AGAIN)
}
