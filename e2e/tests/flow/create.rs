//! `kubectl create workspace`, as a user.

use api::Workspace;
use e2e::{
    cluster::Scratch,
    command::{administer, kubectl, kubectl_as},
    http::HttpSession,
    objects::workspace,
};
use kube::{Api, ResourceExt as _};

#[tokio::test]
async fn a_dry_run_creates_nothing_and_an_administrator_creates_for_a_user_by_impersonation()
-> anyhow::Result<()> {
    let scratch = Scratch::new("create-for", &["alice"]).await?;
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
