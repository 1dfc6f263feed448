//! One workspace -> one reconcile: observe, admit, plan, apply, assess, publish (IO).

use std::{borrow::Cow, sync::Arc, time::Duration};

use api::{
    Workspace, WorkspaceStatus,
    workspace::{DesiredStatus, UpdatePolicy},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource as _, runtime::controller::Action};
use rules::ValidWorkspace;

use super::delete::delete;
use crate::{
    apply::{
        self, Applied,
        intent::{Intent, intent},
        start_safety::{Cached, StartSafety, confirm, needs_reread},
    },
    audit::Users,
    blockers::Blocker,
    cache::{
        observe,
        observed::{Identity, Observed},
        stores::{Parsed, Unreadable},
    },
    context::Context,
    controllers::{assertion_keys, catalog, idle, routes},
    plan::{self, disks::borrowed_claims, record},
    reconcile::{admit::admit, teardown},
    status::{
        assess::{self, Facts, assess},
        publish::{self, StatusUpdate},
        started,
    },
    support::{
        backoff::jitter,
        failure::{is_expected, reason_of},
    },
};

/// A reconcile that takes longer is stuck. It is cancelled and retried.
const LIMIT: Duration = Duration::from_secs(30);
/// A settled workspace is reconciled again after this time, in case a watch missed an event. It costs no API call.
const RESYNC: Duration = Duration::from_mins(20);
/// While pods or children are being deleted, the workspace is reconciled again after this time at the latest.
pub(super) const RECHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Why a reconcile failed. Every error here is transient; a lasting problem is reported in the status.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The observed state could not be read.
    #[error(transparent)]
    Observe(#[from] observe::Error),
    /// A child could not be written.
    #[error(transparent)]
    Apply(#[from] apply::Error),
    /// A route could not be written.
    #[error(transparent)]
    Routes(apply::Error),
    /// The status could not be written.
    #[error(transparent)]
    Publish(#[from] publish::Error),
    /// The `ConfigMap` with the assertion keys has foreign content and could not be corrected.
    #[error("the ConfigMap with the assertion keys is wrong and cannot be corrected, so no pod starts: {}", crate::support::failure::message_of(.0))]
    Keys(#[source] kube::Error),
    /// The children could not be deleted.
    #[error(transparent)]
    Delete(#[from] teardown::Error),
    /// The reconcile took too long.
    #[error("the reconcile took longer than {} s", LIMIT.as_secs())]
    Stuck,
}

impl Error {
    /// The step that failed, and its API error.
    fn origin(&self) -> (&'static str, Option<&kube::Error>) {
        match self {
            Self::Observe(error) => ("observe", Some(&error.0)),
            Self::Apply(error) => ("apply", Some(&error.source)),
            Self::Routes(error) => ("routes", Some(&error.source)),
            Self::Publish(error) => ("publish", Some(&error.0)),
            Self::Keys(error) => ("keys", Some(error)),
            Self::Delete(error) => ("delete", Some(&error.0)),
            Self::Stuck => ("all", None),
        }
    }
}

/// When to reconcile a workspace again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// When something changes, or after this time, if that comes first.
    Settled(Option<Duration>),
    /// Soon, then with growing delays: a user has to act, and not every such action triggers a reconcile. After this time at the latest.
    Blocked(Option<Duration>),
    /// Never: the workspace is gone, or a change will trigger a reconcile.
    Never,
}

/// Reconciles one workspace once every cache is filled. Before that, an object that is not cached yet looks deleted.
pub async fn reconcile_when_filled(
    object: Arc<Parsed<Workspace>>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    // It fails only when the caches are no longer filled. Then the result of the reconcile is not used either.
    let _ = context.stores.until_filled().await;
    reconcile(object, context).await
}

/// Reconciles one workspace.
pub async fn reconcile(object: Arc<Parsed<Workspace>>, context: Arc<Context>) -> Result<Action, Error> {
    let key = Identity::of(object.meta()).key();
    let next = match tokio::time::timeout(LIMIT, Box::pin(reconcile_by_state(&object, &context))).await {
        Ok(result) => result?,
        Err(_) => return Err(Error::Stuck),
    };
    if let Next::Blocked(latest) = next {
        let wait = context.backoff.after_failure(&key).max(Duration::from_secs(1));
        return Ok(Action::requeue(latest.map_or(wait, |latest| latest.min(wait))));
    }
    context.backoff.reset(&key);
    Ok(match next {
        Next::Settled(after) => {
            Action::requeue(after.map_or_else(|| jitter(RESYNC), |after| after.min(RESYNC)))
        }
        Next::Blocked(_) | Next::Never => Action::await_change(),
    })
}

/// The wait after a failed reconcile: it grows for this workspace and does not affect others.
#[expect(clippy::needless_pass_by_value, reason = "the signature that the queue calls")]
pub fn error_policy(object: Arc<Parsed<Workspace>>, error: &Error, context: Arc<Context>) -> Action {
    let (step, source) = error.origin();
    context
        .metrics
        .error(step, source.map_or_else(|| "Stuck".to_owned(), reason_of));
    let workspace = Identity::of(object.meta()).key();
    let wait = context.backoff.after_failure(&workspace);
    let retry_ms = wait.as_millis();
    if source.is_some_and(is_expected) {
        tracing::debug!(%error, workspace, retry_ms, "the reconcile failed and is retried");
    } else {
        tracing::warn!(%error, workspace, retry_ms, "the reconcile failed and is retried");
    }
    Action::requeue(wait)
}

async fn reconcile_by_state(object: &Parsed<Workspace>, context: &Context) -> Result<Next, Error> {
    let namespace = object.meta().namespace.as_deref().unwrap_or_default();
    match &object.0 {
        _ if context.site.ignores(namespace) => Ok(Next::Never),
        _ if object.meta().deletion_timestamp.is_some() => Box::pin(delete(object, context)).await,
        Ok(workspace) => Box::pin(settle(workspace, context)).await,
        Err(invalid) => explain(invalid, context).await,
    }
}

/// Observe, admit, plan, apply, assess, publish.
async fn settle(workspace: &Workspace, context: &Context) -> Result<Next, Error> {
    let Context {
        metrics,
        stores,
        settings,
        site,
        ..
    } = context;
    let identity = Identity::of(&workspace.metadata);
    let written = newest_status(workspace, context);
    let own = with_pending_status(workspace, written.as_ref(), context);
    let workspace = own.as_deref().unwrap_or(workspace);
    let before = workspace.status.as_ref();

    let references = metrics.measure("observe", || observe::references(workspace, stores));
    let observed = metrics.measure("observe", || observe::observed(&identity, stores));
    let validation = metrics.measure("admit", || {
        admit(workspace, &references, settings)
            .and_then(|valid| catalog::admit(valid, workspace, &references, &observed))
    });
    if let Ok(valid) = &validation
        && observed.wanted_pods() == 0
        && !catalog::is_protected(&site.scope, valid, workspace, &references, &observed)
    {
        // The catalog controller sets the finalizer, and that triggers the next reconcile; one of a manager triggers many, one by one.
        stores.changes.send_replace(());
        return Ok(Next::Blocked(None));
    }
    let planned = metrics.measure("plan", || match &validation {
        Ok(valid) => Ok((valid, Box::new(plan::lasting(valid, site)))),
        Err(_) => {
            Err(plan::network_policy(&identity, site, &references.last_network_policy(before)).map(Box::new))
        }
    });
    let decide = |observed: &Observed, safety| {
        let restart = restarts_now(workspace, validation.as_ref().ok(), observed);
        intent(
            workspace.spec.desired_status,
            validation.is_ok(),
            observed,
            safety,
        )
        .or_restart(restart)
    };
    let cached = Cached {
        is_new: before.is_none(),
        has_lasting_children: planned.as_ref().is_ok_and(|(_, plan)| has_all(plan, &observed)),
    };
    let confirmed = confirm(context, observed, cached, |observed, safety| {
        needs_reread(decide(observed, safety), safety, before, observed)
    })
    .await?;
    let (safety, expected) = (confirmed.safety, confirmed.recheck);
    let intent = decide(&confirmed.observed, safety);
    if intent == Intent::Start {
        assertion_keys::ensure(context, &identity.namespace)
            .await
            .map_err(Error::Keys)?;
    }
    let Applied {
        observed,
        blocker,
        recheck: retried,
    } = metrics
        .timed(
            "apply",
            Box::pin(apply::apply(context, workspace, planned, intent, confirmed)),
        )
        .await?;
    let routed = route(context, workspace, validation.as_ref().ok(), &observed);
    let routed = metrics.timed("routes", Box::pin(routed)).await;
    let blocker = blocker.or(routed.map_err(Error::Routes)?);
    let facts = Facts {
        workspace,
        validation: &validation,
        observed: &observed,
        blocker: blocker.as_ref(),
        unschedulable_grace: settings.unschedulable_grace(),
        now: (context.now)(),
    };
    let mut assessment = metrics.measure("assess", || assess(&facts));
    idle::attend(
        context,
        workspace,
        validation.as_ref().ok(),
        &observed,
        &mut assessment.status,
    );
    let recheck = sooner(sooner(assessment.recheck, expected), retried);
    let update = StatusUpdate {
        status: assessment.status,
        events: assessment.events,
        is_end_requested: workspace.spec.desired_status == DesiredStatus::Stopped,
        users: Users::of(&workspace.metadata),
        run: observed.run_id().map(str::to_owned),
    };
    let seen = newest_version(&workspace.metadata, context);
    let published = publish::publish(context, &identity, seen, written.as_deref(), update);
    let delay = metrics.timed("publish", Box::pin(published)).await?;
    let again = sooner(recheck, delay);

    Ok(next(intent, safety, blocker.as_ref(), again))
}

/// When the next reconcile is, if nothing triggers one before.
fn next(intent: Intent, safety: StartSafety, blocker: Option<&Blocker>, recheck: Option<Duration>) -> Next {
    let is_ending = matches!(intent, Intent::Stop | Intent::Await)
        || (intent == Intent::Rest && safety == StartSafety::Wait);
    match blocker {
        Some(blocker) if !blocker.ends_by_trigger() => Next::Blocked(recheck),
        _ if is_ending => Next::Settled(sooner(Some(RECHECK_INTERVAL), recheck)),
        _ => Next::Settled(recheck),
    }
}

pub(super) fn sooner(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    one.into_iter().chain(other).min()
}

/// Whether the current run has to end and start again with the spec of today.
/// - A run in which no container has started yet takes changes at once, as with `Always`.
/// - With a disk that is deleted with its pod, only an explicit restart request restarts the run.
/// - The same holds with a claim that is being deleted and still named: no next run could start on it.
fn restarts_now(workspace: &Workspace, valid: Option<&ValidWorkspace>, observed: &Observed) -> bool {
    let own = observed.own_claim();
    let goes = own.is_some_and(|claim| claim.metadata.deletion_timestamp.is_some());
    let stays_named = |valid| {
        let mut named = borrowed_claims::named(valid).into_iter();
        named.any(|named| observed.terminating.contains(&named.claim))
    };
    let policy = if goes || valid.is_some_and(stays_named) {
        UpdatePolicy::OnStop
    } else if started::has_started(workspace.status.as_ref(), observed) {
        workspace.spec.update_policy
    } else {
        UpdatePolicy::Always
    };
    let started = observed.started_from().zip(valid);
    started.is_some_and(|(started, valid)| record::asks_for_restart(started, valid, policy))
}

/// Writes the route objects and returns what blocks them.
async fn route(
    context: &Context,
    workspace: &Workspace,
    valid: Option<&ValidWorkspace>,
    observed: &Observed,
) -> Result<Option<Blocker>, apply::Error> {
    let has = routes::has_any(context, &observed.identity);
    let desired = routes::desired(workspace.spec.desired_status, valid, observed, has);
    routes::settle(context, &observed.identity, desired).await
}

/// Whether every lasting child exists.
fn has_all(plan: &plan::Plan, observed: &Observed) -> bool {
    observed.service.is_some()
        && (plan.claim.is_none() || observed.claim.is_some())
        && (plan.policy.is_none() || observed.policy.is_some())
        && (plan.account.is_none() || observed.account.is_some())
}

/// Handles a spec that does not parse: the status says so, and nothing else is done.
async fn explain(invalid: &Unreadable, context: &Context) -> Result<Next, Error> {
    let identity = Identity::of(&invalid.metadata);
    tracing::warn!(
        workspace = identity.key(),
        error = invalid.error,
        "the workspace cannot be read"
    );
    context.metrics.error("observe", "Unreadable".to_owned());
    context.idle.forget(&identity.key());
    let (version, before) = observe::unreadable(&identity, &context.client).await?;
    let now = (context.now)();
    let status = assess::unreadable(before.clone(), invalid.metadata.generation, &invalid.error, now);
    let update = StatusUpdate {
        status,
        ..StatusUpdate::default()
    };
    publish::publish(context, &identity, version, Some(&before), update).await?;
    // Another version of the operator, or other CRDs, may be able to read it.
    Ok(Next::Blocked(None))
}

/// The `resourceVersion` on which a status is based: the cached one, or that of our last status if the cache does not show it yet.
pub(super) fn newest_version(cached: &ObjectMeta, context: &Context) -> Option<String> {
    let key = Identity::of(cached).key();
    context.pending_writes.newest_version(&key, cached)
}

/// The status of the workspace: the cached one, or our last write if the cache does not show it yet.
pub(super) fn newest_status<'a>(
    cached: &'a Workspace,
    context: &Context,
) -> Option<Cow<'a, WorkspaceStatus>> {
    let key = Identity::of(&cached.metadata).key();
    let newer = context.pending_writes.newer_status(&key, &cached.metadata);
    newer
        .map(Cow::Owned)
        .or_else(|| cached.status.as_ref().map(Cow::Borrowed))
}

/// The workspace with its pending status, if that differs from the cached one. A delayed status counts as written.
pub(super) fn with_pending_status(
    cached: &Workspace,
    newest: Option<&Cow<'_, WorkspaceStatus>>,
    context: &Context,
) -> Option<Box<Workspace>> {
    let identity = Identity::of(&cached.metadata);
    let own = match (
        context.status_debounce.status(&identity.key(), &identity.uid),
        newest,
    ) {
        (Some(delayed), _) => delayed,
        (None, Some(Cow::Owned(newer))) => newer.clone(),
        (None, _) => return None,
    };
    Some(Box::new(Workspace {
        metadata: cached.metadata.clone(),
        spec: cached.spec.clone(),
        status: Some(own),
    }))
}
