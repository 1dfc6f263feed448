//! Users without access see nothing of a workspace.

use e2e::cluster::Scratch;
use e2e::objects::workspace;
use serde_json::Value;

use e2e::portal::Portal;

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
