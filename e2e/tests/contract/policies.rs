//! Writes that the API server's policies refuse, without the webhook.
//!
//! The use of Secrets is tested in the suite `admission_down`. The API server does not call the webhook for writes of `UNASKED`.

use api::{
    Workspace, WorkspaceExecutionProfile, WorkspaceManager, WorkspaceShare, WorkspaceTemplate,
    names::{
        ASSIGNED_BY, CLEANUP_FINALIZER, CREATED_BY, MAX_ANNOTATIONS, SHARED_FOR, STARTED_BY, STOPPED_BECAUSE,
    },
    workspace::DesiredStatus,
};
use e2e::{
    Environment,
    cluster::{self, Scratch, service_account::token_of},
    installation::unasked::{UNASKED, unasked},
    objects::workspace,
};
use jiff::Timestamp;
use kube::{
    Api, Client, ResourceExt as _,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::deletions;

fn dry() -> PostParams {
    PostParams {
        dry_run: true,
        ..PostParams::default()
    }
}

fn dry_patch() -> PatchParams {
    PatchParams {
        dry_run: true,
        ..PatchParams::default()
    }
}

pub(super) fn refused<T: std::fmt::Debug>(result: kube::Result<T>, expected: &str) {
    let is_expected = |error: &kube::Error| {
        matches!(error, kube::Error::Api(it)
            // 422: the expression cost too much to be evaluated.
            if [403, 422].contains(&it.code) && it.message.contains("ValidatingAdmissionPolicy") && it.message.contains(expected))
    };
    assert!(
        result.as_ref().is_err_and(is_expected),
        "expected a refusal ({expected}), got {result:?}"
    );
}

/// Acts as the account of one of the product's components, with a token of its own.
async fn account(component: &str) -> anyhow::Result<Client> {
    let environment = Environment::get()?;
    let accounts = Api::namespaced(cluster::admin().await?, &environment.system_namespace);
    let name = format!("{}-{component}", environment.release);
    cluster::with_token(&token_of(&accounts, &name, None).await?).await
}

pub(super) fn stopped(name: &str, annotations: Value, spec: Value) -> anyhow::Result<Workspace> {
    let mut new = json!(workspace::echo(name)?);
    new["metadata"]["annotations"] = annotations;
    new["spec"]["desiredStatus"] = json!(DesiredStatus::Stopped);
    for (field, value) in spec.as_object().into_iter().flatten() {
        new["spec"][field] = value.clone();
    }
    Ok(serde_json::from_value(new)?)
}

/// Stored for alice, and stopped.
async fn lab(scratch: &Scratch) -> anyhow::Result<()> {
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let lab = stopped("lab", json!({}), json!({}))?;
    alice.create(&PostParams::default(), &lab).await?;
    Ok(())
}

#[tokio::test]
async fn gateway_and_operator_change_only_their_own_fields_and_users_forge_nothing_without_the_webhook()
-> anyhow::Result<()> {
    let scratch = Scratch::new("policies", &["alice"]).await?;
    lab(&scratch).await?;
    let checks = [
        Box::pin(the_operator_s_account_changes_only_its_own_fields_of_user_objects(&scratch)).await,
        Box::pin(only_the_operator_writes_statuses_independent_of_roles(&scratch)).await,
        Box::pin(annotations_and_labels_are_bounded_and_records_still_fit_in(
            &scratch,
        ))
        .await,
        Box::pin(without_the_webhook_no_user_forges_an_owner_or_uses_forbidden_objects(&scratch)).await,
        Box::pin(without_the_webhook_no_profile_gives_more_than_its_author_has(
            &scratch,
        ))
        .await,
        Box::pin(a_controller_changes_finalizers_and_neither_spec_nor_labels(
            &scratch,
        ))
        .await,
        // The last one: it starts the workspace.
        Box::pin(the_gateways_account_starts_workspaces_and_changes_nothing_else(
            &scratch,
        ))
        .await,
    ];
    for check in checks {
        check?;
    }
    scratch.finish().await
}

async fn the_gateways_account_starts_workspaces_and_changes_nothing_else(
    scratch: &Scratch,
) -> anyhow::Result<()> {
    let gateway: Api<Workspace> = Api::namespaced(account("gateway").await?, &scratch.namespace);
    let patch = async |change: Value| gateway.patch("lab", &dry_patch(), &Patch::Merge(change)).await;
    let annotated = |key: &str| json!({"metadata": {"annotations": {key: "x"}}});
    patch(json!({"spec": {"desiredStatus": "Running"}, "metadata": {"annotations": {STARTED_BY: "alice"}}}))
        .await?;
    for (change, expected) in [
        (json!({"spec": {"image": "evil:1"}}), "desiredStatus alone"),
        (
            json!({"spec": {"desiredStatus": "Running", "env": [{"name": "A", "value": "b"}]}}),
            "desiredStatus alone",
        ),
        (annotated(STOPPED_BECAUSE), "started-by alone"),
        (annotated(CREATED_BY), "started-by alone"),
        (json!({"metadata": {"labels": {"a": "b"}}}), "started-by alone"),
    ] {
        refused(patch(change).await, expected);
    }
    let released = patch(json!({"metadata": {"finalizers": []}})).await?;
    assert_eq!(
        released.finalizers(),
        [CLEANUP_FINALIZER],
        "the webhook puts it back"
    );
    let running = json!({"spec": {"desiredStatus": "Running"}});
    let merge = PatchParams::default();
    gateway.patch("lab", &merge, &Patch::Merge(running)).await?;
    refused(
        patch(json!({"spec": {"desiredStatus": "Stopped"}})).await,
        "does not stop",
    );
    Ok(())
}

async fn the_operator_s_account_changes_only_its_own_fields_of_user_objects(
    scratch: &Scratch,
) -> anyhow::Result<()> {
    let operator = account("operator").await?;
    let workspaces: Api<Workspace> = Api::namespaced(operator.clone(), &scratch.namespace);
    let patch = async |change: Value| workspaces.patch("lab", &dry_patch(), &Patch::Merge(change)).await;
    patch(
        json!({"spec": {"desiredStatus": "Running"}, "metadata": {"annotations": {STOPPED_BECAUSE: "Idle"}}}),
    )
    .await?;
    patch(json!({"metadata": {"finalizers": []}})).await?;
    refused(
        patch(json!({"spec": {"image": "evil:1"}})).await,
        "desiredStatus of workspaces alone",
    );
    refused(
        patch(json!({"metadata": {"annotations": {CREATED_BY: "x"}}})).await,
        "stopped-because of workspaces alone",
    );
    Box::pin(deletions::the_operator_s_account_deletes_only_what_is_announced(
        scratch,
        &workspaces,
    ))
    .await?;
    let managers = Api::<WorkspaceManager>::all(operator);
    let evil = json!({"spec": {"authorization": {"adminGroups": ["evil"]}}});
    refused(
        managers.patch("default", &dry_patch(), &Patch::Merge(evil)).await,
        "the operator's account",
    );
    Ok(())
}

async fn only_the_operator_writes_statuses_independent_of_roles(scratch: &Scratch) -> anyhow::Result<()> {
    let rules = json!([{
        "apiGroups": ["workspaces.jupyter.org"], "resources": ["workspaces/status"], "verbs": ["get", "patch"],
    }]);
    scratch.grant("status", "alice", &rules).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let url = json!({"url": "https://elsewhere.example.org/"});
    // Its maximum age counts from that.
    let age = json!({"runningSince": Timestamp::now().to_string()});
    let [elsewhere, younger] = [url, age].map(|status| Patch::Merge(json!({ "status": status })));
    for change in [&elsewhere, &younger] {
        refused(
            alice.patch_status("lab", &PatchParams::default(), change).await,
            "only the operator writes it",
        );
    }
    // An account with all permissions may correct it.
    let admin = scratch.api::<Workspace>();
    admin.patch_status("lab", &dry_patch(), &elsewhere).await?;
    Ok(())
}

async fn annotations_and_labels_are_bounded_and_records_still_fit_in(
    scratch: &Scratch,
) -> anyhow::Result<()> {
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let many = |count: usize| -> Value {
        (0..count)
            .map(|number| (format!("k{number}"), json!("")))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    alice
        .create(&dry(), &stopped("full", many(MAX_ANNOTATIONS), json!({}))?)
        .await?;
    let full = stopped("full", many(MAX_ANNOTATIONS + 1), json!({}))?;
    refused(
        alice.create(&dry(), &full).await,
        "metadata.annotations: 257 are more than the maximum 256",
    );
    // As many as Kubernetes itself would take.
    let most = stopped("full", many(40_000), json!({}))?;
    refused(
        alice.create(&dry(), &most).await,
        "metadata.annotations: 40000 are more than the maximum 256",
    );
    let mut labelled = stopped("full", json!({}), json!({}))?;
    labelled.metadata.labels = Some(
        (0..257)
            .map(|number| (format!("k{number}"), String::new()))
            .collect(),
    );
    refused(
        alice.create(&dry(), &labelled).await,
        "metadata.labels: 257 are more than the maximum 256",
    );
    // With as many as there may be, the records of the product still fit in.
    let full = stopped("full", many(MAX_ANNOTATIONS), json!({}))?;
    alice.create(&PostParams::default(), &full).await?;
    let change = |state: &str| Patch::Merge(json!({"spec": {"desiredStatus": state}}));
    alice.patch("full", &dry_patch(), &change("Running")).await?;
    let operator: Api<Workspace> = Api::namespaced(account("operator").await?, &scratch.namespace);
    let annotated =
        json!({"spec": {"displayName": "d"}, "metadata": {"annotations": {STOPPED_BECAUSE: "Idle"}}});
    refused(
        operator
            .patch("full", &dry_patch(), &Patch::Merge(annotated))
            .await,
        "desiredStatus of workspaces alone",
    );
    let annotated = json!({"metadata": {"annotations": {STOPPED_BECAUSE: "Idle"}}});
    operator
        .patch("full", &dry_patch(), &Patch::Merge(annotated))
        .await?;
    Ok(())
}

/// A controller of Kubernetes, whose role allows it everything. The webhook, which is asked as well, refuses first.
async fn a_controller_changes_finalizers_and_neither_spec_nor_labels(
    scratch: &Scratch,
) -> anyhow::Result<()> {
    let collector = "system:serviceaccount:kube-system:generic-garbage-collector";
    let collector = cluster::acting_as(collector, &["system:serviceaccounts"]).await?;
    let workspaces: Api<Workspace> = Api::namespaced(collector, &scratch.namespace);
    let patch = async |change: Value| workspaces.patch("lab", &dry_patch(), &Patch::Merge(change)).await;
    patch(json!({"metadata": {"finalizers": [CLEANUP_FINALIZER, "example.com/held"]}})).await?;
    for change in [
        json!({"spec": {"port": 9000}}),
        json!({"metadata": {"labels": {"a": "b"}}}),
        json!({"metadata": {"annotations": {"a": "b"}}}),
    ] {
        let result = patch(change.clone()).await;
        let is_refused = |error: &kube::Error| matches!(error, kube::Error::Api(it) if it.code == 403 && it.message.contains("only by its owner"));
        assert!(result.as_ref().is_err_and(is_refused), "{change}: {result:?}");
    }
    Ok(())
}

async fn without_the_webhook_no_user_forges_an_owner_or_uses_forbidden_objects(
    scratch: &Scratch,
) -> anyhow::Result<()> {
    let rules = json!([
        {"apiGroups": ["workspaces.jupyter.org"], "resources": ["workspaces", "workspaceshares"], "verbs": ["create", "patch", "delete"]},
    ]);
    scratch.grant("past", UNASKED, &rules).await?;
    let unasked = unasked(&[]).await?;
    let workspaces: Api<Workspace> = Api::namespaced(unasked.clone(), &scratch.namespace);
    let make = async |annotations: Value, spec: Value| {
        let new = stopped("new", annotations, spec)?;
        Ok::<_, anyhow::Error>(workspaces.create(&dry(), &new).await)
    };
    make(json!({}), json!({})).await??;
    for (annotations, spec, expected) in [
        (json!({CREATED_BY: "alice"}), json!({}), "is another owner"),
        (
            json!({CREATED_BY: "alice", ASSIGNED_BY: UNASKED}),
            json!({}),
            "is another owner",
        ),
        (json!({STARTED_BY: "alice"}), json!({}), "are reserved"),
        (
            json!({}),
            json!({"storage": {"claimName": "hers"}}),
            r#"the claim "hers""#,
        ),
        (
            json!({}),
            json!({"executionProfileRef": "strong"}),
            "spec.executionProfileRef",
        ),
        (json!({}), json!({"templateRef": "strong"}), "spec.templateRef"),
    ] {
        refused(make(annotations, spec).await?, expected);
    }
    let patch = async |change: Value| workspaces.patch("lab", &dry_patch(), &Patch::Merge(change)).await;
    refused(
        patch(json!({"metadata": {"annotations": {CREATED_BY: UNASKED, ASSIGNED_BY: UNASKED}}})).await,
        "is another owner",
    );

    let shares: Api<WorkspaceShare> = Api::namespaced(unasked, &scratch.namespace);
    for (annotations, expected) in [
        (json!({CREATED_BY: "alice"}), "another creator"),
        (json!({SHARED_FOR: "alice"}), "may share it"),
    ] {
        let share: WorkspaceShare = serde_json::from_value(json!({
            "metadata": {"name": "s", "annotations": annotations},
            "spec": {"workspaceRef": "lab", "subjects": [{"kind": "User", "name": UNASKED}]},
        }))?;
        refused(shares.create(&dry(), &share).await, expected);
    }
    Ok(())
}

async fn without_the_webhook_no_profile_gives_more_than_its_author_has(
    scratch: &Scratch,
) -> anyhow::Result<()> {
    let writes = json!([
        {"apiGroups": ["workspaces.jupyter.org"], "resources": ["workspaceexecutionprofiles"], "verbs": ["create", "patch"]},
        {"apiGroups": [""], "resources": ["serviceaccounts/token"], "resourceNames": ["mine"], "verbs": ["create"]},
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["mine"], "verbs": ["get"]},
    ]);
    scratch.grant("profiles", UNASKED, &writes).await?;
    let profiles: Api<WorkspaceExecutionProfile> = Api::namespaced(unasked(&[]).await?, &scratch.namespace);
    let make = async |spec: Value| {
        let new: WorkspaceExecutionProfile =
            serde_json::from_value(json!({"metadata": {"name": "new"}, "spec": spec}))?;
        Ok::<_, anyhow::Error>(profiles.create(&dry(), &new).await)
    };
    let mounts = |name: &str| json!([{"secretName": name, "mountPath": "/etc/keys"}]);
    let own = json!({"perWorkspace": {}});
    make(json!({
        "serviceAccount": {"name": "mine"}, "automountToken": true, "secretMounts": mounts("mine"),
        "imagePullSecrets": [{"name": "mine"}],
    }))
    .await??;
    for (spec, expected) in [
        (
            json!({"serviceAccount": {"name": "ci"}}),
            r#"spec.serviceAccount.name: "ci""#,
        ),
        (json!({"serviceAccount": own}), "spec.serviceAccount.perWorkspace"),
        (
            json!({"secretMounts": mounts("theirs")}),
            r#"the Secret "theirs""#,
        ),
        (
            json!({"imagePullSecrets": [{"name": "theirs"}]}),
            r#"the Secret "theirs""#,
        ),
    ] {
        refused(make(spec).await?, expected);
    }
    let accounts = json!([{"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["create"]}]);
    scratch.grant("makes-accounts", UNASKED, &accounts).await?;
    make(json!({"serviceAccount": own})).await??;
    let token = json!({"serviceAccount": own, "automountToken": true});
    refused(make(token).await?, "spec.projectedTokens or spec.automountToken");

    // What a profile has already is not asked for again.
    let stored: WorkspaceExecutionProfile = serde_json::from_value(json!({
        "metadata": {"name": "stored"}, "spec": {"serviceAccount": {"name": "ci"}, "secretMounts": mounts("theirs")},
    }))?;
    scratch.api().create(&PostParams::default(), &stored).await?;
    let patch = async |spec: Value| {
        let change = Patch::Merge(json!({ "spec": spec }));
        profiles.patch("stored", &dry_patch(), &change).await
    };
    patch(json!({"priorityClassName": "interactive"})).await?;
    refused(
        patch(json!({"automountToken": true})).await,
        "spec.projectedTokens or spec.automountToken",
    );
    Ok(())
}

#[tokio::test]
async fn nobody_stores_a_manifest_beyond_its_bounds_without_the_webhook() -> anyhow::Result<()> {
    let client = unasked(&["system:masters"]).await?;
    let templates = Api::<WorkspaceTemplate>::all(client.clone());
    let managers = Api::<WorkspaceManager>::all(client);
    let name = "e2e-manifest-bounds";
    let nested = |levels| (0..levels).fold(json!(1), |inner, _| json!([inner]));
    for (inner, fits) in [
        (nested(31), true),
        (nested(32), false),
        (nested(125), false),
        (nested(400), false),
        (json!(vec![1; 256]), true),
        (json!(vec![1; 257]), false),
        (json!(vec!["x".repeat(2_000); 30]), true),
        (json!("x".repeat(65_537)), false),
        (json!({"x".repeat(65_537): 1}), false),
        // More values than CEL visits.
        (json!(vec![vec![vec![1; 100]; 100]; 30]), false),
    ] {
        let manifest = json!({"apiVersion": "example.com/v1", "kind": "Widget", "spec": inner});
        let template = json!({
            "metadata": {"name": name},
            "spec": {"displayName": "x", "defaultImage": "a", "objects": [{"name": "it", "manifest": manifest}]},
        });
        let routing = json!({"baseDomain": "bounds.example.com", "custom": {"resources": [manifest]}});
        let manager = json!({
            "metadata": {"name": name}, "spec": {"routing": routing, "authentication": {"none": {}}},
        });
        let template = templates.create(&dry(), &serde_json::from_value(template)?).await;
        let manager = managers.create(&dry(), &serde_json::from_value(manager)?).await;
        if fits {
            template?;
            manager?;
        } else {
            refused(template, "manifests");
            refused(manager, "manifests");
        }
    }
    Ok(())
}
