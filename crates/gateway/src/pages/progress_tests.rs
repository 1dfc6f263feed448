//! Workspaces in every state, and the reported progress of their start.

use std::sync::Arc;

use api::condition::reason;

use super::*;
use crate::index::Story;

const ADDRESS: &str = "10.0.0.1:8888";

fn target(phase: Phase, reason: &str, started: bool) -> Target {
    Target {
        run_id: "r".into(),
        phase,
        message: "in the operator's words".into(),
        story: Some(Arc::new(Story {
            reason: reason.into(),
            since: None,
            started,
            idle: None,
        })),
        ..Target::lab()
    }
}

fn told(target: &Target, audience: Audience) -> Progress {
    progress(&Domain::new("ws.example", 443), target, audience, 0)
}

#[test]
fn a_start_without_trouble_grows_from_its_request_to_a_hundred() {
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
            let told = told(target, Audience::Keeper);
            (told.percent, told.step, told.end)
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
fn every_reason_stands_at_its_step_and_the_owner_alone_is_told_which() {
    for known in reason::ALL {
        let stuck = target(Phase::Starting, known.name, false);
        let (done, Some(at)) = state::steps_done(&stuck) else {
            continue;
        };
        let own = told(&stuck, Audience::Keeper);
        assert_eq!(
            (own.percent, own.step),
            (BEGINS[done], NAMES[at]),
            "{}",
            known.name
        );
        assert_eq!((own.reason.as_str(), own.end), (known.name, None));
        assert_eq!(own.message, stuck.message);
        let guests = told(&stuck, Audience::Guest);
        let all = format!("{guests:?}");
        assert!(
            !all.contains(known.name) && !all.contains(&stuck.message),
            "{all}"
        );
        assert_eq!((guests.percent, guests.reason.as_str()), (own.percent, "Hidden"));
        let failed = told(&target(Phase::Failed, known.name, false), Audience::Keeper);
        assert_eq!((failed.end, failed.step), (Some(End::Failed), NAMES[at]));
    }
}

#[test]
fn a_page_says_that_it_opens_only_where_no_restart_is_needed() {
    let page = |phase, word, audience| {
        let told = told(&target(phase, word, false), audience);
        told.page.unwrap().to_string()
    };
    let (opens, restart) = ("when the problem is solved", "After a change, stop and start");
    for phase in [Phase::Starting, Phase::Failed] {
        for word in [
            reason::CONTAINER_EXITED,
            reason::CRASH_LOOPING,
            reason::OOM_KILLED,
            reason::POST_START_HOOK_FAILED,
        ] {
            let own = page(phase, word, Audience::Keeper);
            assert!(own.contains(restart) && !own.contains(opens), "{own}");
            // The text would name the reason.
            let guests = page(phase, word, Audience::Guest);
            assert!(guests.contains(opens) && !guests.contains(restart), "{guests}");
        }
        let own = page(phase, reason::IMAGE_PULL_FAILED, Audience::Keeper);
        assert!(own.contains(opens) && !own.contains(restart), "{own}");
    }
}

#[test]
fn scheduling_is_over_only_where_the_pod_has_a_node() {
    let done = |word: &str| state::steps_done(&target(Phase::Failed, word, false));
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
fn what_does_not_start_ends_at_once_and_nothing_came_before() {
    for (phase, end, word) in [
        (Phase::Stopped, End::Stopped, reason::STOPPED),
        (Phase::Stopping, End::Stopped, reason::STOPPING),
        (Phase::Deleting, End::Failed, reason::DELETING),
        (Phase::Invalid, End::Failed, reason::RULES_VIOLATED),
    ] {
        let target = target(phase, word, false);
        let told = told(&target, Audience::Keeper);
        assert_eq!((told.end, told.reason.as_str()), (Some(end), word));
        assert!(before(&target).is_empty());
        assert!(told.percent < 100);
    }
}
