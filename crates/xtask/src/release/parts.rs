//! Folders, each with images and plugin of one architecture -> images for all of them (IO).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{IMAGES, Image, layout};
use crate::args::ImageName;
use crate::cluster::oci;
use crate::exec::Cmd;
use crate::images::PLUGIN;

/// File of a part that says what it is.
const ABOUT: &str = "part.json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// What one machine built.
#[derive(Debug)]
pub(super) struct Part {
    folder: PathBuf,
    about: About,
}

#[derive(Debug, Serialize, Deserialize)]
struct About {
    /// As images name it, such as `arm64`.
    architecture: String,
    commit: String,
}

impl Part {
    /// Copies archives and plugin into a folder.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub(super) fn write(
        folder: &Path,
        architecture: &str,
        commit: &str,
        archives: &Path,
        plugin: &Path,
    ) -> anyhow::Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let copy = |from: &Path, name: &str| {
            fs::copy(from, folder.join(name)).with_context(|| format!("cannot copy {}", from.display()))
        };
        for name in IMAGES.map(archive) {
            copy(&archives.join(&name), &name)?;
        }
        copy(plugin, PLUGIN)?;
        let about = json!({"architecture": architecture, "commit": commit});
        // Written last, as a mark that all of it is there.
        let path = folder.join(ABOUT);
        fs::write(&path, about.to_string()).with_context(|| format!("cannot write {}", path.display()))
    }

    /// The parts in these folders.
    ///
    /// # Errors
    /// When one is of another commit or incomplete, or two are of one architecture.
    pub(super) fn read(folders: &[PathBuf], commit: &str) -> anyhow::Result<Vec<Self>> {
        let mut parts: Vec<Self> = Vec::new();
        for folder in folders {
            let path = folder.join(ABOUT);
            let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let about: About =
                serde_json::from_slice(&text).with_context(|| format!("cannot read {}", path.display()))?;
            ensure!(
                about.commit == commit,
                "{} is of commit {}, and this checkout is {commit}: build all parts from one commit",
                folder.display(),
                about.commit
            );
            let same = parts
                .iter()
                .find(|part| part.architecture() == about.architecture);
            if let Some(same) = same {
                anyhow::bail!(
                    "{} and {} are both for {}: give one part for each architecture",
                    same.folder.display(),
                    folder.display(),
                    about.architecture
                );
            }
            parts.push(Self {
                folder: folder.clone(),
                about,
            });
        }
        parts.sort_by(|one, other| one.architecture().cmp(other.architecture()));
        Ok(parts)
    }

    pub(super) fn architecture(&self) -> &str {
        &self.about.architecture
    }

    /// The built kubectl plugin.
    pub(super) fn plugin(&self) -> PathBuf {
        self.folder.join(PLUGIN)
    }

    /// Unpacks the blobs of an image into a layout; returns the descriptor of its manifest.
    fn unpack(&self, name: ImageName, layout: &Path) -> anyhow::Result<Value> {
        let path = self.folder.join(archive(name));
        let opened = File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let found = oci::descriptor(opened).with_context(|| format!("{}", path.display()))?;
        Cmd::new("tar")
            .arg("-xf")
            .arg(&path)
            .arg("-C")
            .arg(layout)
            .run()?;
        Ok(json!({
            "mediaType": found["mediaType"], "digest": found["digest"], "size": found["size"],
            "platform": {"os": "linux", "architecture": self.about.architecture},
        }))
    }
}

/// One index for each image, in a layout below `work`, by the chart's names for them.
///
/// # Errors
/// When an archive cannot be read or unpacked.
pub(super) fn images(parts: &[Part], work: &Path) -> anyhow::Result<BTreeMap<String, Image>> {
    let index = |name: ImageName| {
        let folder = work.join(name.text());
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let manifests = parts.iter().map(|part| part.unpack(name, &folder));
        let manifests = manifests.collect::<anyhow::Result<Vec<_>>>()?;
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
        let entry = layout::blob(&folder, INDEX, index.to_string().as_bytes())?;
        let image = Image {
            repository: name.recipe().last_part().to_owned(),
            digest: layout::finish(&folder, entry, "all")?,
            source: format!("oci:{}:all", folder.display()),
        };
        Ok((name.text().to_owned(), image))
    };
    IMAGES.into_iter().map(index).collect()
}

fn archive(name: ImageName) -> String {
    format!("{}.tar", name.text())
}
