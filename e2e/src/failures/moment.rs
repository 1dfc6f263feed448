//! Write that the API server accepted -> its time, to the microsecond (IO).
//!
//! The time comes from the audit log, because objects contain whole seconds only.

use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};
use kube::{Resource, ResourceExt as _};

use crate::{
    Environment,
    cluster::audit::{Call, Log},
    wait,
};

/// The time of an observation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moment {
    /// At a known time.
    At(Timestamp),
    /// When this write was accepted.
    Written(Write),
}

/// The write that made a version of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    resource: String,
    namespace: String,
    name: String,
    /// The second of the write, from the object.
    second: Timestamp,
}

/// The period of a write: from its receipt by the API server to its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) received: Timestamp,
    pub(super) answered: Timestamp,
}

impl Moment {
    /// The creation of this version: the last write of the object.
    pub fn written<K: Resource<DynamicType = ()>>(object: &K) -> Option<Self> {
        let meta = object.meta();
        let entries = meta.managed_fields.iter().flatten();
        let writes = entries.filter_map(|entry| entry.time.as_ref());
        let last = writes.chain(&meta.creation_timestamp).map(|time| time.0).max()?;
        Some(Self::of(object, last))
    }

    /// The creation of the object.
    pub fn created<K: Resource<DynamicType = ()>>(object: &K) -> Option<Self> {
        let made = object.meta().creation_timestamp.as_ref()?.0;
        Some(Self::of(object, made))
    }

    /// The deletion request for an object that still exists.
    pub fn deleted<K: Resource<DynamicType = ()>>(object: &K) -> Option<Self> {
        let deleted = object.meta().deletion_timestamp.as_ref()?.0;
        Some(Self::of(object, deleted))
    }

    fn of<K: Resource<DynamicType = ()>>(object: &K, second: Timestamp) -> Self {
        Self::Written(Write {
            resource: K::plural(&()).into_owned(),
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
            second,
        })
    }
}

impl Write {
    /// Whether this call may be the write: it is about the object, and was in progress in that second.
    fn may_be(&self, call: &Call) -> bool {
        let main = call.resource.split('/').next().unwrap_or_default();
        let end = self.second + SignedDuration::from_secs(1);
        call.is_write()
            && call.is_done()
            && (main, &call.namespace, &call.name) == (self.resource.as_str(), &self.namespace, &self.name)
            && call.received < end
            && call.answered >= self.second
    }

    /// The calls that may be the write. Several writes in one second cannot be distinguished.
    fn among(&self, calls: &[Call], only: Option<&str>) -> Option<Span> {
        let wanted =
            |call: &&Call| self.may_be(call) && only.is_none_or(|resource| call.resource == resource);
        let found: Vec<_> = calls.iter().filter(wanted).collect();
        Some(Span {
            received: found.iter().map(|call| call.received).min()?,
            answered: found.iter().map(|call| call.answered).max()?,
        })
    }
}

/// The calls about a namespace since this value was created.
#[derive(Debug)]
pub(super) struct Moments {
    namespace: String,
    /// `None` if the log cannot be read. Whole seconds are used then.
    received: Option<Mutex<(Log, Vec<Call>)>>,
}

impl Moments {
    pub(super) fn of(namespace: &str) -> anyhow::Result<Self> {
        let is_readable = Environment::get()?.audit_log.is_some();
        let log = is_readable.then(Log::open).transpose()?;
        Ok(Self {
            namespace: namespace.to_owned(),
            received: log.map(|log| Mutex::new((log, Vec::new()))),
        })
    }

    /// When the API server received the evidence. If several writes of one second match, it is the first.
    pub(super) async fn evidence(&self, moment: &Moment) -> anyhow::Result<Timestamp> {
        Ok(self.span(moment, None).await?.received)
    }

    /// When the API server had stored a status. If several writes of one second match, it is the last.
    pub(super) async fn reported(&self, moment: &Moment) -> anyhow::Result<Timestamp> {
        Ok(self.span(moment, Some("workspaces/status")).await?.answered)
    }

    async fn span(&self, moment: &Moment, only: Option<&str>) -> anyhow::Result<Span> {
        let write = match moment {
            Moment::At(time) => {
                return Ok(Span {
                    received: *time,
                    answered: *time,
                });
            }
            Moment::Written(write) => write,
        };
        let Some(received) = &self.received else {
            return Ok(Span {
                received: write.second,
                answered: write.second,
            });
        };
        wait::until(&format!("{write:?} in the audit log"), wait::USUAL, || async {
            let mut received = received.lock().unwrap_or_else(PoisonError::into_inner);
            let (log, calls) = &mut *received;
            let new = log
                .calls(|line| line.contains(&self.namespace))
                .map_err(|error| format!("{error:#}"))?;
            calls.extend(new.into_iter().filter(Call::is_write));
            write.among(calls, only).ok_or_else(|| "not there".to_owned())
        })
        .await
        .context("the API server's own time of a write")
    }
}
