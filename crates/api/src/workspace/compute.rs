//! YAML of a workspace's fields -> resources, command and environment of a container (pure).

use std::collections::BTreeMap;

use k8s_openapi::{api::core::v1 as core, apimachinery::pkg::api::resource::Quantity};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// Requests and limits by resource name, in Kubernetes quantities.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ResourceRequirements {
    /// What is reserved for the container.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::quantity_map")]
    pub requests: BTreeMap<String, Quantity>,
    /// What the container may use at most.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::quantity_map")]
    pub limits: BTreeMap<String, Quantity>,
}

impl From<ResourceRequirements> for core::ResourceRequirements {
    fn from(value: ResourceRequirements) -> Self {
        let non_empty = |map: BTreeMap<_, _>| if map.is_empty() { None } else { Some(map) };
        Self {
            requests: non_empty(value.requests),
            limits: non_empty(value.limits),
            claims: None,
        }
    }
}

/// What the container runs instead of the image's own command.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ContainerConfig {
    /// Entry point; replaces the image's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 4096)))]
    pub command: Vec<String>,
    /// Arguments; replace the image's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 4096)))]
    pub args: Vec<String>,
}
