//! YAML of a template's `podTemplate` -> metadata and spec of a pod (pure).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{names::APPLICATION_CONTAINER, schema};

/// A pod over which the pod of a workspace is laid. All of it is fixed text of the template's author: variables are not replaced, except
/// `{pvcs.<name>}` as the claim of a volume, for a disk of `volumeClaims`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PodTemplate {
    /// Labels and annotations of every pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<PodTemplateMetadata>,
    /// Spec of every pod; nothing in it is required. The container `workspace` is the application's. Other containers may mount the home,
    /// the volume `workspace-storage`; each sets its resources. A security context that they leave out is that of the application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::pod_spec")]
    pub spec: Option<core::PodSpec>,
}

impl PodTemplate {
    /// Names of the containers that run before the application or beside it.
    pub fn other_containers(&self) -> impl Iterator<Item = &str> {
        let pod = self.spec.iter();
        let all = pod.flat_map(|pod| pod.init_containers.iter().flatten().chain(&pod.containers));
        all.map(|container| container.name.as_str())
            .filter(|name| *name != APPLICATION_CONTAINER)
    }
}

/// Labels and annotations of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PodTemplateMetadata {
    /// Labels, as in `baseLabels`, without variables. A key of `baseLabels` is refused.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::labels::<32>")]
    pub labels: BTreeMap<String, String>,
    /// Annotations, as in `baseAnnotations`, without variables. A key of `baseAnnotations` is refused.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::annotations")]
    pub annotations: BTreeMap<String, String>,
}
