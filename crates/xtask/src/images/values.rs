//! References of built images -> the chart's values for them (pure).

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

/// Components of the chart that have an image, and `application`.
const IMAGES: [&str; 7] = [
    "operator",
    "webhook",
    "gateway",
    "portal",
    "application",
    "proxy",
    "identity",
];

/// Values that make the chart use just these images; `references` has the chart's names for images as keys.
///
/// # Errors
/// When an image is missing or a reference has no tag.
pub(crate) fn values(references: &BTreeMap<String, String>) -> anyhow::Result<Value> {
    let mut split = Vec::new();
    for name in IMAGES {
        let reference = references
            .get(name)
            .with_context(|| format!("the image `{name}` was not built"))?;
        let (repository, tag) = reference
            .rsplit_once(':')
            .filter(|(_, tag)| !tag.contains('/'))
            .unzip();
        let (repository, tag) = repository
            .zip(tag)
            .with_context(|| format!("the image {reference} has no tag"))?;
        split.push((name, repository, tag));
    }
    let repositories: Vec<&str> = split.iter().map(|(_, repository, _)| *repository).collect();
    let registry = common_folder(&repositories);
    ensure!(
        !registry.is_empty(),
        "the images lie in different registries: {}",
        repositories.join(", ")
    );
    let images: BTreeMap<&str, Value> = split
        .iter()
        .map(|(name, repository, tag)| {
            (
                *name,
                json!({"repository": &repository[registry.len() + 1..], "tag": tag}),
            )
        })
        .collect();
    Ok(json!({"image": {"registry": registry}, "images": images}))
}

/// The longest common beginning of all paths that ends where one of their segments ends and leaves each something.
fn common_folder<'a>(paths: &[&'a str]) -> &'a str {
    let Some(first) = paths.first() else { return "" };
    let ends = first.match_indices('/').map(|(at, _)| at).rev();
    ends.map(|at| &first[..at])
        .find(|folder| paths.iter().all(|path| in_folder(path, folder)))
        .unwrap_or("")
}

fn in_folder(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn references(registry: &str, application: &str) -> BTreeMap<String, String> {
        let own = ["operator", "webhook", "gateway", "portal", "proxy", "identity"];
        let mut all: BTreeMap<_, _> = own
            .iter()
            .map(|name| ((*name).to_owned(), format!("{registry}/{name}:dev-1")))
            .collect();
        all.insert("application".into(), application.into());
        all
    }

    #[test]
    fn registry_repository_and_tag_add_up_to_the_references() {
        for references in [
            references(
                "localhost/jupyter-k8s",
                "localhost/jk8s-application-jupyter-uv:dev-2",
            ),
            references(
                "registry.example.com:5000/team/jupyter",
                "registry.example.com:5000/team/jupyter/app:1",
            ),
        ] {
            let values = values(&references).unwrap();
            for (name, reference) in &references {
                let image = &values["images"][name];
                let text = |value: &Value| value.as_str().unwrap().to_owned();
                let shown = format!(
                    "{}/{}:{}",
                    text(&values["image"]["registry"]),
                    text(&image["repository"]),
                    text(&image["tag"])
                );
                assert_eq!(&shown, reference);
            }
        }
    }

    #[test]
    fn images_that_cannot_be_deployed_are_named() {
        let error = |references| values(&references).unwrap_err().to_string();
        let mut missing = references("localhost/a", "localhost/a/app:1");
        missing.remove("gateway");
        assert_eq!(error(missing), "the image `gateway` was not built");
        assert_eq!(
            error(references("localhost/a", "localhost:5000/app")),
            "the image localhost:5000/app has no tag"
        );
        let apart = error(references("one.example.com/a", "two.example.com/app:1"));
        assert!(
            apart.starts_with("the images lie in different registries: one.example.com/a/operator"),
            "{apart}"
        );
    }
}
