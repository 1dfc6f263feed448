//! Planned service account, observed state -> the workspace's own service account (IO).
//!
//! It is made before the pod that runs as it. It is removed when the profile no longer requests it and no pod uses it.
//!
//! An existing account is never adopted, because cloud identities match names. A user who made an account of this name must not get the
//! workspace's identity, nor the workspace theirs.

use std::sync::Arc;

use api::names;
use k8s_openapi::api::core::v1::ServiceAccount;

use super::{
    WriteError,
    delete::remove,
    writes::{Made, NamedKind, Outcome, expect, make, objects, terminating, with_backoff, write},
};
use crate::{
    blockers::Blocker,
    cache::observed::{Observed, controller_uid, meta_covers},
    context::Context,
};

pub(super) async fn account(
    context: &Context,
    observed: &Observed,
    planned: Option<ServiceAccount>,
) -> Result<Outcome<ServiceAccount>, WriteError> {
    let (identity, live) = (&observed.identity, observed.account.as_ref());
    let Some(planned) = planned else {
        let removable =
            |live: &&Arc<_>| in_the_way(observed, live).is_none() && !observed.runs_as_own_account();
        return match live.filter(removable) {
            Some(unwanted) => remove(context, identity, unwanted.as_ref()).await,
            None => Ok(Outcome::Is(live.cloned())),
        };
    };
    let (mut intent, name) = (planned, identity.account_name());
    let live = if let Some(live) = live {
        live.clone()
    } else {
        let mut absent = intent.clone();
        expect(&mut absent.metadata, None);
        let write = write(context, identity, (names::OPERATOR, &name), &absent);
        match make::<ServiceAccount>(context, identity, &name, write).await? {
            Made::New(outcome) => return Ok(outcome),
            Made::Exists(found, _) => found,
        }
    };
    if let Some(blocker) = in_the_way(observed, &live) {
        return Ok(Outcome::Blocked(blocker));
    }
    let same_token = live.automount_service_account_token == intent.automount_service_account_token;
    if same_token && meta_covers(&live.metadata, &intent.metadata) {
        return Ok(Outcome::Is(Some(live)));
    }
    intent.metadata.uid.clone_from(&live.metadata.uid);
    let write = write(context, identity, (names::OPERATOR, &name), &intent);
    let accounts = (&objects(context, identity), ServiceAccount::KIND);
    with_backoff(context, identity, accounts, &intent, &live, write).await
}

/// The reason why an account is not the workspace's. Unlike other children, its controller must be the workspace: an annotation is not
/// enough.
fn in_the_way(observed: &Observed, live: &Arc<ServiceAccount>) -> Option<Blocker> {
    let name = observed.identity.account_name();
    if live.metadata.deletion_timestamp.is_some() {
        return Some(terminating::<ServiceAccount>(&live.metadata));
    }
    let ours = controller_uid(&live.metadata) == Some(observed.identity.uid.as_str());
    (!ours).then(|| Blocker::Conflict {
        kind: ServiceAccount::KIND.to_owned(),
        name,
    })
}
