//! Another build of the operator replaces the installed one, and is replaced again.
//!
//! It plans other children. No pod restarts, and new pods are those of the current build.
//!
//! The other build is a program of its own (`crates/operator/examples/another_build.rs`). It runs on this machine as the
//! operator's service account, while the installed Deployment has no pods.

use std::{
    env, fs,
    future::Future,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::Context as _;
use api::{
    Workspace, names,
    workspace::{Phase, UpdatePolicy},
};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    installation::component,
    objects::workspace,
    wait,
};
use k8s_openapi::api::{
    apps::v1::Deployment,
    authentication::v1::TokenRequest,
    core::v1::{ConfigMap, Pod, Service, ServiceAccount},
};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, Patch, PatchParams, PostParams},
    config::{AuthInfo, Kubeconfig},
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Environment variable of `xtask test` with the path of the program.
const PROGRAM: &str = "JUPYTER_K8S_ANOTHER_OPERATOR";
/// What the other build adds to children and pods.
const MARK: &str = "e2e.test/build";
const NAMES: [&str; 2] = ["on-stop", "always"];

/// The other build, which runs until this is dropped.
struct Another {
    process: Child,
    _files: TempDir,
}

impl Drop for Another {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Another {
    /// Starts it with the settings, arguments and rights of the installed one.
    async fn start() -> anyhow::Result<Self> {
        let environment = Environment::get()?;
        let program =
            env::var(PROGRAM).with_context(|| format!("{PROGRAM} is not set: run `./justw test`"))?;
        let (admin, namespace) = (cluster::admin().await?, &environment.system_namespace);
        let release = &environment.release;
        let maps = Api::<ConfigMap>::namespaced(admin.clone(), namespace);
        let map = maps.get(&format!("{release}-settings")).await?;
        let settings = map.data.unwrap_or_default()["settings.yaml"].clone();
        let deployments = Api::<Deployment>::namespaced(admin, namespace);
        let installed = json!(deployments.get(&format!("{release}-operator")).await?.spec);
        let arguments = installed["template"]["spec"]["containers"][0]["args"].as_array();
        let arguments = arguments.into_iter().flatten().filter_map(Value::as_str);

        let files = tempfile::tempdir()?;
        let (kubeconfig, settings_file) = (
            files.path().join("kubeconfig"),
            files.path().join("settings.yaml"),
        );
        fs::write(&settings_file, settings)?;
        write_kubeconfig(&kubeconfig).await?;
        let process = Command::new(program)
            .args(arguments.filter(|argument| !argument.starts_with("--settings-file")))
            .env("KUBECONFIG", &kubeconfig)
            .env("SETTINGS_FILE", &settings_file)
            .env("POD_NAMESPACE", namespace)
            .env("POD_NAME", "another-build")
            .env("RELEASE_NAME", release)
            .env("ADMIN_ADDRESS", "127.0.0.1:0")
            .stdin(Stdio::null())
            .spawn()?;
        Ok(Self {
            process,
            _files: files,
        })
    }
}

/// The operator's own rights, by a token of its service account that ends soon.
async fn write_kubeconfig(file: &Path) -> anyhow::Result<()> {
    let environment = Environment::get()?;
    let accounts = Api::<ServiceAccount>::namespaced(cluster::admin().await?, &environment.system_namespace);
    let request: TokenRequest =
        serde_json::from_value(json!({"spec": {"audiences": [], "expirationSeconds": 1800}}))?;
    let name = format!("{}-operator", environment.release);
    let token = accounts
        .create_token_request(&name, &PostParams::default(), &request)
        .await?;
    let token = token.status.context("no token")?.token;
    let mut config = Kubeconfig::read_from(&environment.kubeconfig)?;
    for user in &mut config.auth_infos {
        user.auth_info = Some(AuthInfo {
            token: Some(token.clone().into()),
            ..AuthInfo::default()
        });
    }
    let file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)?;
    Ok(serde_json::to_writer(file, &config)?)
}

async fn pod(scratch: &Scratch, name: &str) -> anyhow::Result<Pod> {
    let of = ListParams::default().labels(&format!("{}={name}", names::WORKSPACE_LABEL));
    let mut pods = scratch.api::<Pod>().list(&of).await?.items;
    anyhow::ensure!(pods.len() == 1, "{} pods of {name}", pods.len());
    Ok(pods.remove(0))
}

/// UIDs of both workspaces' pods.
async fn uids(scratch: &Scratch) -> anyhow::Result<Vec<String>> {
    let mut uids = Vec::new();
    for name in NAMES {
        uids.push(pod(scratch, name).await?.uid().context("a pod without UID")?);
    }
    Ok(uids)
}

/// Whether the other build created this pod.
fn is_of_another(pod: &Pod) -> bool {
    let container = json!(pod.spec)["containers"][0].clone();
    let variables = container["env"].as_array().cloned().unwrap_or_default();
    let marked = pod.annotations().get(MARK).map(String::as_str) == Some("another");
    let reported = variables.iter().any(|one| one["name"] == "ANOTHER_BUILD");
    assert_eq!(marked, reported, "half of it: {pod:?}");
    marked
}

/// Changes our label of every pod, and waits until an operator has restored it: then it has reconciled them all.
async fn check_pods(scratch: &Scratch) -> anyhow::Result<()> {
    let pods = scratch.api::<Pod>();
    for name in NAMES {
        let child = format!("workspace-{name}");
        let change = Patch::Merge(json!({"metadata": {"labels": {names::APP_COMPONENT_LABEL: "x"}}}));
        pods.patch(&child, &PatchParams::default(), &change).await?;
        wait::until("the label to be put right", wait::USUAL, || async {
            let found = pods.get(&child).await.map_err(|error| error.to_string())?;
            let label = &found.labels()[names::APP_COMPONENT_LABEL];
            if label == "x" { Err(label.clone()) } else { Ok(()) }
        })
        .await?;
    }
    Ok(())
}

/// No pod was replaced, all run, and no update is pending.
async fn no_pod_was_restarted(scratch: &Scratch, before: &[String]) -> anyhow::Result<()> {
    for name in NAMES {
        let running = workspace::reached(&scratch.api::<Workspace>(), name, Phase::Running).await?;
        assert_eq!(
            running.status.unwrap_or_default().pending_update,
            [""; 0],
            "{name}"
        );
    }
    assert_eq!(uids(scratch).await?, before);
    Ok(())
}

async fn restart(scratch: &Scratch, name: &str) -> anyhow::Result<Pod> {
    let workspaces = scratch.api::<Workspace>();
    workspace::stop(&workspaces, name).await?;
    workspace::start(&workspaces, name).await?;
    pod(scratch, name).await
}

/// Runs `work` while the other build is the operator; the installed one is back afterwards in any case.
async fn meanwhile<T>(work: impl Future<Output = anyhow::Result<T>> + Send + 'static) -> anyhow::Result<T>
where
    T: Send + 'static,
{
    let replicas = component::scale("operator", 0).await?;
    let done = match Another::start().await {
        // A task of its own: its panics come back as errors.
        Ok(another) => {
            let done = tokio::spawn(work).await;
            drop(another);
            done.map_err(anyhow::Error::from).flatten()
        }
        Err(error) => Err(error),
    };
    component::scale("operator", replicas).await?;
    done
}

async fn another_takes_over(scratch: &Scratch, before: &[String]) -> anyhow::Result<()> {
    let services = scratch.api::<Service>();
    wait::until("all Services to be relabelled", wait::USUAL, || async {
        let list = ListParams::default().labels(&format!("{MARK}=another"));
        let found = services.list(&list).await.map_err(|error| error.to_string())?;
        let count = found.items.len();
        (count == 2).then_some(()).ok_or_else(|| format!("{count}"))
    })
    .await?;
    check_pods(scratch).await?;
    no_pod_was_restarted(scratch, before).await?;
    for name in NAMES {
        assert!(!is_of_another(&pod(scratch, name).await?), "{name}");
    }
    assert!(is_of_another(&restart(scratch, "on-stop").await?));
    Ok(())
}

#[tokio::test]
async fn another_build_and_the_rollback_restart_no_pod_and_create_new_ones() -> anyhow::Result<()> {
    let _exclusive = super::EXCLUSIVE.lock().await;
    let scratch = std::sync::Arc::new(Scratch::new("another-build", &[]).await?);
    let workspaces = scratch.api::<Workspace>();
    for (name, policy) in NAMES
        .into_iter()
        .zip([UpdatePolicy::OnStop, UpdatePolicy::Always])
    {
        let mut lab = workspace::naming_service(workspace::echo(name)?);
        lab.spec.update_policy = policy;
        workspaces.create(&PostParams::default(), &lab).await?;
    }
    for name in NAMES {
        workspace::reached(&workspaces, name, Phase::Running).await?;
    }
    let before = uids(&scratch).await?;
    let there = scratch.clone();
    Box::pin(meanwhile(
        async move { another_takes_over(&there, &before).await },
    ))
    .await?;

    // The installed build finds a pod and a record that differ from its own.
    let before = uids(&scratch).await?;
    check_pods(&scratch).await?;
    no_pod_was_restarted(&scratch, &before).await?;
    assert!(is_of_another(&pod(&scratch, "on-stop").await?));
    assert!(!is_of_another(&restart(&scratch, "on-stop").await?));
    let scratch = std::sync::Arc::into_inner(scratch).context("still in use")?;
    scratch.finish().await
}
