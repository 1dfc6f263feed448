//! `kubectl create workspace`, as a user.

use api::Workspace;
use e2e::{
    cluster::Scratch,
    command::{administer, kubectl, kubectl_as},
    http::HttpSession,
    servers, workspace,
};
use kube::{Api, ResourceExt as _};

#[tokio::test]
async fn an_administrator_creates_a_workspace_for_a_user_by_impersonation() -> anyhow::Result<()> {
    let scratch = Scratch::new("create-for", &["alice"]).await?;
    let mut manifest = serde_json::to_value(workspace::echo("hers")?)?;
    manifest["metadata"]["namespace"] = scratch.namespace.clone().into();
    let created = kubectl_as("alice", &["create", "-f", "-"], &manifest).await?;
    assert_eq!(created.code, 0, "{created:?}");
    let namespace = format!("--namespace={}", scratch.namespace);
    let waited = [
        "wait",
        "workspace/hers",
        &namespace,
        "--for=condition=Available",
        "--timeout=2m",
    ];
    let waited = administer(&waited).await?;
    assert_eq!(waited.code, 0, "{waited:?}");
    let address = [
        "get",
        "workspace",
        "hers",
        &namespace,
        "-o",
        "jsonpath={.status.url}",
    ];
    let address = administer(&address).await?;
    let hers = scratch.api::<Workspace>().get("hers").await?;
    assert_eq!(address.stdout, workspace::url(&hers)?);
    let annotation = |name: &str| hers.annotations().get(name).map(String::as_str);
    assert_eq!(annotation(api::names::CREATED_BY), Some("alice"));
    assert_eq!(annotation(api::names::ASSIGNED_BY), None);
    let answer = HttpSession::new()?.enter(&address.stdout, "alice").await?;
    assert!(answer.status().is_success(), "{}", answer.status());
    scratch.finish().await
}

#[tokio::test]
async fn waiting_ends_early_with_the_reason_when_the_image_does_not_exist() -> anyhow::Result<()> {
    let scratch = Scratch::new("noimage", &["alice"]).await?;
    let outcome = kubectl(
        "alice",
        &[
            "create",
            "workspace",
            "broken",
            "-n",
            &scratch.namespace,
            "--image",
            "localhost/no-such-image:1",
            "--wait",
        ],
    )
    .await?;
    assert_ne!(outcome.code, 0, "{outcome:?}");
    assert!(outcome.stderr.contains("ImagePullFailed"), "{outcome:?}");
    let broken = scratch.api::<Workspace>().get("broken").await?;
    let run = workspace::run_id(&broken)?;
    let way = [
        ("run_started", run.as_str(), ""),
        ("failed", &run, "ImagePullFailed"),
    ];
    servers::wait_for_records(&broken.uid().unwrap_or_default(), &way).await?;
    scratch.finish().await
}

#[tokio::test]
async fn dry_runs_print_the_object_and_create_nothing() -> anyhow::Result<()> {
    let scratch = Scratch::new("dry", &["alice"]).await?;
    for mode in ["client", "server"] {
        let dry = format!("--dry-run={mode}");
        let printed = kubectl(
            "alice",
            &[
                "create",
                "workspace",
                "dry",
                "-n",
                &scratch.namespace,
                "--cpu",
                "200m",
                &dry,
                "-o",
                "yaml",
            ],
        )
        .await?;
        assert_eq!(printed.code, 0, "{printed:?}");
        assert!(
            printed.stdout.contains("kind: Workspace") && printed.stdout.contains("200m"),
            "{printed:?}"
        );
    }
    let workspaces: Api<Workspace> = scratch.api();
    assert!(workspaces.get_opt("dry").await?.is_none());
    scratch.finish().await
}
