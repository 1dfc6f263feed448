//! The webhook is away. A test binary of its own: nothing else runs meanwhile.

use api::{
    Workspace, WorkspaceManager,
    condition::{DEGRADED, reason},
    workspace::{DesiredStatus, Phase},
};
use e2e::{
    cluster::{self, Scratch},
    command, component, wait, workspace,
};
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use serde_json::json;

fn stopped(name: &str) -> Workspace {
    let mut new = workspace::of_image(name, "uv");
    new.spec.desired_status = DesiredStatus::Stopped;
    new
}

#[tokio::test]
async fn nothing_passes_unjudged_but_a_namespace_full_of_workspaces_is_deleted() -> anyhow::Result<()> {
    let scratch = Scratch::new("down", &["alice"]).await?;
    let kept = Scratch::new("kept", &["alice"]).await?;
    let alice = cluster::user("alice").await?;
    let workspaces: Api<Workspace> = Api::namespaced(alice.clone(), &scratch.namespace);
    for index in 0..3 {
        workspaces
            .create(&PostParams::default(), &stopped(&format!("lab-{index}")))
            .await?;
    }
    workspaces
        .create(&PostParams::default(), &workspace::echo("running")?)
        .await?;
    let replicas = component::scale("webhook", 0).await?;
    let outcome = while_down(scratch, &alice, &kept).await;
    let manager = store_what_would_be_refused(&kept).await;
    component::scale("webhook", replicas).await?;
    outcome?;
    manager?;
    // It is back: the next write is judged.
    let workspaces: Api<Workspace> = Api::namespaced(alice, &kept.namespace);
    wait::until("the webhook to admit", wait::USUAL, || async {
        let created = workspaces.create(&PostParams::default(), &stopped("after")).await;
        created.map_err(|error| error.to_string())
    })
    .await?;
    nothing_is_made_of_it(&kept).await?;
    let names = forbidden().map(|(_, kind, _)| manager_of(&kept, kind));
    kept.finish().await?;
    let managers = Api::<WorkspaceManager>::all(cluster::admin().await?);
    for name in names {
        managers.delete(&name, &DeleteParams::default()).await?;
    }
    Ok(())
}

/// What no manager may make, each with a manifest that the API server would take.
fn forbidden() -> [(&'static str, &'static str, serde_json::Value); 5] {
    let container = json!({"containers": [{"name": "c", "image": "example.org/image:1"}]});
    let rights = json!({
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "User", "name": "{owner.name}"}],
    });
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": container});
    let runs = json!({"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template}});
    [
        ("rbac.authorization.k8s.io/v1", "RoleBinding", rights),
        ("v1", "Secret", json!({"stringData": {"a": "b"}})),
        ("v1", "ServiceAccount", json!({})),
        ("v1", "Pod", json!({"spec": container})),
        ("apps/v1", "Deployment", runs),
    ]
}

/// Managers, called as the namespace and what they would make. The webhook refuses them; the API server alone does not know which
/// kinds are routes.
async fn store_what_would_be_refused(kept: &Scratch) -> anyhow::Result<()> {
    let managers = Api::<WorkspaceManager>::all(cluster::admin().await?);
    for (api_version, kind, mut manifest) in forbidden() {
        manifest["apiVersion"] = json!(api_version);
        manifest["kind"] = json!(kind);
        manifest["metadata"] = json!({"name": "{workspace.name}-made"});
        let manager = serde_json::from_value(json!({
            "metadata": {"name": manager_of(kept, kind), "labels": {"e2e.test/scratch": "true"}},
            "spec": {
                "routing": {"baseDomain": "stored.example.org", "custom": {"resources": [manifest]}},
                "authentication": {"none": {}},
            },
        }))?;
        managers.create(&PostParams::default(), &manager).await?;
    }
    Ok(())
}

fn manager_of(kept: &Scratch, kind: &str) -> String {
    format!("{}-{}", kept.namespace, kind.to_lowercase())
}

/// Workspaces of those managers run, say why they have no route, and no object of those kinds is there.
async fn nothing_is_made_of_it(kept: &Scratch) -> anyhow::Result<()> {
    let workspaces = kept.api::<Workspace>();
    for (_, kind, _) in forbidden() {
        let mut routed = workspace::echo(&kind.to_lowercase())?;
        routed.spec.manager_ref = Some(manager_of(kept, kind));
        workspaces.create(&PostParams::default(), &routed).await?;
    }
    for (api_version, kind, _) in forbidden() {
        let name = kind.to_lowercase();
        let running = workspace::reached(&workspaces, &name, Phase::Running).await?;
        let (status, why, message) = workspace::condition(&running, DEGRADED).unwrap_or_default();
        assert_eq!(
            (status.as_str(), why.as_str()),
            ("True", reason::ROUTE_FAILED),
            "{message}"
        );
        let words = format!("\"{api_version} {kind}\" can never be a route");
        assert!(message.contains(&words), "{message}");
    }
    let kinds = "rolebindings,secrets,serviceaccounts,pods,deployments";
    let read = ["get", kinds, "-n", &kept.namespace, "-o", "name"];
    let there = command::administer(&read).await?;
    anyhow::ensure!(there.code == 0, "{there:?}");
    let made: Vec<_> = there
        .stdout
        .lines()
        .filter(|name| name.ends_with("-made"))
        .collect();
    assert!(made.is_empty(), "made in spite of the rules: {made:?}");
    Ok(())
}

async fn while_down(scratch: Scratch, alice: &kube::Client, kept: &Scratch) -> anyhow::Result<()> {
    let workspaces: Api<Workspace> = Api::namespaced(alice.clone(), &kept.namespace);
    let unjudged = workspaces
        .create(&PostParams::default(), &stopped("unjudged"))
        .await;
    anyhow::ensure!(
        matches!(&unjudged, Err(kube::Error::Api(status)) if status.message.contains("failed calling webhook")),
        "{unjudged:?}"
    );
    scratch.finish().await
}
