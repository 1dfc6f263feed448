//! Workspace and format -> text as kubectl prints it (pure).

use api::Workspace;
use kube::Resource as _;
use serde_json::Value;

use crate::args::{DryRun, Format};
use crate::failure::Failure;

/// The resource name, such as `workspace.workspaces.jupyter.org/demo`.
fn name(object: &Value) -> String {
    let kind = Workspace::kind(&()).to_lowercase();
    format!(
        "{kind}.{}/{}",
        api::names::GROUP,
        object["metadata"]["name"].as_str().unwrap_or_default()
    )
}

/// The sentence that reports the result.
pub(crate) fn sentence(object: &Value, dry_run: DryRun) -> String {
    let how = match dry_run {
        DryRun::None => "",
        DryRun::Client => " (dry run)",
        DryRun::Server => " (server dry run)",
    };
    format!("{} created{how}", name(object))
}

/// The object in the given format, without a line end.
pub(crate) fn object(object: &Value, format: Format) -> Result<String, Failure> {
    let mut shown = object.clone();
    // Like kubectl, the output omits the field managers.
    if let Some(metadata) = shown["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    let text = match format {
        Format::Name => Ok(name(object)),
        Format::Json => serde_json::to_string_pretty(&shown).map_err(anyhow::Error::from),
        Format::Yaml => serde_saphyr::to_string(&shown).map_err(anyhow::Error::from),
    };
    let text = text.map_err(|error| Failure::Other(error.context("the workspace cannot be printed")))?;
    Ok(text.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn workspace() -> Value {
        json!({
            "apiVersion": "workspaces.jupyter.org/v1alpha1",
            "kind": "Workspace",
            "metadata": {"name": "demo", "managedFields": [{"manager": "x"}]},
            "spec": {"displayName": "yes: no", "image": "on", "resources": {"limits": {"cpu": "1", "memory": "1e3"}}},
        })
    }

    #[test]
    fn sentences_are_those_of_kubectl() {
        let line = |dry_run| sentence(&workspace(), dry_run);
        assert_eq!(
            line(DryRun::None),
            "workspace.workspaces.jupyter.org/demo created"
        );
        assert_eq!(
            line(DryRun::Client),
            "workspace.workspaces.jupyter.org/demo created (dry run)"
        );
        assert_eq!(
            line(DryRun::Server),
            "workspace.workspaces.jupyter.org/demo created (server dry run)"
        );
    }

    #[test]
    fn yaml_and_json_read_back_as_the_same_object() {
        for format in [Format::Yaml, Format::Json] {
            let text = object(&workspace(), format).unwrap();
            let mut expected = workspace();
            expected["metadata"]
                .as_object_mut()
                .unwrap()
                .remove("managedFields");
            let read: Value = serde_saphyr::from_str(&text).unwrap();
            assert_eq!(read, expected, "{format:?}: {text}");
        }
    }
}
