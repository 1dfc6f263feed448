//! Start, stop, resume, delete.

use std::{collections::BTreeSet, time::Duration};

use api::workspace::{DesiredStatus, Phase, Storage};
use e2e::{
    cluster::{self, Scratch},
    http::HttpSession,
    installation::servers,
    objects::workspace,
    wait,
};
use k8s_openapi::{
    api::{
        core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Service},
        networking::v1::NetworkPolicy,
    },
    apimachinery::pkg::api::resource::Quantity,
};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

/// The network policy that denies.
const ISOLATED: &str = "workspace--isolated";

fn of(name: &str) -> ListParams {
    ListParams::default().labels(&format!("{}={name}", api::names::WORKSPACE_LABEL))
}

/// Everything with the workspace's label, as `kind/name`.
async fn children(scratch: &Scratch, name: &str) -> anyhow::Result<BTreeSet<String>> {
    async fn list<K>(api: Api<K>, kind: &str, name: &str) -> anyhow::Result<Vec<String>>
    where
        K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
    {
        Ok(api
            .list(&of(name))
            .await?
            .iter()
            .map(|one| format!("{kind}/{}", one.name_any()))
            .collect())
    }
    let lists = [
        list::<Pod>(scratch.api(), "pod", name).await?,
        list::<Service>(scratch.api(), "service", name).await?,
        list::<PersistentVolumeClaim>(scratch.api(), "claim", name).await?,
    ];
    Ok(lists.into_iter().flatten().collect())
}

#[tokio::test]
async fn files_and_labels_of_others_survive_stop_and_start_and_nothing_survives_deletion()
-> anyhow::Result<()> {
    let scratch = Scratch::new("lifecycle", &["alice"]).await?;
    let alice: Api<api::Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let mut wanted = workspace::naming_service(workspace::echo("disk")?);
    wanted.spec.storage = Some(Storage {
        size: Some(Quantity("1Gi".into())),
        ..Storage::default()
    });
    alice.create(&PostParams::default(), &wanted).await?;
    let first = workspace::reached(&alice, "disk", Phase::Running).await?;
    let url = workspace::url(&first)?;
    let session = HttpSession::new()?;
    session.enter(&url, "alice").await?;
    let (pods, claims) = (scratch.api::<Pod>(), scratch.api::<PersistentVolumeClaim>());
    let pod = workspace::pod(&first)?;
    cluster::exec(&pods, &pod, &["sh", "-c", "echo precious > /home/jovyan/notes"]).await?;
    let claim = claims.list(&of("disk")).await?.items;
    assert_eq!(claim.len(), 1);
    let child = "workspace-disk";
    mark::<PersistentVolumeClaim>(&scratch, child).await?;
    mark::<Service>(&scratch, child).await?;

    let stopped = workspace::stop(&alice, "disk").await?;
    assert!(pods.list(&of("disk")).await?.items.is_empty());
    assert_eq!(claims.list(&of("disk")).await?.items[0].uid(), claim[0].uid());
    assert!(stopped.status.is_some_and(|status| status.endpoint.is_none()));
    // The address stays, and says what is the matter.
    wait::until("the page of the stopped workspace", wait::USUAL, || async {
        let page = session.open(&url).await.map_err(|error| format!("{error:#}"))?;
        let (status, text) = (
            page.status(),
            page.text().await.map_err(|error| error.to_string())?,
        );
        if text.to_lowercase().contains("stopped") {
            Ok(())
        } else {
            Err(format!("{status} {text}"))
        }
    })
    .await?;

    let change = json!({"desiredStatus": DesiredStatus::Running, "displayName": "again"});
    workspace::set(&alice, "disk", change).await?;
    let again = workspace::reached(&alice, "disk", Phase::Running).await?;
    assert_ne!(workspace::run_id(&again)?, workspace::run_id(&first)?);
    assert_eq!(claims.list(&of("disk")).await?.items[0].uid(), claim[0].uid());
    let pod = workspace::pod(&again)?;
    assert_eq!(
        cluster::exec(&pods, &pod, &["cat", "/home/jovyan/notes"])
            .await?
            .trim(),
        "precious"
    );
    let unmarked: Vec<_> = [
        unmarked::<PersistentVolumeClaim>(&scratch, child).await?,
        unmarked::<Service>(&scratch, child).await?,
    ]
    .into_iter()
    .flatten()
    .collect();
    assert_eq!(unmarked, Vec::<String>::new());

    assert!(!children(&scratch, "disk").await?.is_empty());
    workspace::delete(&alice, "disk").await?;
    assert_eq!(children(&scratch, "disk").await?, BTreeSet::new());
    let (one, two) = (workspace::run_id(&first)?, workspace::run_id(&again)?);
    let way = [
        ("run_started", one.as_str(), ""),
        ("stopped", &one, "requested"),
        ("run_started", &two, ""),
        ("deleted", &two, ""),
    ];
    let records = servers::wait_for_records(&first.uid().unwrap_or_default(), &way).await?;
    assert!(
        records.iter().all(|record| record["owner"] == "alice"),
        "{records:?}"
    );
    scratch.finish().await
}

#[tokio::test]
async fn manually_deleted_children_and_changed_assertion_keys_are_restored() -> anyhow::Result<()> {
    let scratch = Scratch::new("heal", &["alice"]).await?;
    let wanted = workspace::naming_service(workspace::echo("ws")?);
    let ws = Box::pin(workspace::made(&scratch, &wanted)).await?;
    let (policies, services) = (scratch.api::<NetworkPolicy>(), scratch.api::<Service>());
    let pods = scratch.api::<Pod>();
    let now = kube::api::DeleteParams::default();
    policies.delete(ISOLATED, &now).await?;
    services.delete("workspace-ws", &now).await?;
    pods.delete("workspace-ws", &now).await?;
    wait::until("every child to be back", wait::USUAL, || async {
        let error = |error: kube::Error| error.to_string();
        policies.get(ISOLATED).await.map_err(error)?;
        let service = services.get("workspace-ws").await.map_err(error)?;
        let pod = pods.get("workspace-ws").await.map_err(error)?;
        for owners in [service.owner_references(), pod.owner_references()] {
            if !owners
                .iter()
                .any(|owner| Some(&owner.uid) == ws.metadata.uid.as_ref())
            {
                return Err(format!("{owners:?}"));
            }
        }
        if pod.metadata.deletion_timestamp.is_none() && cluster::is_ready(&pod) {
            Ok(())
        } else {
            Err(format!("{:?}", pod.status))
        }
    })
    .await?;

    // What the gateway publishes reaches a namespace with workspaces at once, and pods that run as the kubelet looks at it again.
    let keys: Api<ConfigMap> = scratch.api();
    let before = keys
        .get(api::names::ASSERTION_KEYS)
        .await?
        .data
        .unwrap_or_default();
    assert!(before.contains_key(api::names::GATEWAY_KEYS) && before.contains_key(api::names::OPERATOR_KEYS));
    let forged = json!({"data": {api::names::GATEWAY_KEYS: r#"{"keys":[]}"#}});
    let params = PatchParams::default();
    keys.patch(api::names::ASSERTION_KEYS, &params, &Patch::Merge(forged))
        .await?;
    wait::until("the keys to be as they were", wait::USUAL, || async {
        let now = keys
            .get(api::names::ASSERTION_KEYS)
            .await
            .map_err(|error| error.to_string())?;
        if now.data.as_ref() == Some(&before) {
            Ok(())
        } else {
            Err(format!("{:?}", now.data))
        }
    })
    .await?;
    let workspaces: Api<api::Workspace> = scratch.api();
    workspace::delete(&workspaces, "ws").await?;
    wait::until("the keys to be gone", Duration::from_secs(30), || async {
        match keys.get_opt(api::names::ASSERTION_KEYS).await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    scratch.finish().await
}

/// Adds a label and annotations of another tool to an object.
async fn mark<K>(scratch: &Scratch, name: &str) -> anyhow::Result<()>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let foreign = json!({"metadata": {"labels": {"example.com/team": "ml"}, "annotations": {"example.com/cost": "42", "tools.k8s.io/seen": "yes"}}});
    let api = scratch.api::<K>();
    api.patch(name, &PatchParams::default(), &Patch::Merge(foreign))
        .await?;
    Ok(())
}

/// Which of them the object does not have.
async fn unmarked<K>(scratch: &Scratch, name: &str) -> anyhow::Result<Option<String>>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let object = scratch.api::<K>().get(name).await?;
    let is_unchanged = object.labels().get("example.com/team").map(String::as_str) == Some("ml")
        && object.annotations().get("example.com/cost").map(String::as_str) == Some("42")
        && object.annotations().get("tools.k8s.io/seen").map(String::as_str) == Some("yes");
    Ok((!is_unchanged).then(|| K::kind(&()).into_owned()))
}
