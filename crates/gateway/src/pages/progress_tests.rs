//! Workspaces in every state, and the reported progress of their start.

use std::sync::Arc;

use api::condition::reason;

use super::*;
use crate::index::StatusDetail;

const ADDRESS: &str = "10.0.0.1:8888";

fn target(phase: Phase, reason: &str, started: bool) -> Target {
    Target {
        run_id: "r".into(),
        phase,
        message: "in the operator's words".into(),
        status_detail: Some(Arc::new(StatusDetail {
            reason: reason.into(),
            since: None,
            started,
            idle: None,
        })),
        ..Target::lab()
    }
}

fn message(target: &Target, audience: Audience) -> Progress {
    progress(&Domain::new("ws.example", 443), target, audience, 0)
}

#[test]
fn progress_of_a_start_without_errors_grows_to_one_hundred() {
    let running = Target {
        endpoint: Some(ADDRESS.parse().unwrap()),
        ..target(Phase::Running, reason::READY, true)
    };
    let way = [
        target(Phase::Starting, "", false),
        target(Phase::Starting, reason::STARTING, false),
        target(Phase::Starting, reason::STARTING, true),
        running.clone(),
    ];
    let steps: Vec<_> = way
        .iter()
        .map(|target| {
            let message = message(target, Audience::OwnerOrAdmin);
            (message.percent, message.step, message.end)
        })
        .collect();
    assert_eq!(
        steps,
        [
            (5, "requested", None),
            (20, "preparing", None),
            (75, "answering", None),
            (100, "ready", Some(End::Ready)),
        ]
    );
    // A client that connects at the end gets the same events.
    let before: Vec<_> = before(&running)
        .into_iter()
        .map(|over| (over.percent, over.step, over.end))
        .collect();
    assert_eq!(before, steps[..3]);
}

#[test]
fn every_reason_belongs_to_a_step_and_only_the_owner_sees_it() {
    for known in reason::ALL {
        let stuck = target(Phase::Starting, known.name, false);
        let (done, Some(at)) = start_steps::steps_done(&stuck) else {
            continue;
        };
        let own = message(&stuck, Audience::OwnerOrAdmin);
        assert_eq!(
            (own.percent, own.step),
            (PERCENT[done], NAMES[at]),
            "{}",
            known.name
        );
        assert_eq!((own.reason.as_str(), own.end), (known.name, None));
        assert_eq!(own.message, stuck.message);
        let guests = message(&stuck, Audience::Viewer);
        let all = format!("{guests:?}");
        assert!(
            !all.contains(known.name) && !all.contains(&stuck.message),
            "{all}"
        );
        assert_eq!((guests.percent, guests.reason.as_str()), (own.percent, "Hidden"));
        let failed = message(&target(Phase::Failed, known.name, false), Audience::OwnerOrAdmin);
        assert_eq!((failed.end, failed.step), (Some(End::Failed), NAMES[at]));
    }
}

#[test]
fn a_page_says_that_it_opens_only_where_no_restart_is_needed() {
    let page = |phase, word, audience| {
        let message = message(&target(phase, word, false), audience);
        message.page.unwrap().to_string()
    };
    let (opens, restart) = ("when the problem is solved", "After a change, stop and start");
    for phase in [Phase::Starting, Phase::Failed] {
        for word in [
            reason::CONTAINER_EXITED,
            reason::CRASH_LOOPING,
            reason::OOM_KILLED,
            reason::POST_START_HOOK_FAILED,
        ] {
            let own = page(phase, word, Audience::OwnerOrAdmin);
            assert!(own.contains(restart) && !own.contains(opens), "{own}");
            // The text would name the reason.
            let guests = page(phase, word, Audience::Viewer);
            assert!(guests.contains(opens) && !guests.contains(restart), "{guests}");
        }
        let own = page(phase, reason::IMAGE_PULL_FAILED, Audience::OwnerOrAdmin);
        assert!(own.contains(opens) && !own.contains(restart), "{own}");
    }
}

#[test]
fn scheduling_is_over_only_where_the_pod_has_a_node() {
    let done = |word: &str| start_steps::steps_done(&target(Phase::Failed, word, false));
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

#[test]
fn a_failed_or_stopped_workspace_ends_the_progress_at_once() {
    for (phase, end, word) in [
        (Phase::Stopped, End::Stopped, reason::STOPPED),
        (Phase::Stopping, End::Stopped, reason::STOPPING),
        (Phase::Deleting, End::Failed, reason::DELETING),
        (Phase::Invalid, End::Failed, reason::RULES_VIOLATED),
    ] {
        let target = target(phase, word, false);
        let message = message(&target, Audience::OwnerOrAdmin);
        assert_eq!((message.end, message.reason.as_str()), (Some(end), word));
        assert!(before(&target).is_empty());
        assert!(message.percent < 100);
    }
}
