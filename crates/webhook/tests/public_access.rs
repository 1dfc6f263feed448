//! A warning at admission where public access has no effect.

use api::WorkspaceManager;
use api::manager::{PathModeSharing, RoutingMode};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::support::{Webhook, workspace};

fn managed(mode: RoutingMode, sharing: PathModeSharing) -> Webhook {
    let mut manager: WorkspaceManager = testkit::objects::manager("main");
    manager.spec.routing.mode = mode;
    manager.spec.routing.path_mode_sharing = sharing;
    let template = serde_json::from_value(template(&json!("Public"))).unwrap();
    Cluster {
        managers: vec![manager],
        ..Cluster::with(template)
    }
    .webhook()
}

fn template(access: &Value) -> Value {
    json!({
        "apiVersion": "workspaces.jupyter.org/v1alpha1",
        "kind": "WorkspaceTemplate",
        "metadata": {"name": "open", "uid": "t-1"},
        "spec": {"displayName": "Open", "defaultImage": "uv", "defaultAccessType": access},
    })
}

fn lab(spec: Value) -> Value {
    let mut spec = spec;
    spec["storage"] = json!({"size": "1Gi"});
    workspace(spec)
}

fn about(warnings: &[String], field: &str) -> usize {
    let start = format!("{field}: \"Public\" does not count under WorkspaceManager \"main\"");
    warnings
        .iter()
        .filter(|warning| warning.starts_with(&start))
        .count()
}

#[tokio::test]
async fn public_is_worth_a_warning_where_all_workspaces_are_of_one_origin_and_the_risk_is_not_accepted() {
    for (mode, sharing, warned) in [
        (RoutingMode::Path, PathModeSharing::Refuse, 1),
        (RoutingMode::Path, PathModeSharing::AcceptRisk, 0),
        (RoutingMode::Subdomain, PathModeSharing::Refuse, 0),
    ] {
        let webhook = managed(mode, sharing);
        for spec in [json!({"accessType": "Public"}), json!({"templateRef": "open"})] {
            let answer = webhook.validate_create("alice", &lab(spec)).await;
            assert!(answer.allowed, "{answer:?}");
            assert_eq!(
                about(&answer.warnings, "spec.accessType"),
                warned,
                "{mode:?}: {answer:?}"
            );
        }
        let answer = webhook.validate_create("root", &template(&json!("Public"))).await;
        assert!(answer.allowed, "{answer:?}");
        assert_eq!(
            about(&answer.warnings, "spec.defaultAccessType"),
            warned,
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn no_warning_where_nothing_is_opened() {
    let webhook = managed(RoutingMode::Path, PathModeSharing::Refuse);
    let (private, public) = (lab(json!({})), lab(json!({"accessType": "Public"})));
    let answer = webhook.validate_create("alice", &private).await;
    assert!(answer.allowed && answer.warnings.is_empty(), "{answer:?}");
    let own = lab(json!({"templateRef": "open", "accessType": "OwnerOnly"}));
    let answer = webhook.validate_create("alice", &own).await;
    assert!(answer.allowed && answer.warnings.is_empty(), "{answer:?}");
    let answer = webhook.validate_update("alice", &private, &public).await;
    assert!(answer.allowed, "{answer:?}");
    assert_eq!(about(&answer.warnings, "spec.accessType"), 1, "{answer:?}");
    // The warning came when the access type was set.
    let mut renamed = public.clone();
    renamed["spec"]["displayName"] = json!("Other");
    let answer = webhook.validate_update("alice", &public, &renamed).await;
    assert!(answer.allowed && answer.warnings.is_empty(), "{answer:?}");
    let closed = template(&json!("OwnerOnly"));
    let answer = webhook.validate_create("root", &closed).await;
    assert!(answer.allowed && answer.warnings.is_empty(), "{answer:?}");
}
