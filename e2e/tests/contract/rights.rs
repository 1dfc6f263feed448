//! References of a workspace: permissions of the user who writes it.

use std::time::Duration;

use api::{Workspace, WorkspaceExecutionProfile, WorkspaceTemplate};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    objects::workspace,
    wait,
};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

/// Times in which a grant and its removal take effect.
const GRANTED: Duration = Duration::from_secs(2);
const REMOVED: Duration = Duration::from_secs(10);

fn dry() -> PostParams {
    PostParams {
        dry_run: true,
        ..PostParams::default()
    }
}

fn of(spec: Value) -> anyhow::Result<Workspace> {
    let mut spec = spec;
    spec["displayName"] = json!("Lab");
    spec["desiredStatus"] = json!("Stopped");
    Ok(Workspace::new("lab", serde_json::from_value(spec)?))
}

fn using(resource: &str, name: &str) -> Value {
    json!([{
        "apiGroups": ["workspaces.jupyter.org"], "resources": [resource], "resourceNames": [name], "verbs": ["use"],
    }])
}

fn refusal(result: kube::Result<Workspace>) -> anyhow::Result<String> {
    match result {
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(status.message),
        other => anyhow::bail!("expected a refusal, got {other:?}"),
    }
}

async fn alice(scratch: &Scratch) -> anyhow::Result<Api<Workspace>> {
    Ok(Api::namespaced(cluster::user("alice").await?, &scratch.namespace))
}

/// A template that is `<namespace>-<suffix>`, since templates are cluster-scoped.
async fn template(scratch: &Scratch, suffix: &str) -> anyhow::Result<String> {
    let name = format!("{}-{suffix}", scratch.namespace);
    let template: WorkspaceTemplate = serde_json::from_value(json!({
        "metadata": {"name": name}, "spec": {"displayName": "T", "defaultImage": Environment::get()?.images.echo},
    }))?;
    let templates = Api::<WorkspaceTemplate>::all(cluster::admin().await?);
    templates.create(&PostParams::default(), &template).await?;
    Ok(name)
}

async fn forget(templates: &[String]) -> anyhow::Result<()> {
    let all = Api::<WorkspaceTemplate>::all(cluster::admin().await?);
    for template in templates {
        all.delete(template, &DeleteParams::default()).await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_a_workspace_names_is_named_by_the_users_and_groups_with_a_right_to_it_alone()
-> anyhow::Result<()> {
    let scratch = Scratch::bare("named", &["alice", "carol"]).await?;
    Box::pin(templates_are_used_by_the_users_and_groups_to_whom_roles_grant_them_by_name(&scratch)).await?;
    managers_and_profiles_that_a_workspace_names_need_the_use_permission(&scratch).await?;
    Box::pin(only_users_with_access_name_secrets_config_maps_and_claims(
        &scratch,
    ))
    .await?;
    a_profile_gives_service_accounts_and_tokens_only_of_those_who_may_make_them(&scratch).await?;
    let templates = ["open", "closed"].map(|suffix| format!("{}-{suffix}", scratch.namespace));
    scratch.finish().await?;
    forget(&templates).await
}

async fn templates_are_used_by_the_users_and_groups_to_whom_roles_grant_them_by_name(
    scratch: &Scratch,
) -> anyhow::Result<()> {
    let (open, closed) = (
        template(scratch, "open").await?,
        template(scratch, "closed").await?,
    );
    let alice = alice(scratch).await?;
    for name in [&open, &closed] {
        let refused = refusal(alice.create(&dry(), &of(json!({"templateRef": name}))?).await)?;
        assert!(refused.contains("you may not use it"), "{refused}");
    }
    // An absent template gets the same message.
    let missing = format!("{}-missing", scratch.namespace);
    let refused = refusal(alice.create(&dry(), &of(json!({"templateRef": missing}))?).await)?;
    assert!(refused.contains("you may not use it"), "{refused}");

    scratch
        .grant("use", "alice", &using("workspacetemplates", &open))
        .await?;
    // A refusal is cached only for a short time, and so is a permission.
    let opened = of(json!({"templateRef": open}))?;
    wait::until("the right to be seen", GRANTED, || async {
        let created = alice.create(&dry(), &opened).await;
        created.map(drop).map_err(|error| error.to_string())
    })
    .await?;
    let gone = DeleteParams::default();
    scratch.api::<RoleBinding>().delete("use", &gone).await?;
    wait::until("the end of the right to be seen", REMOVED, || async {
        refusal(alice.create(&dry(), &opened).await).map_err(|error| error.to_string())
    })
    .await?;
    refusal(alice.create(&dry(), &of(json!({"templateRef": closed}))?).await)?;
    // The chart's role grants the chart's templates.
    alice
        .create(&dry(), &of(json!({"templateRef": "jupyterlab"}))?)
        .await?;
    a_template_that_is_granted_to_a_group_is_its_members_to_use(scratch, &closed).await
}

/// Only members may use it. This is carol's first request here.
async fn a_template_that_is_granted_to_a_group_is_its_members_to_use(
    scratch: &Scratch,
    name: &str,
) -> anyhow::Result<()> {
    let group = format!("{}-team", scratch.namespace);
    let role: Role = serde_json::from_value(
        json!({"metadata": {"name": "use-of-group"}, "rules": using("workspacetemplates", name)}),
    )?;
    scratch.api().create(&PostParams::default(), &role).await?;
    let binding: RoleBinding = serde_json::from_value(json!({
        "metadata": {"name": "use-of-group"},
        "roleRef": {"kind": "Role", "apiGroup": "rbac.authorization.k8s.io", "name": "use-of-group"},
        "subjects": [{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": group}],
    }))?;
    scratch.api().create(&PostParams::default(), &binding).await?;
    let carol_of = async |groups: &[&str]| {
        let client = cluster::acting_as("carol", groups).await?;
        anyhow::Ok(Api::<Workspace>::namespaced(client, &scratch.namespace))
    };
    let wanted = of(json!({"templateRef": name}))?;
    let member = carol_of(&[&group]).await?;
    wait::until("the group's right to be seen", GRANTED, || async {
        let created = member.create(&dry(), &wanted).await;
        created.map(drop).map_err(|error| error.to_string())
    })
    .await?;
    // A name that only starts like the group's is another group.
    let longer = format!("{group}-2");
    for groups in [&[][..], &[longer.as_str()]] {
        let refused = refusal(carol_of(groups).await?.create(&dry(), &wanted).await)?;
        assert!(refused.contains("you may not use it"), "{groups:?}: {refused}");
    }
    Ok(())
}

async fn managers_and_profiles_that_a_workspace_names_need_the_use_permission(
    scratch: &Scratch,
) -> anyhow::Result<()> {
    let profile: WorkspaceExecutionProfile = serde_json::from_value(
        json!({"metadata": {"name": "strong"}, "spec": {"priorityClassName": "system"}}),
    )?;
    scratch.api().create(&PostParams::default(), &profile).await?;
    let alice = alice(scratch).await?;
    for (spec, field) in [
        (json!({"managerRef": "other"}), "spec.managerRef"),
        (
            json!({"executionProfileRef": "strong"}),
            "spec.executionProfileRef",
        ),
    ] {
        let refused = refusal(alice.create(&dry(), &of(spec)?).await)?;
        assert!(
            refused.contains(field) && refused.contains("you may not use it"),
            "{refused}"
        );
    }
    alice
        .create(&dry(), &of(json!({"managerRef": "default"}))?)
        .await?;
    let profiles: Api<WorkspaceExecutionProfile> =
        Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let written = profiles.create(&PostParams::default(), &profile).await;
    assert!(written.is_err_and(|error| error.to_string().contains("cannot create resource")));
    Ok(())
}

async fn a_profile_gives_service_accounts_and_tokens_only_of_those_who_may_make_them(
    scratch: &Scratch,
) -> anyhow::Result<()> {
    let writes = json!([{
        "apiGroups": ["workspaces.jupyter.org"], "resources": ["workspaceexecutionprofiles"], "verbs": ["create"],
    }]);
    scratch.grant("writes-profiles", "alice", &writes).await?;
    let tokens = json!([{
        "apiGroups": [""], "resources": ["serviceaccounts/token"], "resourceNames": ["mine"], "verbs": ["create"],
    }]);
    scratch.grant("makes-tokens", "alice", &tokens).await?;
    let profiles: Api<WorkspaceExecutionProfile> =
        Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let of = |spec: Value| -> anyhow::Result<WorkspaceExecutionProfile> {
        Ok(serde_json::from_value(
            json!({"metadata": {"name": "p"}, "spec": spec}),
        )?)
    };
    let named = |account: &str| of(json!({"serviceAccount": {"name": account}, "automountToken": true}));
    profiles.create(&dry(), &named("mine")?).await?;
    let own = of(
        json!({"serviceAccount": {"perWorkspace": {"annotations": {"eks.amazonaws.com/role-arn": "r"}}}}),
    )?;
    let with_token = of(json!({
        "serviceAccount": {"perWorkspace": {}},
        "projectedTokens": [{"audience": "https://kubernetes.default.svc", "path": "/var/run/tokens/api"}],
    }))?;
    let release = &Environment::get()?.release;
    let class = of(json!({"priorityClassName": format!("{release}-system")}))?;
    for (profile, part) in [
        (
            named("ci")?,
            r#"spec.serviceAccount.name: "ci" needs a permission that you lack"#.to_owned(),
        ),
        (
            own.clone(),
            "spec.serviceAccount.perWorkspace: needs a permission that you lack".to_owned(),
        ),
        (
            class,
            "is for the pods that every workspace depends on".to_owned(),
        ),
    ] {
        let refused = profiles.create(&dry(), &profile).await.map(drop);
        let refused = refused.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(refused.contains(&part), "{refused}");
    }
    let accounts = json!([{"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["create"]}]);
    scratch.grant("makes-accounts", "alice", &accounts).await?;
    profiles.create(&dry(), &own).await?;
    // The permission for one account's token is none for the tokens of accounts that are made.
    let refused = profiles.create(&dry(), &with_token).await.map(drop);
    let refused = refused.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(
        refused.contains("spec.projectedTokens") && refused.contains("create on serviceaccounts/token"),
        "{refused}"
    );
    let tokens = json!([{"apiGroups": [""], "resources": ["serviceaccounts/token"], "verbs": ["create"]}]);
    scratch.grant("makes-all-tokens", "alice", &tokens).await?;
    profiles.create(&dry(), &with_token).await?;
    Ok(())
}

async fn only_users_with_access_name_secrets_config_maps_and_claims(scratch: &Scratch) -> anyhow::Result<()> {
    let alice = alice(scratch).await?;
    let reading = |kind: &str, name: &str| json!({"env": [{"name": "V", "valueFrom": {kind: {"name": name, "key": "k"}}}]});
    let cases = [
        (
            reading("secretKeyRef", "mine"),
            reading("secretKeyRef", "theirs"),
            "secrets",
            "get",
        ),
        (
            reading("configMapKeyRef", "mine"),
            reading("configMapKeyRef", "theirs"),
            "configmaps",
            "get",
        ),
        (
            json!({"volumes": [{"name": "d", "persistentVolumeClaimName": "mine", "mountPath": "/d"}]}),
            json!({"volumes": [{"name": "d", "persistentVolumeClaimName": "theirs", "mountPath": "/d"}]}),
            "persistentvolumeclaims",
            "use",
        ),
        (
            json!({"storage": {"claimName": "mine"}}),
            json!({"storage": {"claimName": "theirs"}}),
            "persistentvolumeclaims",
            "use",
        ),
    ];
    for (index, (_, _, resource, verb)) in cases.iter().enumerate() {
        let rules =
            json!([{"apiGroups": [""], "resources": [resource], "resourceNames": ["mine"], "verbs": [verb]}]);
        scratch.grant(&format!("case-{index}"), "alice", &rules).await?;
    }
    for (mine, theirs, resource, _) in cases {
        alice.create(&dry(), &of(mine)?).await?;
        let refused = refusal(alice.create(&dry(), &of(theirs)?).await)?;
        assert!(
            refused.contains("needs a permission that you lack")
                && refused.contains("\"theirs\"")
                && refused.contains(resource),
            "{refused}"
        );
    }
    // An administrator's values may stay; new ones need the permission.
    let given = of(reading("secretKeyRef", "theirs"))?;
    let mut given_to_alice = given.clone();
    given_to_alice.metadata.annotations =
        Some([(api::names::CREATED_BY.to_owned(), "alice".to_owned())].into());
    scratch
        .api::<Workspace>()
        .create(&PostParams::default(), &given_to_alice)
        .await?;
    workspace::set(&alice, "lab", json!({"displayName": "Still mine", "port": 9999})).await?;
    let other = Patch::Merge(json!({"spec": reading("secretKeyRef", "third")}));
    refusal(alice.patch("lab", &PatchParams::default(), &other).await)?;
    Ok(())
}
