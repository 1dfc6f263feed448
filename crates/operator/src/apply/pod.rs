//! The pod of a run -> made, put back, ended (IO). Its name is the lock: a server holds one of it.

use api::names;
use k8s_openapi::api::core::v1 as core_v1;
use kube::{api::DeleteParams, core::PartialObjectMetaExt as _};
use rules::ValidWorkspace;

use super::{
    Applied, WriteError,
    delete::{self, Ended},
    diff::{self, Step},
    writes::{
        Made, NamedKind as _, Outcome, conflict, make, objects, outcome, post, terminating, with_backoff,
        write, write_error,
    },
};
use crate::{
    blockers::refusal::{self, Refusal},
    cache::{
        observed::{Observed, has_ended, meta_covers},
        partial::Pod,
        stores::Trim as _,
    },
    context::Context,
    plan,
    support::random,
};

/// Makes the pod of a new run. If one of its name exists, it is ours and the run (the cache is late), or it is waited for, or it is
/// somebody else's.
pub(super) async fn start(
    context: &Context,
    valid: &ValidWorkspace,
    applied: &mut Applied,
) -> Result<(), WriteError> {
    let identity = applied.observed.identity.clone();
    let planned = Box::new(plan::run(valid, &context.installation, &random::identifier()));
    let profile = valid.profile.as_ref().map(|profile| profile.name.as_str());
    let write = async { outcome(post::<Pod>(context, &identity, planned.as_ref()).await, profile) };
    let outcome = match make(context, &identity, &identity.child_name(), write).await? {
        Made::New(outcome) => outcome,
        Made::Exists(found, _) => match diff::stance(&identity, &found.metadata) {
            Step::Wait => Outcome::Blocked(terminating::<Pod>(&found.metadata)),
            Step::Conflict => Outcome::Blocked(conflict::<Pod>(&identity)),
            Step::Keep | Step::Write => Outcome::Is(Some(found)),
        },
    };
    put_outcome(context, outcome, applied);
    // Another webhook may have changed its labels: without its own, no watch shows it.
    restore(context, applied).await
}

/// Puts back our labels, annotations and controller of a running pod. Its spec cannot be changed, except for its images.
pub(super) async fn restore(context: &Context, applied: &mut Applied) -> Result<(), WriteError> {
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
                context.pending_writes.forget_pod(&identity.key());
                if is_wanted && has_ended(&pod) {
                    left.push(pod);
                }
            }
            Ended::Held(mut now) => {
                now.trim();
                let now = now.into();
                context.pending_writes.expect_pod(&identity.key(), &now);
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
    applied.blocker = applied.blocker.take().or_else(|| outcome.blocker());
    let mut pod = None;
    outcome.put_into(&mut pod);
    if let Some(pod) = pod {
        let key = applied.observed.identity.key();
        context.pending_writes.expect_pod(&key, &pod);
        applied.observed.pods = vec![pod];
    }
}
