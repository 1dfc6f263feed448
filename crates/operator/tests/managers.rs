//! Several default managers, and invalid managers that admission did not refuse.

use api::{
    WorkspaceManager,
    condition::{self, READY, VALID, reason},
    names,
    workspace::Phase,
};
use k8s_openapi::api::networking::v1::Ingress;
use operator::controllers::{catalog, catalog::CatalogState};
use serde_json::{Value, json};
use testkit::objects::{self};

use crate::{
    routing::{custom, degraded, routed, see},
    stage::Stage,
};

fn make_default(stage: &Stage, name: &str, value: &str) {
    stage.server.edit::<WorkspaceManager>(None, name, |object| {
        object["metadata"]["annotations"][names::IS_DEFAULT] = json!(value);
    });
}

/// A running `demo` with a route by `main`, and a second default manager that was not reconciled yet.
async fn ambiguous() -> Stage {
    let stage = routed().await;
    stage.server.put(&custom("second", |manager| {
        manager["spec"]["routing"]["baseDomain"] = json!("second.localhost");
    }));
    stage
}

#[tokio::test]
async fn with_several_default_managers_what_runs_keeps_its_manager_its_route_and_its_pod() {
    let mut stage = ambiguous().await;
    let main: Ingress = stage.child().unwrap();
    let (before, pod) = (stage.status(), stage.child_pod());
    stage.reconcile().await.unwrap();
    assert_eq!(stage.writes(), ["PATCH workspaces/demo/status", "POST events"]);
    let valid = stage.condition(VALID);
    assert_eq!(
        (valid.status.as_str(), valid.reason.as_str()),
        ("False", reason::MANAGER_AMBIGUOUS)
    );
    let message = valid.message;
    assert!(
        message.contains("(main, second)") && message.contains(names::IS_DEFAULT),
        "{message}"
    );
    assert!(message.contains("spec.managerRef"), "{message}");
    let status = stage.status();
    assert_eq!(
        (status.phase, status.reason.as_deref()),
        (Some(Phase::Running), Some(reason::MANAGER_AMBIGUOUS))
    );
    let resolved = status.resolved.as_ref().unwrap();
    assert_eq!(resolved.manager.as_deref(), Some("main"));
    assert_eq!(status.resolved, before.resolved);
    assert_eq!((status.url, status.run_id), (before.url, before.run_id));
    assert_eq!(status.endpoint, before.endpoint);
    assert_eq!(status.pending_update, [""; 0]);
    assert_eq!(stage.child::<Ingress>(), Some(main.clone()));
    assert_eq!(stage.child_pod(), pod);

    // Nor does another operator know better than the status.
    stage.replace_operator(None);
    see(&stage);
    stage.reconcile().await.unwrap();
    assert_eq!(stage.writes(), [""; 0]);

    // One default is left: nothing but the condition changes.
    make_default(&stage, "second", "false");
    stage.reconcile().await.unwrap();
    assert_eq!(stage.writes(), ["PATCH workspaces/demo/status"]);
    assert_eq!(stage.condition(VALID).status, "True");
    assert_eq!(stage.child::<Ingress>(), Some(main));
    assert_eq!(stage.child_pod(), pod);
}

#[tokio::test]
async fn a_manager_that_no_gateway_serves_is_not_ready_and_its_workspaces_have_no_url() {
    let mut stage = Stage::with_demo();
    let mut second = objects::manager("second");
    second.metadata.annotations = None;
    stage.server.put(&second);
    stage.edit_spec(|spec| spec["managerRef"] = json!("second"));
    stage.run().await;
    let status = stage.status();
    assert_eq!(
        (status.url, status.reason.as_deref()),
        (None, Some(reason::NOT_SERVED))
    );
    let available = stage.condition(condition::AVAILABLE);
    assert_eq!(
        (available.status.as_str(), available.reason.as_str()),
        ("False", reason::NOT_SERVED)
    );
    assert!(status.message.unwrap().contains(r#"WorkspaceManager "second""#));
    catalog::reconcile(&stage.context, &CatalogState::default()).await;
    let ready = |stage: &Stage| {
        let manager: WorkspaceManager = stage.server.get(None, "second").unwrap();
        let conditions = manager.status.unwrap().conditions;
        condition::find(&conditions, READY).unwrap().reason.clone()
    };
    assert_eq!(ready(&stage), reason::NOT_SERVED);

    make_default(&stage, "main", "false");
    stage.server.edit::<WorkspaceManager>(None, "second", |object| {
        object["metadata"]["annotations"] = json!({names::IS_DEFAULT: "true"});
    });
    stage.reconcile().await.unwrap();
    let status = stage.status();
    assert!(condition::holds(&status.conditions, condition::AVAILABLE));
    assert!(status.url.is_some());
    catalog::reconcile(&stage.context, &CatalogState::default()).await;
    assert_eq!(ready(&stage), reason::ALL_RULES_HOLD);
}

/// Group and version, and kind, of what gives rights, holds secrets, or runs things.
const FORBIDDEN: [(&str, &str); 16] = [
    ("rbac.authorization.k8s.io/v1", "Role"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole"),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
    ("v1", "Secret"),
    ("v1", "ServiceAccount"),
    ("v1", "ConfigMap"),
    ("v1", "Pod"),
    ("v1", "ReplicationController"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("apps/v1", "ReplicaSet"),
    ("batch/v1", "Job"),
    ("batch/v1", "CronJob"),
    ("example.com/v1", "Pod"),
];

/// A manager whose second manifest, after an Ingress, begins as this says.
fn with_second(manifest: &Value) -> WorkspaceManager {
    custom("main", |manager| {
        // A workspace already uses it.
        manager["metadata"]["finalizers"] = json!([names::IN_USE_FINALIZER]);
        let resources = manager["spec"]["routing"]["custom"]["resources"].as_array_mut();
        let mut second = json!({"metadata": {"name": "{service.name}-more"}});
        for (key, value) in manifest.as_object().unwrap() {
            second[key] = value.clone();
        }
        resources.unwrap().push(second);
    })
}

#[tokio::test]
async fn rbac_secrets_and_pods_are_never_made_for_a_manager_that_no_webhook_refused() {
    let mut kinds: Vec<_> = FORBIDDEN
        .iter()
        .map(|(version, kind)| (*version, *kind, "can never be a route"))
        .collect();
    // What a workspace calls a variable names no kind.
    kinds.push((
        "traefik.io/v1alpha1",
        "{kind}",
        "is not among the kinds that this installation allows",
    ));
    for (version, kind, text) in kinds {
        let mut stage = Stage::with_running_demo().await;
        stage.without_admission();
        stage.edit_spec(|spec| spec["variables"] = json!({"kind": "Secret"}));
        let manager = with_second(&json!({"apiVersion": version, "kind": kind}));
        stage.server.put(&manager);
        see(&stage);
        stage.sync();
        stage.server.take_calls();
        for _ in 0..2 {
            stage.reconcile().await.unwrap();
            see(&stage);
        }
        let writes = stage.writes();
        assert_eq!(
            writes,
            ["POST services", "PATCH workspaces/demo/status", "POST events"],
            "{version} {kind}"
        );
        assert!(
            stage.all::<Ingress>().is_empty(),
            "nor is what stands beside it: {kind}"
        );
        let (reason, message) = degraded(&stage);
        assert_eq!(reason, reason::ROUTE_FAILED, "{kind}");
        let named = format!("spec.routing.custom.resources[1].kind: \"{version} {kind}\" {text}");
        assert!(message.contains(&named), "{message}");
        assert_eq!(stage.status().phase, Some(Phase::Running), "its pod runs on");

        catalog::reconcile(&stage.context, &CatalogState::default()).await;
        let manager: WorkspaceManager = stage.server.get(None, "main").unwrap();
        let conditions = manager.status.unwrap().conditions;
        let ready = condition::find(&conditions, READY).unwrap();
        assert_eq!(ready.status, "False", "{kind}");
        assert!(ready.message.contains(&named), "{}", ready.message);
    }
}
