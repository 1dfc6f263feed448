//! Plan, intent, observed state -> children as planned (IO): written only where they differ.
//!
//! Each write carries a precondition: the object is absent, or it is exactly the object that was checked to be ours. If another client
//! takes a child's name between our read and our write, its object stays unchanged.
//!
//! | file | input -> output |
//! |---|---|
//! | `intent.rs` | desired status, observed state -> start, keep, stop or wait (pure) |
//! | `pod.rs` | the pod of a run -> made, put back, ended |
//! | `diff.rs` | planned child, live child -> whether to write it (pure) |
//! | `writes.rs` | a planned child -> the child as written, or what blocks it |
//! | `disk.rs` | planned disks, live claims -> the workspace's own disks |
//! | `network_policy.rs` | how pods are isolated -> the policies in their namespace, before a pod has their labels |
//! | `borrowed_claim.rs` | claims that the workspace only names -> whether it may mount them |
//! | `account.rs` | planned service account -> the workspace's own service account |
//! | `lasting.rs` | planned children -> all that outlasts a run, as planned |
//! | `finalizer.rs` | a workspace -> its finalizer, set and released |
//! | `delete.rs` | a child -> deleted; what is left of a workspace's pods |

mod account;
mod borrowed_claim;
pub(crate) mod delete;
pub(crate) mod diff;
mod disk;
pub(crate) mod finalizer;
pub(crate) mod intent;
mod lasting;
pub(crate) mod network_policy;
pub(crate) mod pod;
mod writes;

use std::time::Duration;

use api::{
    Workspace,
    condition::{self, STOPPED},
    workspace::DesiredStatus,
};
use rules::ValidWorkspace;

use self::lasting::lasting;
pub(crate) use self::writes::{Outcome, is_conflict, with_backoff};
pub(crate) use self::{borrowed_claim::give_back, disk::retain};
use crate::{
    apply::intent::Intent,
    blockers::Blocker,
    cache::observed::{Identity, Observed},
    context::Context,
    plan::{Isolation, Plan},
    support::failure::message_of,
};

/// A write failed with a transient error: a conflict, overload or an outage.
#[derive(Debug, thiserror::Error)]
#[error("the {kind} cannot be written: {}", message_of(.source))]
pub struct WriteError {
    /// Kind of the object.
    pub kind: String,
    /// The reason.
    #[source]
    pub source: kube::Error,
}

impl WriteError {
    pub(crate) fn new(kind: &str, source: kube::Error) -> Self {
        let kind = kind.to_owned();
        Self { kind, source }
    }
}

/// The state after the writes.
#[derive(Debug)]
pub(crate) struct Applied {
    /// The children, as they were written.
    pub observed: Observed,
    /// What blocked a write; the first, if several.
    pub blocker: Option<Blocker>,
    /// A write that failed with a transient error and is tried again. The status is published all the same.
    pub failure: Option<WriteError>,
    /// What blocked further disks, by the names of their claims.
    pub claim_blockers: Vec<(String, Blocker)>,
}

impl Applied {
    fn is_blocked(&self) -> bool {
        self.blocker.as_ref().is_some_and(Blocker::blocks)
    }

    /// Adds what blocks another write.
    fn block(&mut self, blocker: Option<Blocker>) {
        self.blocker = first_to_report(self.blocker.take(), blocker);
    }
}

/// The first that blocks a run, else the first.
fn first_to_report(first: Option<Blocker>, second: Option<Blocker>) -> Option<Blocker> {
    let blocks = |it: &Option<Blocker>| it.as_ref().is_some_and(Blocker::blocks);
    if first.is_none() || (blocks(&second) && !blocks(&first)) {
        second
    } else {
        first
    }
}

/// Longest time for writes that neither a stop nor the status waits for.
const LIMIT: Duration = Duration::from_secs(10);

/// The result of these writes, or an error if they take longer than [`LIMIT`].
pub(crate) async fn limit_time<T>(
    kind: &str,
    writes: impl Future<Output = Result<T, WriteError>>,
) -> Result<T, WriteError> {
    let result = tokio::time::timeout(LIMIT, writes).await;
    result.unwrap_or_else(|late| Err(WriteError::new(kind, kube::Error::Service(late.into()))))
}

/// Makes the children of a workspace as planned; without a plan (the workspace is invalid) its pod alone. A run is ended first, whatever
/// else fails. A start fails with the first write that fails.
pub(crate) async fn apply(
    context: &Context,
    workspace: &Workspace,
    planned: Option<(&ValidWorkspace, Box<Plan>)>,
    isolation: Option<&Isolation>,
    intent: Intent,
    observed: Observed,
) -> Result<Applied, WriteError> {
    let mut applied = Applied {
        observed,
        blocker: None,
        failure: None,
        claim_blockers: Vec::new(),
    };
    if intent == Intent::Stop {
        let is_wanted = workspace.spec.desired_status == DesiredStatus::Running;
        let refused = pod::end(context, is_wanted, &mut applied.observed).await?;
        applied.blocker = refused.map(Blocker::Refused);
    }
    if let Some((valid, plan)) = planned {
        let lasting = Box::pin(lasting(context, workspace, (valid, plan), &mut applied));
        if intent == Intent::Start {
            lasting.await?;
            Box::pin(start(context, valid, isolation, &mut applied)).await?;
        } else if let Err(error) = limit_time("child", lasting).await {
            applied.failure.get_or_insert(error);
        }
    }
    if intent == Intent::Keep
        && let Err(error) = limit_time("Pod", Box::pin(pod::keep(context, isolation, &mut applied))).await
    {
        applied.failure.get_or_insert(error);
    }
    // The claim is released before the status says that the workspace is stopped.
    if intent != Intent::Start && applied.observed.is_free() {
        free(context, workspace, &applied.observed.identity).await?;
    }
    Ok(applied)
}

/// Starts a run, if nothing blocks it.
async fn start(
    context: &Context,
    valid: &ValidWorkspace,
    isolation: Option<&Isolation>,
    applied: &mut Applied,
) -> Result<(), WriteError> {
    if !applied.is_blocked() {
        let borrowed = borrowed_claim::borrow(context, &applied.observed.identity, valid).await?;
        applied.block(borrowed);
    }
    let Some(isolation) = isolation.filter(|_| !applied.is_blocked()) else {
        return Ok(());
    };
    let namespace = &applied.observed.identity.namespace;
    // Until the pod is stored, none of its policies is deleted.
    let (_held, blocker) = network_policy::ensure(context, namespace, isolation).await?;
    applied.block(blocker);
    if !applied.is_blocked() {
        Box::pin(pod::start(context, valid, isolation, applied)).await?;
    }
    Ok(())
}

/// Releases the claim that was the home after the last pod has ended. Another workspace may use it then.
async fn free(context: &Context, workspace: &Workspace, identity: &Identity) -> Result<(), WriteError> {
    let storage = workspace.spec.storage.as_ref();
    let claim = storage.and_then(|storage| storage.claim_name.as_ref());
    let status = workspace.status.as_ref();
    let is_stopped = status.is_some_and(|status| condition::holds(&status.conditions, STOPPED));
    match claim {
        Some(claim) if !is_stopped => give_back(context, identity, claim).await,
        _ => Ok(()),
    }
}
