//! Pods get user and groups from the range of their namespace, as on `OpenShift`: JupyterLab works.

use anyhow::ensure;
use api::{Workspace, workspace::Phase};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    command::administered,
    http::HttpSession,
    installation::release,
    jupyter::kernel,
    objects::{pod_mutation, workspace},
    test_run::finally::always,
    wait,
};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt as _,
    api::{ObjectMeta, PostParams},
};
use serde_json::json;

/// The user who works.
const OWNER: &str = "alice";
/// User and group of disks in the range of the namespace. No image knows them.
pub(crate) const RANGE: i64 = 1_000_650_000;
/// Settings that leave the choice to the cluster.
pub(crate) const UNSET: &str =
    r#"settings.podSecurityContext={"runAsUser":null,"runAsGroup":null,"fsGroup":null}"#;
/// What the kernel's process is, and who owns what it wrote.
const WRITE: &str = "import os, pathlib
file = pathlib.Path.home() / 'notes.txt'
file.write_text('kept')
[os.getuid(), os.getgid(), file.stat().st_uid, str(file)]";
const READ: &str = "import pathlib
file = pathlib.Path.home() / 'notes.txt'
with file.open('a') as end:
    end.write(' and written again')
file.read_text()";

/// A policy that gives pods of one namespace user and group, where they name none, and the binding of it.
pub(crate) fn policy(namespace: &str) -> String {
    let assigned = format!(
        "Object{{spec: Object.spec{{securityContext: Object.spec.securityContext{{runAsUser: {RANGE}, fsGroup: {RANGE}}}}}}}"
    );
    let unset = "!has(object.spec.securityContext) || !has(object.spec.securityContext.runAsUser)";
    let items = pod_mutation::manifests(namespace, unset, &assigned);
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

/// Waits until the API server applies the policy, which it learns of some time after it was created.
pub(crate) async fn assigns(scratch: &Scratch) -> anyhow::Result<()> {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "unset"},
        "spec": {
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "unset", "image": Environment::get()?.images.echo,
                "resources": {"limits": {"cpu": "1", "memory": "64Mi"}},
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    }))?;
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    wait::until("the policy to give pods a user", wait::USUAL, || async {
        let pod = scratch.api::<Pod>().create(&dry_run, &pod).await?;
        ensure!(user(&pod) == Some(RANGE), "{:?}", pod.spec);
        anyhow::Ok(())
    })
    .await
}

/// The user of a pod, if it names one.
pub(crate) fn user(pod: &Pod) -> Option<i64> {
    let context = pod.spec.as_ref()?.security_context.as_ref()?;
    context.run_as_user
}

#[tokio::test]
async fn with_identifiers_of_the_namespace_a_notebook_writes_its_home_stops_starts_and_reads_it()
-> anyhow::Result<()> {
    let scratch = Scratch::new("assigned", &[OWNER]).await?;
    let manifests = policy(&scratch.namespace);
    administered(&["apply", "--server-side", "-f", "-"], &manifests).await?;
    let back = async {
        let removed = administered(&["delete", "--ignore-not-found", "-f", "-"], &manifests).await;
        release::upgrade(&[]).await?;
        removed.map(drop)
    };
    always(Box::pin(works(&scratch)), back).await?;
    scratch.finish().await
}

async fn works(scratch: &Scratch) -> anyhow::Result<()> {
    assigns(scratch).await?;
    release::upgrade_with_json(&[UNSET]).await?;
    let first = on_a_disk(scratch).await?;
    let alice = HttpSession::new()?;
    alice.enter(&workspace::url(&first)?, OWNER).await?;
    Box::pin(keeps_its_home(scratch, &first, &alice)).await
}

/// A notebook of this running workspace writes its home, stops, starts and reads it. Its owner is [`OWNER`], who is signed in.
pub(crate) async fn keeps_its_home(
    scratch: &Scratch,
    first: &Workspace,
    owner: &HttpSession,
) -> anyhow::Result<()> {
    let workspaces = Api::<Workspace>::namespaced(cluster::user(OWNER).await?, &scratch.namespace);
    let (name, url) = (first.name_any(), workspace::url(first)?);
    let pod = scratch.api::<Pod>().get(&workspace::pod(first)?).await?;
    ensure!(user(&pod) == Some(RANGE), "{:?}", pod.spec);
    let written = kernel::compute(owner, &url, WRITE).await?;
    let expected = format!("[{RANGE}, 0, {RANGE}, '/home/jovyan/notes.txt']");
    ensure!(written == expected, "{written} is not {expected}");

    workspace::stop(&workspaces, &name).await?;
    let second = workspace::start(&workspaces, &name).await?;
    ensure!(
        workspace::run_id(&second)? != workspace::run_id(first)?,
        "the run is the first one"
    );
    owner.enter(&url, OWNER).await?;
    let read = kernel::compute(owner, &url, READ).await?;
    ensure!(read == "'kept and written again'", "{read}");
    Ok(())
}

/// A workspace that runs JupyterLab with a disk.
async fn on_a_disk(scratch: &Scratch) -> anyhow::Result<Workspace> {
    let wanted = Workspace {
        metadata: ObjectMeta {
            name: Some("lab".to_owned()),
            ..ObjectMeta::default()
        },
        spec: serde_json::from_value(json!({"displayName": "lab", "storage": {"size": "64Mi"}}))?,
        status: None,
    };
    let alice = Api::<Workspace>::namespaced(cluster::user(OWNER).await?, &scratch.namespace);
    alice.create(&PostParams::default(), &wanted).await?;
    workspace::reached(&alice, "lab", Phase::Running).await
}
