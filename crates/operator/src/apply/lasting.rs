//! Planned children -> those that outlast a run: disk, network policy, Service and account (IO).

use std::sync::Arc;

use api::Workspace;
use k8s_openapi::{
    NamespaceResourceScope,
    api::{core::v1::Service, networking::v1::NetworkPolicy},
};
use kube::Resource;
use rules::ValidWorkspace;

use super::{
    Applied, WriteError, account,
    delete::remove,
    disk, finalizer,
    writes::{
        Made, NamedKind, Outcome, conflict, create, json_patch, make, merge_patch, objects, terminating,
        with_backoff,
    },
};
use crate::{
    apply::diff::{self, Child, Correction, Step},
    blockers::Blocker,
    cache::{observed::Observed, stores::Trim},
    context::Context,
    plan::Plan,
};

/// Writes what outlasts a run. `runs`: whether a pod runs, or may start.
pub(super) async fn lasting(
    context: &Context,
    workspace: &Workspace,
    planned: Result<(&ValidWorkspace, Box<Plan>), Option<Box<NetworkPolicy>>>,
    runs: bool,
    applied: &mut Applied,
) -> Result<(), WriteError> {
    match planned {
        Ok((valid, plan)) => {
            finalizer::hold(context, workspace)
                .await
                .map_err(|source| WriteError::new("finalizer", source))?;
            Box::pin(children(context, valid, *plan, applied)).await?;
            let differs = || disk::differs(workspace, &applied.observed);
            applied.blocker = applied.blocker.take().or_else(differs);
        }
        Err(planned) if runs => {
            let policy = network_policy(context, &applied.observed, planned.map(|policy| *policy)).await?;
            applied.blocker = applied.blocker.take().or_else(|| policy.blocker());
            policy.put_into(&mut applied.observed.policy);
        }
        Err(_) => {}
    }
    Ok(())
}

/// Writes disk, network policy, Service and account concurrently. The policy exists before any pod, because a run starts only after
/// these writes.
async fn children(
    context: &Context,
    valid: &ValidWorkspace,
    plan: Plan,
    applied: &mut Applied,
) -> Result<(), WriteError> {
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
    let found = first(Blocker::blocks).or_else(|| first(|_| true));
    applied.blocker = applied.blocker.take().or(found);
    claim.put_into(&mut applied.observed.claim);
    policy.put_into(&mut applied.observed.policy);
    service.put_into(&mut applied.observed.service);
    account.put_into(&mut applied.observed.account);
    Ok(())
}

/// Makes the network policy as planned, and deletes ours where none is wanted.
async fn network_policy(
    context: &Context,
    observed: &Observed,
    planned: Option<NetworkPolicy>,
) -> Result<Outcome<NetworkPolicy>, WriteError> {
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
) -> Result<Outcome<K>, WriteError>
where
    K: Child + Trim + Resource<Scope = NamespaceResourceScope> + NamedKind,
{
    if let Some(live) = live {
        return correct(context, observed, &planned, live).await;
    }
    let identity = &observed.identity;
    let write = create(context, identity, &planned);
    match make(context, identity, &identity.child_name(), write).await? {
        Made::New(outcome) => Ok(outcome),
        Made::Exists(live, _) => correct(context, observed, &planned, &live).await,
    }
}

/// Makes an existing child as planned.
async fn correct<K>(
    context: &Context,
    observed: &Observed,
    planned: &K,
    live: &Arc<K>,
) -> Result<Outcome<K>, WriteError>
where
    K: Child + Trim + Resource<Scope = NamespaceResourceScope> + NamedKind,
{
    match diff::step(&observed.identity, planned, live.as_ref()) {
        Step::Keep => Ok(Outcome::Is(Some(live.clone()))),
        Step::Conflict => Ok(Outcome::Blocked(conflict::<K>(&observed.identity))),
        Step::Wait => Ok(Outcome::Blocked(terminating::<K>(live.meta()))),
        Step::Write => {
            let write = async {
                match planned.correction(live) {
                    Correction::MergePatch(patch) => merge_patch(context, &observed.identity, &patch).await,
                    Correction::JsonPatch(steps) => json_patch(context, &observed.identity, steps).await,
                }
            };
            let children = (&objects(context, &observed.identity), K::KIND);
            with_backoff(context, &observed.identity, children, planned, live, write).await
        }
    }
}
