//! Caches, our last writes, reads from the API server -> whether a run may start (IO: [`confirm`]).
//!
//! The operator never starts a second pod on a disk. When Kubernetes replaces a pod, anti-affinity (`plan/pod`) and volume attachment
//! keep the new one away; storage without attachment, such as NFS, needs a `ReadWriteOncePod` claim for that (docs/decisions/0083). A run
//! starts when it is [`StartSafety::Safe`]:
//!
//! - No pod is on the disk, and none can be made ([`Observed::is_scaled_down`]).
//! - That is confirmed, because caches may miss a pod. The API server was read in this reconcile, or before and the Deployment has not
//!   changed since ([`PendingWrites::is_confirmed`]), or the workspace is new and has no Deployment and no disk.
//! - The write that starts the run fails unless the Deployment is as it was seen (`writes.rs`). So no run was started in between.
//!
//! [`PendingWrites::is_confirmed`]: crate::cache::pending_writes::PendingWrites::is_confirmed

use std::time::Duration;

use crate::{
    cache::{
        observe::{self, Scope},
        observed::Observed,
        pending_writes::Expectation,
    },
    context::Context,
};

/// Whether a run may start, and whether the status may say that no pod is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StartSafety {
    /// No pod is on the disk, and none can be made.
    Safe,
    /// A pod is on the disk, or can still be made. Its end triggers a reconcile.
    Wait,
    /// The caches show no pod, but may miss one: the API server has to be read.
    Reread,
}

impl StartSafety {
    /// `is_confirmed`: whether the observed state was read from the API server, or is known to be the same.
    pub(crate) fn of(observed: &Observed, is_confirmed: bool) -> Self {
        match (observed.is_scaled_down(), is_confirmed) {
            (false, _) => Self::Wait,
            (true, true) => Self::Safe,
            (true, false) => Self::Reread,
        }
    }
}

/// What the caches show of the workspace itself and of its lasting children.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cached {
    /// The workspace has no status yet.
    pub is_new: bool,
    /// All children except the Deployment are there.
    pub has_lasting_children: bool,
}

/// An observed state that the next step may rely on.
#[derive(Debug)]
pub(crate) struct Confirmed {
    /// The children.
    pub observed: Observed,
    /// Whether a run may start.
    pub safety: StartSafety,
    /// When to check again whether the caches show our last write.
    pub recheck: Option<Duration>,
}

/// Completes the cached state by our last write where the caches do not show it yet. Where that is not enough, reads the API server.
/// `needs_reread`: whether the next step needs what the caches may miss.
///
/// # Errors
/// A request to the API server failed.
pub(crate) async fn confirm(
    context: &Context,
    mut observed: Observed,
    cached: Cached,
    needs_reread: impl Fn(&Observed, StartSafety) -> bool,
) -> Result<Confirmed, observe::Error> {
    let (pending, key) = (&context.pending_writes, observed.identity.key());
    let expectation = pending.deployment(&key, observed.deployment.as_deref());
    // A late cache shows the other children at least. Else all of them may have been deleted.
    let is_missing = expectation == Expectation::Expired
        || (observed.deployment.is_none()
            && expectation != Expectation::Fulfilled
            && !cached.has_lasting_children);
    let mut recheck = None;
    match expectation {
        Expectation::Newer(deployment) => observed.deployment = Some(deployment),
        Expectation::Pending(deployment, left) => {
            observed.deployment = Some(deployment);
            recheck = Some(left);
        }
        Expectation::Fulfilled | Expectation::Expired => {}
    }
    let deployment = observed.deployment.as_deref();
    let is_confirmed = (cached.is_new && has_nothing(&observed)) || pending.is_confirmed(&key, deployment);
    let mut safety = StartSafety::of(&observed, is_confirmed);
    if is_missing || needs_reread(&observed, safety) {
        let scope = if is_missing {
            Scope::All
        } else if pending.is_unchanged(&key, deployment) {
            // The caches show no write to the Deployment since we scaled it to 0. A later write could also follow a read.
            Scope::Pods
        } else {
            Scope::DeploymentAndPods
        };
        let read = observe::reread(observed, scope, &context.client, &context.lister);
        observed = context.metrics.timed("reread", Box::pin(read)).await?;
        if scope != Scope::Pods {
            pending.expect_deployment(&key, observed.deployment.as_ref());
        }
        (safety, recheck) = (StartSafety::of(&observed, true), None);
    }
    if safety == StartSafety::Safe {
        pending.confirm_scaled_down(&key, observed.deployment.as_deref());
    }
    Ok(Confirmed {
        observed,
        safety,
        recheck,
    })
}

/// Whether the caches show neither a Deployment nor a disk. A disk may have been retained, with a pod of an earlier workspace on it.
/// Other children can exist only if the caches show them, or if a write would conflict with them.
fn has_nothing(observed: &Observed) -> bool {
    observed.deployment.is_none() && observed.claim.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn a_start_is_safe_only_if_no_pod_is_left_and_that_is_confirmed() {
        let (running, nothing) = (testing::running(), testing::observed());
        assert_eq!(StartSafety::of(&nothing, true), StartSafety::Safe);
        assert_eq!(StartSafety::of(&nothing, false), StartSafety::Reread);
        for is_confirmed in [true, false] {
            assert_eq!(StartSafety::of(&running, is_confirmed), StartSafety::Wait);
            let ending = testing::scaled_to_zero();
            assert_eq!(StartSafety::of(&ending, is_confirmed), StartSafety::Wait);
        }
    }
}
