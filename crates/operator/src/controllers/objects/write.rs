//! One rendered object -> made or corrected, or its blocker (IO).
//!
//! As with other children, a write carries its precondition, and an object of another owner is never written.

use std::sync::Arc;

use api::names;
use kube::{
    Api,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
    core::Status,
};
use rules::objects::RenderedObject;
use serde_json::{Value, json};

use super::{diff, object::object, wording};
use crate::{
    apply::{
        Outcome, WriteError,
        diff::{Step, stance},
        is_conflict, with_backoff,
    },
    blockers::{Blocker, refusal},
    cache::{
        objects::{KindState, Purpose},
        observed::{Identity, holders},
    },
    context::Context,
};

/// Everything that the write of one object needs.
pub(super) struct Writer<'a> {
    context: &'a Context,
    identity: &'a Identity,
    purpose: Purpose,
    wanted: &'a RenderedObject,
    resource: ApiResource,
    /// Whether the workspace has objects of this purpose.
    has_any: bool,
}

impl<'a> Writer<'a> {
    /// `None` while the kind is being looked up; the result triggers a reconcile.
    pub(super) fn new(
        context: &'a Context,
        identity: &'a Identity,
        purpose: Purpose,
        wanted: &'a RenderedObject,
        has_any: bool,
    ) -> Result<Option<Self>, Blocker> {
        let resource = match context.stores.objects.state(&wanted.kind) {
            Some(KindState::Available(resource)) => resource,
            Some(KindState::Unknown) => return Ok(None),
            Some(KindState::Unavailable(why)) => return Err(wording::failure(purpose, why, true)),
            None => {
                let why = format!("The operator does not watch {}.", wanted.kind);
                return Err(wording::failure(purpose, why, true));
            }
        };
        Ok(Some(Self {
            context,
            identity,
            purpose,
            wanted,
            resource,
            has_any,
        }))
    }

    pub(super) fn cached_object(&self) -> Option<Arc<DynamicObject>> {
        let store = &self.context.stores.objects;
        store.get(&self.wanted.kind, &self.identity.namespace, &self.wanted.name)
    }

    /// The blocker if the name belongs to an object of another owner.
    pub(super) async fn name_conflict(&self) -> Result<Option<Blocker>, WriteError> {
        let found = self.api().get_opt(&self.wanted.name).await;
        let found = found.map_err(|error| self.error(error))?;
        Ok(found
            .filter(|found| stance(self.identity, &found.metadata) == Step::Conflict)
            .map(|_| self.conflict()))
    }

    pub(super) async fn write(&self) -> Result<Option<Blocker>, WriteError> {
        let planned = object(self.identity, self.purpose, self.wanted);
        match self.cached_object() {
            Some(live) => self.put_right(planned, live).await,
            None => self.make(planned).await,
        }
    }

    fn conflict(&self) -> Blocker {
        wording::conflict(self.purpose, self.wanted)
    }

    /// Makes an absent object. If the name is taken, the existing object is handled like any other.
    async fn make(&self, planned: Value) -> Result<Option<Blocker>, WriteError> {
        let mut intent = planned.clone();
        intent["metadata"]["resourceVersion"] = json!(kit::ABSENT);
        match self.apply(intent).await {
            Err(error) if is_conflict(&error) => {
                let found = self.api().get_opt(&self.wanted.name).await;
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
        let (kind, name) = (self.wanted.kind.kind.clone(), self.wanted.name.clone());
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
                let (objects, write) = (self.api(), self.apply(intent));
                let objects = (&objects, kind.as_str());
                let outcome = with_backoff(self.context, self.identity, objects, &planned, &live, write);
                Ok(outcome.await?.blocker())
            }
        }
    }

    async fn apply(&self, intent: Value) -> Result<Outcome<DynamicObject>, WriteError> {
        let params = PatchParams::apply(names::OPERATOR).force();
        let api = self.api();
        match api
            .patch(&self.wanted.name, &params, &Patch::Apply(&intent))
            .await
        {
            Ok(object) => {
                self.context.metrics.write("apply");
                let store = &self.context.stores.objects;
                store.update(&self.wanted.kind, object.clone());
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
        refusal::of_answer(&self.wanted.kind.kind, status, None)?;
        let is_unrouted = !self.has_any;
        Some(wording::refused(
            self.purpose,
            self.wanted,
            &status.message,
            is_unrouted,
        ))
    }

    fn api(&self) -> Api<DynamicObject> {
        Api::namespaced_with(
            self.context.client.clone(),
            &self.identity.namespace,
            &self.resource,
        )
    }

    fn error(&self, source: kube::Error) -> WriteError {
        WriteError::new(&self.wanted.kind.kind, source)
    }
}
