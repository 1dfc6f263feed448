//! An installation that starts to require templates.

use api::{
    condition::{VALID, reason},
    workspace::{DesiredStatus, Phase, UpdatePolicy},
};

use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use testkit::objects;

use crate::stage::Stage;

fn require(stage: &mut Stage, required: bool) {
    let image = "localhost/jk8s-application-jupyter-uv:1";
    stage.set_up_anew(&format!(
        "{{defaultImage: uv, imageAliases: {{uv: '{image}'}}, requireTemplate: {required}}}"
    ));
}

#[tokio::test]
async fn what_runs_without_a_template_runs_on_when_one_is_required_and_does_not_start_again() {
    for policy in [UpdatePolicy::OnStop, UpdatePolicy::Always] {
        let mut stage = Stage::with_running_demo().await;
        stage.edit_spec(|spec| spec["updatePolicy"] = serde_json::json!(policy));
        stage.reconcile().await.unwrap();
        stage.server.take_calls();
        let (before, pod) = (stage.status(), stage.child_pod());
        require(&mut stage, true);
        stage.reconcile().await.unwrap();
        assert_eq!(
            stage.writes(),
            ["PATCH workspaces/demo/status", "POST events"],
            "{policy:?}"
        );
        let status = stage.status();
        assert_eq!(
            (status.phase, status.reason.as_deref()),
            (Some(Phase::Running), Some(reason::RULES_VIOLATED))
        );
        let text =
            "spec.templateRef: is missing, and this installation admits no workspace without a template";
        let valid = stage.condition(VALID);
        assert!(valid.message.contains(text), "{}", valid.message);
        assert!(
            valid.message.contains("must be deleted and created anew"),
            "{}",
            valid.message
        );
        assert_eq!((status.endpoint, status.url), (before.endpoint, before.url));
        assert_eq!(status.resolved, before.resolved);
        assert_eq!(status.pending_update, [""; 0]);
        assert_eq!(stage.child_pod(), pod);
        stage.stop().await;
        stage.set(DesiredStatus::Running);
        stage.reconcile().await.unwrap();
        assert_eq!(
            (stage.status().phase, stage.is_ending()),
            (Some(Phase::Invalid), true)
        );
        require(&mut stage, false);
        stage.reconcile().await.unwrap();
        assert_eq!(
            (stage.status().phase, stage.is_ending()),
            (Some(Phase::Starting), false)
        );
    }
}

/// The webhook may not have judged a template: it did not answer when the template was written.
#[tokio::test]
async fn a_template_that_nobody_judged_is_refused_at_use() {
    let mut on_host = objects::template("it");
    on_host.spec.pod_template = serde_json::from_value(json!({"spec": {
        "serviceAccountName": "admin", "volumes": [{"name": "host", "hostPath": {"path": "/"}}],
    }}))
    .unwrap();
    let mut deep = objects::deep_template("it", 90);
    // The server of this test shows no object that has parts deeper than a parser reads.
    deep.metadata.managed_fields = None;
    let too_deep = "spec.objects[0].manifest: has lists and maps nested more than 32 levels deep";
    for (template, expected) in [
        (objects::template("it"), ""),
        (deep, too_deep),
        (on_host, "hostPath"),
    ] {
        let mut stage = Stage::with_demo();
        stage.server.put(&template);
        stage.edit_spec(|spec| spec["templateRef"] = json!("it"));
        stage.reconcile().await.unwrap();
        let valid = stage.condition(VALID);
        assert_eq!(valid.status == "True", expected.is_empty(), "{}", valid.message);
        assert!(valid.message.contains(expected), "{}", valid.message);
        assert_eq!(stage.all::<Pod>().is_empty(), !expected.is_empty());
    }
}
