//! Desired routes, existing routes -> routes as desired (IO), written only where they differ.
//!
//! As with other children, a write carries its precondition, and an object of another owner is never written.

use std::sync::Arc;

use api::{condition::reason, names};
use kube::{
    Api,
    api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams},
    core::Status,
};
use rules::routes::Route;
use serde_json::{Value, json};

use super::{Desired, diff, object::object};
use crate::{
    apply::{
        Outcome, WriteError,
        delete::{Ended, end},
        diff::{Step, stance},
        is_conflict, with_backoff,
    },
    blockers::{Blocker, refusal},
    cache::{
        observed::{Identity, holders},
        routes::{KindState, Live},
    },
    context::Context,
};

/// Whether a workspace has route objects.
pub fn has_any(context: &Context, identity: &Identity) -> bool {
    !own(context, identity).is_empty()
}

fn own(context: &Context, identity: &Identity) -> Vec<Live> {
    let labelled = context.stores.routes.with_label_of(identity);
    let own = labelled
        .into_iter()
        .filter(|live| identity.owns(&live.object.metadata));
    own.collect()
}

/// Makes the routes of a workspace as desired. Returns the first blocker, if any.
pub async fn apply_desired(
    context: &Context,
    identity: &Identity,
    desired: Desired<'_>,
) -> Result<Option<Blocker>, WriteError> {
    let own = own(context, identity);
    let desired = match desired {
        Desired::AsTheyAre(None) => return Ok(None),
        Desired::AsTheyAre(Some(why)) => {
            let message = format!(
                "The routes stay as they are, because the workspace's WorkspaceManager breaks a rule: {why}."
            );
            return Ok(Some(failure(message, own.is_empty())));
        }
        Desired::None => &[],
        Desired::These(routes) => routes,
    };
    let placed = place(context, identity, desired).await?;
    for live in &self::own(context, identity) {
        let desired = desired
            .iter()
            .any(|route| route.kind == live.kind && Some(&route.name) == live.object.metadata.name.as_ref());
        if placed.gap || !desired {
            delete(context, identity, live).await?;
        }
    }
    Ok(placed.blocker)
}

/// Result of writing the routes.
struct Placed {
    blocker: Option<Blocker>,
    /// Whether an object is missing that others may refer to, such as one that authenticates users. Then none of the routes may be left:
    /// they would work without it, or with an object of another owner.
    gap: bool,
}

/// Writes the routes in order, and none after one that cannot be written.
async fn place(context: &Context, identity: &Identity, desired: &[Route]) -> Result<Placed, WriteError> {
    let mut ready = Vec::new();
    for route in desired {
        match resource(context, route) {
            Ok(Some(resource)) => ready.push(Writer {
                context,
                identity,
                route,
                resource,
            }),
            Ok(None) => return Ok(Placed::after(None, false)),
            Err(blocker) => return Ok(Placed::after(Some(blocker), false)),
        }
    }
    // Check that no name is taken before an object is made that would refer to that name.
    if ready.len() > 1 {
        for writer in ready.iter().filter(|writer| writer.cached_object().is_none()) {
            if let Some(blocker) = writer.name_conflict().await? {
                return Ok(Placed::after(Some(blocker), true));
            }
        }
    }
    let mut contested = None;
    for writer in &ready {
        let blocker = writer.write().await?;
        if let Some(Blocker::Contested { .. }) = blocker {
            contested = blocker;
        } else if let Some(blocker) = blocker {
            let own = writer
                .cached_object()
                .filter(|live| identity.owns(&live.metadata));
            return Ok(Placed::after(Some(blocker), own.is_none()));
        }
    }
    Ok(Placed::after(contested, false))
}

impl Placed {
    fn after(blocker: Option<Blocker>, gap: bool) -> Self {
        let blocker = blocker.map(|blocker| match blocker {
            Blocker::Route { reason, message, .. } if gap => Blocker::Route {
                reason,
                message,
                missing: true,
            },
            other => other,
        });
        Self { blocker, gap }
    }
}

/// Deletes every route of a workspace that is being deleted. Returns the names of those that still exist.
///
/// # Errors
/// An API error that is transient.
pub async fn remove(context: &Context, identity: &Identity) -> Result<Vec<String>, kube::Error> {
    for live in own(context, identity) {
        delete(context, identity, &live)
            .await
            .map_err(|error| error.source)?;
    }
    let left = own(context, identity);
    Ok(left.iter().map(|live| live.kind.kind.clone()).collect())
}

/// The API resource of a route's kind. `None` while it is being looked up; the result triggers a reconcile.
fn resource(context: &Context, route: &Route) -> Result<Option<ApiResource>, Blocker> {
    let store = &context.stores.routes;
    match store.state(&route.kind) {
        Some(KindState::Available(resource)) => Ok(Some(resource)),
        Some(KindState::Unknown) => Ok(None),
        Some(KindState::Unavailable(why)) => Err(failure(why, true)),
        None => Err(failure(
            format!("The operator does not watch {}.", route.kind),
            true,
        )),
    }
}

/// Everything that the write of one route needs.
struct Writer<'a> {
    context: &'a Context,
    identity: &'a Identity,
    route: &'a Route,
    resource: ApiResource,
}

impl Writer<'_> {
    fn cached_object(&self) -> Option<Arc<DynamicObject>> {
        let store = &self.context.stores.routes;
        store.get(&self.route.kind, &self.identity.namespace, &self.route.name)
    }

    /// The blocker if the name belongs to an object of another owner.
    async fn name_conflict(&self) -> Result<Option<Blocker>, WriteError> {
        let found = self.api().get_opt(&self.route.name).await;
        let found = found.map_err(|error| self.error(error))?;
        Ok(found
            .filter(|found| stance(self.identity, &found.metadata) == Step::Conflict)
            .map(|_| self.conflict()))
    }

    async fn write(&self) -> Result<Option<Blocker>, WriteError> {
        let planned = object(self.identity, self.route);
        match self.cached_object() {
            Some(live) => self.put_right(planned, live).await,
            None => self.make(planned).await,
        }
    }

    fn conflict(&self) -> Blocker {
        let (kind, name) = (&self.route.kind.kind, &self.route.name);
        Blocker::Route {
            reason: reason::NAME_CONFLICT,
            message: format!(
                "A {kind} named {name} exists and is not this workspace's, so it gets no route. Delete that object (an administrator can)."
            ),
            missing: true,
        }
    }

    /// Makes an absent route. If the name is taken, the existing object is handled like any other.
    async fn make(&self, planned: Value) -> Result<Option<Blocker>, WriteError> {
        let mut intent = planned.clone();
        intent["metadata"]["resourceVersion"] = json!(kit::ABSENT);
        match self.apply(intent).await {
            Err(error) if is_conflict(&error) => {
                let found = self.api().get_opt(&self.route.name).await;
                match found.map_err(|error| self.error(error))? {
                    Some(found) => self.put_right(planned, Arc::new(found)).await,
                    None => Err(error),
                }
            }
            made => Ok(made?.blocker()),
        }
    }

    async fn put_right(
        &self,
        planned: Value,
        live: Arc<DynamicObject>,
    ) -> Result<Option<Blocker>, WriteError> {
        let (kind, name) = (self.route.kind.kind.clone(), self.route.name.clone());
        match stance(self.identity, &live.metadata) {
            Step::Conflict => Ok(Some(self.conflict())),
            Step::Wait => Ok(Some(Blocker::Terminating {
                kind,
                name,
                holders: holders(&live.metadata),
            })),
            Step::Keep | Step::Write if diff::is_as_planned(&live, &planned) => Ok(None),
            Step::Keep | Step::Write => {
                let mut intent = planned.clone();
                intent["metadata"]["uid"] = json!(live.metadata.uid);
                let (routes, write) = (self.api(), self.apply(intent));
                let routes = (&routes, kind.as_str());
                let outcome = with_backoff(self.context, self.identity, routes, &planned, &live, write);
                Ok(outcome.await?.blocker())
            }
        }
    }

    async fn apply(&self, intent: Value) -> Result<Outcome<DynamicObject>, WriteError> {
        let params = PatchParams::apply(names::OPERATOR).force();
        let api = self.api();
        match api.patch(&self.route.name, &params, &Patch::Apply(&intent)).await {
            Ok(object) => {
                self.context.metrics.write("apply");
                let store = &self.context.stores.routes;
                store.update(&self.route.kind, object.clone());
                Ok(Outcome::Is(Some(Arc::new(object))))
            }
            Err(kube::Error::Api(status)) => match self.refusal(&status) {
                Some(blocker) => Ok(Outcome::Blocked(blocker)),
                None => Err(self.error(kube::Error::Api(status))),
            },
            Err(source) => Err(self.error(source)),
        }
    }

    fn refusal(&self, status: &Status) -> Option<Blocker> {
        let kind = &self.route.kind.kind;
        refusal::of_answer(kind, status, None)?;
        let message = format!(
            "The {kind} {} was refused: {}. Have routing.custom of the WorkspaceManager corrected, or what the message names.",
            self.route.name,
            status.message.trim_end_matches('.')
        );
        Some(failure(message, own(self.context, self.identity).is_empty()))
    }

    fn api(&self) -> Api<DynamicObject> {
        Api::namespaced_with(
            self.context.client.clone(),
            &self.identity.namespace,
            &self.resource,
        )
    }

    fn error(&self, source: kube::Error) -> WriteError {
        WriteError::new(&self.route.kind.kind, source)
    }
}

/// Deletes a route that is ours and not yet being deleted, and no other object of its name.
async fn delete(context: &Context, identity: &Identity, live: &Live) -> Result<(), WriteError> {
    let (store, object) = (&context.stores.routes, live.object.as_ref());
    let Some(KindState::Available(resource)) = store.state(&live.kind) else {
        return Ok(());
    };
    let routes = Api::namespaced_with(context.client.clone(), &identity.namespace, &resource);
    let ended = end(context, &routes, object, DeleteParams::background()).await;
    match ended.map_err(|source| WriteError::new(&live.kind.kind, source))? {
        Ended::Gone => {
            let name = object.metadata.name.as_deref().unwrap_or_default();
            store.remove(&live.kind, &identity.namespace, name);
        }
        Ended::Held(object) => store.update(&live.kind, object),
        Ended::Unknown => {}
    }
    Ok(())
}

fn failure(message: String, missing: bool) -> Blocker {
    Blocker::Route {
        reason: reason::ROUTE_FAILED,
        message,
        missing,
    }
}
