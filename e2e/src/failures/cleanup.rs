//! Name of a row -> deletion of its objects outside its namespace (IO).

use std::{fmt::Debug, sync::Arc, time::Duration};

use api::WorkspaceTemplate;
use k8s_openapi::{
    ClusterResourceScope,
    api::{
        admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
        core::v1::{PersistentVolume, Pod},
        node::v1::RuntimeClass,
        scheduling::v1::PriorityClass,
        storage::v1::StorageClass,
    },
};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{DeleteParams, ListParams},
};
use serde::de::DeserializeOwned;

use super::node::SilentNode;
use crate::cluster::cleanup::{done, remove_mutating_policies};

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

/// Deletes the cluster-scoped objects with the row's name. Most rows have none.
pub(super) async fn rest(client: &Client, name: &str) -> anyhow::Result<()> {
    delete::<ValidatingAdmissionPolicyBinding>(client, name).await?;
    delete::<ValidatingAdmissionPolicy>(client, name).await?;
    remove_mutating_policies(client, &[name.to_owned()]).await?;
    delete::<StorageClass>(client, name).await?;
    delete::<PriorityClass>(client, name).await?;
    delete::<RuntimeClass>(client, name).await?;
    delete::<PersistentVolume>(client, name).await?;
    delete::<WorkspaceTemplate>(client, name).await
}

async fn delete<K>(client: &Client, name: &str) -> anyhow::Result<()>
where
    K: Resource<DynamicType = (), Scope = ClusterResourceScope>,
    K: Clone + Debug + DeserializeOwned,
{
    let objects = Api::<K>::all(client.clone());
    done(objects.delete(name, &DeleteParams::default()).await.map(drop))
}
