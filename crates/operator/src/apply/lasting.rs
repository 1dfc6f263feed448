//! Planned children -> those that outlast a run: disks, Service and account (IO).

use std::sync::Arc;

use api::Workspace;
use k8s_openapi::{
    NamespaceResourceScope,
    api::core::v1::{PersistentVolumeClaim, Service},
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
    cache::{
        objects::Purpose,
        observed::{Identity, Observed},
        stores::{self, Trim},
    },
    context::Context,
    plan::{Plan, record},
};

/// Writes what outlasts a run.
pub(super) async fn lasting(
    context: &Context,
    workspace: &Workspace,
    (valid, plan): (&ValidWorkspace, Box<Plan>),
    applied: &mut Applied,
) -> Result<(), WriteError> {
    finalizer::hold(context, workspace)
        .await
        .map_err(|source| WriteError::new("finalizer", source))?;
    Box::pin(children(context, workspace, (valid, *plan), applied)).await?;
    applied.block(disk::differs(workspace, &applied.observed));
    Ok(())
}

/// Writes disks, Service and account concurrently.
async fn children(
    context: &Context,
    workspace: &Workspace,
    (valid, plan): (&ValidWorkspace, Plan),
    applied: &mut Applied,
) -> Result<(), WriteError> {
    let observed = &applied.observed;
    let template = workspace.spec.template_ref.as_deref();
    let template = template.and_then(|name| stores::get(&context.stores.templates, None, name));
    let unchosen = disk::unchosen(observed, valid, template.as_deref());
    let (claim, further, unchosen, service, account) = futures::join!(
        disk::home(context, observed, valid, plan.claim),
        disk::further(context, observed, valid, plan.further_claims),
        disk::keep_all(context, observed, valid, unchosen),
        service(context, observed, valid, plan.service),
        account::account(context, observed, plan.account),
    );
    let (claim, service, account) = (claim?, service?, account?);
    for blocker in [claim.blocker(), service.blocker(), account.blocker()] {
        applied.block(blocker);
    }
    claim.put_into(&mut applied.observed.claim);
    for (name, outcome) in further {
        let blocker = put_further(applied, name, outcome?);
        applied.block(blocker);
    }
    for (name, outcome) in unchosen {
        // No pod mounts it.
        put_further(applied, name, outcome?);
    }
    service.put_into(&mut applied.observed.service);
    account.put_into(&mut applied.observed.account);
    Ok(())
}

/// Adds the result of a further disk, and returns what blocks it.
fn put_further(
    applied: &mut Applied,
    name: String,
    outcome: Outcome<PersistentVolumeClaim>,
) -> Option<Blocker> {
    let blocker = outcome.blocker();
    let mut claim = None;
    outcome.put_into(&mut claim);
    if let Some(claim) = claim {
        let claims = &mut applied.observed.further_claims;
        claims.retain(|known| known.metadata.name.as_ref() != Some(&name));
        claims.push(claim);
    }
    let told = blocker.clone().map(|blocker| (name, blocker));
    applied.claim_blockers.extend(told);
    blocker
}

/// Makes the Service as planned. One that is not planned goes once nothing uses it: routes that name it are gone, and no pod runs that was
/// made when a text may still have named it.
async fn service(
    context: &Context,
    observed: &Observed,
    valid: &ValidWorkspace,
    planned: Option<Service>,
) -> Result<Outcome<Service>, WriteError> {
    let live = observed.service.as_ref();
    let has_routes = || {
        let objects = context.stores.objects.with_label_of(&observed.identity);
        objects.iter().any(|live| live.purpose() == Purpose::Route)
    };
    let is_changed = || {
        let started = observed.started_from();
        started.is_some_and(|started| !record::pending(started, valid).is_empty())
    };
    if planned.is_none() && live.is_some() && (has_routes() || is_changed()) {
        return Ok(Outcome::Is(live.cloned()));
    }
    child(context, &observed.identity, planned, live).await
}

/// Makes the child as planned, and deletes ours where none is planned. The caches show `live`. If another client made one first, it is
/// handled like any other.
pub(super) async fn child<K>(
    context: &Context,
    identity: &Identity,
    planned: Option<K>,
    live: Option<&Arc<K>>,
) -> Result<Outcome<K>, WriteError>
where
    K: Child + Trim + Resource<Scope = NamespaceResourceScope> + NamedKind,
{
    let Some(planned) = planned else {
        let ours = |live: &&Arc<K>| diff::stance(identity, live.meta()) == Step::Keep;
        return match live.filter(ours) {
            Some(unwanted) => remove(context, identity, unwanted.as_ref()).await,
            None => Ok(Outcome::Is(live.cloned())),
        };
    };
    if let Some(live) = live {
        return correct(context, identity, &planned, live).await;
    }
    let write = create(context, identity, &planned);
    match make(context, identity, &identity.child_name(), write).await? {
        Made::New(outcome) => Ok(outcome),
        Made::Exists(live, _) => correct(context, identity, &planned, &live).await,
    }
}

/// Makes an existing child as planned.
async fn correct<K>(
    context: &Context,
    identity: &Identity,
    planned: &K,
    live: &Arc<K>,
) -> Result<Outcome<K>, WriteError>
where
    K: Child + Trim + Resource<Scope = NamespaceResourceScope> + NamedKind,
{
    match diff::step(identity, planned, live.as_ref()) {
        Step::Keep => Ok(Outcome::Is(Some(live.clone()))),
        Step::Conflict => Ok(Outcome::Blocked(conflict::<K>(&identity.child_name()))),
        Step::Wait => Ok(Outcome::Blocked(terminating::<K>(live.meta()))),
        Step::Write => {
            let write = async {
                match planned.correction(live) {
                    Correction::MergePatch(patch) => merge_patch(context, identity, &patch).await,
                    Correction::JsonPatch(steps) => json_patch(context, identity, steps).await,
                }
            };
            let children = (&objects(context, identity), K::KIND);
            with_backoff(context, identity, children, planned, live, write).await
        }
    }
}
