//! The release is removed and installed again: workspaces continue to run, and no deletion blocks.

use anyhow::{Context as _, ensure};
use api::{
    Workspace, WorkspaceManager,
    names::{CLEANUP_FINALIZER, IN_USE_FINALIZER},
    workspace::Phase,
};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    command::{
        administered,
        shell::{Helm, Shell},
    },
    http::HttpSession,
    installation::release,
    objects::{workspace, write_block::WriteBlock},
    test_run::finally::always,
    wait,
};
use k8s_openapi::api::{
    admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
    apps::v1::Deployment,
    core::v1::{Namespace, Pod},
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams},
    runtime::{conditions::is_deleted, wait::await_condition},
};

/// The page whose commands do what the chart's Job does.
const PAGE: &str = include_str!("../../../docs/operations.md");
/// Line of the page before these commands.
const BY_HAND: &str = "do the same by hand:";

#[tokio::test]
async fn after_an_uninstall_workspaces_run_on_nothing_hangs_and_a_new_installation_takes_them_over()
-> anyhow::Result<()> {
    let remove = async {
        // Helm may have been interrupted after the Job: it runs once more.
        run_job().await?;
        release::uninstall().await
    };
    let kept = Box::pin(taken_over_after(remove)).await?;
    kept.finish().await
}

/// Removes the release in this way while two workspaces run, and installs it again. The namespace of the one that outlasts it.
async fn taken_over_after(remove: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<Scratch> {
    let kept = Scratch::new("uninstalled", &["alice"]).await?;
    let leaving = Scratch::new("leaving", &["alice"]).await?;
    let running = workspace::running(&kept, "kept").await?;
    let pod = the_pod(&kept).await?;
    workspace::running(&leaving, "leaving").await?;
    let work = async {
        remove.await?;
        while_uninstalled(&kept, &pod, leaving).await
    };
    Box::pin(always(work, release::upgrade(&[]))).await?;
    is_taken_over(&kept, &pod, &workspace::url(&running)?).await?;
    Ok(kept)
}

/// The new installation works with the pod that ran meanwhile.
async fn is_taken_over(kept: &Scratch, pod: &Pod, url: &str) -> anyhow::Result<()> {
    let alice = Api::<Workspace>::namespaced(cluster::user("alice").await?, &kept.namespace);
    workspace::reached(&alice, "kept", Phase::Running).await?;
    let held = wait::until("the finalizer to be set again", wait::USUAL, || async {
        let now = alice.get("kept").await.map_err(|error| error.to_string())?;
        let finalizers = now.finalizers();
        finalizers
            .contains(&CLEANUP_FINALIZER.to_owned())
            .then_some(())
            .ok_or_else(|| format!("{finalizers:?}"))
    });
    held.await?;
    let after = the_pod(kept).await?;
    ensure!(
        after.uid() == pod.uid(),
        "{:?} became {:?}",
        pod.uid(),
        after.uid()
    );
    let answer = HttpSession::new()?.enter(url, "alice").await?;
    ensure!(answer.status().is_success(), "{}", answer.status());
    Ok(())
}

#[tokio::test]
async fn the_documented_commands_do_what_the_job_does_and_definitions_and_namespaces_can_be_deleted()
-> anyhow::Result<()> {
    let commands = commands()?;
    let remove = async {
        Shell::new(Helm::Three)?.run(&commands).await?;
        release::uninstall_without_hooks().await
    };
    let kept = Box::pin(taken_over_after(remove)).await?;

    // Now it goes for good.
    let work = async {
        release::uninstall().await?;
        definitions_are_deleted(&kept).await
    };
    Box::pin(always(work, release::upgrade(&[]))).await?;
    workspace::running(&kept, "new").await?;
    kept.finish().await
}

/// Deletes the product's definitions, with a workspace that runs.
async fn definitions_are_deleted(kept: &Scratch) -> anyhow::Result<()> {
    let chart = Environment::get()?.chart.as_deref().context("no chart")?;
    let crds = chart.join("crds").display().to_string();
    administered(&["delete", "-f", &crds, "--timeout=2m"], "").await?;
    wait::until("the pod to be gone", wait::USUAL, || async {
        let pods = kept.api::<Pod>().list(&ListParams::default()).await;
        let pods = pods.map_err(|error| error.to_string())?.items;
        let left: Vec<_> = pods.iter().map(kube::ResourceExt::name_any).collect();
        if left.is_empty() {
            Ok(())
        } else {
            Err(left.join(", "))
        }
    })
    .await
}

/// The commands of docs/operations.md, with the names of this installation.
fn commands() -> anyhow::Result<String> {
    let environment = Environment::get()?;
    let (_, rest) = PAGE
        .split_once(BY_HAND)
        .context("docs/operations.md has no commands")?;
    let lines = rest.lines().skip_while(|line| line.trim().is_empty());
    let lines: Vec<_> = lines.map_while(|line| line.strip_prefix("    ")).collect();
    ensure!(lines.len() > 3, "{lines:?}");
    let named = |line: &str| {
        line.replace("jupyter-k8s-system", "NAMESPACE")
            .replace("jupyter-k8s-", &format!("{}-", environment.release))
            .replace("NAMESPACE", &environment.system_namespace)
    };
    Ok(lines.into_iter().map(named).collect::<Vec<_>>().join("\n"))
}

#[tokio::test]
async fn an_uninstall_whose_job_fails_names_the_object_removes_nothing_and_can_be_repeated()
-> anyhow::Result<()> {
    let scratch = Scratch::new("refused", &["alice"]).await?;
    let running = workspace::running(&scratch, "kept").await?;
    let block = WriteBlock::start(&scratch, "workspaces.jupyter.org", "v1alpha1", "workspaces").await?;
    let failed = always(
        Box::pin(is_refused(&workspace::url(&running)?, &scratch)),
        block.end(),
    )
    .await;
    // The way on is the same uninstall once more.
    let repeated = release::uninstall().await;
    release::upgrade(&[]).await?;
    failed?;
    repeated?;
    HttpSession::new()?
        .enter(&workspace::url(&running)?, "alice")
        .await?;
    scratch.finish().await
}

/// The uninstall fails. The Job's log names the workspace that cannot be changed; all Deployments are left, and users work on.
async fn is_refused(url: &str, scratch: &Scratch) -> anyhow::Result<()> {
    let environment = Environment::get()?;
    let system = environment.system_namespace.as_str();
    let deployments = Api::<Deployment>::namespaced(cluster::admin().await?, system);
    let names = async || -> anyhow::Result<Vec<String>> {
        let all = deployments.list(&ListParams::default()).await?;
        Ok(all.iter().map(kube::ResourceExt::name_any).collect())
    };
    let before = names().await?;
    let refused = release::uninstall().await;
    let error = refused.err().context("the uninstall succeeds")?.to_string();
    ensure!(error.contains("BackoffLimitExceeded"), "{error}");
    let job = format!("{}-uninstall", environment.release);
    let log = administered(&["logs", "-n", system, &format!("job/{job}")], "").await?;
    ensure!(
        log.contains(&format!("Workspace {}/kept", scratch.namespace)),
        "{log}"
    );
    ensure!(names().await? == before, "{before:?} became {:?}", names().await?);
    let answer = HttpSession::new()?.enter(url, "alice").await?;
    ensure!(answer.status().is_success(), "{}", answer.status());
    Ok(())
}

/// Runs the Job of the uninstall, and waits until it has succeeded.
async fn run_job() -> anyhow::Result<()> {
    let files = ["templates/hooks.yaml", "templates/rbac/hooks.yaml"];
    let hooks = release::render_files(&files).await?;
    let of_it = ["-l", "app.kubernetes.io/component=uninstall", "-f", "-"];
    let print = [&["create", "--dry-run=client", "-o", "yaml"], &of_it[..]].concat();
    let objects = administered(&print, &hooks).await?;
    let environment = Environment::get()?;
    let job = format!("job/{}-uninstall", environment.release);
    let system = environment.system_namespace.as_str();
    let complete = [
        "wait",
        "-n",
        system,
        "--for=condition=Complete",
        "--timeout=2m",
        &job,
    ];
    let work = async {
        administered(&["apply", "-f", "-"], &objects).await?;
        administered(&complete, "").await.map(drop)
    };
    let delete = ["delete", "--ignore-not-found", "-f", "-"];
    let back = async { administered(&delete, &objects).await.map(drop) };
    always(work, back).await
}

/// The workspace runs without the product, another namespace with one can be deleted, and the API server does not call the webhook.
async fn while_uninstalled(kept: &Scratch, pod: &Pod, leaving: Scratch) -> anyhow::Result<()> {
    let admin = cluster::admin().await?;
    let now = kept.api::<Workspace>().get("kept").await?;
    ensure!(now.finalizers().is_empty(), "{:?}", now.finalizers());
    for manager in Api::<WorkspaceManager>::all(admin.clone())
        .list(&ListParams::default())
        .await?
    {
        let finalizers = manager.finalizers();
        ensure!(
            !finalizers.contains(&IN_USE_FINALIZER.to_owned()),
            "{finalizers:?}"
        );
    }
    let after = the_pod(kept).await?;
    ensure!(
        after.uid() == pod.uid() && cluster::is_ready(&after),
        "{:?}",
        after.status
    );
    let release = &Environment::get()?.release;
    let webhook = format!("{release}-webhook");
    let validating = Api::<ValidatingWebhookConfiguration>::all(admin.clone());
    ensure!(
        validating.get_opt(&webhook).await?.is_none(),
        "a validating webhook is left"
    );
    let mutating = Api::<MutatingWebhookConfiguration>::all(admin.clone());
    ensure!(
        mutating.get_opt(&webhook).await?.is_none(),
        "a mutating webhook is left"
    );
    let system = &Environment::get()?.system_namespace;
    let deployments = Api::<Deployment>::namespaced(admin.clone(), system);
    let left = deployments.list(&ListParams::default()).await?.items;
    ensure!(
        left.is_empty(),
        "{:?}",
        left.iter().map(kube::ResourceExt::name_any).collect::<Vec<_>>()
    );

    let namespaces = Api::<Namespace>::all(admin);
    let uid = namespaces
        .get(&leaving.namespace)
        .await?
        .uid()
        .unwrap_or_default();
    namespaces
        .delete(&leaving.namespace, &DeleteParams::default())
        .await?;
    let gone = await_condition(namespaces, &leaving.namespace, is_deleted(&uid));
    tokio::time::timeout(wait::USUAL, gone).await??;
    Ok(())
}

async fn the_pod(scratch: &Scratch) -> anyhow::Result<Pod> {
    let pods = scratch.api::<Pod>().list(&ListParams::default()).await?;
    let mut pods = pods.items;
    ensure!(pods.len() == 1, "{} pods", pods.len());
    Ok(pods.remove(0))
}
