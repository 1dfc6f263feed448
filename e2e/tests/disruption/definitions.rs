//! Definitions of an older release than the operator's, without one of its fields.

use api::{Workspace, workspace::Phase};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    objects::workspace,
    test_run::finally::always,
    wait,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, ResourceExt as _,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

const DEFINITION: &str = "workspaces.workspaces.jupyter.org";
const UNDECLARED: &str = "jupyter_k8s_operator_undeclared_status_fields";

/// Runs `work` with the schema of a workspace's status after `change`. Restores the schema in any case.
async fn with_schema(
    change: impl FnOnce(&mut Value),
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let definitions = Api::<CustomResourceDefinition>::all(cluster::admin().await?);
    let before = json!(definitions.get(DEFINITION).await?.spec.versions);
    let mut versions = before.clone();
    change(&mut versions[0]["schema"]["openAPIV3Schema"]["properties"]["status"]);
    let write = async |versions: Value| {
        let patch = Patch::Merge(json!({"spec": {"versions": versions}}));
        let params = PatchParams::default();
        definitions.patch(DEFINITION, &params, &patch).await.map(drop)
    };
    write(versions).await?;
    let back = async { Ok(write(before).await?) };
    Box::pin(always(work, back)).await
}

async fn raw(workspaces: &Api<Workspace>, name: &str) -> anyhow::Result<Value> {
    let request = http::Request::get(format!("{}/{name}", workspaces.resource_url()));
    let client = workspaces.clone().into_client();
    Ok(client.request(request.body(Vec::new())?).await?)
}

/// A page of each of the operator's pods.
async fn served_at(path: &str) -> anyhow::Result<Vec<String>> {
    let admin = cluster::admin().await?;
    let namespace = &Environment::get()?.system_namespace;
    let mut reported = Vec::new();
    for pod in cluster::component_pods(admin.clone(), "operator").await? {
        let name = pod.name_any();
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}:9090/proxy/{path}");
        reported.push(
            admin
                .request_text(http::Request::get(path).body(Vec::new())?)
                .await?,
        );
    }
    Ok(reported)
}

/// Waits until one or all of the operator's pods report this number of missing fields.
async fn measured(missing: &str, by_all: bool) -> anyhow::Result<()> {
    let line = format!("{UNDECLARED} {missing}");
    wait::until(&line, wait::USUAL, || async {
        let reported = served_at("metrics").await.map_err(|error| format!("{error:#}"))?;
        let saying = reported
            .iter()
            .filter(|text| text.lines().any(|it| it == line))
            .count();
        let is_so = if by_all {
            saying == reported.len()
        } else {
            saying > 0
        };
        is_so
            .then_some(())
            .ok_or_else(|| format!("{saying} of {}", reported.len()))
    })
    .await
}

#[tokio::test]
async fn an_operator_newer_than_its_crds_works_and_reports_it() -> anyhow::Result<()> {
    let _exclusive = super::EXCLUSIVE.lock().await;
    let scratch = Scratch::new("older", &["alice"]).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let named = |name| anyhow::Ok(workspace::naming_service(workspace::echo(name)?));
    let before = Box::pin(workspace::made(&scratch, &named("runs")?)).await?;
    let take = |schema: &mut Value| {
        if let Some(fields) = schema["properties"].as_object_mut() {
            fields.remove("serviceName");
        }
    };
    let work = async {
        wait::until("the field to be gone", wait::USUAL, || async {
            let stored = raw(&alice, "runs").await.map_err(|error| format!("{error:#}"))?;
            let is_gone = stored["status"]["serviceName"].is_null();
            is_gone.then_some(()).ok_or_else(|| stored["status"].to_string())
        })
        .await?;
        alice.create(&PostParams::default(), &named("new")?).await?;
        workspace::reached(&alice, "new", Phase::Running).await?;
        workspace::stop(&alice, "runs").await?;
        let again = workspace::start(&alice, "runs").await?;
        assert_ne!(workspace::run_id(&again)?, workspace::run_id(&before)?);
        measured("1", false).await?;
        let ready = served_at("readyz").await?;
        let expected = "ready, but the definitions in the cluster are older than this operator and lack Workspace.status.serviceName";
        assert!(ready.iter().any(|text| text.starts_with(expected)), "{ready:?}");
        Ok(())
    };
    Box::pin(with_schema(take, work)).await?;
    measured("0", true).await?;
    for name in ["runs", "new"] {
        wait::until("the field to be written again", wait::USUAL, || async {
            let found = alice.get(name).await.map_err(|error| error.to_string())?;
            let status = found.status.unwrap_or_default();
            status.service_name.clone().ok_or_else(|| format!("{status:?}"))
        })
        .await?;
    }
    scratch.finish().await
}
