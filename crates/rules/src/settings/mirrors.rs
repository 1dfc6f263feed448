//! Image reference, mirrors of the installation -> the reference that nodes pull (pure).

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::Deserialize;

use crate::checks::image::{ImageParts, is_repository_prefix};
use crate::violation::Violation;

/// The registry of references that name none, as container runtimes read them.
const DEFAULT_REGISTRY: &str = "docker.io";
/// An older name of that registry.
const LEGACY_REGISTRY: &str = "index.docker.io";

/// A registry, or a part of one, that replaces another.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImageMirror {
    /// Registry, with or without a path: `docker.io/library`. Matches whole path segments of references.
    pub source: String,
    /// Replaces the source at the beginning of the reference: `registry.example.com/hub`.
    pub mirror: String,
}

/// The reference with its beginning replaced by the mirror with the longest matching source; without a match, the reference as it is.
/// Tag and digest stay.
pub(crate) fn mirror(image: &str, mirrors: &[ImageMirror]) -> String {
    let ImageParts { name, version } = ImageParts::from_image(image);
    let name = full(name);
    let rest = |mirror: &ImageMirror| {
        let rest = name.strip_prefix(&mirror.source)?;
        (rest.is_empty() || rest.starts_with('/')).then(|| rest.to_owned())
    };
    let matching = mirrors.iter().filter_map(|mirror| Some((mirror, rest(mirror)?)));
    matching
        .max_by_key(|(mirror, _)| mirror.source.len())
        .map_or_else(
            || image.to_owned(),
            |(mirror, rest)| format!("{}{rest}{version}", mirror.mirror),
        )
}

/// A name with its registry: `python` is `docker.io/library/python`.
fn full(name: &str) -> Cow<'_, str> {
    let (registry, path) = match name.split_once('/') {
        Some((first, path)) if is_repository_prefix(first) => (first, path),
        _ => (DEFAULT_REGISTRY, name),
    };
    match registry {
        DEFAULT_REGISTRY | LEGACY_REGISTRY if !path.contains('/') => {
            format!("{DEFAULT_REGISTRY}/library/{path}").into()
        }
        DEFAULT_REGISTRY | LEGACY_REGISTRY => format!("{DEFAULT_REGISTRY}/{path}").into(),
        _ => name.into(),
    }
}

/// Errors in a list of mirrors.
pub(super) fn violations(field: &str, mirrors: &[ImageMirror]) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut sources = BTreeSet::new();
    for (index, ImageMirror { source, mirror }) in mirrors.iter().enumerate() {
        let at = |name: &str| format!("{field}[{index}].{name}");
        for (name, value) in [("source", source), ("mirror", mirror)] {
            if !is_repository_prefix(value) {
                let rule = "must be a registry with or without a path, without scheme, tag and slash at the end, such as \
                            registry.example.com/hub";
                found.push(Violation::new(at(name), value, rule));
            }
        }
        if source.split('/').next() == Some(LEGACY_REGISTRY) {
            found.push(Violation::new(
                at("source"),
                source,
                "matches nothing: write docker.io",
            ));
        }
        if !sources.insert(source) {
            found.push(Violation::new(
                at("source"),
                source,
                "is named twice: keep one of them",
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mirrors() -> Vec<ImageMirror> {
        [
            ("docker.io", "r.example.com/hub"),
            ("docker.io/library", "r.example.com:5000/official"),
            ("quay.io/jupyter", "r.example.com/jupyter"),
            ("registry:5000", "r.example.com/old"),
            ("ghcr.io/a/exact", "r.example.com/renamed"),
        ]
        .map(|(source, mirror)| ImageMirror {
            source: source.to_owned(),
            mirror: mirror.to_owned(),
        })
        .to_vec()
    }

    #[test]
    fn the_longest_source_of_whole_segments_is_replaced_and_tag_and_digest_stay() {
        let digest = format!("@sha256:{}", "0a".repeat(32));
        for (image, expected) in [
            ("python", "r.example.com:5000/official/python"),
            ("python:3.13", "r.example.com:5000/official/python:3.13"),
            ("docker.io/python:3", "r.example.com:5000/official/python:3"),
            (
                "docker.io/library/python:3",
                "r.example.com:5000/official/python:3",
            ),
            ("index.docker.io/python:3", "r.example.com:5000/official/python:3"),
            ("bitnami/git:2", "r.example.com/hub/bitnami/git:2"),
            ("docker.io/bitnami/git", "r.example.com/hub/bitnami/git"),
            (
                "quay.io/jupyter/base-notebook:1",
                "r.example.com/jupyter/base-notebook:1",
            ),
            ("registry:5000/team/lab:1", "r.example.com/old/team/lab:1"),
            ("ghcr.io/a/exact:1", "r.example.com/renamed:1"),
        ] {
            assert_eq!(mirror(image, &mirrors()), expected, "{image}");
            let (image, expected) = (format!("{image}{digest}"), format!("{expected}{digest}"));
            assert_eq!(mirror(&image, &mirrors()), expected, "{image}");
        }
    }

    #[test]
    fn references_that_only_look_alike_are_left_as_they_are_written() {
        for image in [
            "quay.io/jupyterlab/x:1",
            "quay.io/other/jupyter:1",
            "docker.io.example.com/library/python",
            "registry:5001/team/lab:1",
            "ghcr.io/a/exactly:1",
            "localhost/docker.io/python",
        ] {
            assert_eq!(mirror(image, &mirrors()), image);
        }
        assert_eq!(mirror("python:3", &[]), "python:3");
        assert_eq!(mirror("python:3", &mirrors()[2..]), "python:3");
    }

    #[test]
    fn mirrors_that_can_match_or_replace_nothing_are_refused() {
        assert_eq!(violations("imageMirrors", &mirrors()), []);
        let of = |source: &str, mirror: &str| ImageMirror {
            source: source.to_owned(),
            mirror: mirror.to_owned(),
        };
        let wrong = [
            of("https://docker.io", "r.example.com"),
            of("library", "r.example.com"),
            of("docker.io/", "r.example.com"),
            of("quay.io/a:1", "r.example.com"),
            of("gcr.io", "hub"),
            of("index.docker.io/a", "r.example.com"),
            of("gcr.io", "r.example.com"),
            of("", "r.example.com"),
        ];
        let found: Vec<String> = violations("imageMirrors", &wrong)
            .iter()
            .map(ToString::to_string)
            .collect();
        let fields: Vec<&str> = found.iter().filter_map(|text| text.split(": ").next()).collect();
        let at = |index: usize, name: &str| format!("imageMirrors[{index}].{name}");
        let expected = [
            at(0, "source"),
            at(1, "source"),
            at(2, "source"),
            at(3, "source"),
            at(4, "mirror"),
            at(5, "source"),
            at(6, "source"),
            at(7, "source"),
        ];
        assert_eq!(fields, expected, "{found:?}");
    }
}
