//! Object, its usage, the time -> the next write, if any (pure).

use std::time::Duration;

use api::condition::{self, TERMINATING};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::events::{Event, EventType};

use super::{
    subject::{CatalogObject, CatalogStatus, Kind},
    usage::Usage,
    validation::Validation,
};
use crate::status::{assess::condition_list::Conditions, transitions};

/// A status in which only the number of users changed is written at most this often.
pub(super) const PAUSE: Duration = Duration::from_secs(10);

/// The next write for one object.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum NextWrite {
    /// Nothing, until something changes or this time has passed.
    Nothing(Option<Duration>),
    /// Set the missing finalizer: a workspace refers to the object.
    AddFinalizer,
    /// Remove the finalizer: no workspace uses the object, or is about to.
    RemoveFinalizer,
    /// Write this status.
    WriteStatus(CatalogStatus),
}

/// The first write that is due. `validation` is unknown for an object that cannot be parsed; its status is then left unchanged.
/// `since` is the time since this process last wrote the status.
pub(super) fn decide(
    subject: &CatalogObject,
    usage: Usage,
    validation: Option<&Validation>,
    since: Option<Duration>,
    now: Timestamp,
) -> NextWrite {
    // The reasons for these conditions are in `in_use.rs`.
    let is_needed = if subject.is_terminating {
        usage.users > 0 || usage.is_undecided
    } else {
        usage.is_referenced
    };
    match (is_needed, subject.is_held()) {
        // The API server accepts no new finalizer on an object that is being deleted.
        (true, false) if !subject.is_terminating => return NextWrite::AddFinalizer,
        (false, true) => return NextWrite::RemoveFinalizer,
        _ => {}
    }
    let Some(validation) = validation else {
        return NextWrite::Nothing(None);
    };
    let before = &subject.status;
    let status = status(subject, usage.users, validation, now);
    if status == *before {
        return NextWrite::Nothing(None);
    }
    let left = since.and_then(|since| PAUSE.checked_sub(since));
    match left {
        Some(left) if is_same(before, &status) => NextWrite::Nothing(Some(left)),
        _ => NextWrite::WriteStatus(status),
    }
}

/// The Event for the change from one status to the next, if any.
pub(super) fn event(kind: Kind, before: &CatalogStatus, after: &CatalogStatus) -> Option<Event> {
    let in_use = |status: &CatalogStatus| condition::holds(&status.conditions, TERMINATING);
    let terminating = condition::find(&after.conditions, TERMINATING)?;
    let is_new = in_use(after) && !in_use(before);
    is_new.then(|| transitions::event(EventType::Warning, "Delete", kind.in_use(), &terminating.message))
}

fn status(subject: &CatalogObject, users: i32, validation: &Validation, now: Timestamp) -> CatalogStatus {
    let kind = subject.key.kind;
    let mut conditions = Conditions::new(&subject.status.conditions, subject.generation, now);
    conditions.set(
        kind.condition(),
        validation.holds,
        validation.reason,
        &validation.message,
    );
    if subject.is_terminating && users > 0 {
        conditions.set(TERMINATING, true, kind.in_use(), &in_use(subject, users));
    }
    CatalogStatus {
        observed_generation: subject.generation,
        users: Some(users),
        conditions: conditions.finish(),
    }
}

/// The message for users who delete an object that is in use. It names no user: many may read Events of cluster-scoped objects.
fn in_use(subject: &CatalogObject, users: i32) -> String {
    let (name, who) = (
        &subject.key.name,
        if users == 1 {
            "1 workspace uses".to_owned()
        } else {
            format!("{users} workspaces use")
        },
    );
    let (what, scope, field) = match subject.key.kind {
        Kind::Template => ("template", "--all-namespaces", "spec.templateRef"),
        Kind::Manager => ("manager", "--all-namespaces", "status.resolved.manager"),
        Kind::Profile => (
            "execution profile",
            &*format!(
                "--namespace {}",
                subject.key.namespace.as_deref().unwrap_or_default()
            ),
            "status.resolved.executionProfile",
        ),
    };
    format!(
        "{who} this {what}; stopped workspaces count too. It accepts no new workspace and is removed when none uses it. \
         Find them: kubectl get workspaces {scope} --field-selector {field}={name}"
    )
}

/// Whether two statuses differ only in numbers.
fn is_same(one: &CatalogStatus, other: &CatalogStatus) -> bool {
    let gist = |status: &CatalogStatus| -> Vec<(String, String, String)> {
        let gist = |it: &Condition| (it.type_.clone(), it.status.clone(), it.reason.clone());
        status.conditions.iter().map(gist).collect()
    };
    one.observed_generation == other.observed_generation && gist(one) == gist(other)
}
