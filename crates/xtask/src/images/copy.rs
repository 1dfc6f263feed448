//! A list of images, a registry -> copies in that registry, with the same digests (IO).

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, ensure};

use super::plan;
use crate::apt;
use crate::progress::Progress;
use crate::registry::{Registries, Upload};

/// Copies the images of a file to a registry and prints their names there.
///
/// # Errors
/// When an image is not found, two images would get one name, or a name in the registry has other content.
pub(crate) fn run(list: &Path, to: &str) -> anyhow::Result<ExitCode> {
    let mut text = String::new();
    if list == Path::new("-") {
        std::io::stdin().read_to_string(&mut text)?;
    } else {
        text = fs::read_to_string(list).with_context(|| format!("cannot read {}", list.display()))?;
    }
    let progress = Progress::start();
    for upload in copy(&text, to, &Registries::default(), &progress)? {
        println!("{}", upload.target);
    }
    Ok(ExitCode::SUCCESS)
}

/// Copies the images of a list. Copies nothing unless all of them can be copied.
pub(crate) fn copy(
    list: &str,
    to: &str,
    registries: &Registries,
    progress: &Progress,
) -> anyhow::Result<Vec<Upload>> {
    apt::ensure(&["skopeo"], progress)?;
    let uploads = planned(list, to, |name| {
        registries
            .digest(name)?
            .with_context(|| format!("{name} does not exist"))
    })?;
    registries.upload(&uploads, progress)?;
    Ok(uploads)
}

/// The copies to make (pure except for `digest`, which requests the digest of an image that is listed by tag).
fn planned(
    list: &str,
    to: &str,
    digest: impl Fn(&str) -> anyhow::Result<String>,
) -> anyhow::Result<Vec<Upload>> {
    let mut targets: BTreeMap<String, (String, Upload)> = BTreeMap::new();
    let lines = list.lines().map(str::trim);
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let image = Listed::parse(line)?;
        let digest = match image.digest {
            Some(digest) => digest.to_owned(),
            None => digest(&image.tagged())?,
        };
        let end = image
            .tag
            .map_or_else(|| format!("@{digest}"), |tag| format!(":{tag}"));
        let upload = Upload {
            source: format!("docker://{}@{digest}", image.repository),
            target: plan::pushed(to, &format!("{}{end}", image.repository))?,
            digest,
        };
        let key = upload.target.clone();
        if let Some((other, known)) = targets.get(&key) {
            ensure!(
                known.digest == upload.digest,
                "{other} and {line} would both be {key}: copy one of them to another registry"
            );
        }
        targets.insert(key, (line.to_owned(), upload));
    }
    ensure!(
        !targets.is_empty(),
        "the list names no image: give one name per line"
    );
    Ok(targets.into_values().map(|(_, upload)| upload).collect())
}

/// A name in a list.
struct Listed<'a> {
    repository: &'a str,
    /// The tag of a name without a digest: `latest` where none is written.
    tag: Option<&'a str>,
    digest: Option<&'a str>,
}

impl<'a> Listed<'a> {
    fn parse(line: &'a str) -> anyhow::Result<Self> {
        let (name, digest) = match line.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (line, None),
        };
        let (repository, tag) = match name.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
            _ => (name, None),
        };
        ensure!(
            repository.contains('/') && !repository.contains("://") && !line.contains(char::is_whitespace),
            "`{line}` must be the name of an image with its registry, such as registry.example.com/team/gateway:1.0.0"
        );
        Ok(Self {
            repository,
            tag: tag.or_else(|| digest.is_none().then_some("latest")),
            digest,
        })
    }

    fn tagged(&self) -> String {
        format!("{}:{}", self.repository, self.tag.unwrap_or("latest"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(list: &str) -> anyhow::Result<Vec<(String, String)>> {
        let uploads = planned(list, "other.example.com/hub", |name| {
            Ok(format!("sha256:of-{name}"))
        })?;
        Ok(uploads
            .into_iter()
            .map(|upload| (upload.source, upload.target))
            .collect())
    }

    #[test]
    fn images_keep_their_last_part_tag_and_digest() {
        let list = "# a release\n\n127.0.0.1:5000/team/gateway:1.0.0@sha256:0a\nr.example.com/uv@sha256:0b\nquay.io/a/b:2\nquay.io/a/c\n";
        let pairs = [
            ("docker://127.0.0.1:5000/team/gateway@sha256:0a", "gateway:1.0.0"),
            ("docker://quay.io/a/b@sha256:of-quay.io/a/b:2", "b:2"),
            ("docker://quay.io/a/c@sha256:of-quay.io/a/c:latest", "c:latest"),
            ("docker://r.example.com/uv@sha256:0b", "uv@sha256:0b"),
        ];
        let mut found = targets(list).unwrap();
        found.sort();
        let expected = pairs.map(|(from, to)| (from.to_owned(), format!("other.example.com/hub/{to}")));
        assert_eq!(found, expected);
    }

    #[test]
    fn a_list_that_cannot_be_copied_whole_is_refused() {
        for (list, reason) in [
            (
                "r.example.com/a/x:1\nr.example.com/b/x:1",
                "would both be other.example.com/hub/x:1",
            ),
            (
                "python:3",
                "`python:3` must be the name of an image with its registry",
            ),
            ("https://r.example.com/a:1", "with its registry"),
            ("# nothing\n", "names no image"),
        ] {
            let error = targets(list).unwrap_err().to_string();
            assert!(error.contains(reason), "{list}: {error}");
        }
    }
}
