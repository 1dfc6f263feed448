//! The operator is killed in the middle of starts: the next one finishes them, with one of each child.

use std::time::Duration;

use api::{Workspace, names, workspace::Phase};
use e2e::{
    cluster::{self, Scratch},
    workspace,
};
use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    core::v1::{PersistentVolumeClaim, Pod, Service},
    networking::v1::NetworkPolicy,
};
use kube::{
    Api, Resource, ResourceExt,
    api::{ListParams, PostParams},
};
use serde::de::DeserializeOwned;

use super::{has_ended, kill, replaced};

/// After the create, in milliseconds: before the operator looks, between its writes, and after them.
const MOMENTS: [u64; 4] = [0, 60, 150, 400];

/// Names of the workspace's children of a kind.
async fn children<K>(scratch: &Scratch, name: &str) -> anyhow::Result<Vec<String>>
where
    K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    K: Clone + std::fmt::Debug + DeserializeOwned,
{
    let list = scratch.api::<K>().list(&of(name)).await?;
    Ok(list.items.iter().map(ResourceExt::name_any).collect())
}

fn of(name: &str) -> ListParams {
    ListParams::default().labels(&format!("{}={name}", names::WORKSPACE_LABEL))
}

/// Names of the workspace's pods that have not ended: one that its kubelet turned away lies there beside its successor.
async fn pods(scratch: &Scratch, name: &str) -> anyhow::Result<Vec<String>> {
    let list = scratch.api::<Pod>().list(&of(name)).await?;
    let live = list.items.iter().filter(|pod| !has_ended(pod));
    Ok(live.map(ResourceExt::name_any).collect())
}

#[tokio::test]
async fn an_operator_killed_in_the_middle_of_a_start_leaves_one_of_each_child() -> anyhow::Result<()> {
    let _turn = super::TURN.lock().await;
    let scratch = Scratch::new("killed", &["alice"]).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    for moment in MOMENTS {
        let name = format!("after-{moment}");
        let mut wanted = workspace::echo(&name)?;
        wanted.spec.storage = Some(api::workspace::Storage {
            size: Some(k8s_openapi::apimachinery::pkg::api::resource::Quantity(
                "100Mi".to_owned(),
            )),
            ..api::workspace::Storage::default()
        });
        alice.create(&PostParams::default(), &wanted).await?;
        tokio::time::sleep(Duration::from_millis(moment)).await;
        let killed = kill("operator").await?;
        replaced("operator", &killed).await?;
        let running = workspace::reached(&alice, &name, Phase::Running).await?;
        let made = [
            children::<PersistentVolumeClaim>(&scratch, &name).await?,
            children::<Service>(&scratch, &name).await?,
            children::<NetworkPolicy>(&scratch, &name).await?,
            children::<Deployment>(&scratch, &name).await?,
            children::<ReplicaSet>(&scratch, &name).await?,
            pods(&scratch, &name).await?,
        ];
        assert!(
            made.iter().all(|children| children.len() == 1),
            "killed after {moment} ms: {made:?}"
        );
        let run = running.status.and_then(|status| status.run_id);
        let child = rules_child(&name);
        let deployment = scratch.api::<Deployment>().get(&child).await?;
        let template = deployment
            .spec
            .unwrap_or_default()
            .template
            .metadata
            .unwrap_or_default();
        assert_eq!(
            template.labels.unwrap_or_default().get(names::RUN_ID_LABEL),
            run.as_ref()
        );
        let owner = alice.get(&name).await?.uid();
        let claim = scratch.api::<PersistentVolumeClaim>().get(&child).await?;
        assert_eq!(Some(&claim.owner_references()[0].uid), owner.as_ref());
    }
    scratch.finish().await
}

/// Name of a workspace's children.
fn rules_child(name: &str) -> String {
    format!("workspace-{name}")
}
