//! The samples created and deleted in any order, and the README's manifests.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    hash::{BuildHasher as _, RandomState},
    path::Path,
    time::Duration,
};

use api::{
    Workspace, WorkspaceExecutionProfile, WorkspaceManager, WorkspaceShare, WorkspaceTemplate,
    condition::{self, ACTIVE, READY, VALID, reason},
    workspace::{DesiredStatus, Phase},
};
use e2e::{
    cluster::{self, Scratch},
    command, wait,
};
use futures::future::try_join_all;
use kube::{Api, ResourceExt as _, api::ListParams};

/// Namespace of the README's objects, which this test replaces with its own.
const OF_README: &str = "namespace: team-demo";
/// All sample workspaces start one after the other on a small machine.
const LONG: Duration = Duration::from_mins(6);

/// Every manifest of deploy/samples, as `kubectl apply -k` reads them.
async fn manifests() -> anyhow::Result<Vec<String>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/samples");
    let text = command::administered(&["kustomize", folder], "").await?;
    Ok(text
        .split("\n---\n")
        .map(|manifest| format!("{manifest}\n"))
        .collect())
}

/// Every manifest that the README shows.
fn readme() -> anyhow::Result<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let text = fs::read_to_string(path)?;
    let blocks = text.split("\n```yaml\n").skip(1);
    let blocks = blocks.filter_map(|rest| rest.split_once("\n```"));
    Ok(blocks
        .flat_map(|(block, _)| block.split("\n---\n"))
        .filter(|manifest| manifest.contains("\nkind: "))
        .map(|manifest| format!("{manifest}\n"))
        .collect())
}

/// Objects of the whole cluster get a name of this test, and so do references to them.
fn renamed(manifests: &[String], prefix: &str) -> Vec<String> {
    let name = |manifest: &str| {
        let (_, rest) = manifest.split_once("\n  name: ")?;
        rest.lines().next().map(str::to_owned)
    };
    let is_of = |manifest: &str, kind: &str| manifest.contains(&format!("\nkind: {kind}\n"));
    let shared =
        |manifest: &&String| is_of(manifest, "WorkspaceTemplate") || is_of(manifest, "WorkspaceManager");
    let names: Vec<_> = manifests
        .iter()
        .filter(shared)
        .filter_map(|it| name(it))
        .collect();
    let rename = |manifest: &String| {
        let mut renamed = manifest.clone();
        for name in &names {
            for key in ["templateRef", "managerRef"] {
                renamed = renamed.replace(&format!("{key}: {name}\n"), &format!("{key}: {prefix}-{name}\n"));
            }
            if shared(&manifest) {
                renamed = renamed.replacen(
                    &format!("\n  name: {name}\n"),
                    &format!("\n  name: {prefix}-{name}\n  labels: {{e2e.test/scratch: \"true\"}}\n"),
                    1,
                );
            }
        }
        renamed
    };
    manifests.iter().map(rename).collect()
}

/// Workspaces that run in other tests in the same way: one with only a name, and a second one of a template.
fn runs_elsewhere(manifest: &str) -> bool {
    ["workspace-name-only", "workspace-template-only"]
        .iter()
        .any(|name| manifest.contains(&format!("\n  name: {name}\n")))
}

/// The same without a pod: a stopped workspace also shows whether all its references were found.
fn stopped(manifest: &str) -> String {
    if manifest.contains("\nkind: Workspace\n") && !manifest.contains("\n  desiredStatus: ") {
        manifest.replacen("\nspec:\n", "\nspec:\n  desiredStatus: Stopped\n", 1)
    } else {
        manifest.to_owned()
    }
}

/// Another order each time.
fn shuffled(mut manifests: Vec<String>) -> Vec<String> {
    let chance = RandomState::new();
    for last in (1..manifests.len()).rev() {
        let choice = chance.hash_one(last) % (last as u64 + 1);
        manifests.swap(last, usize::try_from(choice).unwrap_or(0));
    }
    manifests
}

/// One kubectl does this to each in sequence, as with the files of a folder. A deletion ends when nothing is left.
async fn each(verb: &[&str], scratch: &Scratch, manifests: &[String]) -> anyhow::Result<()> {
    let arguments = [verb, &["--namespace", scratch.namespace.as_str(), "-f", "-"]].concat();
    let outcome = command::administer_with(&arguments, &manifests.join("\n---\n")).await?;
    anyhow::ensure!(outcome.code == 0, "{outcome:?}: {manifests:?}");
    Ok(())
}

/// Objects that are not yet in the expected state.
async fn missing(scratch: &Scratch) -> anyhow::Result<Vec<String>> {
    let (admin, all) = (cluster::admin().await?, ListParams::default());
    let mut missing = Vec::new();
    let mut named = BTreeSet::new();
    for workspace in scratch.api::<Workspace>().list(&all).await? {
        named.extend(workspace.spec.template_ref.clone());
        let wanted = match workspace.spec.desired_status {
            DesiredStatus::Running => Phase::Running,
            DesiredStatus::Stopped => Phase::Stopped,
        };
        let status = workspace.status.clone().unwrap_or_default();
        if status.phase != Some(wanted) {
            missing.push(format!(
                "{}: {:?} {:?}",
                workspace.name_any(),
                status.phase,
                status.message
            ));
        }
    }
    for share in scratch.api::<WorkspaceShare>().list(&all).await? {
        let conditions = share.status.clone().unwrap_or_default().conditions;
        if !condition::holds(&conditions, ACTIVE) {
            missing.push(format!("{}: {conditions:?}", share.name_any()));
        }
    }
    for profile in scratch.api::<WorkspaceExecutionProfile>().list(&all).await? {
        let status = profile.status.clone().unwrap_or_default();
        if !condition::holds(&status.conditions, VALID) || status.in_use_by != Some(1) {
            missing.push(format!("{}: {status:?}", profile.name_any()));
        }
    }
    let ours = |name: &str| name.starts_with(&format!("{}-", scratch.namespace));
    for template in Api::<WorkspaceTemplate>::all(admin.clone()).list(&all).await? {
        let status = template.status.clone().unwrap_or_default();
        let is_used = status.in_use_by.is_some_and(|users| users > 0);
        let is_counted = is_used || !named.contains(&template.name_any());
        if ours(&template.name_any()) && !(is_counted && condition::holds(&status.conditions, VALID)) {
            missing.push(format!("{}: {status:?}", template.name_any()));
        }
    }
    for manager in Api::<WorkspaceManager>::all(admin).list(&all).await? {
        let conditions = manager.status.clone().unwrap_or_default().conditions;
        // Installed route kinds and the served manager depend on the cluster. Nothing else may be wrong.
        let of_cluster = [reason::ROUTE_KIND_UNAVAILABLE, reason::NOT_SERVED];
        let good = condition::find(&conditions, READY)
            .is_some_and(|ready| ready.status == "True" || of_cluster.contains(&ready.reason.as_str()));
        if ours(&manager.name_any()) && !good {
            missing.push(format!("{}: {conditions:?}", manager.name_any()));
        }
    }
    Ok(missing)
}

async fn the_templates_of_the_samples_apply_beside_those_of_the_chart(
    samples: &[String],
) -> anyhow::Result<()> {
    for manifest in samples {
        if manifest.contains("\nkind: WorkspaceTemplate\n") {
            let arguments = ["apply", "--dry-run=server", "-f", "-"];
            let outcome = command::administer_with(&arguments, manifest).await?;
            anyhow::ensure!(outcome.code == 0, "{outcome:?}: {manifest}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn samples_and_the_manifests_of_the_readme_can_be_applied_and_deleted_in_any_order()
-> anyhow::Result<()> {
    let samples = manifests().await?;
    the_templates_of_the_samples_apply_beside_those_of_the_chart(&samples).await?;
    let mut count: HashMap<String, usize> = HashMap::new();
    for manifest in &samples {
        *count.entry(kind(manifest)).or_default() += 1;
    }
    for kind in [
        "Workspace",
        "WorkspaceTemplate",
        "WorkspaceManager",
        "WorkspaceExecutionProfile",
        "WorkspaceShare",
    ] {
        assert!(count.contains_key(kind), "{count:?}");
    }
    let all_stopped: Vec<_> = samples.iter().map(|manifest| stopped(manifest)).collect();
    assert_eq!(samples.iter().filter(|it| runs_elsewhere(it)).count(), 2);
    let running = samples.iter().map(|manifest| {
        if runs_elsewhere(manifest) {
            stopped(manifest)
        } else {
            manifest.clone()
        }
    });
    let running: Vec<_> = running.collect();
    // Their template is one of the chart's.
    let of_readme = readme()?;
    assert!(
        of_readme.iter().any(|it| kind(it) == "Workspace"),
        "{of_readme:?}"
    );
    for manifest in &of_readme {
        assert!(manifest.contains(OF_README), "{manifest}");
    }
    // That they also run is tested in one order.
    try_join_all([&running, &all_stopped, &of_readme].map(|samples| arrive(samples))).await?;
    Ok(())
}

/// Applies the manifests in some order, in a namespace of its own, waits until nothing is missing, and deletes them in another order.
async fn arrive(samples: &[String]) -> anyhow::Result<()> {
    let scratch = Scratch::new("samples", &[]).await?;
    let here = format!("namespace: {}", scratch.namespace);
    let samples: Vec<_> = samples.iter().map(|it| it.replace(OF_README, &here)).collect();
    let order = shuffled(renamed(&samples, &scratch.namespace));
    let kinds: Vec<_> = order.iter().map(kind).collect();
    each(&["apply"], &scratch, &order).await?;
    let arrived = wait::until_checked_each_second("the samples to arrive", LONG, || async {
        match missing(&scratch).await {
            Ok(missing) if missing.is_empty() => Ok(()),
            Ok(missing) => Err(missing),
            Err(error) => Err(vec![format!("{error:#}")]),
        }
    });
    arrived
        .await
        .map_err(|error| error.context(format!("{kinds:?}")))?;
    // A share goes with its workspace, perhaps before kubectl gets to it.
    each(&["delete", "--ignore-not-found"], &scratch, &shuffled(order)).await?;
    scratch.finish().await
}

fn kind(manifest: impl AsRef<str>) -> String {
    let (_, rest) = manifest.as_ref().split_once("\nkind: ").unwrap_or_default();
    rest.lines().next().unwrap_or_default().to_owned()
}
