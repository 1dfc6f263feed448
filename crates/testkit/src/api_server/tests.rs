//! Requests to an in-memory API server -> its answers (tests).

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams, Patch, PatchParams};

use super::*;

fn config_map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "team", "labels": {"example.com/app": name}}, "data": {"a": "1"},
    }))
    .unwrap()
}

#[tokio::test]
async fn a_client_reads_lists_and_applies_and_every_call_is_recorded() {
    let (server, client) = ApiServer::start();
    server.put(&config_map("one"));
    server.put(&config_map("two"));
    let maps: Api<ConfigMap> = Api::namespaced(client, "team");
    assert!(maps.get_opt("none").await.unwrap().is_none());
    assert_eq!(maps.get("one").await.unwrap().data.unwrap()["a"], "1");
    let found = maps
        .list(&ListParams::default().labels("example.com/app=two"))
        .await
        .unwrap();
    assert_eq!(found.items.len(), 1);
    let params = PatchParams::apply("tester").force();
    let intent =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}, "data": {"a": "2"}});
    maps.patch("one", &params, &Patch::Apply(&intent)).await.unwrap();
    let stored: ConfigMap = server.get(Some("team"), "one").unwrap();
    assert_eq!(stored.data.unwrap()["a"], "2");
    let calls = server.take_calls();
    assert_eq!(calls.len(), 4);
    assert_eq!(calls.iter().filter(|call| call.is_write()).count(), 1);
    assert_eq!(calls.last().and_then(Call::manager), Some("tester"));
}

#[tokio::test]
async fn a_fault_applies_as_often_as_it_says() {
    let (server, client) = ApiServer::start();
    server.put(&config_map("one"));
    server.fail(Fault {
        method: Method::GET,
        path_part: "configmaps",
        code: 500,
        reason: "InternalError",
        message: "etcd is away".to_owned(),
        times: 1,
    });
    let maps: Api<ConfigMap> = Api::namespaced(client, "team");
    let error = maps.get("one").await.unwrap_err();
    assert!(matches!(error, kube::Error::Api(status) if status.code == 500));
    maps.get("one").await.unwrap();
}

#[tokio::test]
async fn a_watch_resumes_from_a_version_until_its_history_is_discarded() {
    use futures::{StreamExt as _, TryStreamExt as _};
    use kube::api::{WatchEvent, WatchParams};

    let (server, client) = ApiServer::start();
    server.put(&config_map("one"));
    let maps: Api<ConfigMap> = Api::all(client);
    let params = WatchParams::default().labels("example.com/app");
    let mut events = maps.watch(&params, "0").await.unwrap().boxed();
    server.put(&config_map("two"));
    server.edit::<ConfigMap>(Some("team"), "one", |object| {
        object["metadata"]["labels"] = json!({});
    });
    let mut listed = Vec::new();
    for _ in 0..3 {
        listed.push(match events.try_next().await.unwrap().unwrap() {
            WatchEvent::Added(map) => format!("added {}", map.metadata.name.unwrap()),
            WatchEvent::Deleted(map) => format!("deleted {}", map.metadata.name.unwrap()),
            other => format!("{other:?}"),
        });
    }
    assert_eq!(listed, ["added one", "added two", "deleted one"]);
    server.forget_history();
    assert!(events.next().await.is_none(), "the watch ends");
    let mut again = maps.watch(&params, "2").await.unwrap().boxed();
    let expired = again.try_next().await.unwrap().unwrap();
    assert!(matches!(expired, WatchEvent::Error(status) if status.code == 410));
}

#[tokio::test]
async fn pages_show_the_objects_as_they_were_at_the_first_page() {
    let (server, client) = ApiServer::start();
    for name in ["a", "b", "c"] {
        server.put(&config_map(name));
    }
    let maps: Api<ConfigMap> = Api::namespaced(client, "team");
    let params = ListParams::default().limit(2);
    let first = maps.list(&params).await.unwrap();
    assert_eq!(first.items.len(), 2);
    server.remove::<ConfigMap>(Some("team"), "c");
    server.put(&config_map("d"));
    let next = params.continue_token(&first.metadata.continue_.unwrap());
    let second = maps.list(&next).await.unwrap();
    assert_eq!(second.items[0].metadata.name.as_deref(), Some("c"));
    assert_eq!((second.items.len(), second.metadata.continue_), (1, None));
    assert_eq!(second.metadata.resource_version, first.metadata.resource_version);
    let error = maps.list(&next).await.unwrap_err();
    assert!(matches!(error, kube::Error::Api(status) if status.code == 410));
}
