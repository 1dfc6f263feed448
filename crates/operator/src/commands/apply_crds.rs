//! CRDs of this build -> the CRDs in the cluster (IO). Newer ones are left as they are.
//!
//! Helm itself installs CRDs once and never upgrades them; its hook runs this command. A rollback keeps the newer CRDs: every version reads objects of later versions.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use api::names::{CRD_VERSION, VERSION};
use clap::Parser;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, ResourceExt as _,
    api::{Patch, PatchParams},
    runtime::{conditions::is_crd_established, wait::await_condition},
};
use semver::Version;

/// Name of the command, as the first argument.
pub const NAME: &str = "apply-crds";
/// Field manager of the writes.
const MANAGER: &str = "jupyter-k8s-crds";
/// Time in which the API server accepts a new CRD.
const ESTABLISHED: Duration = Duration::from_secs(30);

/// Applies this version's CRDs. It leaves CRDs of a newer version as they are. If one of them belongs to another product, it changes
/// none. May be repeated.
#[derive(Clone, Debug, Parser)]
#[command(name = "jupyter-k8s-operator", version)]
pub struct Args {
    /// The command.
    #[arg(value_parser = [NAME])]
    command: String,
}

/// What to do with one CRD.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Apply,
    /// The installed one has this later version.
    Keep(Version),
}

/// Applies all CRDs, after all of them were checked.
///
/// # Errors
/// A CRD belongs to another product, or the API server refuses a request. The message names the CRD.
pub async fn run(_: Args) -> anyhow::Result<()> {
    let crds = Api::<CustomResourceDefinition>::all(kit::client::new(MANAGER).await?);
    let mut steps = Vec::new();
    for ours in api::crds() {
        let name = ours.name_any();
        let stored = crds.get_opt(&name).await.with_context(|| name.clone())?;
        let step = step(&ours, stored.as_ref()).with_context(|| name.clone())?;
        steps.push((name, ours, step));
    }
    for (name, ours, step) in steps {
        match step {
            Step::Keep(version) => tracing::info!(
                crd = name,
                installed = %version,
                ours = env!("CARGO_PKG_VERSION"),
                "a newer version is installed and is kept"
            ),
            Step::Apply => {
                let params = PatchParams::apply(MANAGER).force();
                crds.patch(&name, &params, &Patch::Apply(&ours))
                    .await
                    .with_context(|| name.clone())?;
                let established = await_condition(crds.clone(), &name, is_crd_established());
                tokio::time::timeout(ESTABLISHED, established)
                    .await
                    .with_context(|| format!("{name} is not established in {}s", ESTABLISHED.as_secs()))??;
                tracing::info!(crd = name, version = env!("CARGO_PKG_VERSION"), "applied");
            }
        }
    }
    Ok(())
}

/// What to do with the CRD of this name (pure).
fn step(ours: &CustomResourceDefinition, stored: Option<&CustomResourceDefinition>) -> anyhow::Result<Step> {
    let Some(stored) = stored else {
        return Ok(Step::Apply);
    };
    let stored_versions = stored
        .status
        .iter()
        .flat_map(|status| status.stored_versions.iter().flatten());
    for version in stored_versions {
        ensure!(
            version == VERSION,
            "it belongs to another product or to a version that this one cannot read: objects of it are stored as {version}, and this \
             version serves {VERSION}. Delete the CRD, or install a matching version"
        );
    }
    let (kind, ours_kind) = (&stored.spec.names.kind, &ours.spec.names.kind);
    if kind != ours_kind {
        bail!("it belongs to another product: its kind is {kind}, not {ours_kind}. Delete it");
    }
    // CRDs without the annotation are older than the annotation.
    let later = version_of(stored).filter(|stored| version_of(ours).is_some_and(|ours| *stored > ours));
    Ok(later.map_or(Step::Apply, Step::Keep))
}

fn version_of(crd: &CustomResourceDefinition) -> Option<Version> {
    Version::parse(crd.annotations().get(CRD_VERSION)?).ok()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinitionStatus;

    use super::*;

    fn crd(version: &str) -> CustomResourceDefinition {
        let mut crd = api::crds().remove(0);
        crd.annotations_mut().insert(CRD_VERSION.into(), version.into());
        crd
    }

    #[test]
    fn crds_are_never_downgraded() {
        let step = |stored: &str| step(&crd("0.10.0"), Some(&crd(stored))).unwrap();
        assert_eq!(step("0.9.0"), Step::Apply);
        assert_eq!(step("0.10.0"), Step::Apply);
        assert_eq!(step("none"), Step::Apply);
        assert_eq!(step("0.11.0"), Step::Keep(Version::new(0, 11, 0)));
    }

    #[test]
    fn every_crd_names_its_version() {
        for crd in api::crds() {
            assert!(version_of(&crd).is_some(), "{}", crd.name_any());
        }
    }

    #[test]
    fn a_crd_of_another_product_is_refused() {
        let mut other = crd("0.1.0");
        other.spec.names.kind = "Notebook".into();
        let error = step(&crd("0.1.0"), Some(&other)).unwrap_err().to_string();
        assert!(error.contains("its kind is Notebook, not Workspace"), "{error}");
        let mut stored = crd("0.1.0");
        stored.status = Some(CustomResourceDefinitionStatus {
            stored_versions: Some(vec![VERSION.into(), "v1".into()]),
            ..CustomResourceDefinitionStatus::default()
        });
        let error = step(&crd("0.1.0"), Some(&stored)).unwrap_err().to_string();
        assert!(error.contains("stored as v1"), "{error}");
    }
}
