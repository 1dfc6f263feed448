//! The pod of a run -> made, put back, ended (IO). Its name is the lock: a server holds one of it.

use std::{collections::BTreeMap, sync::Arc};

use api::names;
use k8s_openapi::api::core::v1 as core_v1;
use kube::{ResourceExt as _, api::DeleteParams, core::PartialObjectMetaExt as _};
use rules::ValidWorkspace;
use serde_json::json;

use super::{
    Applied, WriteError,
    delete::{self, Ended},
    diff::{self, Step},
    network_policy,
    writes::{
        Made, NamedKind as _, Outcome, conflict, make, merge_patch, objects, outcome, post, terminating,
        with_backoff, write, write_error,
    },
};
use crate::{
    blockers::{
        Blocker,
        refusal::{self, Refusal},
    },
    cache::{
        observed::{Observed, has_ended, meta_covers},
        partial::Pod,
        stores::Trim as _,
    },
    context::Context,
    plan::{self, Isolation},
    support::random,
};

/// Makes the pod of a new run. If one of its name exists, it is ours and the run (the cache is late), or it is waited for, or it is
/// somebody else's.
pub(super) async fn start(
    context: &Context,
    valid: &ValidWorkspace,
    isolation: &Isolation,
    applied: &mut Applied,
) -> Result<(), WriteError> {
    let identity = applied.observed.identity.clone();
    let planned = Box::new(plan::run(valid, &context.installation, &random::identifier()));
    if let Some(violations) = plan::violations(valid, &planned) {
        applied.block(Some(Blocker::Refused(refusal::of_gate(&violations))));
        return Ok(());
    }
    let profile = valid.profile.as_ref().map(|profile| profile.name.as_str());
    let write = async { outcome(post::<Pod>(context, &identity, planned.as_ref()).await, profile) };
    let outcome = match make(context, &identity, &identity.child_name(), write).await? {
        Made::New(outcome) => outcome,
        Made::Exists(found, _) => match diff::stance(&identity, &found.metadata) {
            Step::Wait => Outcome::Blocked(terminating::<Pod>(&found.metadata)),
            Step::Conflict => Outcome::Blocked(conflict::<Pod>(&identity.child_name())),
            Step::Keep | Step::Write => Outcome::Is(Some(found)),
        },
    };
    put_outcome(context, outcome, applied);
    // Another webhook may have changed its labels: without its own, no watch shows it.
    restore(context, applied).await?;
    label(context, isolation, applied).await
}

/// Keeps a running pod as it should be: our metadata, isolated by today's settings of its manager. `None`: they are unknown.
pub(super) async fn keep(
    context: &Context,
    isolation: Option<&Isolation>,
    applied: &mut Applied,
) -> Result<(), WriteError> {
    restore(context, applied).await?;
    let Some(isolation) = isolation else {
        return Ok(());
    };
    let namespace = applied.observed.identity.namespace.clone();
    if applied
        .observed
        .current_pod()
        .is_none_or(|pod| is_labelled(pod, isolation))
    {
        applied.block(network_policy::restore(context, &namespace, isolation).await?);
        return Ok(());
    }
    // Until the pod has the labels, none of its policies is deleted.
    let (_held, blocker) = network_policy::ensure(context, &namespace, isolation).await?;
    let is_blocked = blocker.as_ref().is_some_and(Blocker::blocks);
    applied.block(blocker);
    if !is_blocked {
        label(context, isolation, applied).await?;
    }
    Ok(())
}

fn is_labelled(pod: &Pod, isolation: &Isolation) -> bool {
    let mut labels = isolation.labels().into_iter();
    labels.all(|(key, value)| pod.labels().get(key) == value.as_ref())
}

/// Sets or removes the labels that network policies select, in one write.
async fn label(context: &Context, isolation: &Isolation, applied: &mut Applied) -> Result<(), WriteError> {
    let identity = applied.observed.identity.clone();
    let live = applied
        .observed
        .current_pod()
        .filter(|pod| !is_labelled(pod, isolation));
    let Some(live) = live.cloned().map(Arc::new) else {
        return Ok(());
    };
    let labels = BTreeMap::from(isolation.labels());
    let patch = json!({"metadata": {"uid": live.metadata.uid, "labels": labels}});
    let write = merge_patch(context, &identity, &patch);
    let pods = (&objects(context, &identity), Pod::KIND);
    let outcome = with_backoff(context, &identity, pods, &patch, &live, write).await?;
    put_outcome(context, outcome, applied);
    Ok(())
}

/// Puts back our labels, annotations and controller of a running pod. Its spec cannot be changed, except for its images.
async fn restore(context: &Context, applied: &mut Applied) -> Result<(), WriteError> {
    let observed = &applied.observed;
    let identity = observed.identity.clone();
    let mut pods = observed.pods.iter();
    let current = observed.current_pod().and_then(|pod| pod.metadata.uid.as_ref());
    let Some(live) = pods
        .find(|pod| current.is_some() && pod.metadata.uid.as_ref() == current)
        .cloned()
    else {
        return Ok(());
    };
    let mut marks = plan::marks_of_run(&identity, observed.run_id());
    if meta_covers(&live.metadata, &marks) {
        return Ok(());
    }
    marks.uid.clone_from(&live.metadata.uid);
    let planned = marks.into_request_partial::<core_v1::Pod>();
    let name = identity.child_name();
    let write = write(context, &identity, (names::OPERATOR, &name), &planned);
    let pods = (&objects(context, &identity), Pod::KIND);
    let outcome = with_backoff(context, &identity, pods, &planned, &live, write).await?;
    put_outcome(context, outcome, applied);
    Ok(())
}

/// Ends all pods of the workspace with their own grace periods. `is_wanted`: another run follows, and the status still tells why this one
/// has ended. Returns the refusal if the API server refuses to delete one.
pub(crate) async fn end(
    context: &Context,
    is_wanted: bool,
    observed: &mut Observed,
) -> Result<Option<Refusal>, WriteError> {
    let identity = observed.identity.clone();
    let api = objects::<Pod>(context, &identity);
    let mut left = Vec::new();
    let mut refused = None;
    for pod in std::mem::take(&mut observed.pods) {
        if !identity.owns(&pod.metadata) {
            left.push(pod);
            continue;
        }
        let ended = match delete::end(context, &api, pod.as_ref(), DeleteParams::default()).await {
            Ok(ended) => ended,
            Err(error) => {
                refused = Some(refusal_of_deletion(&error).ok_or_else(|| write_error::<Pod>(error))?);
                Ended::Unknown
            }
        };
        match ended {
            Ended::Gone => {
                context.pending_writes.pods.forget(&identity.key());
                if is_wanted && has_ended(&pod) {
                    left.push(pod);
                }
            }
            Ended::Held(mut now) => {
                now.trim();
                let now = now.into();
                context.pending_writes.pods.expect(&identity.key(), &now);
                left.push(now);
            }
            Ended::Unknown => left.push(pod),
        }
    }
    observed.pods = left;
    Ok(refused)
}

fn refusal_of_deletion(error: &kube::Error) -> Option<Refusal> {
    match error {
        kube::Error::Api(status) => refusal::of_answer("deletion of the Pod", status, None),
        _ => None,
    }
}

fn put_outcome(context: &Context, outcome: Outcome<Pod>, applied: &mut Applied) {
    applied.block(outcome.blocker());
    let mut pod = None;
    outcome.put_into(&mut pod);
    if let Some(pod) = pod {
        let key = applied.observed.identity.key();
        context.pending_writes.pods.expect(&key, &pod);
        applied.observed.pods = vec![pod];
    }
}
