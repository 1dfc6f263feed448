//! A Deployment whose pod is refused -> the same, touched now and then (IO), so that its ReplicaSet is looked at again.
//!
//! Its controller waits ever longer, up to a quarter of an hour, and hears of no quota that was raised. A new annotation on the Deployment is
//! handed down to the ReplicaSet, whose controller looks at whatever has changed at once.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use api::names::{OPERATOR, RETRIED_AT};
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt as _;
use serde_json::json;
use tokio::time::Instant;

use super::{Applied, Error, deployed, writes::mend_as};
use crate::{backoff::spread, context::Context, world::World};

/// Between one touch of a Deployment and the next.
const PERIOD: Duration = Duration::from_secs(30);
/// Between any two touches: where a quota refuses hundreds of pods, each is tried again less often.
const PACE: Duration = Duration::from_millis(200);

/// When a Deployment may be touched next.
#[derive(Debug, Default)]
pub struct Retries(Mutex<Option<Instant>>);

impl Retries {
    /// Whether one may be touched now; it counts then.
    fn take(&self) -> bool {
        let mut next = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let is_due = next.is_none_or(|next| next <= now);
        if is_due {
            *next = Some(now + PACE);
        }
        is_due
    }
}

/// Touches the Deployment if its pod has been refused for a while; when to look again, while it is.
pub(super) async fn retry(context: &Context, applied: &mut Applied) -> Result<Option<Duration>, Error> {
    let Some(since) = refused_since(&applied.world) else {
        return Ok(None);
    };
    // Where the clocks differ, it is tried again at once.
    let age = Duration::try_from((context.now)().duration_since(since)).unwrap_or(PERIOD);
    if let Some(left) = PERIOD.checked_sub(age).filter(|left| !left.is_zero()) {
        return Ok(Some(left));
    }
    if context.retries.take() {
        let identity = &applied.world.identity;
        let uid = applied.world.deployment.as_ref().and_then(|live| live.uid());
        let now = (context.now)().to_string();
        let touch = json!({"metadata": {"uid": uid, "annotations": {RETRIED_AT: now}}});
        let outcome = mend_as::<Deployment>(context, identity, OPERATOR, &touch).await?;
        deployed(context, outcome, applied);
    }
    Ok(Some(spread(PERIOD)))
}

/// Since when the pod has been refused without another try of ours.
fn refused_since(world: &World) -> Option<jiff::Timestamp> {
    let refusal = world.refusal()?;
    let refused = refusal.last_transition_time.as_ref().map(|time| time.0);
    let retried = world.own_deployment()?.annotations().get(RETRIED_AT);
    let retried = retried.and_then(|time| time.parse().ok());
    refused.max(retried)
}
