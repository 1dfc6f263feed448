//! CRDs of another version: an upgrade updates older ones and leaves newer ones.

use anyhow::ensure;
use api::names::CRD_VERSION;
use e2e::cluster;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, ResourceExt as _,
    api::{Patch, PatchParams},
};
use serde_json::json;

const OLDER: &str = "workspaceexecutionprofiles.workspaces.jupyter.org";
const NEWER: &str = "workspaceshares.workspaces.jupyter.org";
/// A version that no release has reached.
const LATER: &str = "99.0.0";

/// Both, and the version of the others.
pub(crate) struct Definitions {
    crds: Api<CustomResourceDefinition>,
    ours: String,
}

impl Definitions {
    /// Gives the one an earlier version, without a field, and the other a later one.
    pub(crate) async fn of_other_versions() -> anyhow::Result<Self> {
        let crds = Api::<CustomResourceDefinition>::all(cluster::admin().await?);
        let ours = crds.get(OLDER).await?.annotations()[CRD_VERSION].clone();
        let all = Self { crds, ours };
        all.label(OLDER, Some("0.0.1")).await?;
        let without_count = json!([{
            "op": "remove",
            "path": "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/inUseBy",
        }]);
        let without_count = Patch::Json::<()>(serde_json::from_value(without_count)?);
        all.crds
            .patch(OLDER, &PatchParams::default(), &without_count)
            .await?;
        all.label(NEWER, Some(LATER)).await?;
        Ok(all)
    }

    /// The older one is the release's again, and the newer one as it was.
    pub(crate) async fn are_upgraded(&self) -> anyhow::Result<()> {
        let upgraded = self.has_version(OLDER, &self.ours).await?;
        let schema = serde_json::to_value(&upgraded.spec.versions[0].schema)?;
        let count = &schema["openAPIV3Schema"]["properties"]["status"]["properties"]["inUseBy"];
        ensure!(count["type"] == "integer", "{count}");
        self.has_version(NEWER, LATER).await.map(drop)
    }

    /// Takes the version off the newer one.
    pub(crate) async fn have_no_version(&self) -> anyhow::Result<()> {
        self.label(NEWER, None).await
    }

    /// One without version is the release's after an upgrade, too.
    pub(crate) async fn are_ours(&self) -> anyhow::Result<()> {
        self.has_version(NEWER, &self.ours).await.map(drop)
    }

    /// The CRD, which must have this version.
    async fn has_version(&self, name: &str, version: &str) -> anyhow::Result<CustomResourceDefinition> {
        let crd = self.crds.get(name).await?;
        ensure!(
            crd.annotations()[CRD_VERSION] == version,
            "{:?}",
            crd.annotations()
        );
        Ok(crd)
    }

    /// Sets the version of a CRD, or removes it.
    async fn label(&self, name: &str, version: Option<&str>) -> anyhow::Result<()> {
        let patch = Patch::Merge(json!({"metadata": {"annotations": {CRD_VERSION: version}}}));
        self.crds.patch(name, &PatchParams::default(), &patch).await?;
        Ok(())
    }
}
