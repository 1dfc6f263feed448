//! `kubectl create workspace`, as a user.

use api::{Workspace, workspace::Phase};
use e2e::{
    cluster::{self, Scratch},
    command::{administer, kubectl, kubectl_as},
    http::HttpSession,
    servers, workspace,
};
use kube::{Api, ResourceExt as _, api::PostParams};

#[tokio::test]
async fn a_user_creates_a_running_workspace_that_is_hers() -> anyhow::Result<()> {
    let scratch = Scratch::new("create", &["alice"]).await?;
    let namespace = scratch.namespace.as_str();
    let created = kubectl(
        "alice",
        &[
            "create",
            "workspace",
            "mine",
            "-n",
            namespace,
            "--image",
            "uv",
            "--wait",
        ],
    )
    .await?;
    assert_eq!(created.code, 0, "{created:?}");
    let workspaces = scratch.api();
    let mine = workspace::reached(&workspaces, "mine", Phase::Running).await?;
    assert!(created.stdout.contains(&workspace::url(&mine)?), "{created:?}");
    assert_eq!(
        mine.annotations().get(api::names::CREATED_BY).map(String::as_str),
        Some("alice")
    );
    assert_eq!(
        mine.status.as_ref().and_then(|status| status.owner.as_deref()),
        Some("alice")
    );
    scratch.finish().await
}

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
async fn nobody_writes_created_by_by_hand() -> anyhow::Result<()> {
    let scratch = Scratch::new("forge", &["alice", "bob"]).await?;
    let bob: Api<Workspace> = Api::namespaced(cluster::user("bob").await?, &scratch.namespace);
    let mut forged = workspace::echo("forged")?;
    forged
        .annotations_mut()
        .insert(api::names::CREATED_BY.into(), "alice".into());
    let refused = bob
        .create(&PostParams::default(), &forged)
        .await
        .err()
        .map(|error| error.to_string());
    assert!(
        refused
            .as_deref()
            .is_some_and(|text| text.contains(api::names::CREATED_BY)),
        "{refused:?}"
    );

    bob.create(&PostParams::default(), &workspace::echo("own")?)
        .await?;
    let stolen = kubectl(
        "bob",
        &[
            "annotate",
            "workspace",
            "own",
            "-n",
            &scratch.namespace,
            "--overwrite",
            &format!("{}=alice", api::names::CREATED_BY),
        ],
    )
    .await?;
    assert_ne!(stolen.code, 0, "{stolen:?}");
    let removed = kubectl(
        "bob",
        &[
            "annotate",
            "workspace",
            "own",
            "-n",
            &scratch.namespace,
            &format!("{}-", api::names::CREATED_BY),
        ],
    )
    .await?;
    let own = bob.get("own").await?;
    assert_eq!(
        own.annotations().get(api::names::CREATED_BY).map(String::as_str),
        Some("bob"),
        "{removed:?}"
    );
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
