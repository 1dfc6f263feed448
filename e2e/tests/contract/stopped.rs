//! Reports about workspaces that should be stopped.

use api::{
    Workspace,
    condition::{DEGRADED, VALID, reason},
    workspace::{DesiredStatus, Phase},
};
use e2e::{
    Environment,
    cluster::Scratch,
    objects::{template, workspace},
    wait,
};
use kube::api::PostParams;
use serde_json::json;

#[tokio::test]
async fn a_stopped_workspace_reports_its_missing_template_until_it_exists() -> anyhow::Result<()> {
    let scratch = Scratch::new("stopped", &[]).await?;
    let workspaces = scratch.api::<Workspace>();
    let mut early = template::workspace(&scratch, "early", &json!({}))?;
    early.spec.desired_status = DesiredStatus::Stopped;
    workspaces.create(&PostParams::default(), &early).await?;
    let stopped = workspace::reached(&workspaces, "early", Phase::Stopped).await?;
    // The column of `kubectl get`.
    let shown = stopped
        .status
        .as_ref()
        .and_then(|status| status.reason.as_deref());
    assert_eq!(shown, Some(reason::TEMPLATE_NOT_FOUND));
    for type_ in [VALID, DEGRADED] {
        let (_, why, reported) = workspace::condition(&stopped, type_).unwrap_or_default();
        assert_eq!(why, reason::TEMPLATE_NOT_FOUND, "{type_}");
        assert!(
            reported.ends_with("is stopped, and cannot start until it does"),
            "{reported}"
        );
    }
    template::make(
        &scratch,
        &json!({"defaultImage": Environment::get()?.images.echo}),
    )
    .await?;
    wait::until("the template to be found", wait::USUAL, || async {
        let now = workspaces.get("early").await.map_err(|error| error.to_string())?;
        let status = now.status.unwrap_or_default();
        let healthy =
            status.phase == Some(Phase::Stopped) && status.reason.as_deref() == Some(reason::STOPPED);
        healthy.then_some(()).ok_or_else(|| format!("{status:?}"))
    })
    .await?;
    template::finish(scratch).await
}
