//! Archives in the cache's `images/` -> images in the node's containerd (IO).
//!
//! Each archive `<name>.tar` is an oci-archive and is imported when it is not the file that was imported last. A file
//! `<name>.names` beside it lists further names for its image, one per line.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::containerd::ctr;
use super::layout::Layout;
use super::oci;
use crate::components::{COREDNS, Component, NODE_TOOLS, PROVISIONER, short_digest};
use crate::paths::Paths;
use crate::progress::Progress;

/// Beginning of the file names of images that only the node itself uses.
const NODE_PREFIX: &str = "node-";

/// An archive as it was when it was imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    size: u64,
    modified: i64,
    nanoseconds: i64,
    /// All names the image has been given.
    names: Vec<String>,
}

/// What has been imported, by file name.
type Record = BTreeMap<String, Stamp>;

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
    let file = |component: &Component, user: &str| {
        let made_of = short_digest(format!("{} {user}", component.hash()).as_bytes());
        format!("{NODE_PREFIX}{}-{made_of}.tar", component.name)
    };
    let keep: Vec<String> = wanted
        .iter()
        .map(|(component, user)| file(component, user))
        .collect();
    for path in archives(&folder)? {
        let name = file_name(&path);
        if is_of_node(&path) && !keep.contains(&name) {
            fs::remove_file(&path)?;
        }
    }
    for (component, user) in wanted {
        let path = folder.join(file(&component, user));
        if path.exists() {
            continue;
        }
        let program = fs::read(component.path(paths))?;
        let name = node_image(&component);
        let image = oci::Image {
            name: &name,
            path: component.name,
            program: &program,
            user,
        };
        let temporary = path.with_extension("tmp");
        fs::write(&temporary, oci::archive(&image)?)?;
        fs::rename(&temporary, &path)?;
    }
    Ok(())
}

/// Path of the node's record of imported archives. It is deleted with the images.
pub(crate) fn node_record(layout: &Layout) -> PathBuf {
    layout.containerd_root().join("imported.json")
}

/// Passes each new or changed archive of the paths, with all its names, to `deliver`, and records it in `record_file`.
pub(crate) fn deliver(
    archives: Vec<PathBuf>,
    record_file: &Path,
    progress: &Progress,
    deliver: impl Fn(&Path, &[String]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut record = load(record_file);
    for path in archives {
        let (name, stamp) = (
            file_name(&path),
            stamp(&path).with_context(|| format!("image {}", path.display()))?,
        );
        if record.get(&name) == Some(&stamp) {
            continue;
        }
        let first = stamp
            .names
            .first()
            .with_context(|| format!("{name} names no image"))?;
        deliver(&path, &stamp.names).with_context(|| format!("cannot deliver image {first}"))?;
        progress.line(format_args!("delivered image {first}"));
        record.insert(name, stamp);
        save(record_file, &record)?;
    }
    Ok(())
}

/// Imports what is new or changed into the node's containerd.
pub(crate) fn import(layout: &Layout, folder: &Path, progress: &Progress) -> anyhow::Result<()> {
    deliver(
        archives(folder)?,
        &node_record(layout),
        progress,
        |archive, names| {
            ctr(layout).args(["images", "import"]).arg(archive).run()?;
            let Some((first, others)) = names.split_first() else {
                return Ok(());
            };
            for other in others {
                ctr(layout)
                    .args(["images", "tag", "--force", first, other])
                    .run()?;
            }
            Ok(())
        },
    )
}

/// Removes images that no archive provides any more. Correct only before the first pod starts, because no pod may refer to them.
pub(crate) fn prune(layout: &Layout, folder: &Path) -> anyhow::Result<()> {
    let present: Vec<String> = archives(folder)?.iter().map(|path| file_name(path)).collect();
    let record_file = node_record(layout);
    let mut record = load(&record_file);
    record.retain(|file, _| present.contains(file));
    let kept: Vec<&str> = record
        .values()
        .flat_map(|stamp| &stamp.names)
        .map(String::as_str)
        .collect();
    let known = ctr(layout).args(["images", "list", "--quiet"]).output()?;
    let stale = stale(known.lines(), &kept);
    if !stale.is_empty() {
        ctr(layout).args(["images", "remove"]).args(stale).run()?;
    }
    // An image that was lost from containerd is imported again.
    record.retain(|_, stamp| {
        stamp
            .names
            .iter()
            .all(|name| known.lines().any(|line| line == name))
    });
    save(&record_file, &record)
}

/// Removes all images except the node's own, even if pods use them. A later [`import`] delivers the others again.
pub(crate) fn keep_own(layout: &Layout, folder: &Path) -> anyhow::Result<()> {
    let mut own = Vec::new();
    for archive in archives(folder)?.iter().filter(|archive| is_of_node(archive)) {
        own.extend(names(archive)?);
    }
    let record_file = node_record(layout);
    let mut record = load(&record_file);
    record.retain(|file, _| file.starts_with(NODE_PREFIX));
    save(&record_file, &record)?;
    let listed = ctr(layout).args(["images", "list"]).output()?;
    let others = others(&listed, &own);
    if !others.is_empty() {
        ctr(layout)
            .args(["images", "remove", "--sync"])
            .args(others)
            .run()?;
    }
    Ok(())
}

/// Names in containerd's table of images, `REF TYPE DIGEST …`, whose image has none of our own names. An image has several names, one of
/// them its ID (`sha256:…`).
fn others<'a>(listed: &'a str, own: &[String]) -> Vec<&'a str> {
    let rows: Vec<(&str, &str)> = listed
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut columns = line.split_whitespace();
            Some((columns.next()?, columns.nth(1)?))
        })
        .collect();
    let is_own = |name: &str| own.iter().any(|own| own == name);
    let kept: Vec<&str> = rows
        .iter()
        .filter(|(name, _)| is_own(name))
        .map(|(_, digest)| *digest)
        .collect();
    rows.into_iter()
        .filter(|(_, digest)| !kept.contains(digest))
        .map(|(name, _)| name)
        .collect()
}

/// Names that are neither kept nor containerd's own second names (`sha256:…`) of images that are.
fn stale<'a>(known: impl Iterator<Item = &'a str>, kept: &[&str]) -> Vec<&'a str> {
    known
        .filter(|name| !name.starts_with("sha256:") && !kept.contains(name))
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
    file_name(archive).starts_with(NODE_PREFIX)
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

fn stamp(archive: &Path) -> anyhow::Result<Stamp> {
    let file = fs::metadata(archive)?;
    Ok(Stamp {
        size: file.size(),
        modified: file.mtime(),
        nanoseconds: file.mtime_nsec(),
        names: names(archive)?,
    })
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// An absent or unreadable record counts as empty: the images are delivered again.
fn load(file: &Path) -> Record {
    serde_json::from_slice(&fs::read(file).unwrap_or_default()).unwrap_or_default()
}

fn save(file: &Path, record: &Record) -> anyhow::Result<()> {
    let temporary = file.with_extension("tmp");
    fs::write(&temporary, serde_json::to_vec_pretty(record)?)?;
    fs::rename(&temporary, file).with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_no_archive_provides_is_stale_and_content_names_are_not() {
        let known = ["localhost/a:1", "localhost/a:2", "sha256:0f"];
        assert_eq!(stale(known.into_iter(), &["localhost/a:2"]), ["localhost/a:1"]);
    }

    #[test]
    fn images_of_others_are_removed_by_every_name_and_own_ones_keep_theirs() {
        let listed = "REF TYPE DIGEST SIZE PLATFORMS LABELS\n\
                      localhost/own:1 application/x sha256:aa 1.7 MiB linux/amd64 -\n\
                      sha256:01 application/x sha256:aa 1.7 MiB linux/amd64 -\n\
                      r.example.com/a@sha256:bb application/x sha256:bb 9.0 MiB linux/amd64 -\n\
                      sha256:02 application/x sha256:bb 9.0 MiB linux/amd64 -\n";
        assert_eq!(
            others(listed, &["localhost/own:1".to_owned()]),
            ["r.example.com/a@sha256:bb", "sha256:02"]
        );
    }

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("xtask-images-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let image = oci::Image {
            name: "localhost/a:1",
            path: "a",
            program: b"a",
            user: "0",
        };
        fs::write(folder.join("a.tar"), oci::archive(&image).unwrap()).unwrap();
        folder
    }

    #[test]
    fn an_archive_is_delivered_once_and_again_when_its_names_change() {
        let folder = folder("once");
        let delivered = std::cell::RefCell::new(Vec::new());
        let run = || {
            let keep = |_: &Path, names: &[String]| {
                delivered.borrow_mut().push(names.to_vec());
                Ok(())
            };
            deliver(
                archives(&folder).unwrap(),
                &folder.join("record.json"),
                &Progress::start(),
                keep,
            )
            .unwrap();
        };
        run();
        run();
        fs::write(folder.join("a.names"), "a:latest\n").unwrap();
        run();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(
            delivered.into_inner(),
            [vec!["localhost/a:1"], vec!["localhost/a:1", "a:latest"]]
        );
    }

    #[test]
    fn an_archive_that_could_not_be_delivered_is_not_remembered() {
        let folder = folder("failed");
        let record = folder.join("record.json");
        let result = deliver(archives(&folder).unwrap(), &record, &Progress::start(), |_, _| {
            anyhow::bail!("no space")
        });
        let written = record.exists();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(
            format!("{:#}", result.unwrap_err()),
            "cannot deliver image localhost/a:1: no space"
        );
        assert!(!written);
    }

    #[test]
    fn further_names_follow_the_archives_own() {
        let folder = folder("names");
        fs::write(
            folder.join("a.names"),
            "a:latest\n\n docker.io/library/a:latest \n",
        )
        .unwrap();
        let found = archives(&folder).unwrap();
        let names = names(&found[0]).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(names, ["localhost/a:1", "a:latest", "docker.io/library/a:latest"]);
    }
}
