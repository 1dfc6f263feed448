//! A broken rule -> the same message from webhook, status and command line.

use api::{
    Workspace,
    condition::{VALID, reason},
};
use e2e::{
    Environment,
    cluster::Scratch,
    command::kubectl,
    objects::{template, workspace},
    wait,
};
use kube::{Api, api::PostParams};
use serde_json::{Value, json};

use crate::rules::alice;

/// The API server's prefix of the webhook's message.
const BEFORE: &str = "denied the request: ";
/// The command line's prefix of its lines.
const REFUSED: &str = "the workspace is refused:";

/// A name, what the workspace says, the flags that say the same (if there are), and the fields that are out of bounds.
fn cases() -> Vec<(
    &'static str,
    Value,
    &'static [&'static str],
    &'static [&'static str],
)> {
    let amounts = json!({"cpu": "3", "memory": "64Mi"});
    let much = json!({"requests": amounts, "limits": amounts});
    vec![
        (
            "image",
            json!({"image": "example.org/theirs:1"}),
            &["--image", "example.org/theirs:1"],
            &["spec.image"],
        ),
        (
            "several",
            json!({"image": "example.org/theirs:1", "resources": much, "storage": {"size": "5Gi"}}),
            &[
                "--image",
                "example.org/theirs:1",
                "--cpu",
                "3",
                "--memory",
                "64Mi",
                "--storage",
                "5Gi",
            ],
            &["spec.image", "spec.resources", "spec.storage.size"],
        ),
        (
            "idle",
            json!({"idleShutdown": {"enabled": true, "idleTimeoutInMinutes": 5}}),
            &[],
            &["spec.idleShutdown"],
        ),
    ]
}

fn refusal(result: kube::Result<Workspace>) -> anyhow::Result<String> {
    match result {
        Err(kube::Error::Api(status)) => {
            let text = status.message.split_once(BEFORE);
            let (_, text) = text.ok_or_else(|| anyhow::anyhow!("not the webhook's: {status:?}"))?;
            Ok(text.to_owned())
        }
        other => anyhow::bail!("expected a refusal, got {other:?}"),
    }
}

/// What the status of a stored workspace says is wrong.
async fn status_message(workspaces: &Api<Workspace>, name: &str) -> anyhow::Result<String> {
    wait::until(&format!("{name} to be called wrong"), wait::USUAL, || async {
        let now = workspaces.get(name).await.map_err(|error| error.to_string())?;
        match workspace::condition(&now, VALID) {
            Some((status, why, status_message)) if status == "False" && why == reason::RULES_VIOLATED => {
                Ok(status_message)
            }
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

/// The command line's output as one message: a line per rule, without the flag that it names after the field.
async fn printed(scratch: &Scratch, name: &str, flags: &[&str]) -> anyhow::Result<String> {
    let namespace = scratch.namespace.as_str();
    let command = [
        "create",
        "workspace",
        name,
        "-n",
        namespace,
        "--template",
        namespace,
    ];
    let outcome = kubectl("alice", &[command.as_slice(), flags].concat()).await?;
    anyhow::ensure!(
        outcome.code == 1 && outcome.stderr.contains(REFUSED),
        "{outcome:?}"
    );
    let lines = outcome.stderr.lines().filter_map(|line| line.strip_prefix("* "));
    let lines: Vec<_> = lines
        .map(|line| match (line.find(" (--"), line.find("): ")) {
            (Some(begin), Some(end)) => format!("{}{}", &line[..begin], &line[end + 1..]),
            _ => line.to_owned(),
        })
        .collect();
    Ok(lines.join("; "))
}

#[tokio::test]
async fn webhook_status_and_command_line_have_equal_messages() -> anyhow::Result<()> {
    let scratch = Scratch::new("messages", &["alice"]).await?;
    let image = &Environment::get()?.images.echo;
    let workspaces = alice(&scratch).await?;
    // Before a template exists, the values are not wrong.
    for (name, mut spec, ..) in cases() {
        spec["desiredStatus"] = json!("Stopped");
        let stored = template::workspace(&scratch, name, &spec)?;
        workspaces.create(&PostParams::default(), &stored).await?;
    }
    let small =
        json!({"requests": {"cpu": "100m", "memory": "32Mi"}, "limits": {"cpu": "200m", "memory": "64Mi"}});
    let narrow = json!({
        "defaultImage": image,
        "allowCustomImages": false,
        "allowedImages": [image],
        "defaultResources": small,
        "resourceBounds": {"cpu": {"max": "1"}, "memory": {"max": "1Gi"}},
        "primaryStorage": {"defaultSize": "1Gi", "maxSize": "2Gi"},
        "defaultIdleShutdown": {"enabled": false},
        "idleShutdownOverrides": {"allow": false},
    });
    template::make(&scratch, &narrow).await?;
    for (name, spec, flags, fields) in cases() {
        let in_status = status_message(&workspaces, name).await?;
        let again = template::workspace(&scratch, &format!("{name}-again"), &spec)?;
        let by_webhook = refusal(workspaces.create(&PostParams::default(), &again).await)?;
        assert_eq!(by_webhook, in_status, "{name}");
        for field in fields {
            assert!(in_status.contains(field), "{field}: {in_status}");
        }
        if !flags.is_empty() {
            let by_command = printed(&scratch, &format!("{name}-again"), flags).await?;
            assert_eq!(by_command, in_status, "{name}");
        }
    }
    template::finish(scratch).await
}
