//! A workspace that a rule stops -> `spec.desiredStatus: Stopped`, and why (IO).

use api::{
    Workspace,
    names::{OPERATOR, STOPPED_BECAUSE},
    request::{self, set_desired_status},
    workspace::{DesiredStatus, StopRule, StoppedBecause},
};
use jiff::Timestamp;
use json_patch::Patch as JsonPatch;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{Api, ResourceExt as _, api::Patch, core::PartialObjectMeta};
use rules::keep;
use serde_json::Value;

use super::status::to_second;
use crate::{
    activity::Subject,
    cache::{
        observe,
        observed::{Identity, Observed},
    },
    context::Context,
    status::stop_record::Because,
    support::send::patch_as,
};

/// Workspaces whose answers hold only metadata.
type Metadata = Api<PartialObjectMeta<Workspace>>;

/// The rule that stopped the workspace, if the workspace is stopped and a rule ended its last run.
pub fn stopped_because(workspace: &Workspace, observed: &Observed) -> Option<StoppedBecause> {
    if workspace.spec.desired_status != DesiredStatus::Stopped {
        return None;
    }
    let because: Because = workspace.annotations().get(STOPPED_BECAUSE)?.parse().ok()?;
    // Once the pod is gone, the status tells which run it was, or that this was its reason.
    let is_last_run = observed.run_id().map_or_else(
        || {
            let before = workspace.status.as_ref();
            before.is_some_and(|before| {
                let known = before.stopped_because.as_ref();
                before.run_id.as_ref() == Some(&because.run_id)
                    || known.is_some_and(|known| known.time.0 == because.time)
            })
        },
        |run_id| run_id == because.run_id,
    );
    is_last_run.then_some(StoppedBecause {
        rule: because.rule,
        time: Time(because.time),
        reason: because.reason,
    })
}

/// Stops an idle workspace, unless anything about it has changed since its pod was asked. Returns whether it was stopped.
pub(super) async fn stop_idle(
    context: &Context,
    subject: &Subject,
    now: Timestamp,
) -> Result<bool, kube::Error> {
    let because = Because {
        rule: StopRule::Idle,
        time: to_second(now),
        run_id: subject.run_id.clone(),
        reason: None,
    };
    let newest = context
        .pending_writes
        .newest_workspace(&subject.identity, &context.stores);
    let workspace = newest.as_ref().and_then(|newest| newest.object());
    let is_idle = |workspace: &Workspace| is_still(workspace, subject) && keep::is_seen(workspace, now);
    match workspace.filter(|workspace| is_idle(workspace)) {
        Some(workspace) => {
            let patch = set_desired_status(&workspace, DesiredStatus::Stopped, record(&because.to_string()));
            stop(context, &workspace, &because, patch, None).await
        }
        None => Ok(false),
    }
}

/// Stops a run by a rule that waits for no answer of the pod, whatever has changed about the workspace. `stored_run`: the run in the status
/// from which that follows, so that a start of another one wins. Returns whether it was stopped.
pub(super) async fn stop_run(
    context: &Context,
    identity: &Identity,
    stored_run: Option<&str>,
    because: &Because,
) -> Result<bool, kube::Error> {
    let newest = context.pending_writes.newest_workspace(identity, &context.stores);
    let workspace = newest.as_ref().and_then(|newest| newest.object());
    match workspace.filter(|workspace| runs(workspace, identity)) {
        Some(workspace) => {
            let text = because.to_string();
            let patch = |record| request::stop_run(&workspace, stored_run, record);
            let (recorded, bare) = (patch(Some(record(&text))), patch(None));
            stop(context, &workspace, because, recorded, Some(bare)).await
        }
        None => Ok(false),
    }
}

/// Sends the stop, unless it would delete the disk. `bare`: what to send if the API server finds the first patch invalid, as when the
/// annotations have no room for the record.
async fn stop(
    context: &Context,
    workspace: &Workspace,
    because: &Because,
    patch: Value,
    bare: Option<Value>,
) -> Result<bool, kube::Error> {
    let identity = &Identity::from_meta(&workspace.metadata);
    let mut observed = observe::from_caches(identity, &context.stores);
    observe::add_mounted_claims(&mut observed, &context.stores);
    if observed.used_deleted_claim().is_some() {
        return Ok(false);
    }
    let workspaces: Metadata = Api::namespaced(context.client.clone(), &identity.namespace);
    let mut sent = send(&workspaces, &identity.name, patch).await;
    if let (Err(error), Some(bare)) = (&sent, bare)
        && is_invalid(error)
    {
        sent = send(&workspaces, &identity.name, bare).await;
    }
    let (run, rule) = (&because.run_id, because.rule.name());
    match sent {
        Ok(()) => {
            context.metrics.write("idle");
            context.metrics.count_stop(because.rule);
            tracing::info!(
                workspace = identity.key(),
                run,
                rule,
                "a rule stops the workspace"
            );
            Ok(true)
        }
        Err(error) if has_changed(&error, &workspaces, workspace).await => {
            // The next check shows whether the change was a start.
            tracing::info!(
                workspace = identity.key(),
                rule,
                "the workspace changed and is not stopped"
            );
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

async fn send(workspaces: &Metadata, name: &str, patch: Value) -> Result<(), kube::Error> {
    let patch: JsonPatch = serde_json::from_value(patch).map_err(kube::Error::SerdeError)?;
    let patch = Patch::<()>::Json(patch);
    workspaces
        .patch(name, &patch_as(OPERATOR), &patch)
        .await
        .map(drop)
}

/// Whether the API server finds the patch or the object after it invalid.
fn is_invalid(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 422)
}

/// The annotation that says which rule stopped a run.
fn record(because: &str) -> (&str, &str) {
    (STOPPED_BECAUSE, because)
}

/// Whether a stop failed because another client wrote the workspace. The API server answers a failed JSON patch test like an invalid spec.
async fn has_changed(error: &kube::Error, workspaces: &Metadata, tested: &Workspace) -> bool {
    match error {
        kube::Error::Api(status) if matches!(status.code, 404 | 409) => true,
        error if is_invalid(error) => {
            let live = workspaces.get_metadata_opt(&tested.name_any()).await;
            live.is_ok_and(|live| live.and_then(|live| live.resource_version()) != tested.resource_version())
        }
        _ => false,
    }
}

/// Whether the API server or an admission webhook refuses the write.
pub fn is_refusal(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 400 | 403 | 422))
}

/// Whether it is the same workspace, with the spec from which the subject was made.
fn is_still(workspace: &Workspace, subject: &Subject) -> bool {
    runs(workspace, &subject.identity) && workspace.metadata.generation == subject.generation
}

/// Whether it is the same workspace, and is to run.
fn runs(workspace: &Workspace, identity: &Identity) -> bool {
    let meta = &workspace.metadata;
    meta.uid.as_ref() == Some(&identity.uid)
        && meta.deletion_timestamp.is_none()
        && workspace.spec.desired_status == DesiredStatus::Running
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use testkit::objects;

    use super::*;
    use crate::testing;

    fn because(run: &str) -> Because {
        Because {
            rule: StopRule::Idle,
            time: "2026-01-31T12:00:00Z".parse().unwrap(),
            run_id: run.to_owned(),
            reason: None,
        }
    }

    /// The patch of an idle workspace.
    fn patch(workspace: &Workspace) -> JsonPatch {
        let because = because("run1").to_string();
        let patch = set_desired_status(workspace, DesiredStatus::Stopped, record(&because));
        serde_json::from_value(patch).unwrap()
    }

    #[test]
    fn a_stop_also_applies_to_a_workspace_that_leaves_out_its_state() {
        let mut workspace = objects::workspace("demo");
        workspace.metadata.resource_version = Some("7".to_owned());
        let stop = patch(&workspace);
        let mut stored = serde_json::to_value(&workspace).unwrap();
        stored["spec"].as_object_mut().unwrap().remove("desiredStatus");
        json_patch::patch(&mut stored, &stop).unwrap();
        assert_eq!(stored["spec"]["desiredStatus"], "Stopped");
        stored["metadata"]["resourceVersion"] = json!("8");
        assert!(json_patch::patch(&mut stored, &stop).is_err());
    }

    #[test]
    fn a_stop_is_recorded_unless_the_policies_would_refuse_the_record() {
        let recorded = |others: usize| {
            let mut workspace = objects::workspace("demo");
            workspace.metadata.resource_version = Some("7".to_owned());
            let annotations = workspace.annotations_mut();
            annotations.extend((0..others).map(|number| (format!("k{number}"), String::new())));
            let mut stored = serde_json::to_value(&workspace).unwrap();
            json_patch::patch(&mut stored, &patch(&workspace)).unwrap();
            assert_eq!(stored["spec"]["desiredStatus"], "Stopped", "{others}");
            !stored["metadata"]["annotations"][STOPPED_BECAUSE].is_null()
        };
        assert!(recorded(api::names::MAX_ANNOTATIONS));
        assert!(!recorded(api::names::MAX_ANNOTATIONS + 1));
    }

    #[test]
    fn a_run_that_no_status_has_is_stopped_by_the_uid_of_its_workspace() {
        let mut workspace = objects::workspace("demo");
        workspace.metadata.resource_version = Some("7".to_owned());
        let applies = |run: Option<&str>, uid: &str| {
            let patch: JsonPatch = serde_json::from_value(request::stop_run(&workspace, run, None)).unwrap();
            let mut stored = serde_json::to_value(&workspace).unwrap();
            stored["metadata"]["uid"] = json!(uid);
            json_patch::patch(&mut stored, &patch).is_ok() && stored["spec"]["desiredStatus"] == "Stopped"
        };
        let uid = workspace.metadata.uid.clone().unwrap();
        assert!(!applies(Some("run1"), &uid), "its status has no run");
        assert!(applies(None, &uid));
        assert!(!applies(None, "another"));
    }

    #[test]
    fn a_stop_has_a_rule_if_the_rule_ended_this_run_and_no_user_started_it_since() {
        let rule = |desired: DesiredStatus, run: &str| {
            let mut workspace = objects::workspace("demo");
            workspace.spec.desired_status = desired;
            workspace
                .annotations_mut()
                .insert(STOPPED_BECAUSE.to_owned(), because(run).to_string());
            stopped_because(&workspace, &testing::ending())
        };
        assert!(rule(DesiredStatus::Stopped, "run1").is_some());
        assert_eq!(rule(DesiredStatus::Running, "run1"), None);
        assert_eq!(
            rule(DesiredStatus::Stopped, "run0"),
            None,
            "a user stopped the next run"
        );
    }
}
