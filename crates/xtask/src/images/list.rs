//! Values -> the images that the chart renders with them (pure, except for running `helm`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::Value;

use crate::exec::Cmd;
use crate::helm;
use crate::paths::Paths;
use crate::progress::Progress;

/// Values that every installation needs and that change no image, for a list without values.
const PLACEHOLDERS: [&str; 3] = [
    "routing.baseDomain=workspaces.example.org",
    "proxy.tls.secretName=workspaces-tls",
    "oidc.issuerUrl=https://id.example.com",
];

/// Prints the images, one per line, sorted.
///
/// # Errors
/// When the chart does not render with these values.
pub(crate) fn run(
    values: &[PathBuf],
    chart: Option<&str>,
    version: Option<&str>,
    paths: &Paths,
) -> anyhow::Result<ExitCode> {
    let ours = paths.clone_root().join("charts/jupyter-k8s");
    let mut command = Cmd::new(helm::ensure(paths, &Progress::start())?)
        .args(["template", "jupyter-k8s"])
        .arg(chart.map_or(ours, PathBuf::from));
    if let Some(version) = version {
        command = command.args(["--version", version]);
    }
    command = match values {
        [] => command.args(PLACEHOLDERS.map(|value| format!("--set={value}"))),
        files => files
            .iter()
            .fold(command, |command, file| command.arg("--values").arg(file)),
    };
    let rendered = command.output()?;
    let objects: Vec<Value> = serde_saphyr::from_multiple(&rendered).context("what helm renders")?;
    let lines = of(&objects)?.iter().fold(String::new(), |mut text, image| {
        let _ = writeln!(text, "{image}");
        text
    });
    print!("{lines}");
    Ok(ExitCode::SUCCESS)
}

/// Images of pods, of the settings and of templates (pure). A template's image with variables stands for several images, and is left out.
fn of(objects: &[Value]) -> anyhow::Result<BTreeSet<String>> {
    let (mut images, mut named) = (BTreeSet::new(), BTreeSet::new());
    let mut aliases = BTreeMap::new();
    for object in objects {
        of_pods(object, &mut images);
        if let Some(text) = object["data"]["settings.yaml"].as_str() {
            let settings: Value = serde_saphyr::from_str(text).context("settings.yaml")?;
            named.extend(texts(&settings["defaultImage"]));
            aliases.extend(settings["imageAliases"].as_object().cloned().unwrap_or_default());
        }
        if object["kind"] == "WorkspaceTemplate" {
            let spec = &object["spec"];
            let init = spec["defaultInitContainers"].as_array().into_iter().flatten();
            named.extend(
                [&spec["defaultImage"], &spec["allowedImages"]]
                    .into_iter()
                    .flat_map(texts),
            );
            named.extend(init.flat_map(|container| texts(&container["image"])));
        }
    }
    images.extend(aliases.values().flat_map(texts));
    let is_image = |name: &String| !aliases.contains_key(name) && !name.contains('{');
    images.extend(named.into_iter().filter(is_image));
    Ok(images)
}

/// The text, or the texts of a list.
fn texts(value: &Value) -> Vec<String> {
    let list = value
        .as_array()
        .map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Images of containers in any pod within an object.
fn of_pods(value: &Value, images: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| of_pods(item, images)),
        Value::Object(fields) => {
            for (key, value) in fields {
                if matches!(key.as_str(), "containers" | "initContainers") {
                    let containers = value.as_array().into_iter().flatten();
                    images.extend(containers.flat_map(|container| texts(&container["image"])));
                }
                of_pods(value, images);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn images_of_pods_settings_and_templates_are_listed_once_and_without_aliases() {
        let pod = json!({"containers": [{"image": "r/a:1"}], "initContainers": [{"image": "r/b:1"}]});
        let objects = [
            json!({"kind": "Deployment", "spec": {"template": {"spec": pod}}}),
            json!({"kind": "Pod", "spec": {"containers": [{"image": "r/a:1"}]}}),
            json!({"kind": "ConfigMap", "data": {"settings.yaml": "{defaultImage: uv, imageAliases: {uv: 'r/uv:1', gpu: 'r/gpu:1'}}"}}),
            json!({"kind": "WorkspaceTemplate", "spec": {
                "defaultImage": "gpu", "allowedImages": ["gpu", "r/c:1", "r/{workspace.namespace}:1"],
                "defaultInitContainers": [{"name": "i", "image": "r/d:1"}],
            }}),
        ];
        let expected = ["r/a:1", "r/b:1", "r/c:1", "r/d:1", "r/gpu:1", "r/uv:1"];
        assert_eq!(of(&objects).unwrap().into_iter().collect::<Vec<_>>(), expected);
    }
}
