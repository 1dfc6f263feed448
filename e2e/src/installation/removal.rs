//! Cluster with the product -> one without it, by the commands of docs/operations.md (IO).
//!
//! Only for tests that are alone on the cluster. All workspaces are deleted with their disks.

use anyhow::ensure;

use crate::{
    Environment,
    command::shell::{Helm, Shell},
};

/// Label of every object that the chart or one of our programs makes.
const OURS: &str = "app.kubernetes.io/part-of=jupyter-k8s";
/// Label of the namespaces of `userNamespaces`, which an uninstall keeps.
const USERS: &str = "workspaces.jupyter.org/workspaces=true";
/// Longest time of one deletion.
const TIMEOUT: &str = "--timeout=2m";

/// Deletes the workspaces, the release, its CRDs and its namespaces, then looks for anything that is left. `helm` need not be the one
/// that installed it.
///
/// # Errors
/// A deletion fails or hangs, or something is left.
pub async fn everything(helm: Helm) -> anyhow::Result<()> {
    let environment = Environment::get()?;
    let shell = Shell::new(helm)?;
    let (release, namespace) = (&environment.release, &environment.system_namespace);
    let chart = environment.chart.as_deref();
    let chart = chart.ok_or_else(|| anyhow::anyhow!("no chart: run `./justw demo` again"))?;
    let crds = chart.join("crds");
    let crds = crds.display();
    let installed = format!("helm status {release} -n {namespace}");
    if shell.outcome(&installed).await?.0 == 0 {
        let uninstall = format!(
            "kubectl delete workspaces --all --all-namespaces {TIMEOUT}
             helm uninstall {release} -n {namespace} {TIMEOUT}"
        );
        shell.run(&uninstall).await?;
    }
    let rest = format!(
        "kubectl delete -f {crds} --ignore-not-found {TIMEOUT}
         kubectl delete namespace {namespace} --ignore-not-found {TIMEOUT}
         kubectl delete namespace -l {USERS} {TIMEOUT}"
    );
    shell.run(&rest).await?;
    let left = format!(
        "kubectl get $(kubectl api-resources --verbs=list -o name | paste -sd, -) -A -l {OURS} -o name
         kubectl get crds -o name | grep workspaces.jupyter.org || true"
    );
    let left = shell.run(&left).await?;
    ensure!(left.is_empty(), "something of the release is left: {left}");
    Ok(())
}
