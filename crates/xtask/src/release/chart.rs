//! Chart, registry, digests of images -> a package with these defaults, also as an OCI layout (IO).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::{Image, Release, checkout, layout, package};

/// Name of the chart.
pub(super) const NAME: &str = "jupyter-k8s";

/// A packaged chart as skopeo pushes it.
pub(super) struct Layout {
    pub(super) folder: PathBuf,
    /// Of its manifest, `sha256:…`.
    pub(super) digest: String,
}

/// Packages the chart, which is then in [`NAME`] below `work`; returns the file's name.
///
/// # Errors
/// When the chart cannot be read, or a default is not where it is expected.
pub(super) fn package(release: &Release<'_>, work: &Path) -> anyhow::Result<String> {
    let folder = work.join(NAME);
    copy(release.chart, &folder)?;
    let edit = |name: &str, edit: &dyn Fn(&str) -> anyhow::Result<String>| {
        let path = folder.join(name);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let text = edit(&text).with_context(|| name.to_owned())?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    edit("Chart.yaml", &|text| versioned(text, release.version))?;
    edit("values.yaml", &|text| {
        with_defaults(text, release.registry, release.version, &release.images)
    })?;
    let name = format!("{NAME}-{}.tgz", release.version);
    package::archive(work, &[NAME], &release.out.join(&name))?;
    Ok(name)
}

/// Chart.yaml with another version.
fn versioned(text: &str, version: &str) -> anyhow::Result<String> {
    let line = |line: &str| match line.split(':').next() {
        Some(key @ ("version" | "appVersion")) => format!("{key}: {}\n", json!(version)),
        _ => format!("{line}\n"),
    };
    let changed: String = text.lines().map(line).collect();
    let mut expected: Value = serde_saphyr::from_str(text)?;
    expected["version"] = json!(version);
    expected["appVersion"] = json!(version);
    same(&changed, &expected)?;
    Ok(changed)
}

/// values.yaml with other defaults; comments stay. The registry is `global.imageRegistry`, so that this value of a parent chart, or
/// `image.registry`, still overrides it.
fn with_defaults(
    text: &str,
    registry: &str,
    version: &str,
    images: &BTreeMap<String, Image>,
) -> anyhow::Result<String> {
    let mut expected: Value = serde_saphyr::from_str(text)?;
    expected["global"]["imageRegistry"] = json!(registry);
    for (name, image) in images {
        expected["images"][name] =
            json!({"repository": image.repository, "tag": version, "digest": image.digest});
    }
    let mut section = "";
    let mut changed = String::new();
    for line in text.lines() {
        if line.starts_with(|c: char| c.is_ascii_alphabetic()) {
            section = line.split(':').next().unwrap_or_default();
        }
        let key = line.strip_prefix("  ").and_then(|line| line.split(':').next());
        let other = key.and_then(|key| match (section, images.get(key)) {
            ("global", _) if key == "imageRegistry" => Some((key, json!(registry))),
            ("images", Some(_)) => Some((key, expected["images"][key].clone())),
            _ => None,
        });
        // JSON is YAML.
        changed += &other.map_or_else(|| line.to_owned(), |(key, value)| format!("  {key}: {value}"));
        changed.push('\n');
    }
    same(&changed, &expected)?;
    Ok(changed)
}

fn same(changed: &str, expected: &Value) -> anyhow::Result<()> {
    let found: Value = serde_saphyr::from_str(changed)?;
    ensure!(
        found == *expected,
        "the defaults of a release could not be written: a key has its value on further lines"
    );
    Ok(())
}

/// Copies the files of a folder that git tracks, and no others.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let files = checkout::files(from)?;
    ensure!(!files.is_empty(), "git has no file of {}", from.display());
    for file in files {
        let (path, copy) = (from.join(&file), to.join(&file));
        let about = fs::symlink_metadata(&path).with_context(|| format!("cannot read {}", path.display()))?;
        ensure!(
            about.is_file(),
            "{} must be a regular file: put its content in place of the link",
            path.display()
        );
        let folder = copy.parent().unwrap_or(to);
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        fs::copy(&path, &copy).with_context(|| format!("cannot copy {}", path.display()))?;
    }
    Ok(())
}

/// The OCI layout of a packaged chart, as Helm itself would push it, with its commit.
///
/// # Errors
/// When a file cannot be read or written.
pub(super) fn layout(release: &Release<'_>, package: &Path, folder: &Path) -> anyhow::Result<Layout> {
    let version = release.version;
    let blob = |media: &str, bytes: &[u8]| layout::blob(folder, media, bytes);
    let about = fs::read_to_string(release.chart.join("Chart.yaml"))?;
    let about: Value = serde_saphyr::from_str(&versioned(&about, version)?)?;
    let content = fs::read(package).with_context(|| format!("cannot read {}", package.display()))?;
    let media = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media,
        "config": blob("application/vnd.cncf.helm.config.v1+json", about.to_string().as_bytes())?,
        "layers": [blob("application/vnd.cncf.helm.chart.content.v1.tar+gzip", &content)?],
        "annotations": {
            "org.opencontainers.image.title": about["name"],
            "org.opencontainers.image.version": about["version"],
            "org.opencontainers.image.description": about["description"],
            "org.opencontainers.image.revision": release.commit,
        },
    });
    let entry = blob(media, manifest.to_string().as_bytes())?;
    Ok(Layout {
        folder: folder.to_path_buf(),
        digest: layout::finish(folder, entry, version)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Image {
        Image {
            repository: "operator".to_owned(),
            source: String::new(),
            digest: format!("sha256:{}", "0a".repeat(32)),
        }
    }

    #[test]
    fn a_copy_has_the_files_that_git_has_and_no_link() {
        let repository = checkout::testing::Repository::new("chart");
        let (chart, to) = (
            repository.folder().join("chart"),
            repository.folder().join("copy"),
        );
        repository.write("chart/values.yaml", "a: 1");
        repository.write("chart/templates/a.yaml", "b");
        repository.commit();
        repository.write("chart/my-values.yaml", "password: hush");
        copy(&chart, &to).unwrap();
        assert_eq!(fs::read_to_string(to.join("templates/a.yaml")).unwrap(), "b");
        let names = fs::read_dir(&to).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.collect();
        names.sort();
        assert_eq!(names, ["templates", "values.yaml"]);

        std::os::unix::fs::symlink("/etc/passwd", chart.join("link")).unwrap();
        repository.commit();
        let error = copy(&chart, &repository.folder().join("other"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("chart/link must be a regular file"), "{error}");
    }

    #[test]
    fn defaults_change_where_they_are_and_comments_stay() {
        let values = "# All.\nimages:\n  # Ours.\n  operator: {repository: o, tag: \"\"}\n  other: {tag: \"2\"}\nglobal:\n  imageRegistry: \"\"\n\
                      operator:\n  imageRegistry: x\n";
        let images = BTreeMap::from([("operator".to_owned(), image())]);
        let changed = with_defaults(values, "r.example.com/team", "1.0.0", &images).unwrap();
        assert!(changed.starts_with("# All.\nimages:\n  # Ours.\n"), "{changed}");
        let read: Value = serde_saphyr::from_str(&changed).unwrap();
        assert_eq!(read["global"]["imageRegistry"], "r.example.com/team");
        assert_eq!(
            read["images"]["operator"],
            json!({"repository": "operator", "tag": "1.0.0", "digest": image().digest})
        );
        assert_eq!(read["images"]["other"]["tag"], "2");
        assert_eq!(read["operator"]["imageRegistry"], "x");
    }

    #[test]
    fn defaults_that_are_laid_out_in_another_way_are_an_error_and_not_left_as_they_are() {
        let images = BTreeMap::from([("operator".to_owned(), image())]);
        for values in [
            "images:\n  operator:\n    tag: \"\"\nglobal:\n  imageRegistry: \"\"\n",
            "images: {operator: {tag: \"\"}}\nglobal: {imageRegistry: \"\"}\n",
        ] {
            with_defaults(values, "r.example.com", "1.0.0", &images).unwrap_err();
        }
    }

    #[test]
    fn the_chart_s_version_changes_and_nothing_else_of_it() {
        let text = "apiVersion: v2\nversion: 0.1.0\nappVersion: 0.1.0\nkubeVersion: \">=1.31.0-0\"\n";
        assert_eq!(
            versioned(text, "1.0.0-rc.1").unwrap(),
            "apiVersion: v2\nversion: \"1.0.0-rc.1\"\nappVersion: \"1.0.0-rc.1\"\nkubeVersion: \">=1.31.0-0\"\n"
        );
    }
}
