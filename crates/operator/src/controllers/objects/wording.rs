//! Purpose of an object, what is wrong -> blocker with the message for users (pure).

use api::condition::reason;
use rules::{Violations, objects::RenderedObject};

use crate::{blockers::Blocker, cache::objects::Purpose};

/// An object is not as wanted. `is_unrouted`: as for [`Blocker::Object`]; without effect for an object of a template.
pub(super) fn failure(purpose: Purpose, message: String, is_unrouted: bool) -> Blocker {
    let (reason, is_unrouted) = match purpose {
        Purpose::Route => (reason::ROUTE_FAILED, is_unrouted),
        Purpose::Template => (reason::OBJECT_FAILED, false),
    };
    Blocker::Object {
        reason,
        message,
        is_unrouted,
    }
}

/// Manager or template break a rule.
pub(super) fn invalid(purpose: Purpose, why: &Violations, is_unrouted: bool) -> Blocker {
    let message = match purpose {
        Purpose::Route => {
            format!(
                "The routes stay as they are, because the workspace's WorkspaceManager breaks a rule: {why}."
            )
        }
        Purpose::Template => format!(
            "The objects of the workspace's WorkspaceTemplate stay as they are, because it breaks a rule: {why}."
        ),
    };
    failure(purpose, message, is_unrouted)
}

/// One blocker for all that objects of a template have. It has the reason of the first one that is reported.
pub(super) fn together(blockers: Vec<Blocker>) -> Option<Blocker> {
    let problems: Vec<_> = blockers.iter().filter_map(Blocker::problem).collect();
    let Some(reason) = problems.first().map(|problem| problem.reason) else {
        return blockers.into_iter().next();
    };
    let mut messages: Vec<_> = problems.into_iter().map(|problem| problem.message).collect();
    messages.dedup();
    Some(Blocker::Object {
        reason,
        message: messages.join(" "),
        is_unrouted: false,
    })
}

/// Another object has the name.
pub(super) fn conflict(purpose: Purpose, object: &RenderedObject) -> Blocker {
    let (kind, name) = (&object.kind.kind, &object.name);
    let effect = match purpose {
        Purpose::Route => "so it gets no route",
        Purpose::Template => "so the template's object is not made",
    };
    Blocker::Object {
        reason: reason::NAME_CONFLICT,
        message: format!(
            "A {kind} named {name} exists and is not this workspace's, {effect}. Delete that object (an administrator can)."
        ),
        is_unrouted: purpose == Purpose::Route,
    }
}

/// The API server refused the object.
pub(super) fn refused(purpose: Purpose, object: &RenderedObject, why: &str, is_unrouted: bool) -> Blocker {
    let remedy = match purpose {
        Purpose::Route => "Have routing.custom of the WorkspaceManager corrected, or what the message names.",
        Purpose::Template => {
            "Correct what is refused, or create the workspace from a template with corrected objects."
        }
    };
    let message = format!(
        "The {} {} was refused: {}. {remedy}",
        object.kind.kind,
        object.name,
        why.trim_end_matches('.')
    );
    failure(purpose, message, is_unrouted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(message: &str) -> Blocker {
        failure(Purpose::Template, message.to_owned(), false)
    }

    fn waits() -> Blocker {
        Blocker::Terminating {
            kind: "Widget".to_owned(),
            name: "x".to_owned(),
            holders: None,
        }
    }

    #[test]
    fn every_problem_is_told_once_with_the_reason_of_the_first() {
        let conflict = Blocker::Object {
            reason: reason::NAME_CONFLICT,
            message: "One exists.".to_owned(),
            is_unrouted: false,
        };
        let both = together(vec![
            waits(),
            conflict,
            failed("It is refused."),
            failed("It is refused."),
        ]);
        let problem = both.unwrap().problem().unwrap();
        assert_eq!(problem.reason, reason::NAME_CONFLICT);
        assert_eq!(problem.message, "One exists. It is refused.");
        assert!(!problem.failed);
    }

    #[test]
    fn an_object_that_goes_is_waited_for_and_not_told() {
        assert_eq!(together(vec![waits()]), Some(waits()));
        assert_eq!(together(Vec::new()), None);
    }
}
