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
//! | `finalizer.rs` | a workspace -> its finalizer, set and released |
//! | `delete.rs` | a child -> deleted; a run -> what is left of its pods |
//! | `contest.rs` | repeated writes of a child -> backoff, if another client writes it as well |
//! | `correction_events.rs` | a corrected Deployment -> the Event that reports it (pure) |
//! | `touch_refused.rs` | a Deployment whose pod is refused -> the pod is tried again |

mod account;
mod borrowed_claim;
pub mod contest;
mod correction_events;
pub mod delete;
pub mod diff;
mod disk;
pub mod finalizer;
pub mod intent;
mod scale;
pub mod start_safety;
mod touch_refused;
mod writes;

use std::{fmt::Debug, sync::Arc, time::Duration};

use api::{
    Workspace,
    condition::{self, STOPPED},
    names,
};
use k8s_openapi::{
    NamespaceResourceScope,
    api::{apps::v1::Deployment, core::v1::Service, networking::v1::NetworkPolicy},
};
use kube::{
    Api, Resource,
    api::{DeleteParams, Preconditions},
};
use rules::ValidWorkspace;

pub(crate) use self::writes::{Outcome, is_conflict, with_backoff};
pub use self::{borrowed_claim::give_back, disk::retain, touch_refused::Retries};
use self::{
    scale::{scale, scaler},
    writes::{
        Kind, Made, conflict, create, expect, failed, json_patch, make, merge_patch, objects, remove,
        terminating, write,
    },
};
use crate::{
    apply::{
        diff::{Child, Correction, Step},
        intent::Intent,
        start_safety::{Confirmed, StartSafety},
    },
    blockers::Blocker,
    cache::{
        observed::{Identity, Observed, meta_covers},
        partial,
        stores::Trim,
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
pub struct Applied {
    /// The children, as they were written.
    pub observed: Observed,
    /// What blocked a write; the first, if several.
    pub blocker: Option<Blocker>,
    /// When to reconcile again, even if nothing changes.
    pub recheck: Option<Duration>,
}

impl Applied {
    fn is_blocked(&self) -> bool {
        self.blocker.as_ref().is_some_and(Blocker::blocks)
    }
}

/// Makes the children of a workspace as planned. Without a plan (the workspace is invalid) only the network policy is made, for a pod
/// that still runs; `planned` names it then. A run is ended all the same.
pub async fn apply(
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
    };
    let undone = if correction_events::seems_undone(workspace, intent) {
        let scaler = scaler(context, &applied.observed).await?;
        correction_events::undone(&applied.observed, scaler)
    } else {
        None
    };
    let runs = applied.observed.wanted_pods() > 0 || applied.observed.live_pods().next().is_some();
    if let Ok((valid, plan)) = planned {
        finalizer::hold(context, workspace)
            .await
            .map_err(|source| Error::of("finalizer", source))?;
        Box::pin(lasting(context, valid, plan, &mut applied)).await?;
        let shrinks = || disk::shrinks(workspace, &applied.observed);
        applied.blocker = applied.blocker.take().or_else(shrinks);
        if intent == Intent::Start && !applied.is_blocked() {
            let borrowed =
                Box::pin(borrowed_claim::borrow(context, &applied.observed.identity, valid)).await?;
            applied.blocker = borrowed.or(applied.blocker);
        }
        if intent == Intent::Start && !applied.is_blocked() {
            start(context, valid, &mut applied).await?;
        }
    } else if let Err(planned) = planned
        && runs
    {
        let policy = network_policy(context, &applied.observed, planned.map(|policy| *policy)).await?;
        applied.blocker = policy.blocker();
        policy.settle(&mut applied.observed.policy);
    }
    match intent {
        Intent::Stop => scale(context, 0, &mut applied).await?,
        Intent::Keep => {
            scale(context, 1, &mut applied).await?;
            applied.recheck = touch_refused::touch(context, &mut applied).await?;
        }
        Intent::Rest => free(context, workspace, &applied.observed.identity, safety).await?,
        Intent::Start | Intent::Await => {}
    }
    if let Some(event) = undone {
        publish::event(context, &applied.observed.identity, event).await;
    }
    Ok(applied)
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

/// Writes disk, network policy and Service concurrently. The policy exists before any pod, because a run starts only after these writes.
async fn lasting(
    context: &Context,
    valid: &ValidWorkspace,
    plan: Box<Plan>,
    applied: &mut Applied,
) -> Result<(), Error> {
    let plan = *plan;
    let observed = &applied.observed;
    let (claim, policy, service, account) = futures::join!(
        disk::disk(context, observed, valid, plan.claim),
        network_policy(context, observed, plan.policy),
        child::<Service>(context, observed, plan.service, observed.service.as_ref()),
        account::account(context, observed, plan.account),
    );
    let (claim, policy, service, account) = (claim?, policy?, service?, account?);
    let blockers = [
        claim.blocker(),
        policy.blocker(),
        service.blocker(),
        account.blocker(),
    ];
    let first = |wanted: fn(&Blocker) -> bool| blockers.iter().flatten().find(|it| wanted(it)).cloned();
    applied.blocker = first(Blocker::blocks).or_else(|| first(|_| true));
    claim.settle(&mut applied.observed.claim);
    policy.settle(&mut applied.observed.policy);
    service.settle(&mut applied.observed.service);
    account.settle(&mut applied.observed.account);
    Ok(())
}

/// Makes the network policy as planned, and deletes ours where none is wanted.
async fn network_policy(
    context: &Context,
    observed: &Observed,
    planned: Option<NetworkPolicy>,
) -> Result<Outcome<NetworkPolicy>, Error> {
    let live = observed.policy.as_ref();
    if let Some(planned) = planned {
        return child(context, observed, planned, live).await;
    }
    let ours = |live: &&Arc<NetworkPolicy>| diff::stance(&observed.identity, &live.metadata) == Step::Keep;
    let Some(unwanted) = live.filter(ours) else {
        return Ok(Outcome::Is(live.cloned()));
    };
    remove(context, &observed.identity, unwanted.as_ref()).await
}

/// Makes the child as planned, where the caches show `live`. If another client made one first, it is handled like any other.
async fn child<K>(
    context: &Context,
    observed: &Observed,
    planned: K,
    live: Option<&Arc<K>>,
) -> Result<Outcome<K>, Error>
where
    K: Child + Trim + Resource<Scope = NamespaceResourceScope> + Kind,
{
    if let Some(live) = live {
        return found(context, observed, &planned, live).await;
    }
    let identity = &observed.identity;
    let write = create(context, identity, &planned);
    match make(context, identity, &identity.child_name(), write).await? {
        Made::New(outcome) => Ok(outcome),
        Made::Exists(live, _) => found(context, observed, &planned, &live).await,
    }
}

/// Makes an existing child as planned.
async fn found<K>(
    context: &Context,
    observed: &Observed,
    planned: &K,
    live: &Arc<K>,
) -> Result<Outcome<K>, Error>
where
    K: Child + Trim + Resource<Scope = NamespaceResourceScope> + Kind,
{
    match diff::step(&observed.identity, planned, live.as_ref()) {
        Step::Keep => Ok(Outcome::Is(Some(live.clone()))),
        Step::Conflict => Ok(Outcome::Blocked(conflict::<K>(&observed.identity))),
        Step::Wait => Ok(Outcome::Blocked(terminating::<K>(
            &observed.identity.child_name(),
        ))),
        Step::Write => {
            let write = async {
                match planned.correction(live) {
                    Correction::MergePatch(patch) => {
                        merge_patch(context, &observed.identity, names::OPERATOR, &patch).await
                    }
                    Correction::JsonPatch(steps) => json_patch(context, &observed.identity, steps).await,
                }
            };
            let children = (&objects(context, &observed.identity), K::KIND);
            with_backoff(context, &observed.identity, children, planned, live, write).await
        }
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
    Ok(terminating::<partial::Deployment>(&identity.child_name()))
}

/// What blocks the write of an object, if it is not ours.
fn in_the_way<K: Resource + Kind>(identity: &Identity, live: &K) -> Option<Blocker> {
    match diff::stance(identity, live.meta()) {
        Step::Conflict => Some(conflict::<K>(identity)),
        Step::Wait => Some(terminating::<K>(&identity.child_name())),
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
