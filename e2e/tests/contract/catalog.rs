//! Effects of templates, managers and their annotations on the workspaces that name them.

use api::{
    Workspace, WorkspaceManager, WorkspaceTemplate,
    condition::{self, VALID, reason},
    names::{DEPRECATED, REPLACED_BY, WORKSPACE_LABEL},
    workspace::Phase,
};
use e2e::{
    cluster::{self, Scratch},
    command,
    objects::workspace,
    wait,
};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

/// A template named after the namespace, since templates are cluster-scoped.
async fn template(scratch: &Scratch, rest: Value) -> anyhow::Result<Api<WorkspaceTemplate>> {
    let mut spec = json!({"displayName": "T", "defaultImage": "one:1"});
    for (key, value) in rest.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    let template = serde_json::from_value(json!({"metadata": {"name": scratch.namespace}, "spec": spec}))?;
    let templates = Api::all(cluster::admin().await?);
    templates.create(&PostParams::default(), &template).await?;
    Ok(templates)
}

async fn finish(scratch: Scratch, templates: &Api<WorkspaceTemplate>) -> anyhow::Result<()> {
    let name = scratch.namespace.clone();
    scratch.finish().await?;
    templates.delete(&name, &DeleteParams::default()).await?;
    Ok(())
}

fn of(scratch: &Scratch, labels: Value, rest: Value) -> Value {
    let mut manifest = json!({
        "apiVersion": "workspaces.jupyter.org/v1alpha1",
        "kind": "Workspace",
        "metadata": {"name": "lab", "namespace": scratch.namespace, "labels": labels},
        "spec": {
            "displayName": "Lab",
            "templateRef": scratch.namespace,
            "desiredStatus": "Stopped",
            "storage": {"size": "1Gi"},
        },
    });
    for (key, value) in rest.as_object().into_iter().flatten() {
        manifest["spec"][key] = value.clone();
    }
    manifest
}

/// The result of kubectl when alice creates it.
async fn apply_result(manifest: &Value) -> anyhow::Result<(bool, String)> {
    let flags = ["create", "--dry-run=server", "-f", "-"];
    let outcome = command::kubectl_with("alice", &flags, manifest).await?;
    Ok((outcome.code == 0, outcome.stderr))
}

async fn assert_accepted(manifest: &Value) -> anyhow::Result<()> {
    let (accepted, output) = apply_result(manifest).await?;
    anyhow::ensure!(accepted && output.is_empty(), "{output}");
    Ok(())
}

async fn is_refused(manifest: &Value, expected: &[&str]) -> anyhow::Result<()> {
    let (accepted, message) = apply_result(manifest).await?;
    anyhow::ensure!(!accepted, "it passes: {manifest}");
    for part in expected {
        anyhow::ensure!(message.contains(part), "{part} is missing in: {message}");
    }
    Ok(())
}

#[tokio::test]
async fn a_deprecated_template_gives_a_warning_and_a_deleted_one_accepts_no_new_workspaces()
-> anyhow::Result<()> {
    let scratch = Scratch::new("leaving", &["alice"]).await?;
    let templates = template(&scratch, json!({})).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let stored = of(&scratch, json!({}), json!({}));
    alice
        .create(&PostParams::default(), &serde_json::from_value(stored)?)
        .await?;
    let deprecation = json!({"metadata": {
        "annotations": {DEPRECATED: "no patches", REPLACED_BY: "newer"}, "finalizers": ["e2e.test/hold"],
    }});
    templates
        .patch(
            &scratch.namespace,
            &PatchParams::default(),
            &Patch::Merge(deprecation),
        )
        .await?;
    let mut next = of(&scratch, json!({}), json!({}));
    next["metadata"]["name"] = json!("next");
    wait::until("the warning", wait::USUAL, || async {
        let (accepted, output) = apply_result(&next).await.map_err(|error| format!("{error:#}"))?;
        let warned = output.contains("is deprecated: \"no patches\"; use \"newer\" instead");
        if accepted && warned { Ok(()) } else { Err(output) }
    })
    .await?;
    templates
        .delete(&scratch.namespace, &DeleteParams::default())
        .await?;
    wait::until("the refusal", wait::USUAL, || async {
        let (accepted, output) = apply_result(&next).await.map_err(|error| format!("{error:#}"))?;
        let refused = output.contains("is being deleted and takes no new workspace");
        if !accepted && refused { Ok(()) } else { Err(output) }
    })
    .await?;
    // An existing workspace stays, and may change.
    workspace::set(&alice, "lab", json!({"port": 9999})).await?;
    let name = scratch.namespace.clone();
    scratch.finish().await?;
    let release = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    templates.patch(&name, &PatchParams::default(), &release).await?;
    Ok(())
}

#[tokio::test]
async fn reserved_keys_cannot_be_written_by_users() -> anyhow::Result<()> {
    let scratch = Scratch::new("reserved", &["alice"]).await?;
    let templates = template(&scratch, json!({})).await?;
    is_refused(
        &of(&scratch, json!({WORKSPACE_LABEL: "other"}), json!({})),
        &[WORKSPACE_LABEL, "is reserved"],
    )
    .await?;
    let mut annotated = of(&scratch, json!({}), json!({}));
    annotated["metadata"]["annotations"] = json!({"workspaces.jupyter.org/started-by": "bob"});
    is_refused(&annotated, &["started-by", "is reserved"]).await?;
    annotated["metadata"]["annotations"] =
        json!({"workspaces.jupyter.org/restarted-at": "2026-01-31T12:00:00Z"});
    assert_accepted(&annotated).await?;
    finish(scratch, &templates).await
}

#[tokio::test]
async fn a_manager_without_gateway_reports_it_and_its_workspaces_have_no_url() -> anyhow::Result<()> {
    let managers = Api::<WorkspaceManager>::all(cluster::admin().await?);
    let scratch = Scratch::new("not-served", &["alice"]).await?;
    let name = scratch.namespace.as_str();
    let manager = serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {"e2e.test/scratch": "true"}},
        "spec": {
            "routing": {"baseDomain": format!("{name}.example.org"), "traefik": {}}, "authentication": {"gateway": {}},
        },
    }))?;
    managers.create(&PostParams::default(), &manager).await?;
    wait::until(
        "the manager to report that no gateway serves it",
        wait::USUAL,
        || async {
            let manager = managers.get(name).await.map_err(|error| error.to_string())?;
            let conditions = manager.status.unwrap_or_default().conditions;
            let ready = condition::find(&conditions, condition::READY).cloned();
            let is_reported = ready
                .as_ref()
                .is_some_and(|it| it.status == "False" && it.reason == reason::NOT_SERVED);
            is_reported.then_some(()).ok_or_else(|| format!("{ready:?}"))
        },
    )
    .await?;
    let alice = Api::<Workspace>::namespaced(cluster::user("alice").await?, name);
    let mut wanted = workspace::echo("lab")?;
    wanted.spec.manager_ref = Some(name.to_owned());
    alice.create(&PostParams::default(), &wanted).await?;
    let running = workspace::reached(&alice, "lab", Phase::Running).await?;
    let status = running.status.clone().unwrap_or_default();
    assert_eq!(
        (status.url.as_deref(), status.reason.as_deref()),
        (None, Some(reason::NOT_SERVED))
    );
    let available = workspace::condition(&running, condition::AVAILABLE);
    assert!(available.is_some_and(|(holds, why, _)| holds == "False" && why == reason::NOT_SERVED));

    // The state of the manager that the gateway serves.
    workspace::set(&alice, "lab", json!({"managerRef": null})).await?;
    wait::until("the workspace to be served", wait::USUAL, || async {
        let found = alice.get("lab").await.map_err(|error| error.to_string())?;
        let status = found.status.unwrap_or_default();
        let is_served = condition::holds(&status.conditions, condition::AVAILABLE) && status.url.is_some();
        is_served.then_some(()).ok_or_else(|| format!("{status:?}"))
    })
    .await?;
    managers.delete(name, &DeleteParams::default()).await?;
    scratch.finish().await
}

#[tokio::test]
async fn moving_a_manager_gives_a_warning() -> anyhow::Result<()> {
    let admin = cluster::admin().await?;
    let managers = Api::<WorkspaceManager>::all(admin);
    let scratch = Scratch::new("moving", &[]).await?;
    let manifest = |domain: &str| {
        json!({
            "apiVersion": "workspaces.jupyter.org/v1alpha1",
            "kind": "WorkspaceManager",
            "metadata": {"name": scratch.namespace},
            "spec": {"routing": {"baseDomain": domain, "traefik": {}}, "authentication": {"gateway": {}}},
        })
    };
    managers
        .create(
            &PostParams::default(),
            &serde_json::from_value(manifest("a.example.org"))?,
        )
        .await?;
    let flags = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    let moved = command::kubectl_as(
        "system:admin",
        &[&flags[..], &["--as-group=system:masters"]].concat(),
        &manifest("b.example.org"),
    )
    .await?;
    anyhow::ensure!(
        moved.code == 0
            && moved
                .stderr
                .contains("spec.routing.baseDomain changes: 0 running workspaces"),
        "{moved:?}"
    );
    managers
        .delete(&scratch.namespace, &DeleteParams::default())
        .await?;
    scratch.finish().await
}

#[tokio::test]
async fn a_missing_manager_of_a_template_gives_a_warning() -> anyhow::Result<()> {
    let scratch = Scratch::new("unmanaged", &[]).await?;
    let name = scratch.namespace.clone();
    let object = |kind: &str, spec: Value| {
        json!({
            "apiVersion": "workspaces.jupyter.org/v1alpha1", "kind": kind,
            "metadata": {"name": name, "labels": {"e2e.test/scratch": "true"}}, "spec": spec,
        })
        .to_string()
    };
    let naming = json!({"displayName": "T", "defaultImage": "one:1", "managerRef": name});
    let made = command::administer_with(&["create", "-f", "-"], &object("WorkspaceTemplate", naming)).await?;
    let expected = format!("spec.managerRef: {name:?} is no WorkspaceManager that exists");
    assert!(made.code == 0 && made.stderr.contains(&expected), "{made:?}");
    let templates = Api::<WorkspaceTemplate>::all(cluster::admin().await?);
    let is = async |status: &str| {
        wait::until(
            &format!("the template to be Valid={status}"),
            wait::USUAL,
            || async {
                let now = templates.get(&name).await.map_err(|error| error.to_string())?;
                let conditions = now.status.unwrap_or_default().conditions;
                match condition::find(&conditions, VALID) {
                    Some(valid) if valid.status == status => Ok(valid.reason.clone()),
                    other => Err(format!("{other:?}")),
                }
            },
        )
        .await
    };
    assert_eq!(is("False").await?, reason::MANAGER_NOT_FOUND);
    let manager = json!({
        "routing": {"baseDomain": format!("{name}.example.org"), "traefik": {}}, "authentication": {"gateway": {}},
    });
    let made = command::administer_with(&["create", "-f", "-"], &object("WorkspaceManager", manager)).await?;
    assert_eq!(made.code, 0, "{made:?}");
    is("True").await?;
    let gone = command::administer(&["delete", "workspacemanager", &name]).await?;
    let expected = format!("WorkspaceManager {name:?} is named by the WorkspaceTemplates {name}");
    assert!(gone.code == 0 && gone.stderr.contains(&expected), "{gone:?}");
    finish(scratch, &templates).await
}
