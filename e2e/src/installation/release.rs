//! Helm values -> upgraded release of the chart (IO).
//!
//! Only for test binaries that run alone on the cluster.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, ResourceExt};
use tokio::process::Command;

use crate::{Environment, cluster, wait};

/// Timeout for the release's pods to become ready.
const TIMEOUT: &str = "3m";
/// Timeout for the release's test, which creates and deletes a workspace.
const TEST_TIMEOUT: &str = "5m";

/// Upgrades the release with the values of its installation and with `set`, in the format of `helm upgrade --set`.
/// An empty `set` restores the installation. Waits until the new pods are ready and the old ones are gone.
///
/// # Errors
/// Helm refuses, or pods do not become ready.
pub async fn upgrade(set: &[&str]) -> anyhow::Result<()> {
    run_helm(("--set", set), None).await
}

/// Like [`upgrade`], with `set` in the format of `helm upgrade --set-json`.
///
/// # Errors
/// Helm refuses, or pods do not become ready.
pub async fn upgrade_with_json(set: &[&str]) -> anyhow::Result<()> {
    run_helm(("--set-json", set), None).await
}

/// Like [`upgrade_with_json`], by the API server of this kubeconfig.
///
/// # Errors
/// Helm refuses, or pods do not become ready.
pub async fn upgrade_by(kubeconfig: &Path, set: &[&str]) -> anyhow::Result<()> {
    let mut command = helm(Environment::get()?)?;
    command.env("KUBECONFIG", kubeconfig);
    run_upgrade(command, ("--set-json", set), None).await
}

/// Like [`upgrade`]. `program` edits the manifests between its standard input and standard output.
///
/// # Errors
/// Helm or the program refuses, or pods do not become ready.
pub async fn upgrade_with_post_renderer(set: &[&str], program: &Path) -> anyhow::Result<()> {
    run_helm(("--set", set), Some(program)).await
}

/// Makes the release one of another chart, with these values files alone and without the chart's hooks. Waits as [`upgrade`] does.
///
/// # Errors
/// Helm refuses, or pods do not become ready.
pub async fn replace_by(chart: &Path, values: &[PathBuf]) -> anyhow::Result<()> {
    let environment = Environment::get()?;
    let mut command = helm(environment)?;
    command
        .args([
            "upgrade",
            "--no-hooks",
            "--namespace",
            &environment.system_namespace,
        ])
        .arg(&environment.release)
        .arg(chart);
    for file in values {
        command.arg("--values").arg(file);
    }
    run(command, &format!("helm upgrade {}", chart.display())).await?;
    earlier_pods_are_gone().await
}

/// Takes the release back to what it was before the last upgrade. Waits as [`upgrade`] does.
///
/// # Errors
/// Helm refuses, or pods do not become ready.
pub async fn roll_back() -> anyhow::Result<()> {
    let environment = Environment::get()?;
    let mut command = helm(environment)?;
    command
        .args(["rollback", "--namespace", &environment.system_namespace])
        .arg(&environment.release);
    run(command, "helm rollback").await?;
    earlier_pods_are_gone().await
}

/// What `helm show` prints of a chart: its `values` or `crds`.
///
/// # Errors
/// Helm cannot read the chart.
pub async fn show(part: &str, chart: &Path) -> anyhow::Result<String> {
    let mut command = helm(Environment::get()?)?;
    command.args(["show", part]).arg(chart);
    output(command, &format!("helm show {part} {}", chart.display())).await
}

/// Uninstalls the release, as an administrator does.
///
/// # Errors
/// Helm fails, or a hook of the chart does.
pub async fn uninstall() -> anyhow::Result<()> {
    let environment = Environment::get()?;
    run_uninstall(helm(environment)?, &environment.system_namespace, &[]).await?;
    images_are_gone(environment).await
}

/// Uninstalls the release without the chart's hooks.
///
/// # Errors
/// Helm fails.
pub async fn uninstall_without_hooks() -> anyhow::Result<()> {
    let environment = Environment::get()?;
    run_uninstall(helm(environment)?, &environment.system_namespace, &["--no-hooks"]).await?;
    images_are_gone(environment).await
}

/// Waits until the namespace of images is gone. Helm does not, and the next installation needs its name.
async fn images_are_gone(environment: &Environment) -> anyhow::Result<()> {
    let namespaces = Api::<Namespace>::all(cluster::admin().await?);
    let name = format!("{}-images", environment.release);
    wait::until("the namespace of images to be gone", wait::USUAL, || async {
        match namespaces.get_opt(&name).await {
            Ok(None) => Ok(()),
            Ok(Some(namespace)) => Err(format!("{:?}", namespace.status)),
            Err(error) => Err(error.to_string()),
        }
    })
    .await
}

/// Renders the chart without its CRDs for `namespace`, with the values of the installation and with `set`, in the format of
/// `helm template --set-json`. Returns YAML.
///
/// # Errors
/// Helm refuses.
pub async fn render(namespace: &str, set: &[&str]) -> anyhow::Result<String> {
    let mut command = helm(Environment::get()?)?;
    command.args(["template", "--no-hooks"]);
    with_values(&mut command, namespace, ("--set-json", set))?;
    output(command, &format!("helm template {set:?}")).await
}

/// Renders these templates of the chart, also those of hooks, with the values of the installation. Returns YAML.
///
/// # Errors
/// Helm refuses.
pub async fn render_files(files: &[&str]) -> anyhow::Result<String> {
    let mut command = helm(Environment::get()?)?;
    command.arg("template");
    with_values(
        &mut command,
        &Environment::get()?.system_namespace,
        ("--show-only", files),
    )?;
    output(command, &format!("helm template {files:?}")).await
}

async fn output(mut command: Command, name: &str) -> anyhow::Result<String> {
    let done = command
        .kill_on_drop(true)
        .output()
        .await
        .context("helm does not start")?;
    let output = String::from_utf8_lossy(&done.stderr);
    anyhow::ensure!(done.status.success(), "{name}: {output}");
    Ok(String::from_utf8(done.stdout)?)
}

/// Installs a release of the same name in another namespace, as `user`. `set` as for [`render`]. Waits until the pods are ready.
///
/// # Errors
/// Helm or the API server refuses, or pods do not become ready.
pub async fn install_as(user: &str, namespace: &str, set: &[&str]) -> anyhow::Result<()> {
    let mut command = helm_as(user)?;
    command.args(["install", "--skip-crds"]);
    with_values(&mut command, namespace, ("--set-json", set))?;
    run(command, &format!("helm install {set:?}")).await
}

/// Upgrades what [`install_as`] installed, as `user`. `set` as for [`render`]. Waits until the pods are ready.
///
/// # Errors
/// Helm or the API server refuses, or pods do not become ready.
pub async fn upgrade_as(user: &str, namespace: &str, set: &[&str]) -> anyhow::Result<()> {
    let mut command = helm_as(user)?;
    command.arg("upgrade");
    with_values(&mut command, namespace, ("--set-json", set))?;
    run(command, &format!("helm upgrade {set:?}")).await
}

/// Installs a release of the same name in another namespace by this values file alone, with the images of the installation. `set` as for
/// [`render`]. Waits until the pods are ready.
///
/// # Errors
/// Helm or the API server refuses, or pods do not become ready.
pub async fn install_by(file: &Path, namespace: &str, set: &[&str]) -> anyhow::Result<()> {
    let environment = Environment::get()?;
    let mut command = helm(environment)?;
    command
        .args(["install", "--skip-crds", "--namespace", namespace])
        .arg(&environment.release)
        .arg(environment.chart.as_ref().context(MISSING_PATHS)?);
    // The first file describes the local cluster; the others name images.
    for images in environment.values.iter().skip(1) {
        command.arg("--values").arg(images);
    }
    command.arg("--values").arg(file);
    for value in set {
        command.args(["--set-json", value]);
    }
    run(command, &format!("helm install {set:?}")).await
}

/// Uninstalls the release of another namespace, if there is one, as an administrator does.
///
/// # Errors
/// Helm fails, or a hook of the chart does.
pub async fn uninstall_from(namespace: &str) -> anyhow::Result<()> {
    run_uninstall(helm(Environment::get()?)?, namespace, &["--ignore-not-found"]).await
}

/// Uninstalls what [`install_as`] installed, as `user`.
///
/// # Errors
/// Helm fails, or a hook of the chart does.
pub async fn uninstall_as(user: &str, namespace: &str) -> anyhow::Result<()> {
    run_uninstall(helm_as(user)?, namespace, &[]).await
}

async fn run_uninstall(mut command: Command, namespace: &str, options: &[&str]) -> anyhow::Result<()> {
    command
        .args(["uninstall", "--namespace", namespace])
        .args(options)
        .arg(&Environment::get()?.release);
    run(command, "helm uninstall").await
}

/// Adds release, chart, namespace and the values of the installation, then `set` by the option `option`.
fn with_values(command: &mut Command, namespace: &str, (option, set): (&str, &[&str])) -> anyhow::Result<()> {
    let environment = Environment::get()?;
    let chart = environment.chart.as_ref().context(MISSING_PATHS)?;
    command
        .args(["--namespace", namespace])
        .arg(&environment.release)
        .arg(chart);
    for file in &environment.values {
        command.arg("--values").arg(file);
    }
    for value in set {
        command.args([option, value]);
    }
    Ok(())
}

/// Runs the release's test, as an administrator does. Returns its lines, also if it failed.
///
/// # Errors
/// Helm does not start, or shows no lines.
pub async fn test() -> anyhow::Result<Vec<String>> {
    test_in(&Environment::get()?.system_namespace).await
}

/// Like [`test`], of the release in another namespace.
///
/// # Errors
/// Helm does not start, or shows no lines.
pub async fn test_in(namespace: &str) -> anyhow::Result<Vec<String>> {
    run_test(helm(Environment::get()?)?, namespace).await
}

/// Like [`test_in`], as `user`.
///
/// # Errors
/// Helm does not start, or shows no lines.
pub async fn test_as(user: &str, namespace: &str) -> anyhow::Result<Vec<String>> {
    run_test(helm_as(user)?, namespace).await
}

async fn run_test(mut command: Command, namespace: &str) -> anyhow::Result<Vec<String>> {
    let done = command
        .args(["test", "--logs", "--timeout", TEST_TIMEOUT])
        .args(["--namespace", namespace])
        .arg(&Environment::get()?.release)
        .kill_on_drop(true)
        .output()
        .await
        .context("helm does not start")?;
    let output = String::from_utf8_lossy(&done.stdout);
    let is_result = |line: &&str| {
        ["ok ", "FAIL ", "skip "]
            .iter()
            .any(|prefix| line.starts_with(prefix))
    };
    let mut lines: Vec<String> = output.lines().filter(is_result).map(str::to_owned).collect();
    // Helm shows the log of a failed test twice.
    lines.sort();
    lines.dedup();
    anyhow::ensure!(
        !lines.is_empty(),
        "helm test: {output} {}",
        String::from_utf8_lossy(&done.stderr)
    );
    Ok(lines)
}

/// Helm, for the cluster under test.
fn helm(environment: &Environment) -> anyhow::Result<Command> {
    let mut command = Command::new(environment.helm.as_ref().context(MISSING_PATHS)?);
    command
        .env("KUBECONFIG", &environment.kubeconfig)
        // The local node's API server is reached directly, even if this machine uses a proxy.
        .envs(["NO_PROXY", "no_proxy"].map(|name| (name, "*")));
    Ok(command)
}

/// Helm of a user.
fn helm_as(user: &str) -> anyhow::Result<Command> {
    let environment = Environment::get()?;
    let mut command = helm(environment)?;
    command.env("KUBECONFIG", &environment.user(user)?.kubeconfig);
    Ok(command)
}

async fn run(mut command: Command, name: &str) -> anyhow::Result<()> {
    command.args(["--wait", "--timeout", TIMEOUT]);
    output(command, name).await.map(drop)
}

async fn run_helm(set: (&str, &[&str]), program: Option<&Path>) -> anyhow::Result<()> {
    run_upgrade(helm(Environment::get()?)?, set, program).await
}

async fn run_upgrade(
    mut command: Command,
    (option, set): (&str, &[&str]),
    program: Option<&Path>,
) -> anyhow::Result<()> {
    let environment = Environment::get()?;
    command.args(["upgrade", "--install"]);
    with_values(&mut command, &environment.system_namespace, (option, set))?;
    if let Some(program) = program {
        command.arg("--post-renderer").arg(program);
    }
    run(command, &format!("helm upgrade {set:?}")).await?;
    earlier_pods_are_gone().await
}

/// Waits until no pod of the release is being deleted: until then, they answer, too.
async fn earlier_pods_are_gone() -> anyhow::Result<()> {
    wait::until(
        "the pods of before to be gone",
        Duration::from_mins(2),
        || async {
            match terminating_pods().await {
                Ok(names) if names.is_empty() => Ok(()),
                Ok(names) => Err(names.join(", ")),
                Err(error) => Err(format!("{error:#}")),
            }
        },
    )
    .await
}

/// Pods of the release that are being deleted.
async fn terminating_pods() -> anyhow::Result<Vec<String>> {
    let client = cluster::admin().await?;
    let mut names = Vec::new();
    for component in ["gateway", "operator", "portal", "proxy", "webhook"] {
        let pods = cluster::component_pods(client.clone(), component).await?;
        let gone = pods
            .iter()
            .filter(|pod| pod.metadata.deletion_timestamp.is_some());
        names.extend(gone.map(ResourceExt::name_any));
    }
    Ok(names)
}

const MISSING_PATHS: &str = "the installation does not say how it was installed: run `./justw demo` again";
