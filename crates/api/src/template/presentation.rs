//! YAML of a template's fields -> how it is shown to users (pure).

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
