//! Plan, intent, observed state -> children as planned (IO): written only where they differ.
//!
//! Each write carries a precondition: the object is absent, or it is exactly the object that was checked to be ours. If another client
//! takes a child's name between our read and our write, its object stays unchanged.
//!
//! | file | input -> output |
//! |---|---|
//! | `start_safety.rs` | caches, our last writes, reads -> whether a run may start |
//! | `intent.rs` | desired status, observed state, safety of a start -> run, stop or wait (pure) |
//! | `diff.rs` | planned child, live child -> whether to write it (pure) |
//! | `writes.rs` | a planned child -> the child as written, or what blocks it |
//! | `scale.rs` | number of pods -> the Deployment with that number |
//! | `disk.rs` | planned disk, live claim -> the workspace's own disk |
//! | `borrowed_claim.rs` | claims that the workspace only names -> whether it may mount them |
//! | `account.rs` | planned service account -> the workspace's own service account |
//! | `lasting.rs` | planned children -> all that outlasts a run, as planned |
//! | `finalizer.rs` | a workspace -> its finalizer, set and released |
//! | `delete.rs` | a child -> deleted; a run -> what is left of its pods |
//! | `contest.rs` | repeated writes of a child -> backoff, if another client writes it as well |
//! | `correction_events.rs` | a corrected Deployment -> the Event that reports it (pure) |
//! | `touch_refused.rs` | a Deployment whose pod is refused -> the pod is tried again |

mod account;
mod borrowed_claim;
pub(crate) mod contest;
mod correction_events;
pub(crate) mod delete;
pub(crate) mod diff;
mod disk;
pub(crate) mod finalizer;
pub(crate) mod intent;
mod lasting;
mod scale;
pub(crate) mod start_safety;
mod touch_refused;
mod writes;

use std::{fmt::Debug, time::Duration};

use api::{
    Workspace,
    condition::{self, STOPPED},
    names,
};
use k8s_openapi::api::{apps::v1::Deployment, networking::v1::NetworkPolicy};
use kube::{
    Api, Resource,
    api::{DeleteParams, Preconditions},
};
use rules::ValidWorkspace;

pub(crate) use self::writes::{Outcome, is_conflict, with_backoff};
pub(crate) use self::{borrowed_claim::give_back, disk::retain, touch_refused::Retries};
use self::{
    lasting::lasting,
    scale::{scale, scaler},
    writes::{Kind, Made, conflict, create, expect, failed, json_patch, make, objects, terminating, write},
};
use crate::{
    apply::{
        diff::Step,
        intent::Intent,
        start_safety::{Confirmed, StartSafety},
    },
    blockers::Blocker,
    cache::{
        observed::{Identity, Observed, meta_covers},
        partial,
    },
    context::Context,
    plan::{self, Plan},
    status::publish,
    support::{failure::message_of, random},
};

/// A write failed with a transient error: a conflict, overload or an outage.
#[derive(Debug, thiserror::Error)]
#[error("the {kind} cannot be written: {}", message_of(.source))]
pub struct Error {
    /// Kind of the object.
    pub kind: String,
    /// The reason.
    #[source]
    pub source: kube::Error,
}

impl Error {
    pub(crate) fn of(kind: &str, source: kube::Error) -> Self {
        let kind = kind.to_owned();
        Self { kind, source }
    }
}

/// The state after the writes.
#[derive(Debug)]
pub(crate) struct Applied {
    /// The children, as they were written.
    pub observed: Observed,
    /// What blocked a write; the first, if several.
    pub blocker: Option<Blocker>,
    /// When to reconcile again, even if nothing changes.
    pub recheck: Option<Duration>,
    /// A write that failed with a transient error and is tried again. The status is published all the same.
    pub failure: Option<Error>,
}

impl Applied {
    fn is_blocked(&self) -> bool {
        self.blocker.as_ref().is_some_and(Blocker::blocks)
    }
}

/// Longest time for writes that neither a stop nor the status waits for.
const LIMIT: Duration = Duration::from_secs(10);

/// The result of these writes, or an error if they take longer than [`LIMIT`].
pub(crate) async fn limited<T>(
    kind: &str,
    writes: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let result = tokio::time::timeout(LIMIT, writes).await;
    result.unwrap_or_else(|late| Err(Error::of(kind, kube::Error::Service(late.into()))))
}

/// Makes the children of a workspace as planned. Without a plan (the workspace is invalid) only the network policy is made, for a pod
/// that still runs; `planned` names it then. A run is ended first, whatever else fails. A start fails with the first write that fails.
pub(crate) async fn apply(
    context: &Context,
    workspace: &Workspace,
    planned: Result<(&ValidWorkspace, Box<Plan>), Option<Box<NetworkPolicy>>>,
    intent: Intent,
    Confirmed { observed, safety, .. }: Confirmed,
) -> Result<Applied, Error> {
    let mut applied = Applied {
        observed,
        blocker: None,
        recheck: None,
        failure: None,
    };
    let undone = if correction_events::seems_undone(workspace, intent) {
        let scaler = scaler(context, &applied.observed).await?;
        correction_events::undone(&applied.observed, scaler)
    } else {
        None
    };
    let runs = applied.observed.wanted_pods() > 0 || applied.observed.live_pods().next().is_some();
    if intent == Intent::Stop {
        scale(context, 0, &mut applied).await?;
    }
    let to_start = planned.as_ref().ok().map(|(valid, _)| *valid);
    let to_start = to_start.filter(|_| intent == Intent::Start);
    let lasting = Box::pin(lasting(context, workspace, planned, runs, &mut applied));
    if let Some(valid) = to_start {
        lasting.await?;
        if !applied.is_blocked() {
            let borrowed =
                Box::pin(borrowed_claim::borrow(context, &applied.observed.identity, valid)).await?;
            applied.blocker = borrowed.or(applied.blocker);
        }
        if !applied.is_blocked() {
            start(context, valid, &mut applied).await?;
        }
    } else if let Err(error) = limited("child", lasting).await {
        applied.failure.get_or_insert(error);
    }
    match intent {
        Intent::Keep => match keep(context, &mut applied).await {
            Ok(recheck) => applied.recheck = recheck,
            Err(error) => {
                applied.failure.get_or_insert(error);
            }
        },
        // The claim is released before the status says that the workspace is stopped.
        Intent::Rest => free(context, workspace, &applied.observed.identity, safety).await?,
        Intent::Start | Intent::Await | Intent::Stop => {}
    }
    if let Some(event) = undone {
        publish::event(context, &applied.observed.identity, event).await;
    }
    Ok(applied)
}

/// Leaves a run as it is, with one pod. Returns when to try again to make a pod that is refused.
async fn keep(context: &Context, applied: &mut Applied) -> Result<Option<Duration>, Error> {
    scale(context, 1, applied).await?;
    touch_refused::touch(context, applied).await
}

/// Releases the claim that was the home after the last pod has ended. Another workspace may use it then.
async fn free(
    context: &Context,
    workspace: &Workspace,
    identity: &Identity,
    safety: StartSafety,
) -> Result<(), Error> {
    let storage = workspace.spec.storage.as_ref();
    let claim = storage.and_then(|storage| storage.claim_name.as_ref());
    let status = workspace.status.as_ref();
    let is_stopped = status.is_some_and(|status| condition::holds(&status.conditions, STOPPED));
    match claim {
        Some(claim) if !is_stopped && safety == StartSafety::Safe => {
            give_back(context, identity, claim).await
        }
        _ => Ok(()),
    }
}

/// Starts a run. The pod template is written only here, and only to the Deployment version that was seen without pods. A start that was
/// decided earlier, or by a former leader, fails.
async fn start(context: &Context, valid: &ValidWorkspace, applied: &mut Applied) -> Result<(), Error> {
    let live = applied.observed.deployment.as_ref();
    let identity = &applied.observed.identity;
    if let Some(blocker) = live.and_then(|live| in_the_way(identity, live.as_ref())) {
        applied.blocker = Some(blocker);
        return Ok(());
    }
    if let Some(changed) = live.filter(|_| applied.observed.template_changed_by().is_some()) {
        applied.blocker = Some(discard(context, identity, changed).await?);
        return Ok(());
    }
    let deployment = Box::new(plan::run(valid, &context.site, &random::identifier()));
    let outcome = match live {
        Some(live) => next_run(context, identity, live, deployment).await?,
        None => first_run(context, identity, deployment).await?,
    };
    deployed(context, outcome, applied);
    Ok(())
}

/// Makes the Deployment with a run. From here on a pod may exist, even if the write gets no answer. If a user deletes the Deployment
/// before a cache shows it, that pod may remain.
async fn first_run(
    context: &Context,
    identity: &Identity,
    planned: Box<Deployment>,
) -> Result<Outcome<partial::Deployment>, Error> {
    context.pending_writes.expect_creation(&identity.key());
    let write = create(context, identity, planned.as_ref());
    match make::<partial::Deployment>(context, identity, &identity.child_name(), write).await? {
        Made::New(outcome) => Ok(outcome),
        Made::Exists(found, error) => {
            let blocker = in_the_way(identity, found.as_ref());
            Ok(Outcome::Blocked(blocker.ok_or(error)?))
        }
    }
}

/// Replaces the previous run. A Deployment that lost labels or annotations of ours gets them first.
async fn next_run(
    context: &Context,
    identity: &Identity,
    live: &partial::Deployment,
    planned: Box<Deployment>,
) -> Result<Outcome<partial::Deployment>, Error> {
    let mut marks = plan::scale(identity, &context.site, 0);
    let marked = if meta_covers(&live.metadata, &marks.metadata) {
        None
    } else {
        expect(&mut marks.metadata, Some(&live.metadata));
        let name = identity.child_name();
        match write::<partial::Deployment>(context, identity, (names::OPERATOR_SCALE, &name), &marks).await? {
            Outcome::Is(Some(marked)) => Some(marked),
            refused => return Ok(refused),
        }
    };
    let steps = diff::next_run(marked.as_deref().unwrap_or(live), &planned);
    drop(planned);
    json_patch(context, identity, steps).await
}

/// Deletes a Deployment whose pod template was changed externally. Applying our template would keep the added fields. Without pods
/// nothing is lost, and the next reconcile makes a new Deployment.
async fn discard(
    context: &Context,
    identity: &Identity,
    live: &partial::Deployment,
) -> Result<Blocker, Error> {
    let deployments: Api<partial::Deployment> = objects(context, identity);
    let params = DeleteParams::background().preconditions(Preconditions {
        uid: live.metadata.uid.clone(),
        resource_version: live.metadata.resource_version.clone(),
    });
    match deployments.delete(&identity.child_name(), &params).await {
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        Err(source) => return Err(failed::<partial::Deployment>(source)),
        Ok(_) => context.metrics.write("apply"),
    }
    Ok(terminating::<partial::Deployment>(&live.metadata))
}

/// What blocks the write of an object, if it is not ours.
fn in_the_way<K: Resource + Kind>(identity: &Identity, live: &K) -> Option<Blocker> {
    match diff::stance(identity, live.meta()) {
        Step::Conflict => Some(conflict::<K>(identity)),
        Step::Wait => Some(terminating::<K>(live.meta())),
        Step::Keep | Step::Write => None,
    }
}

fn deployed(context: &Context, outcome: Outcome<partial::Deployment>, applied: &mut Applied) {
    applied.blocker = applied.blocker.take().or_else(|| outcome.blocker());
    outcome.settle(&mut applied.observed.deployment);
    if let Some(deployment) = &applied.observed.deployment {
        let key = applied.observed.identity.key();
        context.pending_writes.expect_deployment(&key, Some(deployment));
    }
}
