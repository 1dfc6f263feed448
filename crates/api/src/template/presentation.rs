//! YAML of a template's fields -> how it is shown to users (pure).

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// How pages and completions show a template. It decides nothing, and it may change while the rest of the spec may not.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presentation {
    /// Icon of the template. Unset: `generic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon: Option<Icon>,
    /// Names and icons of images, in the order in which they are offered. Images without an entry follow under their own names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["image".into()]))]
    pub images: Vec<PresentedImage>,
    /// Names and descriptions of options, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 8))]
    pub options: BTreeMap<String, PresentedOption>,
}

/// How one option is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PresentedOption {
    /// Name shown to users, without control characters and marks that change the reading direction. Unset: the option's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100), regex(pattern = schema::PLAIN_TEXT))]
    pub display_name: Option<String>,
    /// What is chosen, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 500), regex(pattern = schema::PLAIN_TEXT))]
    pub description: Option<String>,
    /// Not offered, unless a workspace has chosen or must choose. Still valid.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
    /// Why the option goes away, in one line. Offered as a hidden one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 500), regex(pattern = schema::PLAIN_TEXT))]
    pub deprecated: Option<String>,
    /// Names and descriptions of its choices, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub choices: BTreeMap<String, PresentedChoice>,
}

/// How one choice of an option is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PresentedChoice {
    /// Name shown to users, without control characters and marks that change the reading direction. Unset: the choice's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100), regex(pattern = schema::PLAIN_TEXT))]
    pub display_name: Option<String>,
    /// What the choice gives, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 500), regex(pattern = schema::PLAIN_TEXT))]
    pub description: Option<String>,
    /// Not offered, unless a workspace has chosen it. Still valid. Refused for a default.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
    /// Why the choice goes away, in one line. Offered as a hidden one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 500), regex(pattern = schema::PLAIN_TEXT))]
    pub deprecated: Option<String>,
}

/// How one image is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PresentedImage {
    /// Image, or alias, that the template allows.
    #[schemars(length(min = 1, max = 512))]
    pub image: String,
    /// Name shown to users, without control characters and marks that change the reading direction.
    #[schemars(length(min = 1, max = 100), regex(pattern = schema::PLAIN_TEXT))]
    pub display_name: String,
    /// What the image is for, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 500), regex(pattern = schema::PLAIN_TEXT))]
    pub description: Option<String>,
    /// Icon of the image. Unset: the template's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon: Option<Icon>,
}

/// A built-in icon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Icon {
    /// JupyterLab.
    #[serde(rename = "jupyterlab")]
    JupyterLab,
    /// A code editor.
    Code,
    /// Python.
    Python,
    /// R.
    R,
    /// Julia.
    Julia,
    /// A terminal.
    Terminal,
    /// Work on GPUs.
    Gpu,
    /// Anything else.
    #[default]
    Generic,
}
