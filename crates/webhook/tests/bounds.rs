//! Workspaces and their template's bounds -> allowed, refused, or warnings.

use std::time::Duration;

use api::WorkspaceTemplate;
use api::names::CREATED_BY;
use serde_json::{Value, json};

use crate::cluster::{Cluster, Health};
use crate::support::{GATEWAY, OPERATOR, TIMEOUT, workspace};

fn template() -> WorkspaceTemplate {
    serde_json::from_value(json!({
        "metadata": {"name": "prod", "uid": "t-1"},
        "spec": {
            "displayName": "Production",
            "defaultImage": "uv",
            "resourceBounds": {
                "cpu": {"min": "100m", "max": "2"}, "memory": {"max": "2Gi"}, "gpu": {"max": 0}
            },
            "primaryStorage": {"defaultSize": "1Gi", "minSize": "1Gi", "maxSize": "5Gi"},
        },
    }))
    .unwrap()
}

fn out_of_bounds() -> Value {
    workspace(json!({
        "templateRef": "prod",
        "image": "evil:1",
        "resources": {"requests": {"cpu": "2001m"}, "limits": {"memory": "3Gi", "nvidia.com/gpu": 1}},
        "storage": {"size": "6Gi"},
    }))
}

#[tokio::test]
async fn values_equal_to_bounds_pass_and_only_the_use_permission_is_checked() {
    let webhook = Cluster::with(template()).webhook();
    let at_the_bounds = workspace(json!({
        "templateRef": "prod",
        "image": "r/jupyter:1",
        "resources": {"requests": {"cpu": "0.1"}, "limits": {"cpu": 2, "memory": "2048Mi", "nvidia.com/gpu": 0}},
        "storage": {"size": "5Gi"},
    }));
    let answer = webhook.validate_create("alice", &at_the_bounds).await;
    assert!(answer.allowed, "{answer:?}");
    assert!(answer.warnings.is_empty());
    assert_eq!(webhook.reviews(), ["alice use workspacetemplates prod"]);
    assert_eq!(webhook.calls().len(), 1);
}

#[tokio::test]
async fn bounds_only_warn_where_that_is_set_and_everything_else_is_refused() {
    let webhook = Cluster {
        enforcement: webhook::Enforcement::Warn,
        ..Cluster::with(template())
    }
    .webhook();
    let answer = webhook.validate_create("alice", &out_of_bounds()).await;
    assert!(answer.allowed, "{answer:?}");
    assert_eq!(answer.warnings.len(), 5, "{answer:?}");
    let mut shapeless = out_of_bounds();
    shapeless["spec"]["port"] = json!(80);
    let refused = webhook.validate_create("alice", &shapeless).await;
    assert_eq!(refused.code, 422);
    assert!(refused.message.starts_with("spec.port: "), "{refused:?}");
    assert!(refused.message.contains("spec.image: "), "{refused:?}");
}

#[tokio::test]
async fn an_update_out_of_bounds_is_refused_also_to_the_gateway_that_starts() {
    let webhook = Cluster::with(template()).webhook();
    let good = workspace(json!({"templateRef": "prod"}));
    assert_eq!(
        webhook
            .validate_update("alice", &good, &out_of_bounds())
            .await
            .code,
        422
    );
    let (mut stopped, mut started) = (out_of_bounds(), out_of_bounds());
    stopped["spec"]["desiredStatus"] = json!("Stopped");
    started["spec"]["desiredStatus"] = json!("Running");
    assert_eq!(
        webhook.validate_update(GATEWAY, &stopped, &started).await.code,
        422
    );
}

/// Who administers all workspaces exceeds no template either.
#[tokio::test]
async fn limits_out_of_bounds_are_refused_to_owners_and_administrators() {
    let mut bounded = template();
    bounded.spec.limit_bounds = serde_json::from_value(json!({
        "maxAgeMinutes": {"min": 10, "max": 60}, "failedTimeoutMinutes": {"max": 30}, "stoppedRetentionDays": {"max": 90},
    }))
    .unwrap();
    bounded.spec.idle_shutdown_overrides = serde_json::from_value(json!({"maxOpenTabMinutes": 120})).unwrap();
    let webhook = Cluster::with(bounded)
        .granting(&["root administer workspaces *"])
        .webhook();
    let of = |user: &str, field: &str, amount: i32| {
        let mut object =
            workspace(json!({"templateRef": "prod", "storage": {"size": "1Gi", "retain": "Delete"}}));
        object["metadata"]["annotations"][CREATED_BY] = json!(user);
        let (group, name) = field.split_once('.').unwrap();
        object["spec"][group] = json!({name: amount});
        object
    };
    for (field, within, beyond) in [
        ("limits.maxAgeMinutes", 60, 61),
        ("limits.maxAgeMinutes", 10, 9),
        ("limits.failedTimeoutMinutes", 30, 31),
        ("limits.stoppedRetentionDays", 90, 91),
        ("idleShutdown.openTabMinutes", 120, 121),
    ] {
        for user in ["alice", "root"] {
            let (good, bad) = (of(user, field, within), of(user, field, beyond));
            let allowed = webhook.validate_create(user, &good).await;
            assert!(allowed.allowed, "{user} {field}: {allowed:?}");
            let message = format!("spec.{field}: \"{beyond}\" is ");
            for refused in [
                webhook.validate_create(user, &bad).await,
                webhook.validate_update(user, &good, &bad).await,
            ] {
                assert_eq!(refused.code, 422, "{user} {field}: {refused:?}");
                assert!(refused.message.contains(&message), "{user}: {refused:?}");
            }
        }
    }
}

#[tokio::test]
async fn changes_that_run_nothing_new_are_not_validated() {
    let webhook = Cluster::with(template()).webhook();
    let stored = out_of_bounds();
    let mut labelled = stored.clone();
    labelled["metadata"]["labels"] = json!({"team": "a"});
    assert!(webhook.validate_update("alice", &stored, &labelled).await.allowed);
    let mut stopped = stored.clone();
    stopped["spec"]["desiredStatus"] = json!("Stopped");
    assert!(webhook.validate_update("alice", &stored, &stopped).await.allowed);
    let mut released = stored.clone();
    released["metadata"]["finalizers"] = json!([]);
    assert!(
        webhook
            .validate_update(OPERATOR, &stored, &released)
            .await
            .allowed
    );
}

#[tokio::test]
async fn labels_are_validated_alone_if_the_template_requires_some() {
    let mut strict = template();
    strict.spec.label_requirements = serde_json::from_value(json!([
        {"name": "team", "required": true, "regex": "[a-z]+"}
    ]))
    .unwrap();
    let webhook = Cluster::with(strict).webhook();
    let labelled = |team: &str| {
        let mut object = out_of_bounds();
        object["metadata"]["labels"] = json!({"team": team, "x": team});
        object
    };
    // Bounds do not apply to values that were stored before them.
    let answer = webhook
        .validate_update("alice", &labelled("ml"), &labelled("db"))
        .await;
    assert!(answer.allowed, "{answer:?}");
    let refused = webhook
        .validate_update("alice", &labelled("ml"), &labelled("ML"))
        .await;
    assert_eq!(refused.code, 422);
    assert!(refused.message.starts_with("metadata.labels"), "{refused:?}");
    assert!(!refused.message.contains("spec."), "{refused:?}");
}

#[tokio::test]
async fn a_missing_template_is_admitted_with_a_warning() {
    let webhook = Cluster::with(template()).webhook();
    let answer = webhook
        .validate_create("alice", &workspace(json!({"templateRef": "later"})))
        .await;
    assert!(answer.allowed);
    assert_eq!(answer.warnings.len(), 1, "{answer:?}");
    assert!(
        answer.warnings[0].contains(r#"WorkspaceTemplate "later""#),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_template_written_an_instant_ago_is_found() {
    let cluster = Cluster {
        unwatched: vec![template()],
        ..Cluster::with(testkit::objects::template("other"))
    };
    let answer = cluster.webhook().validate_create("alice", &out_of_bounds()).await;
    assert_eq!(answer.code, 422, "{answer:?}");
}

#[tokio::test]
async fn a_template_that_is_being_deleted_accepts_no_new_workspace_and_leaves_the_old_alone() {
    let mut leaving = template();
    leaving.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    let webhook = Cluster::with(leaving).webhook();
    let new = workspace(json!({"templateRef": "prod"}));
    let answer = webhook.validate_create("alice", &new).await;
    assert!(
        answer
            .message
            .contains(r#"spec.templateRef: "prod" is being deleted"#),
        "{answer:?}"
    );
    let bigger = workspace(json!({"templateRef": "prod", "storage": {"size": "2Gi"}}));
    assert!(webhook.validate_update("alice", &new, &bigger).await.allowed);
}

#[tokio::test]
async fn a_missing_manager_is_requested_again_and_then_warned_about() {
    let cluster = Cluster {
        managers: Vec::new(),
        ..Cluster::with(template())
    };
    let webhook = cluster.webhook();
    let answer = webhook
        .validate_create("alice", &workspace(json!({"templateRef": "prod"})))
        .await;
    assert!(answer.allowed);
    assert!(
        answer.warnings[0].contains("no WorkspaceManager is the default"),
        "{answer:?}"
    );
    let lists = webhook
        .calls()
        .into_iter()
        .filter(|call| call.path.contains("workspacemanagers"));
    assert_eq!(lists.count(), 1);
}

#[tokio::test]
async fn a_home_without_a_disk_is_warned_about_at_creation() {
    let webhook = Cluster::with(template()).webhook();
    let answer = webhook.validate_create("alice", &workspace(json!({}))).await;
    assert!(answer.allowed);
    assert!(
        answer.warnings[0].contains("the files in its home are deleted, because the home has no disk"),
        "{answer:?}"
    );
    let answer = webhook
        .validate_update("alice", &workspace(json!({})), &workspace(json!({"port": 9999})))
        .await;
    assert!(answer.warnings.is_empty());
    let mut template = json!(template());
    let claim = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
    template["spec"]["primaryStorage"] = Value::Null;
    template["spec"]["volumeClaims"] = json!([{"name": "db", "mountPath": "/db", "spec": claim}]);
    let webhook = Cluster::with(serde_json::from_value(template).unwrap()).webhook();
    let created = workspace(json!({"templateRef": "prod"}));
    let answer = webhook.validate_create("alice", &created).await;
    let name = created["metadata"]["name"].as_str().unwrap();
    let expected = format!("because the home has no disk; its further disk wsc-db-{name} is kept");
    assert!(
        answer.warnings.iter().any(|warning| warning.ends_with(&expected)),
        "{answer:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_looked_up_is_refused_in_time_and_without_detail() {
    for cluster in [
        Cluster {
            health: Health::Broken,
            ..Cluster::default()
        },
        Cluster {
            health: Health::Silent,
            ..Cluster::default()
        },
    ] {
        let webhook = cluster.webhook();
        let new = workspace(json!({"templateRef": "prod"}));
        let answer = tokio::time::timeout(TIMEOUT, webhook.validate_create("alice", &new))
            .await
            .unwrap();
        assert_eq!(answer.code, 503);
        assert_eq!(
            answer.message,
            "the request cannot be validated now: try again in a few seconds"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn usual_requests_that_are_slow_to_decide_do_not_block_each_other() {
    let webhook = Cluster {
        health: Health::Silent,
        ..Cluster::default()
    }
    .webhook();
    let new = workspace(json!({"templateRef": "prod"}));
    let all = futures::future::join_all((0..32).map(|_| webhook.validate_create("alice", &new)));
    let answers = tokio::time::timeout(Duration::from_secs(5), all).await.unwrap();
    assert!(answers.iter().all(|answer| answer.code == 503));
}

#[tokio::test]
async fn an_object_that_is_no_workspace_is_refused() {
    let mut odd = workspace(json!({"port": "eighty"}));
    odd["spec"]["desiredStatus"] = json!(7);
    let answer = Cluster::with(template())
        .webhook()
        .validate_create("alice", &odd)
        .await;
    assert_eq!(answer.code, 422);
    assert!(answer.message.starts_with("spec: cannot be read"), "{answer:?}");
}

#[tokio::test]
async fn where_a_template_is_required_none_is_made_without_and_what_exists_is_warned_of() {
    let of = |requires_template| {
        Cluster {
            requires_template,
            ..Cluster::with(template())
        }
        .webhook()
    };
    let (lenient, strict) = (of(false), of(true));
    let free = workspace(json!({"image": "evil:1", "resources": {"limits": {"cpu": "64"}}}));
    assert!(lenient.validate_create("alice", &free).await.allowed);
    let refused = strict.validate_create("alice", &free).await;
    assert!(
        refused.message.contains("spec.templateRef: is missing"),
        "{refused:?}"
    );
    let bounded = workspace(json!({"templateRef": "prod", "storage": {"size": "1Gi"}}));
    assert!(strict.validate_create("alice", &bounded).await.allowed);
    let taken_out = strict.validate_update("alice", &bounded, &free).await;
    assert!(
        taken_out.message.contains("spec.templateRef: is missing"),
        "{taken_out:?}"
    );
    let mut renamed = free.clone();
    renamed["spec"]["displayName"] = json!("Other");
    let answer = strict.validate_update("alice", &free, &renamed).await;
    assert!(answer.allowed, "{answer:?}");
    let warned = |warning: &String| warning.starts_with("spec.templateRef: is missing");
    assert!(answer.warnings.iter().any(warned), "{answer:?}");
    let mut stopped = free.clone();
    stopped["spec"]["desiredStatus"] = json!("Stopped");
    let answer = strict.validate_update("alice", &free, &stopped).await;
    assert!(
        answer.allowed && !answer.warnings.iter().any(warned),
        "{answer:?}"
    );
}

#[tokio::test]
async fn choices_that_the_template_does_not_offer_are_refused_with_those_that_are_left() {
    let mut form = template();
    form.spec.resource_bounds = None;
    let record: Value = serde_json::from_str(include_str!("../../rules/tests/refused_options.json")).unwrap();
    form.spec.options = serde_json::from_value(record["options"].clone()).unwrap();
    let webhook = Cluster::with(form).webhook();
    let with = |options: &Value| workspace(json!({"templateRef": "prod", "options": options}));
    for row in record["refused"].as_array().unwrap() {
        let refused = webhook.validate_create("alice", &with(&row["given"])).await;
        assert_eq!((refused.allowed, refused.code), (false, 422), "{row}");
        assert_eq!(row["refusal"], json!(refused.message));
    }
    let good = with(&json!({"gpu": "a100", "memory-of-gpu": "40g"}));
    let answer = webhook.validate_create("alice", &good).await;
    assert!(answer.allowed && answer.warnings.is_empty(), "{answer:?}");
    let none = workspace(json!({"templateRef": "prod"}));
    let update = webhook
        .validate_update("alice", &none, &with(&json!({"memory-of-gpu": "20g"})))
        .await;
    assert_eq!(update.code, 422, "{update:?}");
    assert!(webhook.validate_update("alice", &none, &good).await.allowed);
}
