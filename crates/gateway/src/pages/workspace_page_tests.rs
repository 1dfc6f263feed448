//! What the page says of a blocked start, and when it loads itself anew.

use std::sync::Arc;

use super::*;
use crate::index::StatusDetail;

fn target(phase: Phase, reason: &str) -> Target {
    Target {
        phase,
        status_detail: Some(Arc::new(StatusDetail {
            reason: reason.into(),
            ..StatusDetail::default()
        })),
        ..Target::lab()
    }
}

fn shown(phase: Phase, reason: &str, audience: Audience) -> Message {
    message(
        &Domain::new("ws.example", 443),
        &target(phase, reason),
        audience,
        0,
    )
}

#[test]
fn a_page_says_that_it_opens_only_where_it_does() {
    for phase in [Phase::Starting, Phase::Failed] {
        let opens = match phase {
            Phase::Failed => "Reload this page when the problem is solved",
            _ => "This page opens the workspace when the problem is solved",
        };
        let restart = "After a change, stop and start";
        for word in [
            reason::CONTAINER_COMPLETED,
            reason::CONTAINER_EXITED,
            reason::CRASH_LOOPING,
            reason::OOM_KILLED,
            reason::POST_START_HOOK_FAILED,
        ] {
            let own = shown(phase, word, Audience::OwnerOrAdmin).text.join(" ");
            assert!(own.contains(restart) && !own.contains(opens), "{own}");
            // The text would name the reason.
            let guests = shown(phase, word, Audience::Viewer).text.join(" ");
            assert!(guests.contains(opens) && !guests.contains(restart), "{guests}");
        }
        let own = shown(phase, reason::IMAGE_PULL_FAILED, Audience::OwnerOrAdmin)
            .text
            .join(" ");
        assert!(own.contains(opens) && !own.contains(restart), "{own}");
    }
}

#[test]
fn guests_of_an_evicted_workspace_see_a_start_and_its_owner_the_cause() {
    let text = |word, audience| {
        let shown = shown(Phase::Starting, word, audience);
        format!("{:?}", shown.parts)
    };
    for audience in [Audience::Viewer, Audience::Starter] {
        assert!(!text(reason::EVICTED, audience).contains("blocked"));
        assert!(text(reason::UNSCHEDULABLE, audience).contains("blocked"));
    }
    let own = text(reason::EVICTED, Audience::OwnerOrAdmin);
    assert!(own.contains("Evicted:") && !own.contains("Stuck"), "{own}");
}

#[test]
fn only_owners_see_what_becomes_of_files_at_a_stop() {
    let files = "The disk is kept.";
    for phase in [Phase::Stopping, Phase::Stopped] {
        let target = Target {
            status_detail: Some(Arc::new(StatusDetail {
                files: files.to_owned(),
                ..StatusDetail::default()
            })),
            ..target(phase, "")
        };
        let shown = |audience| message(&Domain::new("ws.example", 443), &target, audience, 0);
        let own = shown(Audience::OwnerOrAdmin);
        assert_eq!(own.more["files"], files, "{phase:?}");
        for audience in [Audience::Starter, Audience::Viewer] {
            let other = shown(audience);
            assert!(!other.more.contains_key("files"), "{phase:?}");
            assert!(!other.text.join(" ").contains(files), "{phase:?}");
        }
        if phase == Phase::Stopping {
            assert_eq!(own.text.last().map(String::as_str), Some(files));
        }
    }
}

#[test]
fn owners_see_that_it_is_in_recovery_and_how_a_failed_one_starts_normally() {
    for (phase, words) in [
        (Phase::Starting, "is starting in recovery"),
        (Phase::Failed, "cannot run in recovery"),
    ] {
        for (in_recovery, audience) in [
            (true, Audience::OwnerOrAdmin),
            (false, Audience::OwnerOrAdmin),
            (true, Audience::Starter),
        ] {
            let target = Target {
                status_detail: Some(Arc::new(StatusDetail {
                    in_recovery,
                    ..StatusDetail::default()
                })),
                ..target(phase, "")
            };
            let shown = message(&Domain::new("ws.example", 443), &target, audience, 0);
            let expected = in_recovery && audience == Audience::OwnerOrAdmin;
            assert_eq!(shown.title.contains(words), expected, "{phase:?} {audience:?}");
            let text = shown.text.join(" ");
            let is_told = text.contains("kubectl workspace start lab -n team");
            assert_eq!(is_told, expected && phase == Phase::Failed, "{text}");
        }
    }
}

#[test]
fn scheduling_is_over_only_where_the_pod_has_a_node() {
    let done = |word: &str| steps_done(&target(Phase::Failed, word));
    for word in [
        reason::STORAGE_CLASS_NOT_FOUND,
        reason::VOLUME_UNBOUND,
        reason::VOLUME_IN_USE,
        reason::VOLUME_OF_ANOTHER_WORKSPACE,
        reason::RETAINED_VOLUME_OF_ANOTHER_OWNER,
    ] {
        assert_eq!(done(word), (0, Some(1)), "{word}");
    }
    assert_eq!(done(reason::VOLUME_ATTACH_FAILED), (1, Some(1)));
    assert_eq!(done(reason::IMAGE_PULL_FAILED), (2, Some(2)));
}
