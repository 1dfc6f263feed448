//! Children that another client also writes.

use std::time::Duration;

use api::{
    condition::{DEGRADED, reason},
    workspace::Phase,
};
use http::Method;
use k8s_openapi::api::{core::v1::Pod, core::v1::Service, networking::v1::NetworkPolicy};
use kube::Resource;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use testkit::objects::NAMESPACE;

use crate::stage::{CHILD, POLICIES, Stage};

/// Another client changes a child whenever it is corrected, for so many seconds. Returns how often the operator wrote it.
async fn contest<K>(stage: &mut Stage, seconds: u32, change: fn(&mut Value)) -> usize
where
    K: Resource<DynamicType = ()> + DeserializeOwned,
{
    let kind = K::plural(&()).into_owned();
    let name = if kind == "networkpolicies" {
        POLICIES[1]
    } else {
        CHILD
    };
    stage.server.take_calls();
    for _ in 0..seconds * 5 {
        stage.server.edit::<K>(Some(NAMESPACE), name, |child| {
            change(child);
            child["metadata"]["managedFields"] =
                json!([{"manager": "rival", "time": "2026-01-01T00:00:00Z"}]);
        });
        let _ = stage.reconcile().await;
        tokio::time::advance(Duration::from_millis(200)).await;
    }
    let calls = stage.server.take_calls();
    let writes = calls
        .iter()
        .filter(|call| call.method == Method::PATCH && call.path.contains(&format!("{kind}/")));
    writes.count()
}

fn degraded(stage: &Stage) -> Option<(String, String)> {
    let found = stage.condition(DEGRADED);
    (found.status == "True").then_some((found.reason, found.message))
}

async fn is_braked<K>(change: fn(&mut Value))
where
    K: Resource<DynamicType = ()> + DeserializeOwned,
{
    let mut stage = Stage::with_service();
    stage.run().await;
    stage.sync();
    let kind = K::kind(&());
    let writes = contest::<K>(&mut stage, 60, change).await;
    assert!((3..10).contains(&writes), "{kind}: {writes} writes in a minute");
    let (why, message) = degraded(&stage).unwrap();
    assert_eq!(why, reason::CHILD_CONTESTED, "{kind}");
    assert!(
        message.contains(&*kind) && message.contains("\"rival\""),
        "{message}"
    );
    assert_eq!(stage.status().phase, Some(Phase::Running), "{kind}");
    // The other one gives up.
    for _ in 0..3 {
        tokio::time::advance(Duration::from_mins(1)).await;
        stage.reconcile().await.unwrap();
    }
    assert_eq!(degraded(&stage), None, "{kind}");
}

#[tokio::test(start_paused = true)]
async fn a_contested_child_costs_a_few_writes_a_minute_and_the_status_names_the_other_manager() {
    is_braked::<Service>(|child| child["spec"]["selector"]["app"] = json!("other")).await;
    is_braked::<NetworkPolicy>(|child| child["spec"]["ingress"] = json!([{}])).await;
    is_braked::<Pod>(|child| {
        child["metadata"]["labels"]["app.kubernetes.io/component"] = json!("other");
    })
    .await;
}
