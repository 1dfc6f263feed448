//! Page in a browser -> its accessibility tree, as a screen reader reads it (IO).

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::browser::Browser;

/// An element as assistive technology has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its role, such as `button`.
    pub role: String,
    /// Its name.
    pub name: String,
    /// How changes in it are announced: `polite`, `assertive`, or empty for not at all.
    pub live: String,
}

impl Browser {
    /// All elements of the page that assistive technology sees.
    ///
    /// # Errors
    /// The browser does not answer.
    pub async fn accessibility(&self) -> anyhow::Result<Vec<Node>> {
        let tree = self.devtools("Accessibility.getFullAXTree", json!({})).await?;
        let nodes = tree["nodes"].as_array().with_context(|| tree.to_string())?;
        let visible = nodes.iter().filter(|node| node["ignored"] != true);
        Ok(visible.map(node).collect())
    }
}

fn node(node: &Value) -> Node {
    let text = |value: &Value| value["value"].as_str().unwrap_or_default().to_owned();
    let properties = node["properties"].as_array().into_iter().flatten();
    let live = properties
        .filter(|property| property["name"] == "live")
        .map(|property| text(&property["value"]))
        .find(|live| live != "off");
    Node {
        role: text(&node["role"]),
        name: text(&node["name"]),
        live: live.unwrap_or_default(),
    }
}
