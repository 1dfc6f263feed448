//! YAML of a template's `options` -> choices that users make, and what each sets (pure).

use std::collections::BTreeMap;

use k8s_openapi::{api::core::v1 as core, apimachinery::pkg::api::resource::Quantity};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{schema, workspace::ResourceRequirements};

/// Option -> choices of it. It holds if each of these options is chosen as one of its choices.
pub type When = BTreeMap<String, Vec<String>>;

/// What users choose before a workspace starts. A workspace names its choice in `spec.options`.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TemplateOption {
    /// Name of the option: the key in `spec.options` of workspaces. Letters, digits, `.`, `_` and `-`, a letter or digit first.
    #[schemars(length(min = 1, max = 63), regex(pattern = schema::OPTION_NAME))]
    pub name: String,
    /// Choices of options that stand before this one. Unless each of these options is chosen so, this one is hidden, and nothing in it is
    /// chosen. Unset: it is always there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::when")]
    pub when: When,
    /// What may be chosen. Without a default among them, a workspace must name its choice.
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub choices: Vec<OptionChoice>,
}

/// One choice of an option.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OptionChoice {
    /// Name of the choice: the value in `spec.options` of workspaces. Of the same characters as the option's; quote `no` and `8` in YAML.
    #[schemars(length(min = 1, max = 63), regex(pattern = schema::OPTION_NAME))]
    pub name: String,
    /// Whether workspaces that name no choice get this one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub default: bool,
    /// Choices of options that stand before this one. Unless each of these options is chosen so, this choice may not be chosen. Unset: it
    /// always may.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::when")]
    pub when: When,
    /// What the choice changes. Unset: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<ChoiceValues>,
}

/// What a choice lays over the template's defaults. Later options are laid over earlier ones, and a workspace's own fields over all.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChoiceValues {
    /// Replaces `defaultImage`. It need not be one of `allowedImages`, and does not become one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// Replaces command and arguments of `defaultContainerConfig`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 4096)))]
    pub command: Vec<String>,
    /// Replaces the arguments of `defaultContainerConfig`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 4096)))]
    pub args: Vec<String>,
    /// Replaces entries of `defaultResources` by name. Within `resourceBounds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// Adds to `defaultNodeSelector`, and replaces entries of the same key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::labels::<32>")]
    pub node_selector: BTreeMap<String, String>,
    /// Replaces `defaultAffinity`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::embedded::<core::Affinity>")]
    pub affinity: Option<core::Affinity>,
    /// Adds to `defaultTolerations`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::embedded_list::<core::Toleration, 16>")]
    pub tolerations: Vec<core::Toleration>,
    /// Replaces `defaultShmSize`. At most `maxShmSize`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::quantity")]
    pub shm_size: Option<Quantity>,
    /// Adds to `environmentVariables`, and replaces those of the same name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::embedded_list::<core::EnvVar, 64>")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub env: Vec<core::EnvVar>,
    /// Adds to `baseLabels`, and replaces those of the same key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::labels::<32>")]
    pub pod_labels: BTreeMap<String, String>,
    /// Values of variables that the workspace does not set itself in `spec.variables`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::variables")]
    pub variables: BTreeMap<String, String>,
}
