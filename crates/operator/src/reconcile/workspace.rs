//! One workspace -> one reconcile: observe, admit, plan, apply, assess, publish (IO).

use std::time::Duration;

use api::{
    Workspace,
    workspace::{DesiredStatus, UpdatePolicy},
};
use rules::ValidWorkspace;

use super::{
    admit::admit,
    outcome::{Error, Next, RECHECK_INTERVAL, sooner},
    pending_status::{newest_status, newest_version, with_pending_status},
};
use crate::{
    apply::{
        self, Applied,
        intent::{Intent, intent, needs_reread},
        start_safety::{Cached, StartSafety, confirm},
    },
    audit::Users,
    blockers::Blocker,
    cache::{
        observe,
        observed::{Identity, Observed},
        stores::Unreadable,
    },
    context::Context,
    controllers::{assertion_keys, catalog, idle, routes},
    plan::{self, disks::borrowed_claims, record},
    status::{
        assess::{self, Facts, assess},
        publish::{self, StatusUpdate},
        started,
    },
};

/// Observe, admit, plan, apply, assess, publish. A failed write that is no part of a start is returned after the status is published.
#[expect(clippy::too_many_lines, reason = "the steps of a reconcile, in their order")]
pub(super) async fn settle(workspace: &Workspace, context: &Context) -> Result<Next, Error> {
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
        failure,
    } = metrics
        .timed(
            "apply",
            Box::pin(apply::apply(context, workspace, planned, intent, confirmed)),
        )
        .await?;
    let routed = route(context, workspace, validation.as_ref().ok(), &observed);
    let routed = Box::pin(apply::limited("route", routed));
    let (routed, unrouted) = match metrics.timed("routes", routed).await {
        Ok(routed) => (routed, None),
        Err(error) => (None, Some(Error::Routes(error))),
    };
    let failure = failure.map(Error::Apply).or(unrouted);
    let blocker = blocker.or(routed);
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
    // Not every change of the spec is written yet. A stop is: its failures are about what stays.
    if failure.is_some() && !matches!(intent, Intent::Stop | Intent::Await) {
        let before = workspace.status.as_ref();
        assessment.status.observed_generation = before.and_then(|status| status.observed_generation);
    }
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
    if let Some(failure) = failure {
        return Err(failure);
    }
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
pub(super) async fn explain(invalid: &Unreadable, context: &Context) -> Result<Next, Error> {
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
