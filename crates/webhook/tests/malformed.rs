//! Objects that violate the schema -> one answer with all other violations, each once.

use api::{WorkspaceManager, WorkspaceTemplate};
use serde_json::{Value, json};

use crate::cluster::{Cluster, Health};
use crate::support::{Answer, workspace};

fn cluster() -> Cluster {
    let template: WorkspaceTemplate = serde_json::from_value(json!({
        "metadata": {"name": "prod", "uid": "t-1"},
        "spec": {
            "displayName": "Production", "defaultImage": "uv",
            "resourceBounds": {"cpu": {"max": "2"}, "memory": {"max": "2Gi"}},
            "primaryStorage": {"defaultSize": "1Gi", "maxSize": "5Gi"},
        },
    }))
    .unwrap();
    Cluster::with(template)
}

async fn created(cluster: Cluster, user: &str, object: &Value) -> Answer {
    cluster.webhook().mutate_create(user, object).await
}

fn lines(answer: &Answer) -> Vec<&str> {
    answer.message.split("; spec.").collect()
}

#[tokio::test]
async fn what_the_schema_and_what_the_template_refuse_is_one_list_in_the_order_of_fields() {
    let object = workspace(json!({
        "templateRef": "prod",
        "env": [{"name": "WORKSPACE_UID"}, {"name": "X"}, {"name": "X"}],
        "image": "evil:1",
        "port": "8888",
        "resources": {"limits": {"cpu": "lots", "memory": "3Gi"}},
        "storage": {"size": "6Gi", "mountPath": "home"},
        "volumes": [{"name": "shm", "mountPath": "/b", "persistentVolumeClaimName": "c"}],
    }));
    let answer = created(cluster(), "alice", &object).await;
    assert_eq!(answer.code, 422, "{answer:?}");
    let expected = [
        r#"spec.env[0].name: "WORKSPACE_UID" is set by the operator"#,
        r#"env[2].name: "X" is set twice: leave one out"#,
        r#"image: "evil:1" is not an image that the template allows"#,
        r#"port: "8888" is a text: write the number without quotes"#,
        r#"resources.limits.cpu: "lots" is no amount: "#,
        r#"resources.limits.memory: "3Gi" is more than the template's maximum 2Gi"#,
        r#"storage.mountPath: "home" is no place in a container: "#,
        r#"storage.size: "6Gi" is more than the template's maximum 5Gi"#,
        r#"volumes[0].name: "shm" is taken: "#,
    ];
    let message = lines(&answer);
    assert_eq!(message.len(), expected.len(), "{message:#?}");
    for (message, expected) in message.iter().zip(expected) {
        assert!(message.starts_with(expected), "{expected}: {message}");
    }
}

#[tokio::test]
async fn a_malformed_value_hides_nothing_that_is_wrong_elsewhere() {
    for (malformed, message) in [
        (json!({"displayName": 5}), r#"displayName: "5" is no text"#),
        (
            json!({"desiredStatus": "running"}),
            "choose one of Running, Stopped",
        ),
        (
            json!({"env": [{"name": "A", "value": true}]}),
            r#"env[0].value: "true" is no text"#,
        ),
        (
            json!({"idleShutdown": "30m"}),
            r#"idleShutdown: "30m" holds no fields"#,
        ),
        (
            json!({"idleShutdown": {"enabled": true, "idleTimeoutInMinutes": "30m"}}),
            "write how many minutes, such as 30, without a unit",
        ),
        (
            json!({"readinessProbe": {"tcpSocket": {"port": 1}, "periodSeconds": 99_999_999_999_i64}}),
            r#"readinessProbe.periodSeconds: "99999999999" is more than the maximum 2147483647"#,
        ),
        (
            json!({"managerRef": "Main Manager"}),
            r#"managerRef: "Main Manager" is no name"#,
        ),
    ] {
        let mut object = workspace(json!({"templateRef": "prod", "image": "evil:1"}));
        for (name, value) in malformed.as_object().into_iter().flatten() {
            object["spec"][name] = value.clone();
        }
        let answer = created(cluster(), "alice", &object).await;
        let refused = (answer.code, lines(&answer).len());
        assert_eq!(refused, (422, 2), "{malformed}: {answer:?}");
        for part in [
            message,
            r#"image: "evil:1" is not an image that the template allows"#,
        ] {
            assert!(answer.message.contains(part), "{part}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_malformed_name_of_a_template_is_listed_with_what_needs_no_template() {
    let object = workspace(json!({"templateRef": "My_Template", "port": 80, "command": []}));
    let webhook = Cluster {
        requires_template: true,
        ..cluster()
    }
    .webhook();
    let answer = webhook.mutate_create("alice", &object).await;
    assert_eq!(answer.code, 422, "{answer:?}");
    assert_eq!(lines(&answer).len(), 2, "{answer:?}");
    assert!(
        answer
            .message
            .contains(r#"templateRef: "My_Template" is no name of an object"#),
        "{answer:?}"
    );
    assert!(
        webhook
            .calls()
            .iter()
            .all(|(line, _)| !line.contains("My_Template")),
        "no permission is checked for an object with an invalid name"
    );
}

#[tokio::test]
async fn no_permission_is_checked_for_an_object_that_cannot_exist() {
    let long = "n".repeat(1000);
    let mut named = workspace(json!({}));
    named["metadata"]["name"] = json!(long);
    let share = json!({
        "apiVersion": "workspaces.jupyter.org/v1alpha1",
        "kind": "WorkspaceShare",
        "metadata": {"name": "s", "annotations": {api::names::CREATED_BY: "alice"}},
        "spec": {"workspaceRef": long, "subjects": [{"kind": "User", "name": "bob"}]},
    });
    for object in [named, share] {
        let webhook = cluster().granting(&["bob * * *"]).webhook();
        for answer in [
            webhook.mutate_create("bob", &object).await,
            webhook.validate_create("bob", &object).await,
        ] {
            assert_eq!(answer.code, 403, "{answer:?}");
            assert!(answer.message.contains(api::names::CREATED_BY), "{answer:?}");
        }
        assert_eq!(webhook.reviews(), [""; 0]);
    }
}

#[tokio::test]
async fn of_a_large_object_and_of_one_with_much_malformed_only_that_is_listed() {
    let object = |wrong: usize, annotation: usize| {
        let env: Vec<_> = (0..wrong).map(|number| json!({"name": number})).collect();
        let mut object = workspace(json!({"templateRef": "prod", "image": "evil:1", "env": env}));
        object["metadata"]["annotations"]["example.com/a"] = json!("x".repeat(annotation));
        object
    };
    for (wrong, annotation, expected, reviews) in [
        (49, 0, 50, 1),
        (50, 0, 50, 0),
        (1, 200_000, 2, 1),
        (1, 300_000, 1, 0),
    ] {
        let webhook = cluster().webhook();
        let answer = webhook.mutate_create("alice", &object(wrong, annotation)).await;
        assert_eq!(answer.code, 422, "{answer:?}");
        assert_eq!(lines(&answer).len(), expected, "{answer:?}");
        assert_eq!(answer.message.contains("evil"), reviews > 0, "{answer:?}");
        assert_eq!(webhook.reviews().len(), reviews, "{answer:?}");
    }
}

#[tokio::test]
async fn a_template_that_the_user_may_not_use_is_refused_without_its_content() {
    let object = workspace(json!({"templateRef": "prod", "image": "evil:1", "storage": {"size": "10 GB"}}));
    let refusing = Cluster {
        grants: vec![],
        ..cluster()
    };
    let answer = created(refusing, "alice", &object).await;
    assert_eq!(answer.code, 403, "{answer:?}");
    assert!(answer.message.contains("you may not use it"), "{answer:?}");
    assert!(answer.message.contains(r#"storage.size: "10 GB""#), "{answer:?}");
    assert!(!answer.message.contains("evil"), "{answer:?}");
}

#[tokio::test]
async fn permissions_of_an_object_that_is_not_stored_are_not_checked() {
    let env = json!([{"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]);
    let object =
        |size: &str| workspace(json!({"templateRef": "prod", "env": env, "storage": {"size": size}}));
    let webhook = cluster().webhook();
    let answer = webhook.validate_create("alice", &object("1Gi")).await;
    assert!(answer.message.contains("secretKeyRef"), "{answer:?}");
    let webhook = cluster().webhook();
    let answer = webhook.mutate_create("alice", &object("1 GB")).await;
    assert_eq!(lines(&answer).len(), 1, "{answer:?}");
    assert_eq!(webhook.reviews(), ["alice use workspacetemplates prod"]);
}

#[tokio::test(start_paused = true)]
async fn malformed_values_are_listed_when_the_api_server_does_not_answer() {
    for health in [Health::Broken, Health::Silent] {
        let cluster = Cluster { health, ..cluster() };
        let object = workspace(json!({"templateRef": "prod", "storage": {"size": "10 GB"}}));
        let answer = created(cluster, "alice", &object).await;
        assert_eq!(answer.code, 422, "{answer:?}");
        assert!(
            answer
                .message
                .starts_with(r#"spec.storage.size: "10 GB" is no amount"#),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn other_kinds_list_everything_too() {
    let of = |kind: &str, spec: Value| json!({"apiVersion": "workspaces.jupyter.org/v1alpha1", "kind": kind, "metadata": {"name": "x"}, "spec": spec});
    for (object, parts) in [
        (
            of(
                "WorkspaceTemplate",
                json!({"displayName": "a\nb", "defaultImage": "a", "allowedImages": ["b", "b"], "defaultPort": "80"}),
            ),
            vec![
                r#"spec.displayName: "a\nb" is no line of plain text"#,
                r#"spec.allowedImages[1]: "b" is set twice"#,
                "spec.defaultImage: ",
                r#"spec.defaultPort: "80" is a text"#,
            ],
        ),
        (
            of(
                "WorkspaceManager",
                json!({"routing": {"baseDomain": "Example"}, "authentication": {"gateway": {}}}),
            ),
            vec![r#"spec.routing.baseDomain: "Example" is no domain"#, "traefik"],
        ),
        (
            of(
                "WorkspaceExecutionProfile",
                json!({"projectedTokens": [{"path": "/token", "audience": "a"}], "env": [{"name": "WORKSPACE_UID"}]}),
            ),
            vec![
                "spec.projectedTokens[0].path",
                r#"spec.env[0].name: "WORKSPACE_UID""#,
            ],
        ),
        (
            of(
                "WorkspaceShare",
                json!({"workspaceRef": "lab", "expiresAt": "tomorrow", "subjects": [{"kind": "Person", "name": "bob"}, {"kind": "User", "name": "bob "}]}),
            ),
            vec![
                r#"spec.expiresAt: "tomorrow" is no time that can be kept: write it by RFC 3339, such as 2026-12-31T18:00:00Z"#,
                r#"spec.subjects[0].kind: "Person" may not be written here: choose one of User, Group, ServiceAccount"#,
                r#"spec.subjects[1].name: "bob ""#,
            ],
        ),
    ] {
        let answer = created(cluster(), "alice", &object).await;
        assert!(matches!(answer.code, 403 | 422), "{answer:?}");
        for part in parts {
            assert!(answer.message.contains(part), "{part}: {}", answer.message);
        }
    }
}

#[tokio::test]
async fn what_was_stored_malformed_is_changed_elsewhere_and_recorded_as_ever() {
    let stored = workspace(json!({"storage": {"size": "10 GB"}, "desiredStatus": "Running"}));
    let mut stopped = stored.clone();
    stopped["spec"]["desiredStatus"] = json!("Stopped");
    let webhook = cluster().webhook();
    let answer = webhook.mutate_update("alice", &stored, &stopped).await;
    assert!(answer.allowed, "{answer:?}");
    stopped["spec"]["port"] = json!("8888");
    let answer = webhook.mutate_update("alice", &stored, &stopped).await;
    assert!(answer.message.contains("spec.port: "), "{answer:?}");
    assert!(!answer.message.contains("10 GB"), "{answer:?}");
}

#[tokio::test]
async fn a_manager_without_a_spec_is_refused() {
    let object = json!({"kind": "WorkspaceManager", "metadata": {"name": "x"}});
    assert!(serde_json::from_value::<WorkspaceManager>(object.clone()).is_err());
    let answer = created(cluster(), "root", &object).await;
    assert!(
        answer.message.starts_with("spec: is missing: set it"),
        "{answer:?}"
    );
}
