//! Observed state -> the reason for a problem (pure).
//!
//! It reads the status of claim, pod and node. For problems without a status it reads warning Events.
//!
//! - `containers.rs`: a container that fails, does not start or cannot pull its image
//! - `pod.rs`: a pod that no node accepts, or that its node ended
//! - `node.rs`: a node that does not respond
//! - `user_namespace.rs`: a pod without the user namespace that its template asks for
//! - `volumes.rs`: a disk that is not ready

mod containers;
mod node;
mod pod;
mod user_namespace;
mod volumes;

use std::time::Duration;

use api::condition::reason;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use rules::{ExecutionProfile, files::Disks};

pub(super) use self::{
    containers::{count, stop_request},
    pod::is_gated,
};
use crate::{
    blockers::Problem,
    cache::{
        observed::{Observed, pod_condition},
        partial::Pod,
    },
};

/// Evidence that is often transient is checked again after this time before it is reported.
const CONFIRM_AFTER: Duration = Duration::from_secs(1);
/// How long making a volume, or the time from started to ready, may take before it is reported.
const SLOW: Duration = Duration::from_mins(1);

/// What the observed state shows now, and when time alone may change that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Evidence {
    /// The problem, if any.
    pub(super) problem: Option<Problem>,
    /// When to check again.
    pub(super) recheck: Option<Duration>,
}

/// Evidence of no problem.
const NONE: Evidence = Evidence {
    problem: None,
    recheck: None,
};

impl Evidence {
    fn new(reason: &'static str, message: String, failed: bool, recheck: Option<Duration>) -> Self {
        let problem = Problem {
            reason,
            message,
            failed,
        };
        Self {
            problem: Some(problem),
            recheck,
        }
    }

    /// A problem that lasts until a user or administrator acts.
    fn failure(reason: &'static str, message: String) -> Self {
        Self::new(reason, message, true, None)
    }

    /// A problem that may be transient. When `rest` is over it counts as failed.
    fn failure_after(reason: &'static str, message: String, rest: Option<Duration>) -> Self {
        Self::new(reason, message, rest.is_none(), rest)
    }

    /// A problem that is transient if nothing else goes wrong.
    fn waiting(reason: &'static str, message: String) -> Self {
        Self::new(reason, message, false, None)
    }

    fn recheck_after(after: Duration) -> Self {
        Self {
            problem: None,
            recheck: Some(after),
        }
    }

    /// The first problem, and the earliest time to check again.
    fn first(candidates: impl IntoIterator<Item = Self>) -> Self {
        candidates.into_iter().fold(NONE, |found, next| Self {
            problem: found.problem.or(next.problem),
            recheck: found.recheck.into_iter().chain(next.recheck).min(),
        })
    }
}

/// Other inputs for the evaluation, besides the observed state.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inputs<'a> {
    /// Now.
    pub(super) now: Timestamp,
    /// How long a pod without a node still counts as starting, because autoscalers need time.
    pub(super) unschedulable_grace: Duration,
    /// Since when the run has been starting, if it is.
    pub(super) starting_since: Option<&'a Time>,
    /// When the workspace became unavailable, if it is.
    pub(super) unavailable_since: Option<Timestamp>,
    /// The execution profile, if there is one.
    pub(super) profile: Option<&'a ExecutionProfile>,
    /// Pull Secrets of the installation.
    pub(super) shared_pull_secrets: &'a [String],
    /// The disks, by the earlier status.
    pub(super) disks: &'a Disks,
}

/// What keeps the pod of the current run from being ready.
pub(super) fn of_start(observed: &Observed, inputs: Inputs<'_>) -> Evidence {
    let now = inputs.now;
    let pod = observed.current_pod();
    Evidence::first([
        volumes::terminating(observed),
        node::loss(observed, observed.live_pods(), now),
        volumes::missing_class(observed, now),
        pod.map_or(NONE, |pod| pod::problem(observed, pod, inputs)),
        pod.map_or(NONE, |pod| volumes::of_pod(observed, pod, now)),
        volumes::unbound(observed, now),
        pod::eviction(observed, inputs),
        volumes::resize(observed),
        user_namespace::dropped(observed),
    ])
}

/// What is wrong although the pod is ready.
pub(super) fn of_run(observed: &Observed, now: Timestamp) -> Evidence {
    Evidence::first([
        volumes::terminating(observed),
        node::loss(observed, observed.current_pod(), now),
        volumes::resize(observed),
        user_namespace::dropped(observed),
    ])
}

/// What keeps the last pod from ending.
pub(super) fn of_end(observed: &Observed, now: Timestamp) -> Evidence {
    Evidence::first([
        volumes::terminating(observed),
        node::loss(observed, observed.live_pods(), now),
    ])
}

/// What is wrong although no pod is wanted and none is left.
pub(super) fn of_rest(observed: &Observed) -> Evidence {
    volumes::deletion(observed)
}

/// The Secret or ConfigMap that a kubelet message reports as missing.
fn missing_source(message: &str) -> Option<(&'static str, String)> {
    let lower = message.to_ascii_lowercase();
    let quoted = |kind: &str| {
        let rest = &message[lower.find(&format!("{kind} \""))? + kind.len() + 2..];
        let (name, rest) = rest.split_once('"')?;
        rest.trim_start()
            .starts_with("not found")
            .then(|| name.to_owned())
    };
    // couldn't find key <key> in Secret <namespace>/<name>
    let key_of = |kind: &str| {
        let (_, rest) = message.split_once("find key ")?;
        let (key, rest) = rest.split_once(&format!(" in {kind} "))?;
        let name = rest.split([' ', ',', ':']).next()?.rsplit('/').next()?;
        Some(format!("{name} has no key {key}"))
    };
    for (kind, reason) in [
        ("Secret", reason::SECRET_NOT_FOUND),
        ("ConfigMap", reason::CONFIG_MAP_NOT_FOUND),
    ] {
        let message = |what: String| {
            format!("The {kind} {what}. Make it, and the pod starts by itself; or correct the name.")
        };
        if let Some(name) = quoted(&kind.to_ascii_lowercase()) {
            return Some((reason, message(format!("{name} does not exist"))));
        }
        if let Some(what) = key_of(kind) {
            return Some((reason, message(what)));
        }
    }
    None
}

/// Whether the pod's condition of this type is true.
fn holds(pod: &Pod, type_: &str) -> bool {
    pod_condition(pod, type_).is_some_and(|condition| condition.status == "True")
}

/// The name of the pod's node.
pub(super) fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

/// A foreign message without characters that would precede our own full stop.
fn trim_end(message: &str) -> &str {
    message.trim_end_matches(['.', ',', ' ', '\n'])
}

/// What is left of `span` since `since`. Nothing is left if the time is unknown or in the future: then the clocks differ, and waiting
/// would hide the evidence.
fn remaining(since: Option<&Time>, span: Duration, now: Timestamp) -> Option<Duration> {
    let age = Duration::try_from(now.duration_since(since?.0)).ok()?;
    span.checked_sub(age).filter(|rest| !rest.is_zero())
}
