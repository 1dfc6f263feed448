//! One workspace -> one reconcile: observe, admit, plan, apply, assess, publish (IO).

use std::time::Duration;

use api::{
    Workspace, WorkspaceStatus,
    condition::{self, STOPPED},
    workspace::UpdatePolicy,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use rules::ValidWorkspace;

use super::{
    admit::admit,
    outcome::{Error, Next, RECHECK_INTERVAL, REFUSED_INTERVAL, sooner},
};
use crate::{
    apply::{
        self, Applied,
        intent::{Intent, intent},
    },
    blockers::{Blocker, rejected::Rejected},
    cache::{
        objects::Purpose,
        observe,
        observed::{Identity, Observed},
        references::References,
        stores::Unreadable,
    },
    context::Context,
    controllers::{
        assertion_keys, catalog, expiry,
        idle::{self, NextStop},
        objects,
    },
    plan::{self, Isolation, disks::borrowed_claims, record},
    status::{
        assess::{self, Assessment, Facts, assess},
        publish::{self, Published, StatusUpdate},
        started,
    },
};

/// What one reconcile knows of a workspace before it acts.
struct Snapshot<'a> {
    identity: Identity,
    /// The workspace with its newest status.
    workspace: &'a Workspace,
    references: References,
    /// When to look again whether the caches show our last write.
    recheck: Option<Duration>,
}

/// A workspace that may run, or why it may not.
type Validation = Result<ValidWorkspace, Rejected>;

/// What to do about the pod, and the state for which that was decided.
struct Decision {
    intent: Intent,
    /// Whether the run ends so that the next one starts with changes.
    restarts: bool,
    observed: Observed,
}

/// What was done.
struct Done {
    intent: Intent,
    restarts: bool,
    observed: Observed,
    blocker: Option<Blocker>,
    /// A failed write that is no part of a start. It is returned after the status is published.
    failure: Option<Error>,
    /// What blocked further disks, by the names of their claims.
    claim_blockers: Vec<(String, Blocker)>,
}

/// Observe, admit, plan, apply, assess, publish.
pub(super) async fn reconcile_workspace(workspace: &Workspace, context: &Context) -> Result<Next, Error> {
    let (seen, observed) = context.metrics.measure("observe", || observe(workspace, context));
    let validation = context
        .metrics
        .measure("admit", || validate(&seen, &observed, context));
    if waits_for_finalizers(&seen, &validation, &observed, context) {
        return Ok(Next::Blocked(None));
    }
    let decided = decide(&seen, &validation, observed, context).await?;
    let done = act(&seen, &validation, decided, context).await?;
    let assessment = context
        .metrics
        .measure("assess", || assess_outcome(&seen, &validation, &done, context));
    report(&seen, done, assessment, context).await
}

fn observe<'a>(workspace: &'a Workspace, context: &Context) -> (Snapshot<'a>, Observed) {
    let identity = Identity::from_meta(&workspace.metadata);
    let references = observe::references(workspace, &context.stores);
    let (mut observed, recheck) = context.pending_writes.newest_children(&identity, &context.stores);
    let template = references.template.as_deref();
    observe::add_further_claims(&mut observed, workspace, template, &context.stores);
    let seen = Snapshot {
        identity,
        workspace,
        references,
        recheck,
    };
    (seen, observed)
}

fn validate(seen: &Snapshot<'_>, observed: &Observed, context: &Context) -> Validation {
    let valid = admit(seen.workspace, &seen.references, &context.settings)?;
    catalog::admit(valid, seen.workspace, &seen.references, observed)
}

/// Whether a start has to wait until the catalog controller has protected what the workspace refers to. Its finalizer triggers the next
/// reconcile; one of a manager triggers many, one by one.
fn waits_for_finalizers(
    seen: &Snapshot<'_>,
    validation: &Validation,
    observed: &Observed,
    context: &Context,
) -> bool {
    let Ok(valid) = validation else { return false };
    let scope = &context.installation.scope;
    let waits = observed.is_free()
        && !catalog::is_protected(scope, valid, seen.workspace, &seen.references, observed);
    if waits {
        context.stores.changes.send_replace(());
    }
    waits
}

/// Decides about the pod. Before the status says that none is left, one read by its name confirms it: the cache may be late.
async fn decide(
    seen: &Snapshot<'_>,
    validation: &Validation,
    observed: Observed,
    context: &Context,
) -> Result<Decision, Error> {
    let status = seen.workspace.status.as_ref();
    let is_stopped = status.is_some_and(|status| condition::holds(&status.conditions, STOPPED));
    let mut decided = decision(seen, validation, observed, context);
    if decided.intent == Intent::Rest && !is_stopped {
        let live = observe::with_live_pod(decided.observed, &context.client);
        let live = context.metrics.time("reread", Box::pin(live)).await?;
        decided = decision(seen, validation, live, context);
    }
    if decided.intent == Intent::Start {
        assertion_keys::ensure(context, &seen.identity.namespace)
            .await
            .map_err(Error::Keys)?;
    }
    Ok(decided)
}

fn decision(seen: &Snapshot<'_>, validation: &Validation, observed: Observed, context: &Context) -> Decision {
    let desired = seen.workspace.spec.desired_status;
    let restarts = restarts_now(seen.workspace, validation.as_ref().ok(), &observed);
    let status = seen.workspace.status.as_ref();
    let conditions = status.map_or(&[][..], |status| &status.conditions);
    let intent = intent(
        desired,
        validation.is_ok(),
        &observed,
        conditions,
        (context.now)(),
    )
    .or_restart(restarts);
    Decision {
        intent,
        restarts,
        observed,
    }
}

/// Writes children, routes and objects of the template.
async fn act(
    seen: &Snapshot<'_>,
    validation: &Validation,
    decided: Decision,
    context: &Context,
) -> Result<Done, Error> {
    let Decision {
        intent,
        restarts,
        observed,
    } = decided;
    let metrics = &context.metrics;
    let (planned, isolation) = metrics.measure("plan", || {
        if let Ok(valid) = validation {
            let plan = Box::new(plan::lasting(valid));
            return (Some((valid, plan)), Some(plan::isolation(valid)));
        }
        let last = seen.workspace.status.as_ref();
        let manager = seen.references.last_manager(last);
        (None, manager.map(Isolation::from_manager))
    });
    let applied = apply::apply(
        context,
        seen.workspace,
        planned,
        isolation.as_ref(),
        intent,
        observed,
    );
    let applied = Box::pin(applied);
    let Applied {
        observed,
        blocker,
        failure,
        claim_blockers,
    } = metrics.time("apply", applied).await?;
    let routed = write_objects(context, seen.workspace, validation.as_ref().ok(), &observed);
    let routed = Box::pin(apply::limit_time("route", routed));
    let (routed, unrouted) = match metrics.time("routes", routed).await {
        Ok(routed) => (routed, None),
        Err(error) => (None, Some(Error::Routes(error))),
    };
    Ok(Done {
        intent,
        restarts,
        observed,
        blocker: blocker.or(routed),
        failure: failure.map(Error::Apply).or(unrouted),
        claim_blockers,
    })
}

fn assess_outcome(
    seen: &Snapshot<'_>,
    validation: &Validation,
    done: &Done,
    context: &Context,
) -> Assessment {
    let facts = Facts {
        workspace: seen.workspace,
        validation,
        observed: &done.observed,
        blocker: done.blocker.as_ref(),
        claim_blockers: &done.claim_blockers,
        restarts: done.restarts,
        unschedulable_grace: context.settings.unschedulable_grace(),
        now: (context.now)(),
    };
    let mut assessment = assess(&facts);
    let (valid, status) = (validation.as_ref().ok(), &mut assessment.status);
    let limit = idle::attend(context, seen.workspace, valid, &done.observed, status);
    assessment.recheck = sooner(assessment.recheck, limit.filter(|left| !left.is_zero()));
    // Not every change of the spec is written yet. A stop is: its failures are about what stays.
    if done.failure.is_some() && !matches!(done.intent, Intent::Stop | Intent::Await) {
        let before = seen.workspace.status.as_ref();
        assessment.status.observed_generation = before.and_then(|status| status.observed_generation);
    }
    assessment
}

/// Publishes the status, and returns when the next reconcile is.
async fn report(
    seen: &Snapshot<'_>,
    done: Done,
    assessment: Assessment,
    context: &Context,
) -> Result<Next, Error> {
    let Workspace { metadata, status, .. } = seen.workspace;
    let Assessment {
        status: mut next,
        mut events,
        recheck,
    } = assessment;
    let is_applied = done.failure.is_none();
    let announced = expiry::announce(context, seen.workspace, &mut next, is_applied);
    events.extend(Box::pin(announced).await);
    let next_stop = NextStop::of(&next, &done.observed);
    let deletes_at = next.deletes_at.as_ref().map(|time| time.0);
    let update = StatusUpdate {
        status: next,
        events,
        run: done.observed.run_id().map(str::to_owned),
    };
    let published = publish::publish(context, metadata, status.as_ref(), update);
    let published = context.metrics.time("publish", Box::pin(published)).await;
    let nothing = WorkspaceStatus::default();
    let outdated = match published {
        Ok(Published::Written) => None,
        // A status that cannot be written holds up no stop that is announced or overdue.
        Ok(Published::Outdated) | Err(_) => Some(status.as_ref().unwrap_or(&nothing)),
    };
    let again = Box::pin(idle::enforce(context, seen.workspace, next_stop, outdated)).await;
    let published = published?;
    if let Some(failure) = done.failure {
        return Err(failure);
    }
    let recheck = sooner(sooner(recheck, seen.recheck), again);
    match published {
        Published::Written => {
            let expires = Box::pin(expiry::enforce(context, seen.workspace, deletes_at)).await;
            let recheck = sooner(recheck, expires);
            Ok(next_reconcile(done.intent, done.blocker.as_ref(), recheck))
        }
        Published::Outdated => Ok(Next::Blocked(recheck)),
    }
}

/// When the next reconcile is, if nothing triggers one before.
fn next_reconcile(intent: Intent, blocker: Option<&Blocker>, recheck: Option<Duration>) -> Next {
    match blocker {
        Some(Blocker::Refused(refusal)) if !refusal.is_invalid => {
            Next::Blocked(sooner(Some(REFUSED_INTERVAL), recheck))
        }
        Some(blocker) if !blocker.ends_by_trigger() => Next::Blocked(recheck),
        _ if matches!(intent, Intent::Stop | Intent::Await) => {
            Next::Settled(sooner(Some(RECHECK_INTERVAL), recheck))
        }
        _ => Next::Settled(recheck),
    }
}

/// Whether the current run has to end and start again with the spec of today.
/// - A run in which no container has started yet takes changes at once, as with `Always`.
/// - With a disk that is deleted with its pod, only an explicit restart request restarts the run.
/// - The same holds with a claim that is being deleted and still named: no next run could start on it.
fn restarts_now(workspace: &Workspace, valid: Option<&ValidWorkspace>, observed: &Observed) -> bool {
    let goes = observed.used_deleted_claim().is_some();
    let stays_named = |valid| {
        let mut named = borrowed_claims::named_claims(valid).into_iter();
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

/// Writes routes and objects of the template, and returns what blocks them.
async fn write_objects(
    context: &Context,
    workspace: &Workspace,
    valid: Option<&ValidWorkspace>,
    observed: &Observed,
) -> Result<Option<Blocker>, apply::WriteError> {
    let status = workspace.spec.desired_status;
    let has = |purpose| objects::has_any(context, &observed.identity, purpose);
    let routes = objects::desired_routes(status, valid, observed, has(Purpose::Route));
    let of_template = objects::desired_objects(status, valid, observed, has(Purpose::Template));
    let desired = [(Purpose::Route, routes), (Purpose::Template, of_template)];
    objects::apply_desired(context, &observed.identity, &desired).await
}

/// Handles a spec that does not parse: the status says so, and nothing else is done.
pub(super) async fn explain(invalid: &Unreadable, context: &Context) -> Result<Next, Error> {
    let identity = Identity::from_meta(&invalid.metadata);
    tracing::warn!(
        workspace = identity.key(),
        error = invalid.error,
        "the workspace cannot be read"
    );
    context.metrics.error("observe", "Unreadable".to_owned());
    context.idle.forget(&identity.key());
    let (resource_version, before) = observe::unreadable(&identity, &context.client).await?;
    let seen = ObjectMeta {
        resource_version,
        ..invalid.metadata.clone()
    };
    let now = (context.now)();
    let status = assess::unreadable(before.clone(), invalid.metadata.generation, &invalid.error, now);
    let update = StatusUpdate {
        status,
        ..StatusUpdate::default()
    };
    publish::publish(context, &seen, Some(&before), update).await?;
    // Another version of the operator, or other CRDs, may be able to read it.
    Ok(Next::Blocked(None))
}
