//! Object, its usage, the time -> the next write, if any (pure).

use std::time::Duration;

use api::condition::{self, TERMINATING};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::events::{Event, EventType};

use super::{
    subject::{CatalogStatus, Kind, Subject},
    usage::Usage,
    validation::Validation,
};
use crate::status::{assess::condition_list::Conditions, transitions};

/// A status in which only the number of users changed is written at most this often.
pub(super) const PAUSE: Duration = Duration::from_secs(10);

/// The next write for one object.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Due {
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
    subject: &Subject,
    usage: Usage,
    validation: Option<&Validation>,
    since: Option<Duration>,
    now: Timestamp,
) -> Due {
    // The reasons for these conditions are in `in_use.rs`.
    let is_needed = if subject.is_terminating {
        usage.users > 0 || usage.is_undecided
    } else {
        usage.is_referenced
    };
    match (is_needed, subject.is_held()) {
        // The API server accepts no new finalizer on an object that is being deleted.
        (true, false) if !subject.is_terminating => return Due::AddFinalizer,
        (false, true) => return Due::RemoveFinalizer,
        _ => {}
    }
    let Some(validation) = validation else {
        return Due::Nothing(None);
    };
    let before = &subject.status;
    let status = status(subject, usage.users, validation, now);
    if status == *before {
        return Due::Nothing(None);
    }
    let left = since.and_then(|since| PAUSE.checked_sub(since));
    match left {
        Some(left) if is_same(before, &status) => Due::Nothing(Some(left)),
        _ => Due::WriteStatus(status),
    }
}

/// The Event for the change from one status to the next, if any.
pub(super) fn event(kind: Kind, before: &CatalogStatus, after: &CatalogStatus) -> Option<Event> {
    let in_use = |status: &CatalogStatus| condition::holds(&status.conditions, TERMINATING);
    let terminating = condition::find(&after.conditions, TERMINATING)?;
    let is_new = in_use(after) && !in_use(before);
    is_new.then(|| transitions::event(EventType::Warning, "Delete", kind.in_use(), &terminating.message))
}

fn status(subject: &Subject, users: i32, validation: &Validation, now: Timestamp) -> CatalogStatus {
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
fn in_use(subject: &Subject, users: i32) -> String {
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
        "{who} this {what}, stopped ones included: it takes no new one and is removed when they are gone. Find them: \
         kubectl get workspaces {scope} --field-selector {field}={name}"
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

#[cfg(test)]
mod tests {
    use api::{condition::reason, names::IN_USE_FINALIZER};

    use super::*;
    use crate::controllers::catalog::subject::Key;

    fn fine() -> Validation {
        Validation {
            holds: true,
            reason: reason::ALL_RULES_HOLD,
            message: "Fine.".to_owned(),
        }
    }

    fn subject(is_held: bool, is_terminating: bool) -> Subject {
        Subject {
            key: Key {
                kind: Kind::Template,
                namespace: None,
                name: "t".to_owned(),
                uid: "u".to_owned(),
            },
            resource_version: Some("7".to_owned()),
            generation: Some(3),
            finalizers: if is_held {
                vec!["other".to_owned(), IN_USE_FINALIZER.to_owned()]
            } else {
                Vec::new()
            },
            is_terminating,
            status: CatalogStatus::default(),
        }
    }

    fn used_by(users: i32) -> Usage {
        Usage {
            users,
            is_referenced: users > 0,
            is_undecided: false,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn event_of(subject: &mut Subject, users: i32, second: i64) -> Option<Event> {
        let Due::WriteStatus(status) = decide(subject, used_by(users), Some(&fine()), None, at(second))
        else {
            panic!("a status is due")
        };
        let event = event(subject.key.kind, &subject.status, &status);
        subject.status = status;
        event
    }

    #[test]
    fn the_finalizer_is_set_while_a_workspace_refers_to_the_object() {
        let due = |held, usage| decide(&subject(held, false), usage, Some(&fine()), None, at(1));
        let referenced = Usage {
            is_referenced: true,
            ..Usage::default()
        };
        assert_eq!(due(false, referenced), Due::AddFinalizer);
        assert_eq!(due(false, used_by(1)), Due::AddFinalizer);
        assert!(matches!(due(true, referenced), Due::WriteStatus(_)));
        assert!(matches!(due(false, used_by(0)), Due::WriteStatus(_)));
        assert_eq!(due(true, used_by(0)), Due::RemoveFinalizer);
    }

    #[test]
    fn the_finalizer_of_a_deleted_object_is_removed_once_nothing_uses_it_and_all_others_were_rejected() {
        let due = |held, usage| decide(&subject(held, true), usage, Some(&fine()), None, at(1));
        let rejected = Usage {
            is_referenced: true,
            ..Usage::default()
        };
        let undecided = Usage {
            is_undecided: true,
            ..rejected
        };
        assert_eq!(due(true, rejected), Due::RemoveFinalizer);
        assert_eq!(due(true, used_by(0)), Due::RemoveFinalizer);
        assert!(matches!(due(true, undecided), Due::WriteStatus(_)));
        assert!(matches!(due(true, used_by(1)), Due::WriteStatus(_)));
        assert!(matches!(due(false, used_by(1)), Due::WriteStatus(_)));
    }

    #[test]
    fn an_unchanged_object_is_not_written_again_whatever_time_it_is() {
        let mut subject = subject(true, false);
        event_of(&mut subject, 2, 1);
        assert_eq!(subject.status.users, Some(2));
        assert_eq!(subject.status.observed_generation, Some(3));
        assert_eq!(
            decide(&subject, used_by(2), Some(&fine()), None, at(9999)),
            Due::Nothing(None)
        );
    }

    #[test]
    fn numbers_are_written_every_ten_seconds_at_most_and_what_matters_at_once() {
        let mut subject = subject(true, false);
        event_of(&mut subject, 2, 1);
        let due = |subject: &Subject, since| decide(subject, used_by(3), Some(&fine()), Some(since), at(5));
        let soon = Duration::from_secs(4);
        assert_eq!(due(&subject, soon), Due::Nothing(Some(Duration::from_secs(6))));
        assert!(matches!(due(&subject, PAUSE + soon), Due::WriteStatus(_)));
        subject.is_terminating = true;
        assert!(matches!(due(&subject, soon), Due::WriteStatus(_)));
    }

    #[test]
    fn a_deletion_in_use_is_reported_once_with_the_number_of_users_and_a_command() {
        let mut subject = subject(true, false);
        assert!(event_of(&mut subject, 2, 1).is_none());
        subject.is_terminating = true;
        let event = event_of(&mut subject, 2, 2).unwrap();
        assert!(matches!(event.type_, EventType::Warning));
        assert_eq!(event.reason, reason::TEMPLATE_IN_USE);
        let note = event.note.unwrap();
        assert!(note.starts_with("2 workspaces use this template"), "{note}");
        assert!(note.ends_with("--field-selector spec.templateRef=t"), "{note}");
        assert!(event_of(&mut subject, 1, 20).is_none());
        let condition = condition::find(&subject.status.conditions, TERMINATING).unwrap();
        assert!(condition.message.starts_with("1 workspace uses"));
        assert_eq!(condition.last_transition_time.0, at(2));
    }
}
