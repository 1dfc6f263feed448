//! change of a session -> a write on top of the stored object (IO).

use std::sync::Arc;

use api::GatewaySession;
use futures::TryFutureExt as _;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use serde_json::json;

use super::content::{CodeUser, Content, SpendError, object_name};
use super::ending::labels;
use super::view::SessionState;
use super::{Sessions, TIMEOUT, Unavailable, unavailable, within};
use crate::tokens::RandomId;

/// Maximum number of attempts while other clients change the same session.
const ATTEMPTS: usize = 5;

/// The result of using a one-time code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    /// It was valid, and is used up now.
    Now,
    /// It was used before.
    Before,
    /// Its session has ended.
    NoSession,
}

/// What to do with a session's content.
pub(super) enum Edit<T> {
    /// Write the changed content.
    Write(T),
    /// Leave the object unchanged.
    Leave(T),
    /// Delete it, for this reason: a stable label.
    End(&'static str),
}

/// The result of a change.
pub(super) struct Changed<T> {
    /// The value that the step returned.
    pub(super) result: T,
    pub(super) content: Content,
    pub(super) known: Arc<SessionState>,
}

impl Sessions {
    /// Stores a new session. If the user has too many sessions, older ones are deleted first.
    ///
    /// # Errors
    /// The API server refuses or does not answer, or no key is active.
    pub async fn create(&self, content: &Content) -> Result<RandomId, Unavailable> {
        self.make_room(content).await?;
        let id = RandomId::new().map_err(unavailable)?;
        let name = object_name(id);
        let mut stored = content.clone();
        if self.keeps_id_tokens {
            stored.renew_before_id_token_ends(self.clock.now());
        }
        let sealed = stored
            .seal(&self.keys, &name, self.clock.now())
            .map_err(unavailable)?;
        let end = Timestamp::from_second(content.end).map_err(unavailable)?;
        let spec = api::GatewaySessionSpec {
            sealed: sealed.text,
            key_id: sealed.key_id.to_string(),
            expires_at: Time(end),
        };
        let mut object = GatewaySession::new(&name, spec);
        object.metadata.labels = Some(labels(content));
        let params = PostParams {
            field_manager: Some(api::names::GATEWAY.to_owned()),
            ..PostParams::default()
        };
        let asked_at = self.stage();
        let object = within(self.api.create(&params, &object)).await?;
        if let Some((id, known)) = self.read(&object) {
            self.view.write().add(id, Arc::new(known), asked_at);
        }
        if self.was_ended(content) {
            self.delete(id, &content.user_name, "provider").await?;
            return Err(Unavailable(
                "the identity provider ended the session meanwhile".into(),
            ));
        }
        Ok(id)
    }

    /// Uses up a one-time code: of all attempts on all replicas exactly one succeeds. `until`: the code's expiry, Unix seconds.
    ///
    /// # Errors
    /// The API server does not answer, or too many other clients change the session.
    pub async fn spend(
        &self,
        id: RandomId,
        code: RandomId,
        until: i64,
        by: CodeUser,
    ) -> Result<Spent, Unavailable> {
        let spent = self
            .change(id, |content, now| {
                if content.times(self.limits).over <= now {
                    return Edit::Leave(Ok(Spent::NoSession));
                }
                match content.spend(code, until, by, now) {
                    Ok(()) => Edit::Write(Ok(Spent::Now)),
                    Err(SpendError::Replayed) => Edit::Leave(Ok(Spent::Before)),
                    Err(error @ SpendError::TooMany) => Edit::Leave(Err(unavailable(error))),
                }
            })
            .await?;
        spent.map_or(Ok(Spent::NoSession), |changed| changed.result)
    }

    /// Reads a session, lets `step` change its content, and writes it. After a conflict it begins anew. `None`: the session is
    /// gone, by this change or before, or cannot be read.
    pub(super) async fn change<T>(
        &self,
        id: RandomId,
        mut step: impl FnMut(&mut Content, i64) -> Edit<T>,
    ) -> Result<Option<Changed<T>>, Unavailable> {
        let name = object_name(id);
        for _ in 0..ATTEMPTS {
            let asked_at = self.stage();
            let Some(object) = self.get(&name, TIMEOUT).await? else {
                return Ok(None);
            };
            let Some(mut content) = Content::open(&self.keys, &name, &object.spec.sealed) else {
                return Ok(None);
            };
            let now = self.clock.now();
            let (result, object) = match step(&mut content, now) {
                Edit::Leave(result) => (result, object),
                Edit::End(by) => match self.remove(&name, &object).await? {
                    Written::Meanwhile => continue,
                    written => {
                        if matches!(written, Written::Done(())) {
                            self.report_end(id, &content.user_name, by);
                        }
                        self.forget(id).await;
                        return Ok(None);
                    }
                },
                Edit::Write(result) => match self.write(&name, &content, &object, now).await? {
                    Written::Done(object) => (result, *object),
                    Written::Meanwhile => continue,
                    Written::Gone => return Ok(None),
                },
            };
            let known = self
                .read(&object)
                .and_then(|(id, known)| self.view.write().add(id, Arc::new(known), asked_at));
            return Ok(known.map(|known| Changed {
                result,
                content,
                known,
            }));
        }
        Err(Unavailable("the session keeps changing".into()))
    }

    async fn write(
        &self,
        name: &str,
        content: &Content,
        before: &GatewaySession,
        now: i64,
    ) -> Result<Written<Box<GatewaySession>>, Unavailable> {
        let sealed = content.seal(&self.keys, name, now).map_err(unavailable)?;
        let patch = json!([
            {"op": "test", "path": "/metadata/resourceVersion", "value": before.metadata.resource_version},
            {"op": "replace", "path": "/spec/sealed", "value": sealed.text},
            {"op": "replace", "path": "/spec/keyId", "value": sealed.key_id.to_string()},
        ]);
        let patch: json_patch::Patch = serde_json::from_value(patch).map_err(unavailable)?;
        let params = PatchParams {
            field_manager: Some(api::names::GATEWAY.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::<GatewaySession>::Json(patch);
        written(self.api.patch(name, &params, &patch).map_ok(Box::new)).await
    }

    async fn remove(&self, name: &str, before: &GatewaySession) -> Result<Written<()>, Unavailable> {
        let params = DeleteParams::default().preconditions(Preconditions {
            resource_version: before.metadata.resource_version.clone(),
            uid: None,
        });
        written(self.api.delete(name, &params).map_ok(|_| ())).await
    }
}

async fn written<T>(call: impl Future<Output = Result<T, kube::Error>>) -> Result<Written<T>, Unavailable> {
    match tokio::time::timeout(TIMEOUT, call).await {
        Ok(Ok(done)) => Ok(Written::Done(done)),
        Ok(Err(kube::Error::Api(status))) if matches!(status.code, 409 | 422) => Ok(Written::Meanwhile),
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => Ok(Written::Gone),
        Ok(Err(error)) => Err(unavailable(error)),
        Err(elapsed) => Err(unavailable(elapsed)),
    }
}

/// The result of a write.
enum Written<T> {
    Done(T),
    /// Another client changed the session meanwhile.
    Meanwhile,
    Gone,
}
