//! One workspace -> one pass over it (IO): the table of contents of the operator.

use std::{sync::Arc, time::Duration};

use api::{
    Workspace, WorkspaceStatus,
    condition::{self, STOPPED},
    workspace::{DesiredStatus, UpdatePolicy},
};
use k8s_openapi::{Resource as _, api::apps::v1::Deployment};
use kube::{Resource as _, core::error_boundary::InvalidObject, runtime::controller::Action};
use rules::ValidWorkspace;

use crate::{
    admit::admit,
    apply::{self, Applied},
    assess::{self, Facts, assess},
    backoff::spread,
    begun,
    context::Context,
    disks::fate::fate,
    early,
    failure::{is_everyday, reason_of},
    idle,
    intent::{Intent, intent, needs_certainty},
    keys,
    memory::Recalled,
    observe, plan, protect,
    publish::{self, Word},
    record,
    references::Rejected,
    retire::{self, LastWill},
    routes,
    stores::Guarded,
    trouble::Obstacle,
    world::{Identity, World},
};

/// A pass that takes longer has got stuck; it is given up and tried again.
const LIMIT: Duration = Duration::from_secs(30);
/// A settled workspace is looked at again after this time, in case a watch lost something. It costs no call.
const RESYNC: Duration = Duration::from_mins(20);
/// While pods or children are on their way out, the world is looked at again after this time at the latest.
const VIGIL: Duration = Duration::from_secs(5);

/// Why a pass failed. Everything here passes by itself; what does not is told in the status.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The world could not be read.
    #[error(transparent)]
    Observe(#[from] observe::Error),
    /// A child could not be written.
    #[error(transparent)]
    Apply(#[from] apply::Error),
    /// A route could not be written.
    #[error(transparent)]
    Routes(#[from] routes::Error),
    /// The status could not be written.
    #[error(transparent)]
    Publish(#[from] publish::Error),
    /// What the workspace refers to could not be held.
    #[error(transparent)]
    Hold(#[from] protect::Error),
    /// The keys by which pods check who asks them are somebody else's, and could not be put right.
    #[error("the ConfigMap with the keys of who asks is not right, so no pod starts: {}", crate::failure::message_of(.0))]
    Keys(#[source] kube::Error),
    /// The children could not be deleted.
    #[error(transparent)]
    Retire(#[from] retire::Error),
    /// The pass took too long.
    #[error("the pass took longer than {} s", LIMIT.as_secs())]
    Stuck,
}

impl Error {
    /// The step, and what it met there.
    fn origin(&self) -> (&'static str, Option<&kube::Error>) {
        match self {
            Self::Observe(error) => ("observe", Some(&error.0)),
            Self::Apply(error) => ("apply", Some(&error.source)),
            Self::Routes(error) => ("routes", Some(&error.source)),
            Self::Publish(error) => ("publish", Some(&error.0)),
            Self::Keys(error) => ("keys", Some(error)),
            Self::Retire(error) => ("retire", Some(&error.0)),
            Self::Hold(error) => ("hold", Some(&error.source)),
            Self::Stuck => ("all", None),
        }
    }
}

/// When to look at a workspace again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// When something changes; or after this time, if that comes first.
    Settled(Option<Duration>),
    /// Soon, and ever later: somebody has to act, and not all that they may do wakes us. After this time at the latest.
    Hindered(Option<Duration>),
    /// Never: it is gone, or a change will wake us.
    Never,
}

/// One pass over one workspace, once every cache has been filled: before that, what is not there yet looks as if it were gone.
pub async fn informed(object: Arc<Guarded<Workspace>>, context: Arc<Context>) -> Result<Action, Error> {
    // It fails only when nobody fills the caches any more, and then nobody waits for the pass.
    let _ = context.stores.until_filled().await;
    reconcile(object, context).await
}

/// One pass over one workspace.
pub async fn reconcile(object: Arc<Guarded<Workspace>>, context: Arc<Context>) -> Result<Action, Error> {
    let key = Identity::of(object.meta()).key();
    let next = match tokio::time::timeout(LIMIT, Box::pin(pass(&object, &context))).await {
        Ok(result) => result?,
        Err(_) => return Err(Error::Stuck),
    };
    if let Next::Hindered(latest) = next {
        let wait = context.backoff.after_failure(&key).max(Duration::from_secs(1));
        return Ok(Action::requeue(latest.map_or(wait, |latest| latest.min(wait))));
    }
    context.backoff.reset(&key);
    Ok(match next {
        Next::Settled(after) => Action::requeue(after.unwrap_or_else(|| spread(RESYNC))),
        Next::Hindered(_) | Next::Never => Action::await_change(),
    })
}

/// What follows a failed pass: a longer and longer wait for this workspace, nothing for the others.
#[expect(clippy::needless_pass_by_value, reason = "the signature that the queue calls")]
pub fn error_policy(object: Arc<Guarded<Workspace>>, error: &Error, context: Arc<Context>) -> Action {
    let (step, source) = error.origin();
    context
        .metrics
        .error(step, source.map_or_else(|| "Stuck".to_owned(), reason_of));
    let workspace = Identity::of(object.meta()).key();
    let wait = context.backoff.after_failure(&workspace);
    let retry_ms = wait.as_millis();
    if source.is_some_and(is_everyday) {
        tracing::debug!(%error, workspace, retry_ms, "the pass is made again");
    } else {
        tracing::warn!(%error, workspace, retry_ms, "the pass failed");
    }
    Action::requeue(wait)
}

async fn pass(object: &Guarded<Workspace>, context: &Context) -> Result<Next, Error> {
    let namespace = object.meta().namespace.as_deref().unwrap_or_default();
    match &object.0 {
        _ if context.site.ignores(namespace) => Ok(Next::Never),
        _ if object.meta().deletion_timestamp.is_some() => Box::pin(depart(object, context)).await,
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
    let workspace = &with_own_words(workspace, written.as_ref(), context);
    let before = workspace.status.as_ref();
    let stopped = before.is_some_and(|status| condition::holds(&status.conditions, STOPPED));

    let references = metrics.measure("observe", || observe::references(workspace, stores));
    let world = metrics.measure("observe", || observe::world(&identity, stores));
    let verdict = metrics.measure("admit", || {
        let is_held = |key: &_| context.holds.is_held(workspace.metadata.uid.as_deref(), key);
        admit(workspace, &references, settings)
            .and_then(|valid| protect::admit(valid, workspace, &references, &world, is_held))
    });
    let planned = metrics.measure("plan", || match &verdict {
        Ok(valid) => Ok((valid, plan::lasting(valid, site))),
        Err(_) => Err(plan::wall(&identity, site, &references.last_wall(before)).map(Box::new)),
    });
    let decide = |world: &World| {
        let restart = asks_for_restart(workspace, verdict.as_ref().ok(), world);
        intent(workspace.spec.desired_status, verdict.is_ok(), world).or_restart(restart)
    };
    let complete = planned.as_ref().is_ok_and(|(_, plan)| has_all(plan, &world));
    let (world, expected) = certain(context, world, before.is_none(), complete, |world, known| {
        needs_certainty(decide(world), world, known, stopped)
    })
    .await?;
    let intent = decide(&world);
    if let Ok(valid) = &verdict {
        protect::hold(context, valid, &references).await?;
    }
    if intent == Intent::Start {
        keys::ensure(context, &identity.namespace)
            .await
            .map_err(Error::Keys)?;
    }
    let Applied { world, obstacle } = metrics
        .timed(
            "apply",
            Box::pin(apply::apply(context, workspace, planned, intent, world)),
        )
        .await?;
    let routed = route(context, workspace, verdict.as_ref().ok(), &world);
    let obstacle = obstacle.or(metrics.timed("routes", Box::pin(routed)).await?);
    let facts = Facts {
        workspace,
        verdict: &verdict,
        world: &world,
        obstacle: obstacle.as_ref(),
        grace: settings.unschedulable_grace(),
        now: (context.now)(),
    };
    let mut assessment = metrics.measure("assess", || assess(&facts));
    idle::attend(
        context,
        workspace,
        verdict.as_ref().ok(),
        &world,
        &mut assessment.status,
    );
    let recheck = sooner(assessment.recheck, expected);
    let asked = workspace.spec.desired_status == DesiredStatus::Stopped;
    let news = Word {
        status: assessment.status,
        news: assessment.news,
        asked,
        newness: early::newness(workspace, (context.now)()),
    };
    let published = publish::publish(context, &identity, written.as_ref(), news);
    let put_off = metrics.timed("publish", Box::pin(published)).await?;
    let missing = verdict.as_ref().err().map(Rejected::reason);
    let late = publish::late(context, &identity, missing).await;
    let again = sooner(sooner(recheck, put_off), late);

    let on_its_way_out =
        matches!(intent, Intent::Stop | Intent::Await) || (intent == Intent::Rest && !world.is_quiet());
    Ok(match obstacle {
        Some(obstacle) if !obstacle.wakes() => Next::Hindered(again),
        _ if on_its_way_out => Next::Settled(sooner(Some(VIGIL), again)),
        _ => Next::Settled(again),
    })
}

fn sooner(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    one.into_iter().chain(other).min()
}

/// Whether the run that is on is to end and begin anew, with what is asked for today. One in which no container has started
/// yet takes changes at once, as with `Always`. With a disk that goes when its pod does, only who asks for a restart by name gets one.
fn asks_for_restart(workspace: &Workspace, valid: Option<&ValidWorkspace>, world: &World) -> bool {
    let own = world.own_claim();
    let policy = if own.is_some_and(|claim| claim.metadata.deletion_timestamp.is_some()) {
        UpdatePolicy::OnStop
    } else if begun::has_begun(workspace.status.as_ref(), world) {
        workspace.spec.update_policy
    } else {
        UpdatePolicy::Always
    };
    let started = world.started_from().zip(valid);
    started.is_some_and(|(started, valid)| record::asks_for_restart(started, valid, policy))
}

/// The routes that are objects, and what is in their way.
async fn route(
    context: &Context,
    workspace: &Workspace,
    valid: Option<&ValidWorkspace>,
    world: &World,
) -> Result<Option<Obstacle>, routes::Error> {
    let has = routes::has_any(context, &world.identity);
    let wish = routes::wish(workspace.spec.desired_status, valid, world, has);
    routes::settle(context, &world.identity, wish).await
}

/// Whether every child that lasts is there.
fn has_all(plan: &plan::Plan, world: &World) -> bool {
    world.service.is_some()
        && (plan.claim.is_none() || world.claim.is_some())
        && (plan.policy.is_none() || world.policy.is_some())
        && (plan.account.is_none() || world.account.is_some())
}

/// The cached world, with our own last write where the cache does not have it yet, and read anew where `doubtful` says
/// so. It is told whether it is certain anyway that no pod is there and none can come: because it was made sure of and
/// nothing happened since, or because the workspace is `new`, so that nothing of it can be there but what the caches show
/// or a write runs into. `complete`: the caches show all children but the Deployment; only then is our last write enough where they
/// do not show it yet, and is to be looked for again after the time in the answer.
async fn certain(
    context: &Context,
    mut world: World,
    new: bool,
    complete: bool,
    doubtful: impl Fn(&World, bool) -> bool,
) -> Result<(World, Option<Duration>), Error> {
    let (memory, key) = (&context.memory, world.identity.key());
    let recalled = memory.deployment(&key, world.deployment.as_deref());
    let unseen = recalled == Recalled::Unseen
        || (!complete && world.deployment.is_none() && recalled != Recalled::Nothing);
    let mut expected = None;
    match recalled {
        Recalled::Newer(deployment) => world.deployment = Some(deployment),
        Recalled::Expected(deployment, left) => {
            world.deployment = Some(deployment);
            expected = Some(left);
        }
        Recalled::Nothing | Recalled::Unseen => {}
    }
    let mut known = (new && world.deployment.is_none() && world.is_quiet())
        || memory.was_quiet(&key, world.deployment.as_deref());
    if unseen || doubtful(&world, known) {
        let (client, census) = (&context.client, &context.census);
        let reread = async {
            if unseen {
                observe::reread_all(world, client, census).await
            } else {
                observe::reread(world, client, census).await
            }
        };
        world = context.metrics.timed("reread", Box::pin(reread)).await?;
        memory.saw_deployment(&key, world.deployment.as_ref());
        (known, expected) = (true, None);
    }
    if known && world.is_quiet() {
        memory.is_quiet(&key, world.deployment.as_deref());
    }
    Ok((world, expected))
}

/// A deleted workspace: its children go first. Its spec is not needed. The world is read anew once nothing seems to be
/// left that has or makes pods.
async fn depart(object: &Guarded<Workspace>, context: &Context) -> Result<Next, Error> {
    let identity = Identity::of(object.meta());
    context.idle.forget(&identity.key());
    if context.memory.has_let_go(&identity.key(), &identity.uid) {
        return Ok(Next::Never);
    }
    let world = what_is_left(context, &identity).await?;
    let will = will(object, context).await?;
    let left = context
        .metrics
        .timed("retire", Box::pin(retire::retire(context, object, &will, &world)))
        .await?;
    let Some(left) = left else {
        context.memory.let_go(&identity.key(), &identity.uid);
        return Ok(Next::Never);
    };
    let mut put_off = None;
    if let Ok(workspace) = &object.0 {
        let written = newest_status(workspace, context);
        let workspace = with_own_words(workspace, written.as_ref(), context);
        let status = assess::farewell(&workspace, &left, (context.now)());
        let news = Word {
            status,
            asked: true,
            ..Word::default()
        };
        put_off = publish::publish(context, &identity, written.as_ref(), news).await?;
    }
    Ok(Next::Settled(sooner(Some(VIGIL), put_off)))
}

/// What is there of a deleted workspace: read anew once nothing seems to be left that has or makes pods. No pass over it makes a
/// Deployment, so that once the API server has said that ours is gone, only what it made is looked for.
async fn what_is_left(context: &Context, identity: &Identity) -> Result<World, Error> {
    let mut world = observe::world(identity, &context.stores);
    let shown = world
        .deployment
        .as_ref()
        .and_then(|it| it.metadata.uid.as_deref());
    if !context.memory.has_removed(identity, Deployment::KIND, shown) {
        let left = certain(context, world, false, false, |world, _| retire::seems_bare(world));
        return Ok(left.await?.0);
    }
    world.deployment = None;
    if retire::seems_bare(&world) {
        let recount = observe::recount(world, &context.client, &context.census);
        world = context.metrics.timed("reread", Box::pin(recount)).await?;
    }
    Ok(world)
}

/// What is to become of the disks of a deleted workspace. One that does not parse is asked for its status.
async fn will(object: &Guarded<Workspace>, context: &Context) -> Result<LastWill, Error> {
    let storage = |status: Option<&WorkspaceStatus>| status?.resolved.as_ref()?.storage.clone();
    let Ok(workspace) = &object.0 else {
        let status = observe::status_of_unreadable(&Identity::of(object.meta()), &context.client).await?;
        let last = storage(Some(&status));
        return Ok(LastWill {
            retain: fate(None, None, last.as_ref()),
            borrowed: last.and_then(|last| last.claim_name),
        });
    };
    let references = observe::references(workspace, &context.stores);
    let written = newest_status(workspace, context);
    let last = storage(
        with_own_words(workspace, written.as_ref(), context)
            .status
            .as_ref(),
    );
    let given = workspace.spec.storage.as_ref();
    Ok(LastWill {
        retain: fate(
            Some(&workspace.spec),
            references.template.as_deref(),
            last.as_ref(),
        ),
        borrowed: given.and_then(|storage| storage.claim_name.clone()),
    })
}

/// An object that does not parse: its status says so, and nothing else is done.
async fn explain(invalid: &InvalidObject, context: &Context) -> Result<Next, Error> {
    let identity = Identity::of(&invalid.metadata);
    tracing::warn!(
        workspace = identity.key(),
        error = invalid.error,
        "the workspace cannot be read"
    );
    context.metrics.error("observe", "Unreadable".to_owned());
    context.idle.forget(&identity.key());
    let before: WorkspaceStatus = observe::status_of_unreadable(&identity, &context.client).await?;
    let now = (context.now)();
    let status = assess::unreadable(before.clone(), invalid.metadata.generation, &invalid.error, now);
    let news = Word {
        status,
        ..Word::default()
    };
    publish::publish(context, &identity, Some(&before), news).await?;
    Ok(Next::Never)
}

/// The status that the workspace has: the cached one, or what we wrote last, if the cache has not seen it yet.
fn newest_status(cached: &Workspace, context: &Context) -> Option<WorkspaceStatus> {
    let key = Identity::of(&cached.metadata).key();
    let newer = context.memory.newer_status(&key, &cached.metadata);
    newer.or_else(|| cached.status.clone())
}

/// The workspace with the status that we would say it has: what was put off counts as said.
fn with_own_words(cached: &Workspace, written: Option<&WorkspaceStatus>, context: &Context) -> Workspace {
    let identity = Identity::of(&cached.metadata);
    let put_off = context.put_off.status(&identity.key(), &identity.uid);
    Workspace {
        metadata: cached.metadata.clone(),
        spec: cached.spec.clone(),
        status: put_off.or_else(|| written.cloned()),
    }
}
