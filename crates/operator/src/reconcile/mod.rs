//! A workspace -> its children and its status (IO). Start reading at `workspace.rs`.
//!
//! | file | input -> output |
//! |---|---|
//! | `workspace.rs` | one workspace -> one reconcile: observe, admit, plan, apply, assess, publish |
//! | `admit.rs` | workspace, references -> a valid workspace, or why it must not run |
//! | `delete.rs` | a workspace that is being deleted -> its finalizer released |
//! | `teardown.rs` | children of a deleted workspace -> deleted, its disk deleted or retained |
//! | `outcome.rs` | results of the steps -> when to reconcile again, or why the reconcile failed |

mod admit;
mod delete;
mod outcome;
mod teardown;
mod workspace;

use std::{sync::Arc, time::Duration};

use api::Workspace;
use kube::{Resource as _, runtime::controller::Action};

pub use self::outcome::Error;
use self::{
    delete::delete,
    outcome::{LIMIT, Next},
    workspace::{explain, reconcile_workspace},
};
use crate::{
    cache::{observed::Identity, stores::Parsed},
    context::Context,
    support::{
        backoff::jitter,
        failure::{is_expected, reason_of},
    },
};

/// A settled workspace is reconciled again after this time, in case a watch missed an event. It costs no API call.
const RESYNC: Duration = Duration::from_mins(20);

/// Reconciles one workspace once every cache is filled. Before that, an object that is not cached yet appears deleted.
pub async fn reconcile_when_filled(
    object: Arc<Parsed<Workspace>>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    // It fails only when the caches are no longer filled. Then the result of the reconcile is not used either.
    let _ = context.stores.until_filled().await;
    reconcile(object, context).await
}

/// Reconciles one workspace. `object` names it: the caches may show a newer one by now.
pub async fn reconcile(object: Arc<Parsed<Workspace>>, context: Arc<Context>) -> Result<Action, Error> {
    let identity = Identity::from_meta(object.meta());
    let key = identity.key();
    let newest = context
        .pending_writes
        .newest_workspace(&identity, &context.stores);
    let object = newest.unwrap_or(object);
    let next = match tokio::time::timeout(LIMIT, Box::pin(reconcile_by_state(&object, &context))).await {
        Ok(result) => result?,
        Err(_) => return Err(Error::Stuck),
    };
    if let Next::Blocked(latest) = next {
        let wait = context.backoff.after_failure(&key).max(Duration::from_secs(1));
        return Ok(Action::requeue(latest.map_or(wait, |latest| latest.min(wait))));
    }
    context.backoff.reset(&key);
    Ok(match next {
        Next::Settled(after) => {
            Action::requeue(after.map_or_else(|| jitter(RESYNC), |after| after.min(RESYNC)))
        }
        Next::Blocked(_) | Next::Never => Action::await_change(),
    })
}

/// The wait after a failed reconcile: it grows for this workspace and does not affect others.
#[expect(clippy::needless_pass_by_value, reason = "the signature that the queue calls")]
pub fn error_policy(object: Arc<Parsed<Workspace>>, error: &Error, context: Arc<Context>) -> Action {
    let (step, source) = error.origin();
    context
        .metrics
        .error(step, source.map_or_else(|| "Stuck".to_owned(), reason_of));
    let workspace = Identity::from_meta(object.meta()).key();
    let wait = context.backoff.after_failure(&workspace);
    let retry_ms = wait.as_millis();
    if source.is_some_and(is_expected) {
        tracing::debug!(%error, workspace, retry_ms, "the reconcile failed and is retried");
    } else {
        tracing::warn!(%error, workspace, retry_ms, "the reconcile failed and is retried");
    }
    Action::requeue(wait)
}

async fn reconcile_by_state(object: &Parsed<Workspace>, context: &Context) -> Result<Next, Error> {
    let namespace = object.meta().namespace.as_deref().unwrap_or_default();
    match &object.0 {
        _ if context.installation.ignores(namespace) => Ok(Next::Never),
        _ if object.meta().deletion_timestamp.is_some() => Box::pin(delete(object, context)).await,
        Ok(workspace) => Box::pin(reconcile_workspace(workspace, context)).await,
        Err(invalid) => explain(invalid, context).await,
    }
}
