//! Events and versions of a workspace -> whether a failure was reported once (pure).
//!
//! A flood of reasons is an error.

use anyhow::ensure;
use api::{
    Workspace,
    condition::{self, DEGRADED},
};
use k8s_openapi::{api::events::v1::Event, apimachinery::pkg::apis::meta::v1::Condition};

/// Maximum number of status writes in one row.
const MAX_WRITES: usize = 24;

/// Checks for one Warning Event per reported reason, without a series. The reasons in `also` may be reported, too: after each of their
/// Events, a reason may come back. All others have none.
pub(super) fn check_one_event_each(all: &[Event], reasons: &[String], also: &[&str]) -> anyhow::Result<()> {
    let about = |event: &&Event| {
        let regarding = event.regarding.as_ref().and_then(|it| it.kind.as_deref());
        regarding == Some("Workspace") && event.type_.as_deref() == Some("Warning")
    };
    let warnings: Vec<_> = all.iter().filter(about).collect();
    for reason in reasons {
        let (of_reason, others): (Vec<_>, Vec<_>) = warnings
            .iter()
            .partition(|event| event.reason.as_ref() == Some(reason));
        let is_also = |event: &&&&Event| also.contains(&event.reason.as_deref().unwrap_or_default());
        let most = 1 + others.iter().filter(is_also).count();
        ensure!(
            (1..=most).contains(&of_reason.len()) && of_reason.iter().all(|event| event.series.is_none()),
            "{reason} should be one Event, or up to {most} because of others: {of_reason:?}"
        );
    }
    let expected = |reason: &str| reasons.iter().any(|it| it == reason) || also.contains(&reason);
    let others: Vec<_> = warnings
        .iter()
        .filter(|event| !expected(event.reason.as_deref().unwrap_or_default()))
        .collect();
    ensure!(others.is_empty(), "Events of other causes: {others:?}");
    Ok(())
}

/// Checks that a condition's time changes exactly when its status changes, and that the status is not written repeatedly.
pub(super) fn check_condition_changes(versions: &[Workspace]) -> anyhow::Result<()> {
    for pair in versions.windows(2) {
        for after in conditions(&pair[1]) {
            let Some(before) = conditions(&pair[0]).iter().find(|it| it.type_ == after.type_) else {
                continue;
            };
            let same = before.status == after.status;
            let moved = before.last_transition_time != after.last_transition_time;
            ensure!(
                !(same && moved),
                "the time moved without a flip: {before:?} {after:?}"
            );
        }
    }
    let writes = versions
        .windows(2)
        .filter(|pair| pair[0].status != pair[1].status)
        .count();
    ensure!(writes <= MAX_WRITES, "the status was written {writes} times");
    Ok(())
}

/// The condition `Degraded`, if it is true.
pub(super) fn degraded(workspace: &Workspace) -> Option<&Condition> {
    condition::find(conditions(workspace), DEGRADED).filter(|condition| condition.status == "True")
}

fn conditions(workspace: &Workspace) -> &[Condition] {
    workspace
        .status
        .as_ref()
        .map_or(&[], |status| status.conditions.as_slice())
}

#[cfg(test)]
mod tests {
    use api::condition::reason::{CONTAINER_EXITED, OOM_KILLED};
    use serde_json::json;

    use super::*;

    fn check(warnings: &[&str]) -> anyhow::Result<()> {
        let event = |reason: &&str| {
            let event = json!({"metadata": {}, "regarding": {"kind": "Workspace"}, "type": "Warning", "reason": reason});
            serde_json::from_value(event).unwrap()
        };
        let events: Vec<_> = warnings.iter().map(event).collect();
        check_one_event_each(&events, &[OOM_KILLED.to_owned()], &[CONTAINER_EXITED])
    }

    #[test]
    fn a_reason_has_one_event_more_for_each_that_came_between() {
        for allowed in [
            [OOM_KILLED].as_slice(),
            &[CONTAINER_EXITED, OOM_KILLED],
            &[OOM_KILLED, CONTAINER_EXITED, OOM_KILLED],
        ] {
            assert!(check(allowed).is_ok(), "{allowed:?}");
        }
        for flood in [
            [].as_slice(),
            &[CONTAINER_EXITED],
            &[OOM_KILLED, OOM_KILLED],
            &[OOM_KILLED, CONTAINER_EXITED, OOM_KILLED, OOM_KILLED],
            &[OOM_KILLED, "CrashLooping"],
        ] {
            assert!(check(flood).is_err(), "{flood:?}");
        }
    }
}
