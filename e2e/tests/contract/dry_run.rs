//! A dry run is validated like a write, and stores nothing.

use api::{Workspace, workspace::Phase};
use e2e::{
    cluster::{self, Scratch},
    command,
    objects::workspace,
    wait,
};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

fn manifest(scratch: &Scratch, name: &str) -> Value {
    let mut manifest = json!(workspace::of_image(name, "uv"));
    manifest["metadata"]["namespace"] = json!(scratch.namespace);
    manifest["spec"]["desiredStatus"] = json!("Stopped");
    manifest
}

/// The object when it is no longer written: five consecutive reads have the same version.
async fn settled(workspaces: &Api<Workspace>, name: &str) -> anyhow::Result<Workspace> {
    workspace::reached(workspaces, name, Phase::Stopped).await?;
    let read = async || workspaces.get(name).await.map_err(|error| error.to_string());
    wait::settled(name, read).await
}

async fn write(flags: &[&str], manifest: &Value) -> anyhow::Result<()> {
    let outcome = command::kubectl_with("alice", flags, manifest).await?;
    anyhow::ensure!(outcome.code == 0, "{flags:?}: {outcome:?}");
    Ok(())
}

#[tokio::test]
async fn a_dry_run_is_validated_like_a_write_and_stores_nothing() -> anyhow::Result<()> {
    let scratch = Scratch::new("dry", &["alice"]).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let mut manifest = manifest(&scratch, "dry");
    let flags = ["create", "--dry-run=server", "-o", "json", "-f", "-"];
    let outcome = command::kubectl_with("alice", &flags, &manifest).await?;
    let shown: Value = serde_json::from_str(&outcome.stdout)?;
    assert_eq!(shown["metadata"]["annotations"][api::names::CREATED_BY], "alice");
    assert_eq!(shown["spec"], manifest["spec"]);
    assert!(alice.get_opt("dry").await?.is_none());
    let mut named = manifest.clone();
    named["metadata"]["annotations"] = json!({api::names::CREATED_BY: "bob"});
    let outcome = command::kubectl_with("alice", &flags, &named).await?;
    anyhow::ensure!(
        outcome.code != 0 && outcome.stderr.contains("names another owner"),
        "{outcome:?}"
    );

    // The same of changes to what is stored.
    write(&["apply", "--server-side", "-f", "-"], &manifest).await?;
    let before = settled(&alice, "dry").await?;
    manifest["spec"]["displayName"] = json!("Changed");
    manifest["spec"]["image"] = json!("lab/other");
    for flags in [
        ["replace", "--dry-run=server", "-o", "json", "-f", "-"].as_slice(),
        &[
            "apply",
            "--server-side",
            "--dry-run=server",
            "-o",
            "json",
            "-f",
            "-",
        ],
    ] {
        let outcome = command::kubectl_with("alice", flags, &manifest).await?;
        anyhow::ensure!(outcome.code == 0, "{flags:?}: {outcome:?}");
        let shown: Value = serde_json::from_str(&outcome.stdout)?;
        assert_eq!(shown["spec"]["displayName"], "Changed", "{flags:?}");
        assert_eq!(
            shown["metadata"]["annotations"][api::names::CREATED_BY],
            "alice",
            "{flags:?}"
        );
        let mut wrong = manifest.clone();
        wrong["spec"]["storage"] = json!({"mountPath": "/a/../b"});
        let outcome = command::kubectl_with("alice", flags, &wrong).await?;
        anyhow::ensure!(
            outcome.code != 0 && outcome.stderr.contains("mountPath"),
            "{flags:?}: {outcome:?}"
        );
        let after = settled(&alice, "dry").await?;
        assert_eq!(after.resource_version(), before.resource_version(), "{flags:?}");
    }
    scratch.finish().await
}
