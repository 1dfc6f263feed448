//! The CRDs of the last release and of this build.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use api::names::{CRD_VERSION, GROUP};
use e2e::{cluster, command, installation::release};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, ResourceExt as _, api::ListParams};
use serde_json::{Value, json};

use super::package::{Package, this_chart};

/// Version and schemas of each CRD, by its name.
type Content = BTreeMap<String, (String, Value)>;

/// Those of both releases.
pub(crate) struct Definitions {
    /// As the last release's package has them.
    manifests: String,
    last: Content,
    ours: Content,
}

impl Definitions {
    /// Reads both charts.
    pub(crate) async fn of_both(package: &Package) -> anyhow::Result<Self> {
        // Files of that release begin without a mark between documents, and Helm adds none.
        let manifests = release::show("crds", &package.chart).await?;
        let manifests = manifests.replace("\napiVersion:", "\n---\napiVersion:");
        let ours = release::show("crds", this_chart()?).await?;
        let (last, ours) = (content(&manifests)?, content(&ours)?);
        let other = ours.iter().filter(|(name, it)| last.get(*name) != Some(it));
        let other: Vec<_> = other.map(|(name, _)| name).collect();
        println!("CRDs of this build that the last release has otherwise: {other:?}");
        Ok(Self {
            manifests,
            last,
            ours,
        })
    }

    /// Puts those of the last release in place, as Helm wrote them when it was installed.
    pub(crate) async fn become_the_last_release_s(&self) -> anyhow::Result<()> {
        let replace = ["replace", "--field-manager=helm", "-f", "-"];
        command::administered(&replace, &self.manifests).await?;
        is_stored(&self.last).await
    }

    /// Each has version and schema of this build.
    pub(crate) async fn are_this_build_s(&self) -> anyhow::Result<()> {
        is_stored(&self.ours).await
    }
}

async fn is_stored(expected: &Content) -> anyhow::Result<()> {
    let crds = Api::<CustomResourceDefinition>::all(cluster::admin().await?);
    let all = crds.list(&ListParams::default()).await?;
    let of_ours = all.iter().filter(|crd| crd.spec.group.ends_with(GROUP));
    let stored: Content = of_ours.map(described).collect();
    for (name, expected) in expected {
        let (version, schemas) = stored.get(name).with_context(|| format!("no CRD {name}"))?;
        ensure!(
            *version == expected.0,
            "{name} is of {version:?}, not {:?}",
            expected.0
        );
        ensure!(
            *schemas == expected.1,
            "{name} has other fields or rules: {schemas}"
        );
    }
    Ok(())
}

/// Reads YAML documents (pure).
fn content(manifests: &str) -> anyhow::Result<Content> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(manifests)?;
    let documents = documents.into_iter().filter(|document| !document.is_null());
    let crds = documents.map(|document| Ok(described(&serde_json::from_value(document)?)));
    let content: Content = crds.collect::<anyhow::Result<_>>()?;
    ensure!(!content.is_empty(), "a chart without CRDs");
    Ok(content)
}

fn described(crd: &CustomResourceDefinition) -> (String, (String, Value)) {
    let version = crd.annotations().get(CRD_VERSION).cloned();
    let versions = json!(crd.spec.versions);
    (crd.name_any(), (version.unwrap_or_default(), versions))
}
