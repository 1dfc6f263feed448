//! Build files -> images, by buildah with its own storage in the cache folder (IO).

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::exec::Cmd;
use crate::paths::Paths;

/// The builder's storage; it keeps base images between runs.
#[derive(Debug)]
pub(crate) struct Store {
    settings: PathBuf,
}

/// A build file and its inputs.
#[derive(Debug)]
pub(crate) struct Build<'a> {
    pub(crate) file: PathBuf,
    /// The context folder of the file's COPY instructions.
    pub(crate) context: &'a Path,
    pub(crate) arguments: Vec<(&'static str, String)>,
    /// Folders that replace stages.
    pub(crate) stages: Vec<(&'static str, &'a Path)>,
}

impl Store {
    /// Opens the store.
    ///
    /// # Errors
    /// When its folder cannot be written.
    pub(crate) fn open(paths: &Paths) -> anyhow::Result<Self> {
        let folder = paths.cache().join("buildah");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let settings = folder.join("storage.conf");
        let place = folder.display();
        // vfs needs no kernel features, so it works in containers and on every file system.
        let text = format!(
            "[storage]\ndriver = \"vfs\"\ngraphroot = \"{place}/storage\"\nrunroot = \"{place}/run\"\n"
        );
        fs::write(&settings, text).with_context(|| format!("cannot write {}", settings.display()))?;
        Ok(Self { settings })
    }

    fn buildah(&self, verb: &str) -> Cmd {
        Cmd::new("buildah")
            .arg(verb)
            .env("CONTAINERS_STORAGE_CONF", &self.settings)
            .env("BUILDAH_ISOLATION", "chroot")
    }

    /// Whether the image is in the store.
    pub(crate) fn has(&self, image: &str) -> bool {
        self.buildah("inspect")
            .args(["--type", "image", image])
            .succeeds()
    }

    /// Creates an image that contains only an archive of a root file system.
    ///
    /// # Errors
    /// When buildah fails.
    pub(crate) fn import(&self, rootfs: &Path, image: &str, log: &Path) -> anyhow::Result<()> {
        let container = self.buildah("from").arg("scratch").output()?;
        let added = self
            .buildah("add")
            .args(["--quiet", &container])
            .arg(rootfs)
            .arg("/");
        added.logged(log, |_| ())?;
        let commit = self
            .buildah("commit")
            .args(["--quiet", "--rm", &container, image]);
        commit.logged(log, |_| ())
    }

    /// Builds an image. Nothing is pulled: each stage that would be is replaced.
    ///
    /// # Errors
    /// When buildah fails.
    pub(crate) fn build(
        &self,
        build: &Build<'_>,
        image: &str,
        log: &Path,
        on_line: impl FnMut(&str),
    ) -> anyhow::Result<()> {
        let mut command = self.buildah("build").args(["--pull=never", "--http-proxy=false"]);
        for (name, value) in &build.arguments {
            command = command.arg("--build-arg").arg(format!("{name}={value}"));
        }
        for (stage, folder) in &build.stages {
            command = command
                .arg("--build-context")
                .arg(format!("{stage}={}", folder.display()));
        }
        command
            .args(["--tag", image, "--file"])
            .arg(&build.file)
            .arg(build.context)
            .logged(log, on_line)
    }

    /// Writes an image as an oci-archive, with zstd, because nodes unpack it in half the time of gzip.
    ///
    /// # Errors
    /// When buildah fails.
    pub(crate) fn export(&self, image: &str, archive: &Path, log: &Path) -> anyhow::Result<()> {
        let _ = fs::remove_file(archive);
        self.buildah("push")
            .args(["--quiet", "--compression-format", "zstd", image])
            .arg(format!("oci-archive:{}:{image}", archive.display()))
            .logged(log, |_| ())
    }

    /// Removes the remains of builds: incomplete containers, and all images except those to keep.
    ///
    /// # Errors
    /// When buildah fails.
    pub(crate) fn tidy(&self, keep: &[String]) -> anyhow::Result<()> {
        self.buildah("rm").arg("--all").run()?;
        let known = self.buildah("images").args(["--all", "--json"]).output()?;
        let others = others(&known, keep)?;
        if !others.is_empty() {
            self.buildah("rmi").arg("--force").args(others).run()?;
        }
        Ok(())
    }
}

/// Ids of the images, as buildah lists them, that have none of these names.
fn others(listed: &str, keep: &[String]) -> anyhow::Result<Vec<String>> {
    #[derive(serde::Deserialize)]
    struct Image {
        id: String,
        names: Option<Vec<String>>,
    }
    let mut images: Vec<Image> = serde_json::from_str(listed).context("buildah's list of images")?;
    images.retain(|image| {
        let mut names = image.names.iter().flatten();
        !names.any(|name| keep.contains(name))
    });
    Ok(images.into_iter().map(|image| image.id).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_without_a_kept_name_are_removed_and_unnamed_ones_too() {
        let listed = r#"[{"id":"1","names":["localhost/base:a","localhost/other:1"]},{"id":"2","names":["localhost/b:1"]},{"id":"3"}]"#;
        assert_eq!(
            others(listed, &["localhost/base:a".to_owned()]).unwrap(),
            ["2", "3"]
        );
    }
}
