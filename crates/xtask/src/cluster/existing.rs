//! Provider `existing`: the caller's KUBECONFIG -> our own kubeconfig, after a check (IO).

use std::env;

use anyhow::Context as _;

use crate::components::KUBECTL;
use crate::exec::Cmd;
use crate::paths::Paths;
use crate::progress::Progress;

/// Checks that the cluster answers and returns its kubeconfig: one context, all files inlined.
///
/// With `again`, this checkout already uses such a cluster, and continues with it unless KUBECONFIG names another.
pub(crate) fn up(paths: &Paths, again: bool, progress: &Progress) -> anyhow::Result<String> {
    KUBECTL.ensure(paths, progress)?;
    let own = paths.kubeconfig();
    let kubectl = || {
        let kubectl = Cmd::new(paths.kubectl());
        if again && env::var_os("KUBECONFIG").is_none() {
            kubectl.env("KUBECONFIG", &own)
        } else {
            kubectl
        }
    };
    let context = kubectl().args(["config", "current-context"]).output();
    let context = context.context("provider `existing` takes the current context of your KUBECONFIG")?;
    kubectl().args(["get", "--raw", "/readyz", "--request-timeout=15s"]).run().with_context(|| {
        format!("the cluster of context `{context}` does not answer; choose another by KUBECONFIG or `kubectl config`")
    })?;
    let rights = kubectl().args([
        "auth",
        "can-i",
        "create",
        "customresourcedefinitions",
        "--request-timeout=15s",
    ]);
    let who = format!("the user of context `{context}`");
    rights
        .run()
        .with_context(|| format!("{who} may not install definitions; an administrator of the cluster may"))?;
    let flat = kubectl()
        .args(["config", "view", "--raw", "--flatten", "--minify"])
        .output()?;
    progress.line(format_args!("using the cluster of context `{context}`"));
    Ok(flat + "\n")
}
