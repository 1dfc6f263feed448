//! Servers of the product -> their metrics and audit records (IO).

use std::collections::BTreeMap;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt as _, api::LogParams};
use serde_json::Value;

use crate::{Environment, cluster, wait};

/// Maximum age of log lines, in seconds. Older lines are not read.
const MAX_AGE: i64 = 15 * 60;

/// `/metrics` of each pod of a component, by the pod's name.
///
/// # Errors
/// A pod does not answer.
pub async fn metrics(component: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let (admin, namespace) = (cluster::admin().await?, &Environment::get()?.system_namespace);
    let mut by_pod = BTreeMap::new();
    for pod in cluster::component_pods(admin.clone(), component).await? {
        let name = pod.name_any();
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}:9090/proxy/metrics");
        let request = http::Request::get(path).body(Vec::new())?;
        let text = admin.request_text(request).await.with_context(|| name.clone())?;
        by_pod.insert(name, text);
    }
    Ok(by_pod)
}

/// Recent audit records of a component's pods about the workspace with this UID, as they were written.
///
/// # Errors
/// A log cannot be read.
pub async fn records(component: &str, uid: &str) -> anyhow::Result<Vec<Value>> {
    let (admin, namespace) = (cluster::admin().await?, &Environment::get()?.system_namespace);
    let pods = Api::<Pod>::namespaced(admin.clone(), namespace);
    let recent = LogParams {
        since_seconds: Some(MAX_AGE),
        ..LogParams::default()
    };
    let mut records = Vec::new();
    for pod in cluster::component_pods(admin, component).await? {
        let text = pods.logs(&pod.name_any(), &recent).await?;
        let lines = text.lines().filter(|line| line.starts_with("{\"log\":\"audit\""));
        let all = lines
            .map(serde_json::from_str)
            .collect::<Result<Vec<Value>, _>>()?;
        records.extend(all.into_iter().filter(|record| record["uid"] == uid));
    }
    records.sort_by_key(|record| record["time"].as_str().unwrap_or_default().to_owned());
    Ok(records)
}

/// Waits until the operator has written exactly these records about the workspace: event, run, and rule or reason.
///
/// # Errors
/// It writes others.
pub async fn wait_for_records(uid: &str, expected: &[(&str, &str, &str)]) -> anyhow::Result<Vec<Value>> {
    wait::until("the operator's audit records", wait::USUAL, || async {
        let records = records("operator", uid)
            .await
            .map_err(|error| format!("{error:#}"))?;
        let text = |record: &Value, field: &str| record[field].as_str().unwrap_or_default().to_owned();
        let actual = records.iter().map(|record| {
            let why = text(record, "rule") + &text(record, "reason");
            (text(record, "event"), text(record, "runID"), why)
        });
        let expected = expected
            .iter()
            .map(|(event, run, why)| ((*event).to_owned(), (*run).to_owned(), (*why).to_owned()));
        if actual.eq(expected) {
            Ok(records)
        } else {
            Err(format!("{records:?}"))
        }
    })
    .await
}
