//! Secrets, configuration and claims that a workspace names.

use api::WorkspaceTemplate;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::support::{Webhook, workspace};

fn webhook(grants: &[&'static str]) -> Webhook {
    Cluster::with(testkit::objects::template("other"))
        .granting(grants)
        .webhook()
}

fn reading(secret: &str) -> Value {
    workspace(json!({
        "env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": secret, "key": "token"}}}],
        "storage": {"size": "1Gi"},
    }))
}

#[tokio::test]
async fn a_secret_is_named_only_by_users_who_may_read_it() {
    let webhook = webhook(&["alice get secrets mine"]);
    assert!(webhook.validate_create("alice", &reading("mine")).await.allowed);
    let refused = webhook.validate_create("alice", &reading("theirs")).await;
    assert_eq!(refused.code, 403);
    assert!(
        refused.message.starts_with(
            r#"spec.env[0].valueFrom.secretKeyRef.name: "theirs" needs a permission that you lack"#
        ),
        "{refused:?}"
    );
    assert!(
        refused.message.contains("the verb get on it (secrets)"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_claim_needs_the_right_to_use_it() {
    let webhook = webhook(&["alice use persistentvolumeclaims data"]);
    let mounting = |claim: &str| {
        workspace(json!({
            "storage": {"size": "1Gi"},
            "volumes": [{"name": "data", "persistentVolumeClaimName": claim, "mountPath": "/data"}],
        }))
    };
    assert!(webhook.validate_create("alice", &mounting("data")).await.allowed);
    let refused = webhook.validate_create("alice", &mounting("theirs")).await;
    assert_eq!(refused.code, 403);
    let home = workspace(json!({"storage": {"claimName": "theirs"}}));
    let refused = webhook.validate_create("alice", &home).await;
    assert!(
        refused.message.starts_with(r#"spec.storage.claimName: "theirs""#),
        "{refused:?}"
    );
}

#[tokio::test]
async fn stored_references_are_not_checked_again() {
    let webhook = webhook(&[]);
    let old = reading("theirs");
    let mut new = old.clone();
    new["spec"]["port"] = json!(9999);
    let answer = webhook.validate_update("alice", &old, &new).await;
    assert!(answer.allowed, "{answer:?}");
    assert!(webhook.reviews().is_empty());
    new["spec"]["env"][0]["valueFrom"]["secretKeyRef"]["name"] = json!("another");
    assert_eq!(webhook.validate_update("alice", &old, &new).await.code, 403);
    assert_eq!(webhook.reviews(), ["alice get secrets another"]);
}

#[tokio::test]
async fn what_a_template_names_by_the_owner_needs_the_right_of_the_acting_user() {
    let webhook = Cluster::with(naming("creds-{owner.name}", "k"))
        .granting(&[
            "hub assign-owner workspaces *",
            "keeper assign-owner workspaces *",
            "keeper get secrets creds-alice",
            "bob administer workspaces *",
            "alice assign-owner workspaces *",
            "* use workspacetemplates prod",
        ])
        .webhook();
    let hers = recorded(workspace(json!({"templateRef": "prod"})));
    let own = webhook.validate_create("alice", &hers).await;
    assert!(own.allowed, "{own:?}");
    let assigned = |by: &str, to: &str| {
        let mut object = hers.clone();
        object["metadata"]["annotations"][api::names::CREATED_BY] = json!(to);
        object["metadata"]["annotations"][api::names::ASSIGNED_BY] = json!(by);
        object
    };
    let refused = webhook.validate_create("hub", &assigned("hub", "alice")).await;
    assert_eq!(refused.code, 403, "{refused:?}");
    let line = r#"spec.templateRef: "creds-alice" needs a permission that you lack"#;
    assert!(refused.message.contains(line), "{refused:?}");
    let kept = assigned("keeper", "alice");
    assert!(webhook.validate_create("keeper", &kept).await.allowed);
    let mut other = hers.clone();
    other["spec"]["containerConfig"] = json!({"args": ["x"]});
    let refused = webhook.validate_update("bob", &hers, &other).await;
    assert!(refused.message.contains(line), "{refused:?}");
    assert!(webhook.validate_update("alice", &hers, &other).await.allowed);
    // The user who assigns the owner chose what runs.
    let refused = webhook
        .validate_update("alice", &hers, &assigned("alice", "carol"))
        .await;
    assert!(
        refused
            .message
            .contains(r#""creds-carol" needs a permission that you lack"#),
        "{refused:?}"
    );
    // A permission is checked once. After that, the owner's changes and a stop by another user need no check.
    let mut changed = kept.clone();
    changed["spec"]["containerConfig"] = json!({"args": ["x"]});
    let answer = webhook.validate_update("alice", &kept, &changed).await;
    assert!(answer.allowed, "{answer:?}");
    for object in [&hers, &kept] {
        let mut stopped = object.clone();
        stopped["spec"]["desiredStatus"] = json!("Stopped");
        let answer = webhook.validate_update("bob", object, &stopped).await;
        assert!(answer.allowed, "{answer:?}");
    }
}

#[tokio::test]
async fn a_name_that_a_template_leaves_to_the_workspace_is_checked() {
    let mut template = testkit::objects::template("prod");
    template.spec.environment_variables = serde_json::from_value(json!([
        {"name": "OURS", "valueFrom": {"secretKeyRef": {"name": "ours", "key": "k"}}},
        {"name": "COURSE", "valueFrom": {"secretKeyRef": {"name": "course-{course}", "key": "k"}}},
    ]))
    .unwrap();
    let webhook = Cluster::with(template)
        .granting(&["alice get secrets course-ml"])
        .webhook();
    let of = |course: &str| {
        recorded(workspace(
            json!({"templateRef": "prod", "variables": {"course": course}}),
        ))
    };
    let answer = webhook.validate_create("alice", &of("ml")).await;
    assert!(answer.allowed, "{answer:?}");
    let refused = webhook.validate_create("alice", &of("db")).await;
    assert_eq!(refused.code, 403);
    assert!(
        refused
            .message
            .starts_with(r#"spec.variables: "course-db" needs a permission that you lack"#),
        "{refused:?}"
    );
    assert_eq!(
        webhook.validate_update("alice", &of("ml"), &of("db")).await.code,
        403
    );
}

/// A template whose reference to one Secret does not depend on the workspace.
fn naming(secret: &str, key: &str) -> WorkspaceTemplate {
    let mut template = testkit::objects::template("prod");
    template.spec.environment_variables = serde_json::from_value(json!([
        {"name": "X", "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}},
    ]))
    .unwrap();
    template
}

/// As it is stored if the template "prod" existed.
fn recorded(mut object: Value) -> Value {
    object["metadata"]["annotations"][api::names::ATTESTED_TEMPLATE] = json!("uid-of-prod");
    object
}

#[tokio::test]
async fn a_template_that_comes_later_gets_no_secret_that_the_workspace_chose() {
    let early = workspace(json!({"templateRef": "prod", "variables": {"secret": "admin-creds"}}));
    let (early, answer) = webhook(&[]).create("alice", &early).await;
    assert!(answer.allowed && answer.warnings.len() == 1, "{answer:?}");
    // Even if the template is created within the second that the API server records.
    let cluster = Cluster::with(naming("{secret}", "k"));
    let mut other = early.clone();
    other["spec"]["port"] = json!(9999);
    let webhook = cluster.clone().webhook();
    let reader = cluster.clone().granting(&["* get secrets *"]).webhook();
    let refused = reader.validate_update("alice", &early, &other).await;
    assert_eq!(refused.code, 422, "even those who may read it");
    assert!(
        refused
            .message
            .contains("nothing records that it existed when the workspace was created"),
        "{refused:?}"
    );
    // Where bounds only warn, permissions that were not checked before are checked now.
    let warning = Cluster {
        enforcement: webhook::Enforcement::Warn,
        ..cluster
    }
    .webhook();
    let refused = warning.validate_update("alice", &early, &other).await;
    assert_eq!(refused.code, 403);
    assert!(
        warning
            .reviews()
            .contains(&"alice get secrets admin-creds".to_owned())
    );
    // A user who creates it again needs the permission.
    let (_, refused) = webhook.create("alice", &early).await;
    assert!(
        refused
            .message
            .starts_with(r#"spec.variables: "admin-creds" needs a permission that you lack"#),
        "{refused:?}"
    );
    let (made, answer) = reader.create("alice", &early).await;
    assert!(answer.allowed, "{answer:?}");
    assert_eq!(made, recorded(early));
}

#[tokio::test]
async fn no_user_writes_the_attested_template() {
    let cluster =
        Cluster::with(naming("{secret}", "k")).granting(&["* get secrets *", "* administer workspaces *"]);
    let webhook = cluster.webhook();
    let mut new = workspace(json!({"templateRef": "prod", "variables": {"secret": "s"}}));
    new["metadata"]["annotations"][api::names::LAST_UPDATED_BY] = json!("alice");
    let (made, answer) = webhook.create("alice", &new).await;
    assert!(answer.allowed && made == recorded(new.clone()), "{answer:?}");
    let mut forged = new.clone();
    forged["metadata"]["annotations"][api::names::ATTESTED_TEMPLATE] = json!("uid-of-another");
    assert_eq!(webhook.create("alice", &forged).await.0, made, "put right");
    // Without the mutating webhook, which corrects the value.
    for (old, new) in [(&made, &new), (&new, &made), (&made, &forged)] {
        for user in ["alice", "bob", crate::support::OPERATOR] {
            let refused = webhook.validate_update(user, old, new).await;
            assert_eq!(refused.code, 403, "{user}: {refused:?}");
        }
    }
    assert_eq!(webhook.validate_create("alice", &forged).await.code, 403);
    let mut over = made.clone();
    over["metadata"]["annotations"][api::names::CREATED_BY] = json!("carol");
    let webhook = Cluster::with(naming("{secret}", "k"))
        .granting(&["alice assign-owner workspaces demo"])
        .webhook();
    over["metadata"]["annotations"][api::names::ASSIGNED_BY] = json!("alice");
    let answer = webhook.validate_update("alice", &made, &over).await;
    assert!(answer.allowed, "{answer:?}");
}

#[tokio::test]
async fn variables_that_another_template_did_not_use_attest_nothing() {
    let cluster = Cluster {
        watched: vec![naming("{secret}", "k"), testkit::objects::template("plain")],
        ..Cluster::with(testkit::objects::template("plain"))
    };
    let webhook = cluster.webhook();
    let of = |template: &str| {
        recorded(workspace(
            json!({"templateRef": template, "variables": {"secret": "admin"}}),
        ))
    };
    let mut plain = of("plain");
    plain["metadata"]["annotations"][api::names::ATTESTED_TEMPLATE] = json!("uid-of-plain");
    assert!(webhook.validate_create("alice", &plain).await.allowed);
    let refused = webhook.validate_update("alice", &of("plain"), &of("prod")).await;
    assert_eq!(refused.code, 403);
    assert!(
        refused.message.starts_with(r#"spec.variables: "admin""#),
        "{refused:?}"
    );
}

#[tokio::test]
async fn what_cannot_be_expanded_is_refused_even_where_bounds_only_warn() {
    let webhook = Cluster {
        enforcement: webhook::Enforcement::Warn,
        ..Cluster::with(naming("{team}-{no.such}", "k"))
    }
    .webhook();
    let new = workspace(json!({"templateRef": "prod", "variables": {"team": "ml"}}));
    let refused = webhook.validate_create("alice", &new).await;
    assert_eq!(refused.code, 403);
    assert!(refused.message.contains("{no.such}"), "{refused:?}");
}

#[tokio::test]
async fn another_user_who_changes_what_runs_needs_the_rights_to_all_that_it_reads() {
    let webhook = webhook(&[
        "bob administer workspaces demo",
        "carol administer workspaces demo",
        "carol get secrets mine",
    ]);
    let old = reading("mine");
    let mut new = old.clone();
    new["spec"]["image"] = json!("r/other:1");
    let refused = webhook.validate_update("bob", &old, &new).await;
    assert_eq!(refused.code, 403, "{refused:?}");
    assert!(
        refused
            .message
            .contains(r#""mine" needs a permission that you lack"#),
        "{refused:?}"
    );
    assert!(webhook.validate_update("carol", &old, &new).await.allowed);
    assert!(webhook.validate_update("alice", &old, &new).await.allowed);
    let mut renamed = old.clone();
    renamed["spec"]["displayName"] = json!("Other");
    assert!(webhook.validate_update("bob", &old, &renamed).await.allowed);
}

#[tokio::test]
async fn another_user_who_opens_it_needs_the_rights_to_all_that_it_reads() {
    let webhook = webhook(&["carol get secrets mine"]);
    let mut closed = reading("mine");
    closed["spec"]["ownershipType"] = json!("Public");
    closed["spec"]["accessType"] = json!("OwnerOnly");
    let mut open = closed.clone();
    open["spec"]["accessType"] = json!("Public");
    let refused = webhook.validate_update("bob", &closed, &open).await;
    assert_eq!(refused.code, 403, "he would read it inside: {refused:?}");
    assert!(
        refused
            .message
            .contains(r#""mine" needs a permission that you lack"#),
        "{refused:?}"
    );
    for user in ["alice", "carol"] {
        let answer = webhook.validate_update(user, &closed, &open).await;
        assert!(answer.allowed, "{user}: {answer:?}");
    }
    let answer = webhook.validate_update("bob", &open, &closed).await;
    assert!(answer.allowed, "to close it takes no right: {answer:?}");
}

#[tokio::test]
async fn another_user_who_changes_the_owner_needs_the_rights_to_all_that_it_reads() {
    let webhook = webhook(&[
        "bob administer workspaces *",
        "bob assign-owner workspaces *",
        "carol administer workspaces *",
        "carol assign-owner workspaces *",
        "carol get secrets mine",
        "alice assign-owner workspaces *",
    ]);
    let hers = reading("mine");
    for to in ["bob", "dave"] {
        let mut reassigned = hers.clone();
        reassigned["metadata"]["annotations"][api::names::CREATED_BY] = json!(to);
        reassigned["metadata"]["annotations"][api::names::ASSIGNED_BY] = json!("bob");
        let refused = webhook.validate_update("bob", &hers, &reassigned).await;
        assert_eq!(refused.code, 403, "to {to}: {refused:?}");
        assert!(
            refused
                .message
                .contains(r#""mine" needs a permission that you lack"#),
            "{refused:?}"
        );
        for user in ["alice", "carol"] {
            let mut reassigned = reassigned.clone();
            reassigned["metadata"]["annotations"][api::names::ASSIGNED_BY] = json!(user);
            let answer = webhook.validate_update(user, &hers, &reassigned).await;
            assert!(answer.allowed, "{user} to {to}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_spec_that_is_too_large_or_invalid_is_refused_without_asking_for_what_it_names() {
    let webhook = webhook(&["* get secrets *"]);
    let mut large = reading("mine");
    large["spec"]["containerConfig"] = json!({"args": ["x".repeat(70_000)]});
    let refused = webhook.validate_create("alice", &large).await;
    assert_eq!(refused.code, 422);
    assert!(
        refused.message.contains("more than the maximum 65536"),
        "{refused:?}"
    );
    let mut invalid = reading("mine");
    invalid["spec"]["port"] = json!(80);
    assert_eq!(webhook.validate_create("alice", &invalid).await.code, 422);
    assert!(webhook.reviews().is_empty(), "{:?}", webhook.reviews());
}

#[tokio::test]
async fn the_number_of_checked_references_is_limited() {
    let of = |count: usize| {
        let env: Vec<_> = (0..count)
            .map(|n| json!({"name": format!("E{n}"), "valueFrom": {"secretKeyRef": {"name": format!("s{n}"), "key": "k"}}}))
            .collect();
        workspace(json!({"env": env, "storage": {"size": "1Gi"}}))
    };
    let webhook = webhook(&["* get secrets *"]);
    let refused = webhook.validate_create("alice", &of(33)).await;
    assert_eq!(refused.code, 403);
    assert!(
        refused
            .message
            .starts_with("spec: adds 33 Secrets, ConfigMaps and claims whose permissions"),
        "{refused:?}"
    );
    assert!(webhook.reviews().is_empty());
    assert!(webhook.validate_create("alice", &of(32)).await.allowed);
    assert_eq!(webhook.reviews().len(), 32);
}
