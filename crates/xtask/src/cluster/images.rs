//! Archives in the cache's `images/` -> images in the node's containerd (IO).
//!
//! Each archive `<name>.tar` is an oci-archive. A file `<name>.names` beside it lists further names for its image, one per line. Tags have
//! a hash of the content, so an image whose names are known is not imported again.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::containerd::ctr;
use super::layout::Layout;
use super::oci;
use crate::components::{COREDNS, Component, NODE_TOOLS, PROVISIONER};
use crate::paths::Paths;
use crate::progress::Progress;

/// Beginning of the file names of images that only the node itself uses.
const NODE_PREFIX: &str = "node-";

/// Name of the image made of a component's binary.
pub(crate) fn node_image(component: &Component) -> String {
    format!("localhost/jupyter-k8s/{}:{}", component.name, component.hash())
}

/// Writes the archives of the node's own images, unless they are there, and removes those of other versions.
pub(crate) fn ensure_node_images(paths: &Paths) -> anyhow::Result<()> {
    let folder = paths.images();
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    // The provisioner's helper writes to a folder of root's; the others need no rights.
    let wanted = [
        (COREDNS, "65532:65532"),
        (PROVISIONER, "65532:65532"),
        (NODE_TOOLS, "0:0"),
    ];
    let file = |component: &Component| {
        folder.join(format!(
            "{NODE_PREFIX}{}-{}.tar",
            component.name,
            component.hash()
        ))
    };
    for path in archives(&folder)?.iter().filter(|path| is_of_node(path)) {
        if !wanted.iter().any(|(component, _)| file(component) == **path) {
            fs::remove_file(path)?;
        }
    }
    for (component, user) in wanted {
        let path = file(&component);
        if path.exists() {
            continue;
        }
        let image = oci::Image {
            name: &node_image(&component),
            path: component.name,
            program: &fs::read(component.path(paths))?,
            user,
        };
        let temporary = path.with_extension("tmp");
        fs::write(&temporary, oci::archive(&image)?)?;
        fs::rename(&temporary, &path)?;
    }
    Ok(())
}

/// Imports what is new into the node's containerd.
pub(crate) fn import(layout: &Layout, folder: &Path, progress: &Progress) -> anyhow::Result<()> {
    let known = ctr(layout).args(["images", "list", "--quiet"]).output()?;
    for archive in archives(folder)? {
        let names = names(&archive)?;
        let (first, others) = names
            .split_first()
            .with_context(|| format!("{} names no image", archive.display()))?;
        if names.iter().all(|name| known.lines().any(|line| line == name)) {
            continue;
        }
        ctr(layout).args(["images", "import"]).arg(&archive).run()?;
        for other in others {
            ctr(layout)
                .args(["images", "tag", "--force", first, other])
                .run()?;
        }
        progress.line(format_args!("imported image {first}"));
    }
    Ok(())
}

/// Removes images that no archive provides any more. Correct only before the first pod starts, because no pod may refer to them.
pub(crate) fn prune(layout: &Layout, folder: &Path) -> anyhow::Result<()> {
    let mut kept = Vec::new();
    for archive in archives(folder)? {
        kept.extend(names(&archive)?);
    }
    remove_all_but(&kept, layout)
}

/// Removes all images except the node's own, even if pods use them. A later [`import`] delivers the others again.
pub(crate) fn keep_own(layout: &Layout, folder: &Path) -> anyhow::Result<()> {
    let mut own = Vec::new();
    for archive in archives(folder)?.iter().filter(|archive| is_of_node(archive)) {
        own.extend(names(archive)?);
    }
    remove_all_but(&own, layout)
}

fn remove_all_but(kept: &[String], layout: &Layout) -> anyhow::Result<()> {
    let listed = ctr(layout).args(["images", "list"]).output()?;
    let others = others(&listed, kept);
    if !others.is_empty() {
        ctr(layout)
            .args(["images", "remove", "--sync"])
            .args(others)
            .run()?;
    }
    Ok(())
}

/// Names in containerd's table of images, `REF TYPE DIGEST …`, whose image has none of the kept names. An image has several names, one of
/// them its ID (`sha256:…`).
fn others<'a>(listed: &'a str, kept: &[String]) -> Vec<&'a str> {
    let rows: Vec<(&str, &str)> = listed
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut columns = line.split_whitespace();
            Some((columns.next()?, columns.nth(1)?))
        })
        .collect();
    let digests: Vec<&str> = rows
        .iter()
        .filter(|(name, _)| kept.iter().any(|kept| kept == name))
        .map(|(_, digest)| *digest)
        .collect();
    rows.into_iter()
        .filter(|(_, digest)| !digests.contains(digest))
        .map(|(name, _)| name)
        .collect()
}

/// The archives in a folder, by name; none when there is no folder.
pub(crate) fn archives(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "tar"));
    paths.sort();
    Ok(paths)
}

/// Whether an archive is one of those that only a node of our own uses (pure).
pub(crate) fn is_of_node(archive: &Path) -> bool {
    let name = archive.file_name().unwrap_or_default();
    name.to_string_lossy().starts_with(NODE_PREFIX)
}

/// All names of an archive's image: its own, then those of the `.names` file.
pub(crate) fn names(archive: &Path) -> anyhow::Result<Vec<String>> {
    let mut names = oci::names(fs::File::open(archive)?)?;
    if let Ok(text) = fs::read_to_string(archive.with_extension("names")) {
        names.extend(
            text.lines()
                .map(str::trim)
                .filter(|line| !line.is_empty())
                .map(str::to_owned),
        );
    }
    Ok(names)
}
