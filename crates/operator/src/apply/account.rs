//! Planned service account, observed state -> the workspace's own service account (IO).
//!
//! It is made before the pod that runs as it. It is removed when the profile no longer requests it and no pod uses it.
//!
//! An existing account is never adopted, because cloud identities match names. A user who made an account of this name must not get the
//! workspace's identity, nor the workspace theirs.

use std::sync::Arc;

use api::names;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};

use super::{
    Error,
    writes::{Kind, Outcome, expect, failed, get_live, is_conflict, leaving, patched, with_backoff},
};
use crate::{
    blockers::{Blocker, refusal},
    cache::observed::{Observed, controller_uid, meta_covers},
    context::Context,
};

pub(super) async fn account(
    context: &Context,
    observed: &Observed,
    planned: Option<ServiceAccount>,
) -> Result<Outcome<ServiceAccount>, Error> {
    let live = observed.account.as_ref();
    let Some(planned) = planned else {
        return remove(context, observed).await;
    };
    let Some(live) = live else {
        return make(context, observed, planned).await;
    };
    if let Some(blocker) = in_the_way(observed, live) {
        return Ok(Outcome::Blocked(blocker));
    }
    let same_token = live.automount_service_account_token == planned.automount_service_account_token;
    if same_token && meta_covers(&live.metadata, &planned.metadata) {
        return Ok(Outcome::Is(Some(live.clone())));
    }
    let mut intent = planned;
    intent.metadata.uid.clone_from(&live.metadata.uid);
    let write = write(context, observed, &intent);
    with_backoff(context, &observed.identity, &intent, live, write).await
}

/// Makes an absent account. If another client made one first, it is checked and never adopted.
async fn make(
    context: &Context,
    observed: &Observed,
    planned: ServiceAccount,
) -> Result<Outcome<ServiceAccount>, Error> {
    let mut intent = planned;
    expect(&mut intent.metadata, None);
    match write(context, observed, &intent).await {
        Err(error) if is_conflict(&error) => {
            let name = observed.identity.account_name();
            let found = get_live::<ServiceAccount>(context, &observed.identity.namespace, &name).await?;
            let Some(found) = found else { return Err(error) };
            if let Some(blocker) = in_the_way(observed, &found) {
                return Ok(Outcome::Blocked(blocker));
            }
            // It is ours, but without the label by which it is watched, or not yet in the cache.
            intent.metadata.uid.clone_from(&found.metadata.uid);
            intent.metadata.resource_version = None;
            write(context, observed, &intent).await
        }
        made => made,
    }
}

/// Removes our account, unless a pod runs as it.
async fn remove(context: &Context, observed: &Observed) -> Result<Outcome<ServiceAccount>, Error> {
    let live = observed.account.as_ref();
    let Some(unwanted) =
        live.filter(|live| in_the_way(observed, live).is_none() && !observed.runs_as_own_account())
    else {
        return Ok(Outcome::Is(live.cloned()));
    };
    let accounts: Api<ServiceAccount> = Api::namespaced(context.client.clone(), &observed.identity.namespace);
    let params = DeleteParams::default().preconditions(Preconditions {
        uid: unwanted.metadata.uid.clone(),
        resource_version: None,
    });
    match accounts.delete(&observed.identity.account_name(), &params).await {
        // It is gone already, or a new object has its name.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
        Err(source) => return Err(failed::<ServiceAccount>(source)),
        Ok(_) => context.metrics.write("apply"),
    }
    Ok(Outcome::Is(None))
}

/// The reason why an account is not the workspace's. Unlike other children, its controller must be the workspace: an annotation is not
/// enough.
fn in_the_way(observed: &Observed, live: &Arc<ServiceAccount>) -> Option<Blocker> {
    let name = observed.identity.account_name();
    if live.metadata.deletion_timestamp.is_some() {
        return Some(leaving::<ServiceAccount>(&name));
    }
    let ours = controller_uid(&live.metadata) == Some(observed.identity.uid.as_str());
    (!ours).then(|| Blocker::Conflict {
        kind: ServiceAccount::KIND.to_owned(),
        name,
    })
}

async fn write(
    context: &Context,
    observed: &Observed,
    intent: &ServiceAccount,
) -> Result<Outcome<ServiceAccount>, Error> {
    let identity = &observed.identity;
    let params = PatchParams::apply(names::OPERATOR).force();
    let patch = Patch::Apply(intent);
    match patched::<ServiceAccount, _>(context, identity, &identity.account_name(), &params, &patch).await {
        Ok(account) => Ok(Outcome::Is(Some(account))),
        Err(Error {
            kind,
            source: kube::Error::Api(status),
        }) => match refusal::of_answer(kind, status.code, &status.message) {
            Some(refusal) => Ok(Outcome::Blocked(Blocker::Refused(refusal))),
            None => Err(failed::<ServiceAccount>(kube::Error::Api(status))),
        },
        Err(error) => Err(error),
    }
}
