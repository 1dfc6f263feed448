//! A workspace and its objects -> its state, the evidence, the remedy and who can apply it (pure).
//!
//! It explains what `rules` and the operator decided, and decides nothing.
//! Modules from top to bottom. Each imports only from modules further down (`crates/xtask/tests/modules.rs`):
//!
//! - `template`: why a template may not be used, and why its deletion takes long.
//! - `access`: why a user may or may not connect, rule by rule.
//! - `state`: why it does not run, why it starts slowly.
//! - `leaving`: why its deletion or its stop takes long.
//! - `stop`: why it was stopped, when a rule stops it, a full disk, recovery, changes that wait for a restart.
//! - `parts`: choices, further disks and objects of its template.
//! - `causes`: pod, claim, quotas, Events -> causes.
//! - `progress`: how far the start is.
//! - `consequence`: what an action also deletes or ends.
//! - `remedies`: the remedy, and who can apply it.
//! - `actions`: the changes of a remedy, and their commands.
//!
//! Meanings and remedies are those of [`api::condition::reason`]: there is no second wording.

#![cfg_attr(
    test,
    allow(
        clippy::needless_pass_by_value,
        reason = "a case in JSON is written where it is used"
    )
)]

pub mod access;
mod actions;
mod causes;
pub mod consequence;
mod leaving;
pub mod parts;
pub mod progress;
mod remedies;
mod state;
mod stop;
pub mod template;

use api::{Workspace, WorkspaceTemplate};
use k8s_openapi::api::core::v1::{Event, PersistentVolumeClaim, Pod, ResourceQuota};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use serde::Serialize;

pub use actions::Change;
pub use causes::{concerns, time_of};
pub use remedies::{Remedy, Step, Who};

/// The result of a read: an object, or why it is missing.
#[derive(Debug, Clone, PartialEq)]
pub enum Read<T> {
    /// The answer.
    Known(T),
    /// Why it could not be read, such as a missing right.
    Unread(String),
}

impl<T> Read<T> {
    /// The object, if it was read.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unread(_) => None,
        }
    }
}

/// Everything that an explanation may draw on.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// The workspace.
    pub workspace: &'a Workspace,
    /// Events about it. Others are ignored.
    pub events: Read<Vec<Event>>,
    /// Its pods.
    pub pods: Read<Vec<Pod>>,
    /// The claim of the workspace's own disk, if there is one.
    pub claim: Read<Option<PersistentVolumeClaim>>,
    /// Quotas of the namespace.
    pub quotas: Read<Vec<ResourceQuota>>,
    /// Its template. `None`: it has none, or it could not be read.
    pub template: Option<&'a WorkspaceTemplate>,
    /// Events of its pod. Others are ignored.
    pub pod_events: &'a [Event],
    /// Whether the user may read the output of its pods. The role of users does not have this right.
    pub reads_logs: bool,
    /// The present time.
    pub now: Timestamp,
}

/// The findings, and failed reads.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// Whether the workspace is as its spec wants it, and nothing is wrong.
    pub as_wanted: bool,
    /// The findings, the most important first.
    pub findings: Vec<Finding>,
    /// Failed reads, so that findings may lack causes.
    pub unread: Vec<Unread>,
}

/// One thing that is so.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The state.
    pub what: String,
    /// The reason of the contract, if it has one (docs/reasons.md).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The evidence.
    pub because: Vec<Cause>,
    /// The remedy.
    pub remedies: Vec<Remedy>,
}

/// A field that shows something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cause {
    /// Kind and name, such as `Pod workspace-demo`.
    pub object: String,
    /// Path in the object.
    pub field: String,
    /// Its value.
    pub value: String,
    /// Since when, or when, if known (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
}

/// Something that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unread {
    /// Such as `pods`.
    pub what: String,
    /// Why.
    pub why: String,
}

/// Whether the operator has not seen the last change, which is so new that this is usual: nothing is to be explained yet.
pub fn is_applying(workspace: &Workspace, now: Timestamp) -> bool {
    state::is_applying(workspace, now)
}

/// Explains the workspace.
pub fn workspace(evidence: &Evidence<'_>) -> Explanation {
    let (as_wanted, mut findings) = state::findings(evidence);
    findings.extend(stop::findings(evidence));
    findings.extend(parts::findings(evidence));
    if !evidence.reads_logs {
        for remedy in findings.iter_mut().flat_map(|finding| &mut finding.remedies) {
            remedy
                .steps
                .retain(|step| !matches!(step.action, Change::Logs { .. }));
        }
    }
    let unread = [
        ("Events", why(&evidence.events)),
        ("pods", why(&evidence.pods)),
        ("the disk's PersistentVolumeClaim", why(&evidence.claim)),
        ("ResourceQuotas", why(&evidence.quotas)),
    ];
    Explanation {
        as_wanted,
        findings,
        unread: all_unread(unread),
    }
}

/// Those of these things that have a reason why they could not be read.
fn all_unread(things: impl IntoIterator<Item = (&'static str, Option<String>)>) -> Vec<Unread> {
    let unread = things.into_iter().filter_map(|(what, why)| {
        Some(Unread {
            what: what.to_owned(),
            why: why?,
        })
    });
    unread.collect()
}

fn why<T>(read: &Read<T>) -> Option<String> {
    match read {
        Read::Known(_) => None,
        Read::Unread(why) => Some(why.clone()),
    }
}

/// A field of the workspace.
fn of_workspace(
    workspace: &Workspace,
    field: &str,
    value: impl Into<String>,
    time: Option<Timestamp>,
) -> Cause {
    Cause {
        object: format!("Workspace {}", workspace.name_any()),
        field: field.to_owned(),
        value: value.into(),
        time: time.map(written),
    }
}

/// A time to the second, as Kubernetes writes it.
fn written(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The time since a time, as text such as `12 min`.
fn ago(time: Timestamp, now: Timestamp) -> String {
    match now.duration_since(time).as_secs().max(0) {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests;
