//! The audit log names who acts by the portal, and strangers see nothing.

use api::Workspace;
use api::workspace::Phase;
use e2e::audit::{self, Log};
use e2e::cluster::{self, Scratch};
use e2e::{wait, workspace};
use kube::{Api, ResourceExt as _};
use serde_json::Value;

use e2e::portal::Portal;

fn uid(workspace: &Workspace) -> String {
    workspace.uid().unwrap_or_default()
}

fn code(change: &Value) -> u64 {
    change["responseStatus"]["code"].as_u64().unwrap_or_default()
}

#[tokio::test]
async fn the_api_server_names_the_user_and_the_portal_in_every_change() -> anyhow::Result<()> {
    let scratch = Scratch::new("portal-audit", &["alice"]).await?;
    let stopped = workspace::stopped(&scratch, "alice", "ws").await?;
    let portal = Portal::enter("alice").await?;
    let mut log = Log::open()?;
    let at = format!("/w/{}/ws", scratch.namespace);
    let uid = uid(&stopped);
    portal.knows(&at).await?;
    for action in ["start", "restart", "stop"] {
        let answer = portal.post(&format!("{at}/{action}"), &[("uid", &uid)]).await?;
        assert_eq!(answer.status(), 303, "{action}: {}", answer.text().await?);
    }
    let account = audit::user_of("portal")?;
    let changes: Vec<Value> = wait::until("the changes in the audit log", wait::USUAL, || {
        let events = log.events(|line| line.contains(&scratch.namespace) && line.contains("\"patch\""));
        let found: anyhow::Result<Vec<Value>> = events.map(|events| {
            let by_portal = |event: &Value| event["user"]["username"] == account.as_str();
            events.into_iter().filter(by_portal).collect()
        });
        std::future::ready(match found {
            Ok(found) if found.iter().filter(|change| code(change) == 200).count() >= 3 => Ok(found),
            other => Err(format!("{other:?}")),
        })
    })
    .await?;
    for change in changes {
        assert_eq!(change["impersonatedUser"]["username"], "alice", "{change}");
        assert_eq!(
            change["authenticationMetadata"]["impersonationConstraint"], "impersonate:user-info",
            "{change}"
        );
        // After a conflict with the operator the portal tries again.
        assert!([200, 409].contains(&code(&change)), "{change}");
    }
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    workspace::reached(&alice, "ws", Phase::Stopped).await?;
    scratch.finish().await
}

#[tokio::test]
async fn strangers_cannot_tell_a_workspace_from_none() -> anyhow::Result<()> {
    let scratch = Scratch::new("portal-stranger", &["alice"]).await?;
    workspace::stopped(&scratch, "alice", "ws").await?;
    let alice = Portal::enter("alice").await?;
    alice.knows(&format!("/w/{}/ws", scratch.namespace)).await?;
    let bob = Portal::enter("bob").await?;
    let mut answers = Vec::new();
    for name in ["ws", "none"] {
        let answer = bob.json(&format!("/w/{}/{name}", scratch.namespace)).await?;
        let mut answer = answer;
        answer["layout"]["request"] = Value::Null;
        answers.push(answer);
    }
    assert_eq!(answers[0], answers[1]);
    let list = bob.json("/").await?.to_string();
    assert!(!list.contains(&scratch.namespace), "{list}");
    scratch.finish().await
}
