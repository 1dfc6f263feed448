//! The network policy of a pod that ignores SIGTERM.

use api::{Workspace, workspace::Phase};
use e2e::{
    Environment,
    cluster::{
        self, Scratch, connects,
        node_network::{self, NodeNetwork},
    },
    command,
    objects::workspace,
    wait,
};
use k8s_openapi::api::{core::v1::Pod, networking::v1::NetworkPolicy};
use kube::{Api, api::PostParams};
use serde_json::json;

/// A server that ignores SIGTERM: only the kubelet's kill ends it, after the grace period of 30 s.
const STUBBORN: &str = "
import http.server, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
http.server.ThreadingHTTPServer(('', 8888), http.server.SimpleHTTPRequestHandler).serve_forever()
";
/// Minimum number of connection attempts while the pod was ending.
const ATTEMPTS: usize = 3;

#[tokio::test]
async fn a_terminating_pod_has_no_egress_during_foreground_deletion() -> anyhow::Result<()> {
    let scratch = Scratch::new("endings", &["alice"]).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let (pods, policies) = (scratch.api::<Pod>(), scratch.api::<NetworkPolicy>());
    let image = &Environment::get()?.images.echo;
    let address = |pod: Pod| pod.status.and_then(|status| status.pod_ip).unwrap_or_default();
    let other_workspace = address(cluster::run_pod(&pods, "other", image).await?);
    let other_user = address(cluster::run_pod(&pods, "stranger", image).await?);
    let mut wanted = json!(workspace::echo("ws")?);
    wanted["spec"]["containerConfig"] = json!({"command": ["python3", "-c", STUBBORN]});
    alice
        .create(&PostParams::default(), &serde_json::from_value(wanted)?)
        .await?;
    let ws = workspace::reached(&alice, "ws", Phase::Running).await?;
    let pod = workspace::pod(&ws)?;
    let link_local = node_network::link_local_address();
    let servers = NodeNetwork::start(&[format!("{link_local}:{}", node_network::PORT)]).await?;
    let out = [
        (other_workspace.as_str(), 8888),
        ("kubernetes.default.svc", 443),
        (link_local.as_str(), node_network::PORT),
    ];
    // The controls: without a policy all of these are reached.
    for (to, port) in [(other_user.as_str(), 8888), out[1], out[2]] {
        assert!(connects(&pods, "other", to, port).await?, "{to}");
    }
    for (to, port) in out {
        assert!(!connects(&pods, &pod, to, port).await?, "{to}");
    }

    let delete = [
        "delete",
        "workspace",
        "ws",
        "--cascade=foreground",
        "--wait=false",
        "-n",
        &scratch.namespace,
    ];
    let outcome = command::kubectl("alice", &delete).await?;
    anyhow::ensure!(outcome.code == 0, "{outcome:?}");
    let is_ending = || async {
        let pod = pods.get_opt(&pod).await?;
        Ok::<_, kube::Error>(pod.map(|pod| pod.metadata.deletion_timestamp.is_some()))
    };
    wait::until("the pod to receive SIGTERM", wait::USUAL, || async {
        match is_ending().await {
            Ok(Some(true)) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    let mut refused = 0;
    loop {
        let policy = policies.get_opt("workspace-ws").await?;
        let mut got_out = Vec::new();
        for (to, port) in out {
            // Its container may end meanwhile.
            if let Ok(true) = connects(&pods, &pod, to, port).await {
                got_out.push(to);
            }
        }
        anyhow::ensure!(got_out.is_empty(), "the ending pod reached {got_out:?}");
        if is_ending().await?.is_none() {
            break;
        }
        anyhow::ensure!(policy.is_some(), "the policy went before the pod");
        refused += 1;
    }
    anyhow::ensure!(refused >= ATTEMPTS, "it ended after {refused} attempts");
    wait::until("workspace and policy to be gone", wait::USUAL, || async {
        let workspace = alice.get_opt("ws").await.map_err(|error| error.to_string())?;
        let policy = policies
            .get_opt("workspace-ws")
            .await
            .map_err(|error| error.to_string())?;
        match (workspace, policy) {
            (None, None) => Ok(()),
            left => Err(format!("{left:?}")),
        }
    })
    .await?;
    servers.finish().await?;
    scratch.finish().await
}
