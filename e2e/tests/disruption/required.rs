//! An upgrade that begins to require templates.

use api::{
    Workspace,
    condition::{VALID, reason},
    workspace::{Phase, UpdatePolicy},
};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    command, finally, release, template, wait, workspace,
};
use kube::{Api, api::PostParams};
use serde_json::{Value, json};

const RULE: &str =
    "spec.templateRef: is missing, and this installation admits no workspace without a template";

fn manifest(scratch: &Scratch, new: &Workspace) -> Value {
    let mut manifest = json!(new);
    manifest["apiVersion"] = json!("workspaces.jupyter.org/v1alpha1");
    manifest["kind"] = json!("Workspace");
    manifest["metadata"]["namespace"] = json!(scratch.namespace);
    manifest
}

#[tokio::test]
async fn requiring_a_template_keeps_running_workspaces_and_refuses_new_ones() -> anyhow::Result<()> {
    let _exclusive = super::EXCLUSIVE.lock().await;
    let scratch = Scratch::new("required", &["alice"]).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    template::make(
        &scratch,
        &json!({"defaultImage": Environment::get()?.images.echo}),
    )
    .await?;
    let mut always = workspace::echo("always")?;
    always.spec.update_policy = UpdatePolicy::Always;
    let bounded = template::workspace(&scratch, "bounded", &json!({}))?;
    for new in [&workspace::echo("free")?, &always, &bounded] {
        alice.create(&PostParams::default(), new).await?;
    }
    let mut before = Vec::new();
    for name in ["free", "always", "bounded"] {
        before.push(workspace::reached(&alice, name, Phase::Running).await?);
    }
    let meanwhile = async {
        release::upgrade(&["settings.requireTemplate=true"]).await?;
        required(&scratch, &alice, &before).await
    };
    finally::always(Box::pin(meanwhile), release::upgrade(&[])).await?;
    workspace::reached(&alice, "free", Phase::Running).await?;
    let always = valid(&alice, "always", "True").await?;
    assert_eq!(always, reason::ALL_RULES_HOLD);
    template::finish(scratch).await
}

/// Waits until `Valid` reads so; its reason.
async fn valid(workspaces: &Api<Workspace>, name: &str, wanted: &str) -> anyhow::Result<String> {
    wait::until(&format!("{name} to be judged anew"), wait::USUAL, || async {
        let found = workspaces.get(name).await.map_err(|error| error.to_string())?;
        match workspace::condition(&found, VALID) {
            Some((status, why, _)) if status == wanted => Ok(why),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

async fn required(scratch: &Scratch, alice: &Api<Workspace>, before: &[Workspace]) -> anyhow::Result<()> {
    for (name, before) in ["free", "always", "bounded"].into_iter().zip(before) {
        let (holds, why) = if name == "bounded" {
            ("True", reason::ALL_RULES_HOLD)
        } else {
            ("False", reason::RULES_VIOLATED)
        };
        assert_eq!(valid(alice, name, holds).await?, why, "{name}");
        let now = workspace::reached(alice, name, Phase::Running).await?;
        assert_eq!(workspace::run_id(&now)?, workspace::run_id(before)?, "{name}");
        assert_eq!(workspace::pod(&now)?, workspace::pod(before)?, "{name}");
        assert_eq!(workspace::url(&now)?, workspace::url(before)?, "{name}");
        let message = workspace::condition(&now, VALID).unwrap_or_default().2;
        assert_eq!(message.contains(RULE), name != "bounded", "{message}");
    }
    // Nobody begins without one, in words that say what to do.
    let create = ["create", "-f", "-"];
    let refused =
        command::kubectl_with("alice", &create, &manifest(scratch, &workspace::echo("new")?)).await?;
    anyhow::ensure!(
        refused.code != 0
            && refused.stderr.contains(RULE)
            && refused.stderr.contains("kubectl get workspacetemplates"),
        "{refused:?}"
    );
    let new = template::workspace(scratch, "new", &json!({}))?;
    let made = command::kubectl_with("alice", &create, &manifest(scratch, &new)).await?;
    anyhow::ensure!(made.code == 0, "{made:?}");
    workspace::reached(alice, "new", Phase::Running).await?;
    // What is there is changed, with a warning, and stopped; it does not start again, and says so.
    let mut renamed = manifest(scratch, &workspace::echo("free")?);
    renamed["spec"]["displayName"] = json!("Renamed");
    let apply = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    let changed = command::kubectl_with("alice", &apply, &renamed).await?;
    anyhow::ensure!(
        changed.code == 0 && changed.stderr.contains(&format!("Warning: {RULE}")),
        "{changed:?}"
    );
    workspace::stop(alice, "free").await?;
    workspace::set(alice, "free", json!({"desiredStatus": "Running"})).await?;
    let free = workspace::reached(alice, "free", Phase::Invalid).await?;
    let status = free.status.unwrap_or_default();
    anyhow::ensure!(
        status
            .message
            .as_ref()
            .is_some_and(|message| message.contains(RULE)),
        "{status:?}"
    );
    Ok(())
}
