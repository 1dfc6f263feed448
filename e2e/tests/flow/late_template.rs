//! A template that is created after its workspace gives no access that the author lacks.

use api::{
    Workspace,
    condition::{VALID, reason},
    workspace::Phase,
};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    objects::{template, workspace},
    wait,
};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

/// What the Secret holds.
const SESAME: &str = "open-sesame";

fn refusal(result: kube::Result<Workspace>) -> anyhow::Result<String> {
    match result {
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(status.message),
        other => anyhow::bail!("expected a refusal, got {other:?}"),
    }
}

/// Nothing runs in the namespace, and nothing is about to.
async fn nothing_runs(scratch: &Scratch) -> anyhow::Result<()> {
    let all = ListParams::default();
    let pods = scratch.api::<Pod>().list(&all).await?.items.len();
    anyhow::ensure!(pods == 0, "{pods} pods");
    Ok(())
}

#[tokio::test]
async fn a_template_created_later_does_not_expose_unchecked_secrets() -> anyhow::Result<()> {
    let scratch = Scratch::new("late", &["alice"]).await?;
    let secret: Secret =
        serde_json::from_value(json!({"metadata": {"name": "theirs"}, "stringData": {"key": SESAME}}))?;
    scratch.api().create(&PostParams::default(), &secret).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let chosen = json!({"variables": {"secret": "theirs"}});
    let early = template::workspace(&scratch, "early", &chosen)?;
    alice.create(&PostParams::default(), &early).await?;
    let waiting = workspace::reached(&alice, "early", Phase::Invalid).await?;
    let (_, why, _) = workspace::condition(&waiting, VALID).unwrap_or_default();
    assert_eq!(why, reason::TEMPLATE_NOT_FOUND);

    // At once: within the second that the API server records of both, where the machine is quick.
    let reads = json!([{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "{secret}", "key": "key"}}}]);
    let rest = json!({"defaultImage": Environment::get()?.images.echo, "environmentVariables": reads});
    template::make(&scratch, &rest).await?;
    let reported = wait::until("the template to be refused", wait::USUAL, || async {
        let now = alice.get("early").await.map_err(|error| error.to_string())?;
        match workspace::condition(&now, VALID) {
            Some((status, why, reported)) if status == "False" && why == reason::RULES_VIOLATED => {
                Ok(reported)
            }
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    for words in [
        "spec.templateRef",
        "nothing records that it existed when the workspace was created",
        "create it anew",
    ] {
        assert!(reported.contains(words), "{words}: {reported}");
    }
    nothing_runs(&scratch).await?;

    // No later write and no new workspace gives access to it: the webhook now checks the user's rights.
    let again = Patch::Merge(json!({"spec": {"displayName": "again"}}));
    let reported = refusal(alice.patch("early", &PatchParams::default(), &again).await)?;
    assert!(
        reported.contains("needs a permission that you lack"),
        "{reported}"
    );
    nothing_runs(&scratch).await?;
    let late = template::workspace(&scratch, "late", &chosen)?;
    let reported = refusal(alice.create(&PostParams::default(), &late).await)?;
    assert!(
        reported.contains("needs a permission that you lack"),
        "{reported}"
    );

    // The control: a user who may read it gets access after creating the workspace again, as the message says.
    let rules: Value =
        json!([{"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["theirs"], "verbs": ["get"]}]);
    scratch.grant("theirs", "alice", &rules).await?;
    workspace::delete(&alice, "early").await?;
    // A refusal is cached only briefly.
    wait::until("the right to be seen", wait::USUAL, || async {
        let made = alice.create(&PostParams::default(), &early).await;
        made.map(drop).map_err(|error| error.to_string())
    })
    .await?;
    let running = workspace::reached(&alice, "early", Phase::Running).await?;
    let pod = workspace::pod(&running)?;
    let seen = cluster::exec(&scratch.api(), &pod, &["sh", "-c", "echo $KEY"]).await?;
    assert_eq!(seen.trim(), SESAME);
    template::finish(scratch).await
}
