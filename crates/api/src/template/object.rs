//! YAML of a template's `objects` -> further objects of each workspace (pure).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::options::When;
use crate::schema;

/// A further object of each workspace, of a kind that the installation allows. It is there while the workspace runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TemplateObject {
    /// Name of the object in the template: at most 8 lower-case letters and digits.
    #[schemars(length(min = 1, max = 8), regex(pattern = "^[a-z0-9]+$"))]
    pub name: String,
    /// Choices of `options`. Unless each of these options is chosen so, there is no such object. Unset: there always is.
    #[serde(default, skip_serializing_if = "When::is_empty")]
    #[schemars(schema_with = "schema::when")]
    pub when: When,
    /// Manifest of a namespaced kind of the setting `objectKinds`. Strings and keys may contain `{workspace.name}`,
    /// `{workspace.namespace}`, `{workspace.uid}`, and variables that choices of `options` set: as the choice sets them, whatever the
    /// workspace sets. The operator sets namespace, owner and labels. The default `metadata.name` is `wso-<name>-<workspace>`.
    #[schemars(schema_with = "schema::manifest")]
    pub manifest: Value,
}
