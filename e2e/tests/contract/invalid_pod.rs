//! What makes no valid pod -> the status says it.

use e2e::{cluster::Scratch, objects::workspace, wait};
use kube::api::PostParams;
use serde_json::json;

use crate::rules::alice;

/// The webhook takes what makes no valid pod, and the API server refuses the pod.
#[tokio::test]
async fn an_invalid_pod_is_said_in_the_status() -> anyhow::Result<()> {
    let scratch = Scratch::new("invalid-pod", &["alice"]).await?;
    let workspaces = alice(&scratch).await?;
    let mut invalid = workspace::echo("invalid")?;
    invalid.spec.tolerations = serde_json::from_value(json!([{"key": "a", "operator": "Is"}]))?;
    let term = json!({"matchExpressions": [{"key": "a", "operator": "Near", "values": ["b"]}]});
    let affinity = json!({"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}});
    invalid.spec.affinity = serde_json::from_value(json!({"nodeAffinity": affinity}))?;
    invalid.spec.readiness_probe = serde_json::from_value(json!({"tcpSocket": {"port": 0}}))?;
    invalid.spec.pod_security_context = serde_json::from_value(json!({"fsGroup": -1}))?;
    workspaces.create(&PostParams::default(), &invalid).await?;
    wait::until("the pod to be refused", wait::USUAL, || async {
        let now = workspaces
            .get("invalid")
            .await
            .map_err(|error| error.to_string())?;
        let message = now.status.and_then(|status| status.message).unwrap_or_default();
        let fields = [
            "tolerations[0].operator",
            "matchExpressions[0].operator",
            "readinessProbe.tcpSocket.port",
            "fsGroup",
        ];
        if fields.iter().all(|field| message.contains(field)) {
            Ok(())
        } else {
            Err(message)
        }
    })
    .await?;
    workspace::delete(&workspaces, "invalid").await?;
    scratch.finish().await
}
