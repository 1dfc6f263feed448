//! Users who may start a stopped workspace in the browser, by the chart's default.

use anyhow::Context as _;
use api::{
    Workspace, WorkspaceShare, names,
    workspace::{DesiredStatus, Phase},
};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    http::HttpSession,
    objects::{template, workspace},
    wait,
};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, PostParams},
};
use reqwest::StatusCode;
use serde_json::json;

/// The right by which alice uses the template of this test.
const USES: &str = "alice-uses-the-template";

async fn uses(scratch: &Scratch) -> anyhow::Result<()> {
    let rule = json!([{
        "apiGroups": ["workspaces.jupyter.org"], "resources": ["workspacetemplates"],
        "resourceNames": [scratch.namespace], "verbs": ["use"],
    }]);
    scratch.grant(USES, "alice", &rule).await
}

#[tokio::test]
async fn other_users_and_owners_without_the_template_permission_cannot_start() -> anyhow::Result<()> {
    let scratch = Scratch::bare("starting", &["alice"]).await?;
    let image = &Environment::get()?.images.echo;
    template::make(&scratch, &json!({"defaultImage": image})).await?;
    uses(&scratch).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let wanted = template::workspace(&scratch, "ws", &json!({"desiredStatus": "Stopped"}))?;
    alice.create(&PostParams::default(), &wanted).await?;
    let stopped = workspace::reached(&alice, "ws", Phase::Stopped).await?;
    let share: WorkspaceShare = serde_json::from_value(json!({
        "metadata": {"name": "s"},
        "spec": {"workspaceRef": "ws", "subjects": [{"kind": "User", "name": "bob"}]},
    }))?;
    let shares: Api<WorkspaceShare> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    shares.create(&PostParams::default(), &share).await?;

    let url = workspace::url(&stopped)?;
    let bob = HttpSession::new()?;
    let page = wait::until("bob to be a guest", wait::USUAL, || async {
        let page = bob
            .sign_in(&url, "bob")
            .await
            .map_err(|error| format!("{error:#}"))?;
        let (status, text) = (page.status(), page.text().await.unwrap_or_default());
        match status {
            StatusCode::SERVICE_UNAVAILABLE => Ok(text),
            status => Err(format!("{status} {text}")),
        }
    })
    .await?;
    assert!(
        page.contains("Only its owner and administrators may start it.") && !page.contains("/start\""),
        "{page}"
    );
    assert_eq!(bob.press_start(&stopped).await?.status(), StatusCode::FORBIDDEN);

    let owner = HttpSession::new()?;
    owner.sign_in(&url, "alice").await?;
    scratch
        .api::<RoleBinding>()
        .delete(USES, &DeleteParams::default())
        .await?;
    // The API server's authorizer knows it a moment later; the right to connect is another one.
    let other = template::workspace(&scratch, "other", &json!({}))?;
    wait::until("the template to be lost", wait::USUAL, || async {
        let refusal = template::refusal(&alice, &other).await;
        refusal.map(drop).ok_or("alice may still use it")
    })
    .await?;
    let refused = owner.press_start(&stopped).await?;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    let reported = refused.text().await?;
    assert!(reported.contains("may not use its template"), "{reported}");
    let now = alice.get("ws").await?;
    assert_eq!(now.spec.desired_status, DesiredStatus::Stopped);
    assert!(!now.annotations().contains_key(names::STARTED_BY));

    // The control: with the right she starts it.
    scratch
        .api::<k8s_openapi::api::rbac::v1::Role>()
        .delete(USES, &DeleteParams::default())
        .await?;
    uses(&scratch).await?;
    let pressed = owner.press_start(&stopped).await?;
    assert_eq!(pressed.status(), StatusCode::SEE_OTHER);
    let now = alice.get("ws").await?;
    let by = now.annotations().get(names::STARTED_BY);
    assert_eq!(by.context("no user started it")?, "alice");
    template::finish(scratch).await
}
