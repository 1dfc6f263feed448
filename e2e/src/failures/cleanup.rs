//! Name of a row -> deletion of its objects outside its namespace (IO).

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::{core::v1::Pod, storage::v1::StorageClass};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, ListParams},
};

use super::node::SilentNode;

/// Interval of the search for pods that no kubelet ends.
const POLL: Duration = Duration::from_millis(500);

/// Deletes pods on these nodes by force. Never returns.
pub(super) async fn pods(pods: &Api<Pod>, nodes: &[Arc<SilentNode>]) {
    loop {
        let all = pods.list(&ListParams::default()).await;
        for pod in all.iter().flat_map(|all| &all.items) {
            let on = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
            if nodes.iter().any(|node| Some(node.name.as_str()) == on) {
                let now = DeleteParams::default().grace_period(0);
                // The pod may already be gone. Otherwise, the next loop tries again.
                let _ = pods.delete(&pod.name_any(), &now).await;
            }
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Deletes the storage class with the row's name. Most rows have none.
pub(super) async fn rest(client: &Client, name: &str) -> anyhow::Result<()> {
    let classes = Api::<StorageClass>::all(client.clone());
    match classes.delete(name, &DeleteParams::default()).await {
        Err(kube::Error::Api(answer)) if answer.code == 404 => Ok(()),
        other => Ok(other.map(drop)?),
    }
}
