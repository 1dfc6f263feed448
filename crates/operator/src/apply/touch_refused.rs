//! A Deployment whose pod is refused -> the same with a new annotation, now and then (IO).
//!
//! The ReplicaSet controller retries with growing waits of up to 15 minutes. It gets no event when a quota is raised. The Deployment
//! controller copies a new annotation to the ReplicaSet. That change makes the ReplicaSet controller retry at once.

use std::time::Duration;

use api::names::{OPERATOR, RETRIED_AT};
use kube::ResourceExt as _;
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::Instant;

use super::{Applied, Error, deployed, writes::merge_patch};
use crate::{
    cache::{observed::Observed, partial::Deployment},
    context::Context,
    support::backoff::jitter,
};

/// Time before the first touch of a Deployment. Each later period is as long as the refusal has lasted, so it doubles.
const MIN_PERIOD: Duration = Duration::from_secs(30);
/// The longest time between two touches.
const MAX_PERIOD: Duration = Duration::from_mins(1);
/// Gap between any two touches. If a quota refuses hundreds of pods, each one is retried less often.
const PACE: Duration = Duration::from_millis(200);

/// When a Deployment may be touched next.
#[derive(Debug, Default)]
pub struct Retries(Mutex<Option<Instant>>);

impl Retries {
    /// Whether a Deployment may be touched now. If so, the touch is counted.
    fn take(&self) -> bool {
        let mut next = self.0.lock();
        let now = Instant::now();
        let is_due = next.is_none_or(|next| next <= now);
        if is_due {
            *next = Some(now + PACE);
        }
        is_due
    }
}

/// Touches the Deployment if its pod has been refused for a while. Returns when to check again while it is refused.
pub(super) async fn touch(context: &Context, applied: &mut Applied) -> Result<Option<Duration>, Error> {
    let Some((since, period)) = last_try(&applied.observed) else {
        return Ok(None);
    };
    // If the clocks differ, retry at once.
    let age = Duration::try_from((context.now)().duration_since(since)).unwrap_or(period);
    if let Some(left) = period.checked_sub(age).filter(|left| !left.is_zero()) {
        return Ok(Some(left));
    }
    if context.retries.take() {
        let identity = &applied.observed.identity;
        let uid = applied.observed.deployment.as_ref().and_then(|live| live.uid());
        let now = (context.now)().to_string();
        let touch = json!({"metadata": {"uid": uid, "annotations": {RETRIED_AT: now}}});
        let outcome = merge_patch::<Deployment>(context, identity, OPERATOR, &touch).await?;
        deployed(context, outcome, applied);
    }
    Ok(Some(jitter(MIN_PERIOD)))
}

/// When the pod was refused or the operator last touched the Deployment, and the period until the next touch.
fn last_try(observed: &Observed) -> Option<(jiff::Timestamp, Duration)> {
    let refused = observed
        .refusal()?
        .last_transition_time
        .as_ref()
        .map(|time| time.0);
    let retried = observed.own_deployment()?.annotations().get(RETRIED_AT);
    let retried: Option<jiff::Timestamp> = retried.and_then(|time| time.parse().ok());
    // The Deployment controller keeps the time of the condition until the pod is made or the run ends.
    let lasted = refused
        .zip(retried)
        .map(|(refused, retried)| retried.duration_since(refused));
    let lasted = lasted.and_then(|lasted| Duration::try_from(lasted).ok());
    let period = lasted.unwrap_or(MIN_PERIOD).clamp(MIN_PERIOD, MAX_PERIOD);
    Some((refused.max(retried)?, period))
}
