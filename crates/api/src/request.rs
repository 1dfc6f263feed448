//! What a client wants -> a request or patch that the API server applies to nothing else (pure).

use std::fmt::Display;

use json_patch::jsonptr::PointerBuf;
use kube::{ResourceExt as _, core::request::Error};
use serde_json::{Value, json};

use crate::{Workspace, names, workspace::DesiredStatus};

/// Asks the API server to refuse unknown and repeated fields of a new object. `PostParams` of kube cannot say so.
///
/// A request that cannot be changed is an error: it is never sent without this check.
pub fn strict(request: http::Request<Vec<u8>>) -> Result<http::Request<Vec<u8>>, Error> {
    let (mut head, body) = request.into_parts();
    let separator = if head.uri.query().is_some() { '&' } else { '?' };
    let uri = format!("{}{separator}fieldValidation=Strict", head.uri);
    head.uri = uri
        .parse()
        .map_err(|error: http::uri::InvalidUri| Error::BuildRequest(error.into()))?;
    Ok(http::Request::from_parts(head, body))
}

/// JSON patch that starts or stops a workspace, and records who or what did, if there is room for an annotation. It fails if the workspace
/// has changed since it was read. `add` also sets a `desiredStatus` that the stored spec leaves out.
pub fn set_desired_status(workspace: &Workspace, status: DesiredStatus, record: (&str, &str)) -> Value {
    change(vec![is_unchanged(workspace)], workspace, status, Some(record))
}

/// Whether a start, in recovery or not, replaces the run of a workspace: it is in the other mode.
pub fn replaces_run(workspace: &Workspace, in_recovery: bool) -> bool {
    workspace.spec.desired_status == DesiredStatus::Running && workspace.is_in_recovery() != in_recovery
}

/// Merge patch that starts a workspace, in recovery or not; `None`: it is started so already. A run in the other mode is replaced: `now` is the
/// time with its fraction, so that each request changes something. A run in this mode goes on, whatever the next start was to be.
pub fn start(workspace: &Workspace, in_recovery: bool, now: impl Display) -> Option<Value> {
    let runs = workspace.spec.desired_status == DesiredStatus::Running;
    let changes = workspace.spec.recovery_mode != in_recovery;
    let replaces = replaces_run(workspace, in_recovery);
    if runs && !changes && !replaces {
        return None;
    }
    let mut patch = json!({"spec": {"desiredStatus": DesiredStatus::Running}});
    if changes {
        patch["spec"]["recoveryMode"] = in_recovery.then_some(true).into();
    }
    if replaces {
        patch["metadata"]["annotations"][names::RESTARTED_AT] = now.to_string().into();
    }
    Some(patch)
}

/// JSON patch that stops one run of a workspace, and records why as [`set_desired_status`] does. It fails if the workspace is another one or
/// has another run; without `run_id`, of which no status knows, if it is another one. Any other change does not matter, or whoever changes it all the time could prevent the stop. Without a record it also
/// applies to a workspace whose annotations have no room left.
pub fn stop_run(workspace: &Workspace, run_id: Option<&str>, record: Option<(&str, &str)>) -> Value {
    let mut tests = vec![json!({"op": "test", "path": "/metadata/uid", "value": workspace.uid()})];
    if let Some(run_id) = run_id {
        tests.push(json!({"op": "test", "path": "/status/runID", "value": run_id}));
    }
    // Then the record is the whole map, which must not replace another one. Every owned workspace has annotations.
    if record.is_some() && workspace.metadata.annotations.is_none() {
        tests.push(is_unchanged(workspace));
    }
    change(tests, workspace, DesiredStatus::Stopped, record)
}

fn is_unchanged(workspace: &Workspace) -> Value {
    json!({"op": "test", "path": "/metadata/resourceVersion", "value": workspace.resource_version()})
}

fn change(
    tests: Vec<Value>,
    workspace: &Workspace,
    status: DesiredStatus,
    record: Option<(&str, &str)>,
) -> Value {
    let mut steps = tests;
    steps.push(json!({"op": "add", "path": "/spec/desiredStatus", "value": status}));
    if let Some((key, value)) = record.filter(|_| names::takes_records(&workspace.metadata)) {
        steps.push(if workspace.metadata.annotations.is_some() {
            let path = PointerBuf::from_tokens(["metadata", "annotations", key]);
            json!({"op": "add", "path": path, "value": value})
        } else {
            json!({"op": "add", "path": "/metadata/annotations", "value": {key: value}})
        });
    }
    steps.into()
}

#[cfg(test)]
mod tests {
    use kube::api::PostParams;
    use kube::core::Request;

    use super::*;

    fn create(path: &str, params: &PostParams) -> http::Request<Vec<u8>> {
        Request::new(path).create(params, b"{}".to_vec()).unwrap()
    }

    #[test]
    fn the_parameter_stands_beside_others() {
        let dry_run = PostParams {
            dry_run: true,
            field_manager: None,
        };
        for (request, expected) in [
            (
                create("/apis/a", &dry_run),
                "/apis/a?&dryRun=All&fieldValidation=Strict",
            ),
            (
                create("/apis/a", &PostParams::default()),
                "/apis/a?&fieldValidation=Strict",
            ),
            (
                http::Request::post("/apis/a").body(b"{}".to_vec()).unwrap(),
                "/apis/a?fieldValidation=Strict",
            ),
        ] {
            let strict = strict(request).unwrap();
            assert_eq!(strict.uri().to_string(), expected);
            assert_eq!(
                (strict.method(), strict.body().as_slice()),
                (&http::Method::POST, &b"{}"[..])
            );
        }
    }

    #[test]
    fn a_run_is_stopped_whatever_else_changed_and_no_other_run() {
        let of = |run: &str, uid: &str, version: &str| {
            let annotations = json!({"a": version});
            json!({"metadata": {"uid": uid, "resourceVersion": version, "annotations": annotations}, "spec": {"displayName": "d"}, "status": {"runID": run}})
        };
        let workspace: Workspace = serde_json::from_value(of("r1", "u1", "7")).unwrap();
        let patch: json_patch::Patch =
            serde_json::from_value(stop_run(&workspace, Some("r1"), Some(("why", "MaxAge")))).unwrap();
        let mut changed = of("r1", "u1", "8");
        json_patch::patch(&mut changed, &patch).unwrap();
        assert_eq!(changed["spec"]["desiredStatus"], "Stopped");
        assert_eq!(
            changed["metadata"]["annotations"],
            json!({"a": "8", "why": "MaxAge"})
        );
        for mut other in [of("r2", "u1", "7"), of("r1", "u2", "7")] {
            assert!(json_patch::patch(&mut other, &patch).is_err(), "{other}");
        }
        let mut bare = workspace;
        bare.metadata.annotations = None;
        let patch: json_patch::Patch =
            serde_json::from_value(stop_run(&bare, Some("r1"), Some(("why", "MaxAge")))).unwrap();
        let mut changed = of("r1", "u1", "8");
        assert!(
            json_patch::patch(&mut changed, &patch).is_err(),
            "annotations would be lost"
        );
        let patch: json_patch::Patch = serde_json::from_value(stop_run(&bare, Some("r1"), None)).unwrap();
        json_patch::patch(&mut changed, &patch).unwrap();
        assert_eq!(changed["spec"]["desiredStatus"], "Stopped");
        assert_eq!(changed["metadata"]["annotations"], json!({"a": "8"}));
        for mut other in [of("r2", "u1", "7"), of("r1", "u2", "7")] {
            assert!(json_patch::patch(&mut other, &patch).is_err(), "{other}");
        }
    }

    #[test]
    fn a_start_changes_the_mode_and_replaces_a_run_of_the_other_one() {
        let workspace = |desired: &str, in_recovery: bool| -> Workspace {
            let spec = json!({"displayName": "d", "desiredStatus": desired, "recoveryMode": in_recovery});
            serde_json::from_value(json!({"metadata": {"name": "a"}, "spec": spec})).unwrap()
        };
        let restart = json!({"annotations": {names::RESTARTED_AT: "now"}});
        for (desired, is, wanted, patch) in [
            ("Running", false, false, None),
            ("Running", true, true, None),
            (
                "Stopped",
                false,
                false,
                Some(json!({"spec": {"desiredStatus": "Running"}})),
            ),
            (
                "Stopped",
                true,
                true,
                Some(json!({"spec": {"desiredStatus": "Running"}})),
            ),
            (
                "Stopped",
                false,
                true,
                Some(json!({"spec": {"desiredStatus": "Running", "recoveryMode": true}})),
            ),
            (
                "Stopped",
                true,
                false,
                Some(json!({"spec": {"desiredStatus": "Running", "recoveryMode": null}})),
            ),
            (
                "Running",
                false,
                true,
                Some(
                    json!({"spec": {"desiredStatus": "Running", "recoveryMode": true}, "metadata": restart}),
                ),
            ),
            (
                "Running",
                true,
                false,
                Some(
                    json!({"spec": {"desiredStatus": "Running", "recoveryMode": null}, "metadata": restart}),
                ),
            ),
        ] {
            assert_eq!(
                start(&workspace(desired, is), wanted, "now"),
                patch,
                "{desired} {is} {wanted}"
            );
        }
    }

    #[test]
    fn a_run_in_the_wanted_mode_goes_on_and_one_in_the_other_is_replaced_whatever_was_pending() {
        let pending = |is_set: bool| -> Workspace {
            let spec = json!({"displayName": "d", "desiredStatus": "Running", "recoveryMode": is_set});
            let status = json!({"pendingUpdate": ["spec.recoveryMode"]});
            let object = json!({"metadata": {"name": "a"}, "spec": spec, "status": status});
            serde_json::from_value(object).unwrap()
        };
        let restart = json!({"annotations": {names::RESTARTED_AT: "now"}});
        let is_ordinary = pending(true);
        let goes_on = json!({"spec": {"desiredStatus": "Running", "recoveryMode": null}});
        assert_eq!(start(&is_ordinary, false, "now"), Some(goes_on));
        let recover = json!({"spec": {"desiredStatus": "Running"}, "metadata": restart});
        assert_eq!(start(&is_ordinary, true, "now"), Some(recover.clone()));
        let is_recovery = pending(false);
        assert_eq!(start(&is_recovery, false, "now"), Some(recover));
        let goes_on = json!({"spec": {"desiredStatus": "Running", "recoveryMode": true}});
        assert_eq!(start(&is_recovery, true, "now"), Some(goes_on));
    }

    #[test]
    fn an_address_that_gets_too_long_is_an_error() {
        let longest = usize::from(u16::MAX) - 2;
        let request = create(&format!("/{}", "a".repeat(longest - 2)), &PostParams::default());
        assert!(matches!(strict(request), Err(Error::BuildRequest(_))));
    }
}
