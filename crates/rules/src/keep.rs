//! Annotation `keep-until`, the template's longest time -> until when a workspace is kept (pure).
//!
//! The annotation says nothing of when it was written. The webhook compares it with the clock at each new value. The operator grants the
//! longest time from when it first saw the value, so nobody is kept longer where no webhook runs.

use api::workspace::Kept;
use api::{Workspace, WorkspaceTemplateSpec, names::KEEP_UNTIL};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;

use crate::violation::Violation;

/// The longest time where the template names none.
const LONGEST: SignedDuration = SignedDuration::from_hours(24);
/// By how much a user's clock may be ahead of ours when they keep a workspace for the longest time.
const SKEW: SignedDuration = SignedDuration::from_mins(1);
/// Most characters of the annotation. The status repeats it.
const MAX_LENGTH: usize = 64;

/// How long a workspace may be kept by its template.
pub fn longest(template: Option<&WorkspaceTemplateSpec>) -> SignedDuration {
    let bounds = template.and_then(|template| template.limit_bounds?.keep_minutes?.max);
    bounds.map_or(LONGEST, |minutes| SignedDuration::from_mins(minutes.into()))
}

fn parse(text: &str) -> Option<Timestamp> {
    text.parse().ok().filter(|_| text.len() <= MAX_LENGTH)
}

/// Checks a new value. `is_new`: of a new workspace. It may be a copy, whose time has passed.
pub fn check(text: &str, longest: SignedDuration, is_new: bool, now: Timestamp) -> Option<Violation> {
    let latest = to_second(end(longest, now));
    let rule = match parse(text) {
        Some(until) if until <= now && is_new => return None,
        _ if longest.is_zero() => {
            "must be absent, because limitBounds.keepMinutes.max of the template is 0: remove it".to_owned()
        }
        None => {
            format!("must be a time by RFC 3339 with its zone, at most {latest}: choose one such as {latest}")
        }
        Some(until) if until > end(longest + SKEW, now) => format!(
            "must not be after {latest}, {} min from now (limitBounds.keepMinutes.max of the template, else 1440): choose at most {latest}",
            longest.as_mins()
        ),
        Some(until) if until <= now => {
            format!("must not be in the past: choose a time until {latest}, or remove it")
        }
        Some(_) => return None,
    };
    Some(Violation::new(
        format!("metadata.annotations[{KEEP_UNTIL}]"),
        text,
        rule,
    ))
}

/// Until when the workspace is kept. `longest`: `None`: it is not known, so a new value gives no time. `known`: as the status has it.
pub fn granted(
    workspace: &Workspace,
    longest: Option<SignedDuration>,
    known: Option<&Kept>,
    now: Timestamp,
) -> Option<Kept> {
    let (text, until) = wanted(workspace, now)?;
    if let Some(known) = known.filter(|known| known.annotation == text) {
        return Some(known.clone());
    }
    Some(Kept {
        until: Time(to_second(until.min(end(longest?, now)))),
        annotation: text.to_owned(),
    })
}

/// Whether the status follows from the annotation. Until then an idle workspace is not stopped.
pub fn is_seen(workspace: &Workspace, now: Timestamp) -> bool {
    let known = workspace.status.as_ref().and_then(|status| status.kept.as_ref());
    wanted(workspace, now).is_none_or(|(text, _)| known.is_some_and(|known| known.annotation == text))
}

/// The annotation, if it is a time that has not passed.
fn wanted(workspace: &Workspace, now: Timestamp) -> Option<(&str, Timestamp)> {
    let text = workspace.annotations().get(KEEP_UNTIL)?;
    let until = parse(text).filter(|until| *until > now)?;
    Some((text, until))
}

/// Until when an idle rule does not stop it, if that time has not passed.
pub fn kept_until(kept: Option<&Kept>, now: Timestamp) -> Option<Timestamp> {
    kept.map(|kept| kept.until.0).filter(|until| *until > now)
}

/// That a workspace is kept. Whatever tells of it says it with these words.
pub fn words(until: Timestamp) -> String {
    format!("kept until {until}")
}

fn end(longest: SignedDuration, now: Timestamp) -> Timestamp {
    now.checked_add(longest).unwrap_or(Timestamp::MAX)
}

fn to_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn now() -> Timestamp {
        "2026-01-31T12:00:00Z".parse().unwrap()
    }

    fn annotated(text: &str) -> Workspace {
        let metadata = json!({"name": "w", "annotations": {KEEP_UNTIL: text}});
        serde_json::from_value(json!({"metadata": metadata, "spec": {"displayName": "w"}})).unwrap()
    }

    fn refused(text: &str, longest: SignedDuration) -> Option<String> {
        check(text, longest, false, now()).map(|it| it.to_string())
    }

    #[test]
    fn each_bad_value_is_refused_with_the_latest_time_and_a_good_one_is_not() {
        let at = "metadata.annotations[workspaces.jupyter.org/keep-until]";
        let no_time = "must be a time by RFC 3339 with its zone, at most 2026-02-01T12:00:00Z: choose one such as 2026-02-01T12:00:00Z";
        let long = "9".repeat(80);
        for text in [
            "tonight",
            "",
            "2026-01-31T18:00:00",
            "2026-01-31",
            "9999-12-31T23:59:59Z",
            &long,
        ] {
            let found = refused(text, LONGEST);
            let value = if text.is_empty() {
                String::new()
            } else {
                format!("{text:?} ")
            };
            assert_eq!(found, Some(format!("{at}: {value}{no_time}")), "{text}");
        }
        assert_eq!(
            refused("9999-12-01T00:00:00Z", LONGEST).unwrap(),
            format!(
                "{at}: \"9999-12-01T00:00:00Z\" must not be after 2026-02-01T12:00:00Z, 1440 min from now (limitBounds.keepMinutes.max \
                 of the template, else 1440): choose at most 2026-02-01T12:00:00Z"
            )
        );
        assert_eq!(
            refused("2026-01-31T12:00:00Z", LONGEST).unwrap(),
            format!(
                "{at}: \"2026-01-31T12:00:00Z\" must not be in the past: choose a time until 2026-02-01T12:00:00Z, or remove it"
            )
        );
        for text in [
            "2026-01-31T18:00:00Z",
            "2026-01-31T18:00:00.5+05:30",
            "2026-02-01T12:00:59Z",
        ] {
            assert_eq!(refused(text, LONGEST), None, "{text}");
        }
        assert!(
            refused("2026-02-01T12:01:01Z", LONGEST).is_some(),
            "no clock is so far ahead"
        );
    }

    #[test]
    fn a_template_sets_the_longest_time_and_may_allow_none() {
        let of = |bounds: serde_json::Value| {
            longest(Some(&WorkspaceTemplateSpec {
                limit_bounds: serde_json::from_value(bounds).unwrap(),
                ..Default::default()
            }))
        };
        assert_eq!(longest(None), LONGEST);
        assert_eq!(of(json!({"keepMinutes": {}})), LONGEST);
        let hour = of(json!({"keepMinutes": {"max": 60}}));
        assert_eq!(refused("2026-01-31T13:00:00Z", hour), None);
        assert!(
            refused("2026-01-31T14:00:00Z", hour)
                .unwrap()
                .contains("2026-01-31T13:00:00Z, 60 min from now")
        );
        let none = refused("2026-01-31T12:00:30Z", of(json!({"keepMinutes": {"max": 0}})));
        assert!(none.unwrap().contains("must be absent"));
    }

    #[test]
    fn a_copy_may_have_a_time_that_has_passed_and_no_longer_one() {
        let new = |text| check(text, LONGEST, true, now()).is_some();
        assert!(!new("2020-01-01T00:00:00Z"));
        assert!(new("2027-01-01T00:00:00Z") && new("tonight"));
    }

    #[test]
    fn without_a_webhook_a_value_counts_for_the_longest_time_from_when_it_was_seen() {
        let text = "2027-01-01T00:00:00Z";
        let workspace = annotated(text);
        let first = granted(&workspace, Some(LONGEST), None, now()).unwrap();
        assert_eq!(first.until.0, now() + LONGEST);
        let later = now() + SignedDuration::from_hours(30);
        let again = granted(&workspace, Some(LONGEST), Some(&first), later);
        assert_eq!(again.as_ref(), Some(&first), "the same text gives no second time");
        assert_eq!(kept_until(again.as_ref(), later), None);
        let other = granted(
            &annotated("2027-01-01T00:00:01Z"),
            Some(LONGEST),
            Some(&first),
            later,
        );
        assert_eq!(other.unwrap().until.0, later + LONGEST, "another one does");
        let shorter = granted(&annotated("2026-01-31T18:00:00.7Z"), Some(LONGEST), None, now()).unwrap();
        assert_eq!(shorter.until.0.to_string(), "2026-01-31T18:00:00Z");
        assert_eq!(granted(&workspace, None, None, now()), None);
        assert_eq!(granted(&workspace, None, Some(&first), now()), Some(first));
    }

    #[test]
    fn what_has_passed_or_is_no_time_gives_nothing_and_waits_for_nothing() {
        for text in ["tonight", "2026-01-31T12:00:00Z", "2020-01-01T00:00:00Z"] {
            let workspace = annotated(text);
            assert_eq!(granted(&workspace, Some(LONGEST), None, now()), None, "{text}");
            assert!(is_seen(&workspace, now()), "{text}");
        }
    }

    #[test]
    fn a_new_value_is_seen_once_the_status_has_it() {
        let mut workspace = annotated("2026-01-31T18:00:00Z");
        assert!(!is_seen(&workspace, now()));
        let kept = granted(&workspace, Some(LONGEST), None, now());
        workspace.status.get_or_insert_default().kept = kept;
        assert!(is_seen(&workspace, now()));
        workspace
            .annotations_mut()
            .insert(KEEP_UNTIL.to_owned(), "2026-01-31T19:00:00Z".to_owned());
        assert!(!is_seen(&workspace, now()));
    }
}
