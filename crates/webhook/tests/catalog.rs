//! Templates, managers and profiles -> refusals, warnings, and effects on workspaces.

use api::names::{DEPRECATED, IS_DEFAULT, REPLACED_BY};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::support::workspace;

fn object(kind: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "workspaces.jupyter.org/v1alpha1",
        "kind": kind,
        "metadata": {"name": "it"},
        "spec": spec,
    })
}

pub(crate) fn template(spec: Value) -> Value {
    let mut spec = spec;
    spec["displayName"] = json!("t");
    spec["defaultImage"] = json!("uv");
    object("WorkspaceTemplate", spec)
}

fn manager(base_domain: &str) -> Value {
    object(
        "WorkspaceManager",
        json!({"routing": {"baseDomain": base_domain, "traefik": {}}, "authentication": {"gateway": {}}}),
    )
}

#[tokio::test]
async fn a_template_that_contradicts_itself_is_refused() {
    let webhook = Cluster::default().webhook();
    let good = template(json!({"resourceBounds": {"cpu": {"max": "2"}}}));
    assert!(webhook.validate_create("root", &good).await.allowed);
    let bad = template(json!({"resourceBounds": {"resources": {"cpus": {"max": 1}}}}));
    let refused = webhook.validate_create("root", &bad).await;
    assert_eq!(refused.code, 422);
    assert!(
        refused.message.contains("spec.resourceBounds.resources[cpus]"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_disk_that_no_workspace_could_have_is_refused_by_field_value_and_rule() {
    let webhook = Cluster::default().webhook();
    let with = |fields: Value| {
        let mut disk = json!({
            "name": "db", "mountPath": "/db",
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        });
        json_patch::merge(&mut disk, &fields);
        template(json!({"volumeClaims": [disk]}))
    };
    assert!(webhook.validate_create("root", &with(json!({}))).await.allowed);
    for (fields, expected) in [
        (
            json!({"name": "home"}),
            "spec.volumeClaims[0].name: \"home\" is the name of the home in variables",
        ),
        (
            json!({"mountPath": "//home//jovyan/"}),
            "is the place of the disk \"db\" of volumeClaims already",
        ),
        (
            json!({"when": {"gpu": ["a100"]}}),
            "spec.volumeClaims[0].when[gpu]: \"gpu\" is not an option",
        ),
        (
            json!({"spec": {"storageClassName": "{class}"}}),
            "spec.volumeClaims[0].spec.storageClassName: \"{class}\" must be fixed text",
        ),
    ] {
        let refused = webhook.validate_create("root", &with(fields.clone())).await;
        assert_eq!(refused.code, 422, "{fields}");
        assert!(refused.message.contains(expected), "{fields}: {refused:?}");
    }
}

#[tokio::test]
async fn a_presentation_is_validated_at_each_write_and_the_stored_rest_is_not() {
    let webhook = Cluster::default().webhook();
    let presented = |image: &str, rest: Value| {
        let mut spec = rest;
        spec["presentation"] = json!({"icon": "code", "images": [{"image": image, "displayName": "Lab"}]});
        template(spec)
    };
    let (good, bad) = (presented("uv", json!({})), presented("other:1", json!({})));
    assert!(webhook.validate_create("root", &good).await.allowed);
    let refused = webhook.validate_create("root", &bad).await;
    assert_eq!(refused.code, 422);
    let expected = "spec.presentation.images[0].image: \"other:1\" is not an image that the template allows: choose one of uv";
    assert!(refused.message.contains(expected), "{refused:?}");
    assert_eq!(webhook.validate_update("root", &good, &bad).await.code, 422);
    // New rules of a newer version do not prevent the correction of a name.
    let old = json!({"resourceBounds": {"resources": {"cpus": {"max": 1}}}});
    let (before, after) = (template(old.clone()), presented("uv", old));
    let allowed = webhook.validate_update("root", &before, &after).await;
    assert!(allowed.allowed, "{allowed:?}");
}

#[tokio::test]
async fn a_bound_for_few_gives_a_warning() {
    let webhook = Cluster::default().webhook();
    let idle = template(json!({"idleShutdownOverrides": {"maxIdleTimeoutInMinutes": 60}}));
    let answer = webhook.validate_create("root", &idle).await;
    assert!(answer.allowed);
    assert!(
        answer.warnings[0].contains("set spec.defaultIdleShutdown"),
        "{answer:?}"
    );
    let answer = webhook.validate_update("root", &idle, &idle).await;
    assert!(answer.allowed && answer.warnings.is_empty(), "{answer:?}");
}

#[tokio::test]
async fn users_set_their_own_annotations_and_no_others() {
    let webhook = Cluster::default().webhook();
    let cases = [
        (template(json!({})), DEPRECATED, true),
        (template(json!({})), REPLACED_BY, true),
        (template(json!({})), IS_DEFAULT, false),
        (manager("b.org"), IS_DEFAULT, true),
        (manager("b.org"), DEPRECATED, false),
        (object("WorkspaceExecutionProfile", json!({})), DEPRECATED, false),
        (
            workspace(json!({"storage": {"size": "1Gi"}})),
            api::names::RESTARTED_AT,
            true,
        ),
        (workspace(json!({"storage": {"size": "1Gi"}})), IS_DEFAULT, false),
    ];
    for (old, key, allowed) in cases {
        let mut new = old.clone();
        let is_time = key == api::names::RESTARTED_AT;
        let value = if is_time { "2026-01-31T12:00:00Z" } else { "true" };
        new["metadata"]["annotations"][key] = json!(value);
        let answer = webhook.validate_update("alice", &old, &new).await;
        assert_eq!(answer.allowed, allowed, "{key} on {}: {answer:?}", old["kind"]);
    }
}

#[tokio::test]
async fn templates_alone_have_labels_for_their_images() {
    let webhook = Cluster::default().webhook();
    for (old, allowed) in [(template(json!({})), true), (manager("b.org"), false)] {
        for key in [api::names::PRE_PULL_LABEL, api::names::PLACEHOLDERS_LABEL] {
            let mut new = old.clone();
            new["metadata"]["labels"][key] = json!("1");
            let answer = webhook.validate_update("root", &old, &new).await;
            assert_eq!(answer.allowed, allowed, "{key} on {}: {answer:?}", old["kind"]);
        }
    }
}

#[tokio::test]
async fn a_deprecated_template_is_warned_about_when_it_is_taken() {
    let mut deprecated = testkit::objects::template("prod");
    deprecated.metadata.annotations = Some(
        [
            (DEPRECATED.to_owned(), "no patches".to_owned()),
            (REPLACED_BY.to_owned(), "prod-2".to_owned()),
        ]
        .into(),
    );
    let webhook = Cluster::with(deprecated).webhook();
    let new = workspace(json!({"templateRef": "prod"}));
    let answer = webhook.validate_create("alice", &new).await;
    assert!(answer.allowed);
    assert_eq!(
        answer.warnings,
        [r#"WorkspaceTemplate "prod" is deprecated: "no patches"; use "prod-2" instead"#]
    );
    let bigger = workspace(json!({"templateRef": "prod", "storage": {"size": "2Gi"}}));
    assert!(
        webhook
            .validate_update("alice", &new, &bigger)
            .await
            .warnings
            .is_empty()
    );
}

#[tokio::test]
async fn managers_and_profiles_that_are_being_deleted_accept_no_new_workspaces() {
    let leaving = json!("2026-01-01T00:00:00Z");
    let mut cluster = Cluster::with(testkit::objects::template("prod")).granting(&["* use * *"]);
    let mut gone = testkit::objects::manager("gone");
    gone.metadata.annotations = None;
    gone.metadata.deletion_timestamp = serde_json::from_value(leaving.clone()).unwrap();
    cluster.managers.push(gone);
    cluster.profiles = vec![
        serde_json::from_value(json!({
            "metadata": {"name": "gone", "namespace": "team", "deletionTimestamp": leaving}, "spec": {}
        }))
        .unwrap(),
    ];
    let webhook = cluster.webhook();
    let plain = workspace(json!({"templateRef": "prod"}));
    for field in ["managerRef", "executionProfileRef"] {
        let mut new = plain.clone();
        new["spec"][field] = json!("gone");
        let expected = format!(r#"spec.{field}: "gone" is being deleted and takes no new workspace"#);
        let created = webhook.validate_create("alice", &new).await;
        assert!(created.message.contains(&expected), "{created:?}");
        let moved = webhook.validate_update("alice", &plain, &new).await;
        assert!(moved.message.contains(&expected), "{moved:?}");
        let mut stays = new.clone();
        stays["spec"]["port"] = json!(9999);
        assert!(webhook.validate_update("alice", &new, &stays).await.allowed);
    }
}

#[tokio::test]
async fn moving_a_manager_says_that_its_workspaces_move() {
    let webhook = Cluster::default().webhook();
    let update = async |new: &Value| webhook.validate_update("root", &manager("a.org"), new).await;
    let answer = update(&manager("b.org")).await;
    assert!(answer.allowed);
    assert_eq!(
        answer.warnings,
        [
            "spec.routing.baseDomain changes: every running workspace of this manager gets another URL, and its sessions end"
        ]
    );
    let mut by_path = manager("b.org");
    by_path["spec"]["routing"]["mode"] = json!("Path");
    let line = "spec.routing.baseDomain, spec.routing.mode change: every running workspace of this manager gets another URL, and its \
                sessions end";
    assert_eq!(update(&by_path).await.warnings, [line]);
    assert!(update(&manager("a.org")).await.warnings.is_empty());
}

fn naming(secret: &str) -> Value {
    let mut profile = object(
        "WorkspaceExecutionProfile",
        json!({
            "secretMounts": [{"secretName": secret, "mountPath": "/etc/keys"}],
            "imagePullSecrets": [{"name": format!("{secret}-of-registry")}],
            "env": [
                {"name": "A", "valueFrom": {"secretKeyRef": {"name": secret, "key": "k"}}},
                {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "facts", "key": "k"}}},
            ],
        }),
    );
    profile["metadata"]["namespace"] = json!("team");
    profile
}

#[tokio::test]
async fn a_profile_shows_its_pods_nothing_that_its_writer_may_not_read() {
    let webhook = Cluster::default()
        .granting(&[
            "root get secrets keys",
            "root get secrets keys-of-registry",
            "root get configmaps facts",
        ])
        .webhook();
    assert!(webhook.validate_create("root", &naming("keys")).await.allowed);
    let refused = webhook.validate_create("alice", &naming("keys")).await;
    assert_eq!(refused.code, 403);
    for line in [
        r#"spec.secretMounts[0].secretName: "keys" needs a permission that you lack"#,
        r#"spec.imagePullSecrets[0].name: "keys-of-registry" needs a permission that you lack"#,
        r#"spec.env[1].valueFrom.configMapKeyRef.name: "facts" needs a permission that you lack"#,
    ] {
        assert!(refused.message.contains(line), "{line}: {refused:?}");
    }
    let other = webhook
        .validate_update("root", &naming("keys"), &naming("others"))
        .await;
    assert_eq!(other.code, 403, "{other:?}");
}

#[tokio::test]
async fn a_secret_lent_for_pulls_or_for_one_key_is_not_thereby_shown_to_pods() {
    let webhook = Cluster::default().webhook();
    let profile = |spec: Value| {
        let mut profile = object("WorkspaceExecutionProfile", spec);
        profile["metadata"]["namespace"] = json!("team");
        profile
    };
    let env = |key: &str| json!([{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": key}}}]);
    let pull = profile(json!({"imagePullSecrets": [{"name": "s"}]}));
    let one = profile(json!({"env": env("k")}));
    let all = profile(json!({"secretMounts": [{"secretName": "s", "mountPath": "/etc/keys"}]}));
    let other = profile(json!({"env": env("other")}));
    for (old, new) in [(&pull, &one), (&pull, &all), (&one, &other), (&one, &all)] {
        let refused = webhook.validate_update("alice", old, new).await;
        assert_eq!(refused.code, 403, "{old} {new}: {refused:?}");
        assert!(
            refused
                .message
                .contains(r#""s" needs a permission that you lack"#),
            "{refused:?}"
        );
    }
    for new in [&pull, &one, &other] {
        assert!(webhook.validate_update("alice", &all, new).await.allowed, "{new}");
    }
}

#[tokio::test]
async fn permissions_are_not_checked_for_stored_references_of_a_profile_nor_for_a_refused_profile() {
    let webhook = Cluster::default().webhook();
    let (old, mut new) = (naming("keys"), naming("keys"));
    new["spec"]["priorityClassName"] = json!("interactive");
    assert!(webhook.validate_update("alice", &old, &new).await.allowed);
    assert!(webhook.validate_delete("alice", &old).await.allowed);
    new["spec"]["priorityClassName"] = json!("system-node-critical");
    assert_eq!(webhook.validate_create("alice", &new).await.code, 422);
    assert_eq!(webhook.reviews(), Vec::<String>::new());
}

fn with_account(account: &Value, more: Value) -> Value {
    let mut spec = more;
    spec["serviceAccount"] = account.clone();
    object("WorkspaceExecutionProfile", spec)
}

#[tokio::test]
async fn a_profile_names_an_account_or_its_tokens_only_for_users_who_may_create_its_token() {
    let profile = |name: &str| with_account(&json!({ "name": name }), json!({}));
    let webhook = Cluster::default()
        .granting(&["carol create serviceaccounts/token mine"])
        .webhook();
    assert!(webhook.validate_create("carol", &profile("mine")).await.allowed);
    let refused = webhook.validate_create("carol", &profile("ci")).await;
    assert_eq!(refused.code, 403, "{refused:?}");
    assert!(
        refused
            .message
            .starts_with(r#"spec.serviceAccount.name: "ci" needs a permission that you lack"#)
            && refused
                .message
                .contains("the verb create on it (serviceaccounts/token)"),
        "{refused:?}"
    );
    let kept = with_account(
        &json!({"name": "ci"}),
        json!({"priorityClassName": "interactive"}),
    );
    let kept = webhook.validate_update("carol", &profile("ci"), &kept).await;
    assert!(kept.allowed, "an account that is named already: {kept:?}");
    for (name, allowed) in [("ci", false), ("mine", true)] {
        let more = with_account(&json!({ "name": name }), json!({"automountToken": true}));
        let more = webhook.validate_update("carol", &profile(name), &more).await;
        assert_eq!(more.allowed, allowed, "a token that was not there: {more:?}");
    }
    let other = webhook
        .validate_update("carol", &profile("mine"), &profile("ci"))
        .await;
    assert_eq!(other.code, 403, "{other:?}");
}

#[tokio::test]
async fn a_profile_gives_accounts_and_tokens_that_its_writer_may_create() {
    let webhook = Cluster::default()
        .granting(&[
            "carol create serviceaccounts ",
            "root create serviceaccounts ",
            "root create serviceaccounts/token ",
            // One account is not those that are made.
            "carol create serviceaccounts/token mine",
        ])
        .webhook();
    let role = |role: &str| json!({"perWorkspace": {"annotations": {"eks.amazonaws.com/role-arn": role}}});
    let token = |audience: &str| json!({"projectedTokens": [{"audience": audience, "path": "/run/t/token"}]});
    let plain = with_account(&json!({"perWorkspace": {}}), json!({}));
    let bound = with_account(&role("a"), json!({}));
    let tokens = with_account(&role("a"), token("sts"));
    let of_server = with_account(&role("a"), json!({"automountToken": true}));
    let accounts = "spec.serviceAccount.perWorkspace";
    let lacks = "needs a permission that you lack";
    let created = [
        ("alice", &plain, Some(format!("{accounts}: {lacks}"))),
        ("carol", &plain, None),
        ("carol", &bound, None),
        (
            "carol",
            &tokens,
            Some(format!("spec.projectedTokens[0]: {lacks}")),
        ),
        ("carol", &of_server, Some(format!("spec.automountToken: {lacks}"))),
        ("root", &tokens, None),
        ("root", &of_server, None),
    ];
    for (user, profile, refusal) in created {
        let answer = webhook.validate_create(user, profile).await;
        assert_eq!(answer.allowed, refusal.is_none(), "{user} {profile}: {answer:?}");
        assert!(
            answer.message.contains(&refusal.unwrap_or_default()),
            "{user} {profile}: {answer:?}"
        );
    }
    let mut renewed = tokens.clone();
    renewed["spec"]["projectedTokens"][0]["expirationSeconds"] = json!(600);
    renewed["spec"]["priorityClassName"] = json!("interactive");
    for (old, new, allowed) in [
        (&tokens, &renewed, true),
        (&tokens, &bound, true),
        (&bound, &plain, true),
        (&plain, &bound, false),
        (&bound, &with_account(&role("b"), json!({})), false),
        (&tokens, &with_account(&role("a"), token("other")), false),
        (&tokens, &of_server, false),
    ] {
        let answer = webhook.validate_update("alice", old, new).await;
        assert_eq!(answer.allowed, allowed, "{old} {new}: {answer:?}");
        assert!(
            webhook.validate_update("root", old, new).await.allowed,
            "{old} {new}"
        );
    }
    let refused = webhook.validate_create("alice", &tokens).await;
    for right in ["serviceaccounts", "serviceaccounts/token"] {
        let remedy = format!("leave it out, or ask an administrator for the verb create on {right}");
        assert!(refused.message.contains(&remedy), "{refused:?}");
    }
}
