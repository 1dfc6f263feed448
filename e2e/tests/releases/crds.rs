//! An upgrade whose Job cannot write a CRD names it, changes nothing, and can be repeated.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use api::names::CRD_VERSION;
use e2e::{
    Environment,
    cluster::{self, Scratch},
    command::{
        administered,
        shell::{Helm, Shell},
    },
    installation::release,
    objects::write_block::WriteBlock,
    test_run::finally::always,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

/// The CRD that cannot be written.
const BLOCKED: &str = "workspaceshares.workspaces.jupyter.org";
/// Another one that the Job would write.
const OLDER: &str = "workspaceexecutionprofiles.workspaces.jupyter.org";
/// A version before every release.
const EARLIER: &str = "0.0.1";
/// A changed value, which would be in a Deployment.
const CHANGE: &str = "settings.unschedulableGraceSeconds=11";
/// Kinds of the release's objects that only Helm writes.
const KINDS: &str = "deployments,services,serviceaccounts,networkpolicies,poddisruptionbudgets,roles,rolebindings,clusterroles,\
                     clusterrolebindings,validatingadmissionpolicies,workspacemanagers,workspacetemplates";
/// Parts of an object that say what it is.
const PARTS: [&str; 4] = ["spec", "rules", "roleRef", "subjects"];

#[tokio::test]
async fn an_upgrade_whose_job_cannot_write_a_crd_names_it_and_leaves_the_release_as_it_was()
-> anyhow::Result<()> {
    let scratch = Scratch::new("crds", &[]).await?;
    let crds = Api::<CustomResourceDefinition>::all(cluster::admin().await?);
    let ours = crds.get(BLOCKED).await?.annotations()[CRD_VERSION].clone();
    let work = async {
        for name in [BLOCKED, OLDER] {
            let earlier = json!({"metadata": {"annotations": {CRD_VERSION: EARLIER}}});
            crds.patch(name, &PatchParams::default(), &Patch::Merge(earlier))
                .await?;
        }
        let of = ("apiextensions.k8s.io", "v1", "customresourcedefinitions");
        let block = WriteBlock::of_object(&scratch, of.0, of.1, of.2, BLOCKED).await?;
        always(Box::pin(changes_nothing(&crds)), block.end()).await
    };
    // The way on is the same upgrade once more.
    Box::pin(always(work, release::upgrade(&[]))).await?;
    for name in [BLOCKED, OLDER] {
        let version = crds.get(name).await?.annotations()[CRD_VERSION].clone();
        ensure!(version == ours, "{name} has version {version}");
    }
    scratch.finish().await
}

async fn changes_nothing(crds: &Api<CustomResourceDefinition>) -> anyhow::Result<()> {
    let (objects, definitions) = (objects().await?, versions(crds).await?);
    ensure!(objects.len() > 30, "{:?}", objects.keys());
    let deployed = revision("deployed").await?;

    let refused = release::upgrade(&[CHANGE]).await;
    let error = refused.err().context("the upgrade succeeds")?.to_string();
    ensure!(error.contains("BackoffLimitExceeded"), "{error}");
    let environment = Environment::get()?;
    let job = format!("job/{}-crds", environment.release);
    let log = administered(&["logs", "-n", &environment.system_namespace, &job], "").await?;
    ensure!(log.contains(BLOCKED), "{log}");
    is_as_before(&objects).await?;
    ensure!(versions(crds).await? == definitions, "a CRD was written");
    ensure!(
        revision("deployed").await? == deployed,
        "another revision is deployed"
    );
    ensure!(
        revision("failed").await? > deployed,
        "the upgrade has no revision"
    );

    // Who does not want to repeat it takes it back.
    release::roll_back().await?;
    is_as_before(&objects).await?;
    ensure!(versions(crds).await? == definitions, "a CRD was written");
    Ok(())
}

/// The newest revision of the release with this status.
async fn revision(status: &str) -> anyhow::Result<u64> {
    let environment = Environment::get()?;
    let history = format!(
        "helm history {} -n {} -o json",
        environment.release, environment.system_namespace
    );
    let history: Vec<Value> = serde_json::from_str(&Shell::new(Helm::Three)?.run(&history).await?)?;
    let of_it = history.iter().filter(|revision| revision["status"] == status);
    let newest = of_it.filter_map(|revision| revision["revision"].as_u64()).max();
    newest.with_context(|| format!("no revision is {status}: {history:?}"))
}

/// The objects of the release, by kind, namespace and name. Those that the Job needs are left out: Helm leaves them with a failed Job.
async fn objects() -> anyhow::Result<BTreeMap<String, Value>> {
    let of_release = format!(
        "app.kubernetes.io/instance={},app.kubernetes.io/managed-by=Helm,app.kubernetes.io/component!=crds",
        Environment::get()?.release
    );
    let list = ["get", KINDS, "-A", "-l", &of_release, "-o", "json"];
    let list: Value = serde_json::from_str(&administered(&list, "").await?)?;
    let items = list["items"].as_array().context("no list")?;
    let name = |object: &Value| {
        let metadata = &object["metadata"];
        format!(
            "{} {}/{}",
            object["kind"], metadata["namespace"], metadata["name"]
        )
    };
    let content = |object: &Value| json!([object["metadata"]["uid"], PARTS.map(|part| object[part].clone())]);
    Ok(items
        .iter()
        .map(|object| (name(object), content(object)))
        .collect())
}

async fn is_as_before(before: &BTreeMap<String, Value>) -> anyhow::Result<()> {
    let now = objects().await?;
    let names = before.keys().chain(now.keys());
    let changed: Vec<_> = names.filter(|name| before.get(*name) != now.get(*name)).collect();
    ensure!(changed.is_empty(), "{changed:?}");
    Ok(())
}

/// Every CRD of the product with its version in etcd.
async fn versions(crds: &Api<CustomResourceDefinition>) -> anyhow::Result<BTreeMap<String, Option<String>>> {
    let all = crds.list(&ListParams::default()).await?;
    let ours = all
        .iter()
        .filter(|crd| crd.name_any().ends_with(".workspaces.jupyter.org"));
    Ok(ours.map(|crd| (crd.name_any(), crd.resource_version())).collect())
}
