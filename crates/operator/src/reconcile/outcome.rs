//! Results of the steps -> when to reconcile again, or why the reconcile failed (pure).

use std::time::Duration;

use super::teardown;
use crate::{apply, cache::observe, status::publish, support::failure::message_of};

/// A reconcile that takes longer is stuck. It is cancelled and retried.
pub(super) const LIMIT: Duration = Duration::from_secs(30);
/// While pods or children are being deleted, the workspace is reconciled again after this time at the latest.
pub(super) const RECHECK_INTERVAL: Duration = Duration::from_secs(5);
/// A refused write is tried again after this time at the latest: no trigger says that a quota was raised or a policy removed.
pub(super) const REFUSED_INTERVAL: Duration = Duration::from_secs(10);

/// Why a reconcile failed. Every error here is transient; a lasting problem is reported in the status.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The observed state could not be read.
    #[error(transparent)]
    Observe(#[from] observe::ReadError),
    /// A child could not be written.
    #[error(transparent)]
    Apply(#[from] apply::WriteError),
    /// A route, or an object of the template, could not be written.
    #[error(transparent)]
    Routes(apply::WriteError),
    /// The status could not be written.
    #[error(transparent)]
    Publish(#[from] publish::PublishError),
    /// The `ConfigMap` with the assertion keys has foreign content and could not be corrected.
    #[error("the ConfigMap with the assertion keys is wrong and cannot be corrected, so no pod starts: {}", message_of(.0))]
    Keys(#[source] kube::Error),
    /// The children could not be deleted.
    #[error(transparent)]
    Delete(#[from] teardown::TeardownError),
    /// The reconcile took too long.
    #[error("the reconcile took longer than {} s", LIMIT.as_secs())]
    Stuck,
}

impl Error {
    /// The step that failed, and its API error.
    pub(super) fn origin(&self) -> (&'static str, Option<&kube::Error>) {
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

/// The earlier of two times.
pub(super) fn sooner(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    one.into_iter().chain(other).min()
}
