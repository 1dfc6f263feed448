//! Plan, intent, world -> children as planned (IO): server-side apply, and only where something differs.

use std::{fmt::Debug, sync::Arc};

use api::{Workspace, names};
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::Deployment,
        core::v1::{PersistentVolumeClaim, Service},
        networking::v1::NetworkPolicy,
    },
};
use kube::{
    Api, Resource,
    api::{Patch, PatchParams},
};
use rules::ValidWorkspace;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    context::Context,
    differ::{self, Child, Step},
    failure::message_of,
    finalizer,
    intent::Intent,
    plan::{self, Plan},
    random, refusal,
    trouble::Obstacle,
    world::{Identity, World},
};

/// A write failed in a way that passes by itself: a conflict, overload, an outage.
#[derive(Debug, thiserror::Error)]
#[error("the {kind} cannot be written: {}", message_of(.source))]
pub struct Error {
    /// What was to be written.
    pub kind: &'static str,
    /// Why it was not.
    #[source]
    pub source: kube::Error,
}

/// What is there after the writes.
#[derive(Debug)]
pub struct Applied {
    /// The children, with what was written.
    pub world: World,
    /// What kept a child from being written; the first, if several.
    pub obstacle: Option<Obstacle>,
}

/// Brings the children of a workspace to where they ought to be. Without a plan (the workspace is not valid) nothing is
/// made but the wall around a pod that runs on; a run is ended all the same.
pub async fn apply(
    context: &Context,
    workspace: &Workspace,
    planned: Option<(&ValidWorkspace, Plan)>,
    intent: Intent,
    world: World,
) -> Result<Applied, Error> {
    let mut applied = Applied {
        world,
        obstacle: None,
    };
    if let Some((valid, plan)) = planned {
        finalizer::hold(context, workspace)
            .await
            .map_err(|source| Error {
                kind: "finalizer",
                source,
            })?;
        Box::pin(lasting(context, plan, &mut applied)).await?;
        if intent == Intent::Start && applied.obstacle.is_none() {
            start(context, valid, &mut applied).await?;
        }
    } else if applied.world.wanted_pods() > 0 || applied.world.live_pods().next().is_some() {
        wall(context, &mut applied).await?;
    }
    match intent {
        Intent::Stop => scale(context, 0, &mut applied).await?,
        Intent::Keep => scale(context, 1, &mut applied).await?,
        Intent::Start | Intent::Await | Intent::Rest => {}
    }
    Ok(applied)
}

/// Disk, wall and Service, side by side. The wall stands before a pod does, because a run starts only after them.
async fn lasting(context: &Context, plan: Plan, applied: &mut Applied) -> Result<(), Error> {
    let world = &applied.world;
    let claim = plan
        .claim
        .map(|claim| differ::fit_claim(claim, world.claim.as_deref()));
    let (claim, policy, service) = futures::join!(
        async {
            match claim {
                Some(claim) => {
                    child::<PersistentVolumeClaim>(context, world, claim, world.claim.as_ref()).await
                }
                None => Ok(Outcome::Is(world.claim.clone())),
            }
        },
        child::<NetworkPolicy>(context, world, plan.policy, world.policy.as_ref()),
        child::<Service>(context, world, plan.service, world.service.as_ref()),
    );
    let (claim, policy, service) = (claim?, policy?, service?);
    let obstacles = [claim.obstacle(), policy.obstacle(), service.obstacle()];
    applied.obstacle = obstacles.into_iter().flatten().next();
    claim.settle(&mut applied.world.claim);
    policy.settle(&mut applied.world.policy);
    service.settle(&mut applied.world.service);
    Ok(())
}

/// The wall alone.
async fn wall(context: &Context, applied: &mut Applied) -> Result<(), Error> {
    let world = &applied.world;
    let wall = plan::wall(&world.identity, &context.site);
    let policy = child::<NetworkPolicy>(context, world, wall, world.policy.as_ref()).await?;
    applied.obstacle = policy.obstacle();
    policy.settle(&mut applied.world.policy);
    Ok(())
}

enum Outcome<K> {
    Is(Option<Arc<K>>),
    Blocked(Obstacle),
}

impl<K> Outcome<K> {
    fn obstacle(&self) -> Option<Obstacle> {
        match self {
            Self::Is(_) => None,
            Self::Blocked(obstacle) => Some(obstacle.clone()),
        }
    }

    fn settle(self, place: &mut Option<Arc<K>>) {
        if let Self::Is(object) = self {
            *place = object;
        }
    }
}

async fn child<K>(
    context: &Context,
    world: &World,
    planned: K,
    live: Option<&Arc<K>>,
) -> Result<Outcome<K>, Error>
where
    K: Child + Resource<Scope = NamespaceResourceScope> + Kind,
    K: Clone + Debug + Serialize + DeserializeOwned,
{
    match differ::step(&world.identity, &planned, live.map(AsRef::as_ref)) {
        Step::Keep => Ok(Outcome::Is(live.cloned())),
        Step::Conflict => Ok(Outcome::Blocked(conflict::<K>(&world.identity))),
        Step::Wait => Ok(Outcome::Blocked(leaving::<K>(&world.identity))),
        Step::Write => {
            let uid = live.and_then(|live| live.meta().uid.clone());
            let mut planned = planned;
            planned.meta_mut().uid = uid;
            write(context, &world.identity, names::OPERATOR, &planned).await
        }
    }
}

/// Begins a run: the pod template is applied here and nowhere else.
async fn start(context: &Context, valid: &ValidWorkspace, applied: &mut Applied) -> Result<(), Error> {
    let live = applied.world.deployment.as_ref();
    let identity = &applied.world.identity;
    match live.map_or(Step::Keep, |live| differ::stance(identity, &live.metadata)) {
        Step::Conflict => applied.obstacle = Some(conflict::<Deployment>(identity)),
        Step::Wait => applied.obstacle = Some(leaving::<Deployment>(identity)),
        Step::Keep | Step::Write => {
            let mut deployment = plan::run(valid, &context.site, &random::identifier());
            deployment.metadata.uid = live.and_then(|live| live.metadata.uid.clone());
            let outcome = write::<Deployment>(context, identity, names::OPERATOR, &deployment).await?;
            deployed(context, outcome, applied);
        }
    }
    Ok(())
}

/// Sees to it that the Deployment has so many pods, and our labels and owner, without touching its pod template.
async fn scale(context: &Context, replicas: i32, applied: &mut Applied) -> Result<(), Error> {
    let identity = &applied.world.identity;
    let Some(live) = applied.world.deployment.as_ref() else {
        return Ok(());
    };
    if differ::stance(identity, &live.metadata) != Step::Keep {
        return Ok(());
    }
    let mut scale = plan::scale(identity, replicas);
    if applied.world.wanted_pods() == replicas && differ::meta_covers(&live.metadata, &scale.metadata) {
        return Ok(());
    }
    scale.metadata.uid.clone_from(&live.metadata.uid);
    let outcome = write::<Deployment>(context, identity, names::OPERATOR_SCALE, &scale).await?;
    deployed(context, outcome, applied);
    Ok(())
}

fn deployed(context: &Context, outcome: Outcome<Deployment>, applied: &mut Applied) {
    applied.obstacle = applied.obstacle.take().or_else(|| outcome.obstacle());
    outcome.settle(&mut applied.world.deployment);
    if let Some(deployment) = &applied.world.deployment {
        let key = applied.world.identity.key();
        context.memory.saw_deployment(&key, Some(deployment));
    }
}

async fn write<K>(
    context: &Context,
    identity: &Identity,
    manager: &str,
    intent: &(impl Serialize + Debug),
) -> Result<Outcome<K>, Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Kind,
    K: Clone + Debug + DeserializeOwned,
{
    let objects: Api<K> = Api::namespaced(context.client.clone(), &identity.namespace);
    let params = PatchParams::apply(manager).force();
    match objects
        .patch(&identity.child_name(), &params, &Patch::Apply(intent))
        .await
    {
        Ok(object) => {
            context.metrics.write("apply");
            Ok(Outcome::Is(Some(Arc::new(object))))
        }
        Err(kube::Error::Api(status)) => match refusal::of_answer(K::KIND, status.code, &status.message) {
            Some(refusal) => Ok(Outcome::Blocked(Obstacle::Refused(refusal))),
            None => Err(Error {
                kind: K::KIND,
                source: kube::Error::Api(status),
            }),
        },
        Err(source) => Err(Error {
            kind: K::KIND,
            source,
        }),
    }
}

fn conflict<K: Kind>(identity: &Identity) -> Obstacle {
    Obstacle::Conflict {
        kind: K::KIND.to_owned(),
        name: identity.child_name(),
    }
}

fn leaving<K: Kind>(identity: &Identity) -> Obstacle {
    Obstacle::Leaving {
        kind: K::KIND.to_owned(),
        name: identity.child_name(),
    }
}

/// The name of a kind, as people know it.
trait Kind {
    const KIND: &'static str;
}

impl<K: k8s_openapi::Resource> Kind for K {
    const KIND: &'static str = <K as k8s_openapi::Resource>::KIND;
}
