//! Wanted number of pods, live Deployment -> the Deployment with that number (IO).
//!
//! It also restores what keeps two pods apart. The pod template is not changed.

use api::names;
use kube::Api;
use serde_json::json;

use super::{
    Applied, Error,
    correction_events::{self, Scaler},
    deployed,
    writes::{Kind as _, Outcome, expect, failed, merge_patch, objects, with_backoff, write},
};
use crate::{
    apply::diff::{self, Step},
    cache::{
        field_managers,
        observed::{Observed, meta_covers},
        partial::Deployment,
    },
    context::Context,
    plan,
    status::publish,
};

/// The other field manager that scaled the Deployment to 0. It is read from the API server, because the caches do not keep it.
pub(super) async fn scaler(context: &Context, observed: &Observed) -> Result<Option<Scaler>, Error> {
    let Some(found) = observed.own_deployment() else {
        return Ok(None);
    };
    if let Some(who) = observed.scaled_by() {
        return Ok(Some(Scaler::Named(who)));
    }
    let deployments: Api<Deployment> = objects(context, &observed.identity);
    let name = observed.identity.child_name();
    let now = deployments.get_metadata_opt(&name).await;
    let now = now.map_err(failed::<Deployment>)?;
    let same = now.filter(|now| now.metadata.uid == found.metadata.uid);
    let is_unnamed = same.is_some_and(|now| field_managers::have_replicas_no_manager(&now.metadata));
    Ok(is_unnamed.then_some(Scaler::Unnamed))
}

/// Makes the Deployment have this number of pods, our labels and owner, and the strategy that never runs two pods at a time.
pub(super) async fn scale(context: &Context, replicas: i32, applied: &mut Applied) -> Result<(), Error> {
    let identity = applied.observed.identity.clone();
    let Some(live) = applied.observed.deployment.clone() else {
        return Ok(());
    };
    if diff::stance(&identity, &live.metadata) != Step::Keep {
        return Ok(());
    }
    let restored = diff::restored(&live);
    let planned = plan::scale(&identity, &context.site, replicas);
    let is_marked = meta_covers(&live.metadata, &planned.metadata);
    let before = applied.observed.wanted_pods();
    if before == replicas && is_marked && restored.is_empty() {
        return Ok(());
    }
    let write = async {
        let marked = if is_marked {
            live.clone()
        } else {
            let mut marks = planned.clone();
            expect(&mut marks.metadata, Some(&live.metadata));
            let name = identity.child_name();
            match write(context, &identity, (names::OPERATOR_SCALE, &name), &marks).await? {
                Outcome::Is(Some(marked)) if !restored.is_empty() => marked,
                outcome => return Ok(outcome),
            }
        };
        let mut spec = restored.clone();
        spec.insert("replicas".to_owned(), json!(replicas));
        let meta = &marked.metadata;
        // The write must not bring back a pod that was ended meanwhile, nor end a run that another leader has started.
        let patch =
            json!({"metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version}, "spec": spec});
        merge_patch(context, &identity, names::OPERATOR_SCALE, &patch).await
    };
    let outcome = if replicas == 0 {
        // A stop is always written, even if other field managers write the Deployment.
        write.await?
    } else {
        let deployments = (&objects(context, &identity), Deployment::KIND);
        with_backoff(context, &identity, deployments, &planned, &live, write).await?
    };
    let is_written = outcome.version() != live.metadata.resource_version.as_deref();
    if replicas == 0
        && let Outcome::Is(Some(ended)) = &outcome
    {
        context.pending_writes.wrote_scale_down(&identity.key(), ended);
    }
    deployed(context, outcome, applied);
    if !is_written {
        return Ok(());
    }
    if before > 1 {
        let event = correction_events::corrected(&applied.observed, before, replicas);
        publish::event(context, &identity, event).await;
    }
    if !restored.is_empty() {
        publish::event(
            context,
            &identity,
            correction_events::restored(&identity, &restored),
        )
        .await;
    }
    Ok(())
}
