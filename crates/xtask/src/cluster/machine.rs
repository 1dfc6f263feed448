//! The machine -> whether a node can run on it, or what prevents it (IO; calculations are pure).

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};

use super::{layout::Layout, network};
use crate::apt;
use crate::components::Component;
use crate::exec::Cmd;
use crate::paths::Paths;
use crate::progress::Progress;

/// Debian packages of the node.
const PACKAGES: [&str; 6] = [
    "containerd",
    "runc",
    "containernetworking-plugins",
    "iptables",
    "conntrack",
    "iproute2",
];
/// Go's module cache and build cache after all builds, in GiB, with a reserve.
const GO_MODULES: u64 = 3;
const GO_BUILDS: u64 = 6;
/// Binaries, imported images and files of pods, in GiB.
const NODE: u64 = 5;

/// Checks for Linux and root, which all other checks need.
pub(crate) fn check_rights() -> anyhow::Result<()> {
    let other = "`./justw cluster up --provider existing` uses the cluster of your KUBECONFIG, `--provider kind` a container engine";
    ensure!(
        cfg!(target_os = "linux"),
        "a node of its own needs Linux; {other}"
    );
    ensure!(
        rustix::process::geteuid().is_root(),
        "a node of its own needs root: run this as root (sudo), or else {other}"
    );
    Ok(())
}

/// Checks Debian packages, and free disk space for remaining builds.
pub(crate) fn prepare(paths: &Paths, missing: &[&Component], progress: &Progress) -> anyhow::Result<()> {
    check_disk(paths, missing)?;
    apt::ensure(&PACKAGES, progress)
}

/// Checks addresses, routes and ports, and that socket paths in the state folder are not too long.
pub(crate) fn check_free(layout: &Layout) -> anyhow::Result<()> {
    // The kubelet's longest socket is `kubelet/device-plugins/kubelet.sock`, and a path may have 107 bytes.
    let length = layout.text("kubelet/device-plugins/kubelet.sock").len();
    ensure!(
        length <= 107,
        "the cache folder's path is too long by {} bytes; set {}",
        length - 107,
        crate::paths::CACHE_VARIABLE
    );
    let taken = network::taken()?;
    if !taken.is_empty() {
        bail!(
            "the cluster cannot start:\n  {}\nFree these, or use `--provider existing` or `--provider kind`.",
            taken.join("\n  ")
        );
    }
    Ok(())
}

fn check_disk(paths: &Paths, missing: &[&Component]) -> anyhow::Result<()> {
    let mut needs = vec![(paths.cache().to_path_buf(), NODE)];
    if missing.is_empty() {
        // Binaries and most images exist already.
        needs = vec![(paths.cache().to_path_buf(), NODE / 2)];
    } else if let Ok(folders) = Cmd::new("go").args(["env", "GOMODCACHE", "GOCACHE"]).output() {
        needs.extend(folders.lines().map(PathBuf::from).zip([GO_MODULES, GO_BUILDS]));
    }
    check_space(needs)
}

/// Checks that each folder, existing or not, can be written and has this many GiB free.
///
/// # Errors
/// When one does not: names it, its need and the free space.
pub(crate) fn check_space(needs: Vec<(PathBuf, u64)>) -> anyhow::Result<()> {
    let mut disks = Vec::new();
    for (folder, gibibytes) in needs {
        let existing = nearest(&folder);
        let disk = rustix::fs::statvfs(existing)
            .with_context(|| format!("cannot ask for space at {}", existing.display()))?;
        check_writable(existing, &folder, disk.f_blocks)?;
        disks.push((
            fs::metadata(existing)?.dev(),
            disk.f_bavail * disk.f_frsize,
            folder,
            gibibytes,
        ));
    }
    let short = too_small(&disks);
    ensure!(
        short.is_empty(),
        "too little disk space: {}; free some, or move the folders: {} (cache), CARGO_TARGET_DIR, GOCACHE, GOMODCACHE",
        short.join("; "),
        crate::paths::CACHE_VARIABLE
    );
    Ok(())
}

/// Whether `folder` can be created in `existing`, on a file system with this many blocks. Those of the kernel have none.
fn check_writable(existing: &Path, folder: &Path, blocks: u64) -> anyhow::Result<()> {
    let may = rustix::fs::access(
        existing,
        rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK,
    );
    let may = may.map_err(anyhow::Error::from).and_then(|()| {
        ensure!(blocks > 0, "this is no disk");
        Ok(())
    });
    may.with_context(|| {
        format!(
            "cannot write to {}, for {}: take other folders by {} (cache), CARGO_TARGET_DIR, GOCACHE, GOMODCACHE",
            existing.display(),
            folder.display(),
            crate::paths::CACHE_VARIABLE
        )
    })
}

/// The folder itself, or the closest one above it that exists.
fn nearest(folder: &Path) -> &Path {
    folder
        .ancestors()
        .find(|path| path.exists())
        .unwrap_or_else(|| Path::new("/"))
}

/// Folders on one disk share its space: (device, free bytes, folder, needed GiB) -> the missing space.
fn too_small(disks: &[(u64, u64, PathBuf, u64)]) -> Vec<String> {
    let mut by_device: BTreeMap<u64, (u64, u64, Vec<String>)> = BTreeMap::new();
    for (device, free, folder, needed) in disks {
        let entry = by_device.entry(*device).or_insert((*free, 0, Vec::new()));
        entry.1 += needed;
        entry.2.push(folder.display().to_string());
    }
    let short = by_device
        .into_values()
        .filter(|(free, needed, _)| *free < needed << 30);
    let say = |(free, needed, folders): (u64, u64, Vec<String>)| {
        let free = free >> 20;
        format!(
            "{} need {needed} GiB, and {}.{} GiB are free",
            folders.join(", "),
            free / 1024,
            free % 1024 * 10 / 1024
        )
    };
    short.map(say).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_on_one_disk_need_the_sum() {
        let disks = [
            (1, 7 << 30, PathBuf::from("/a"), 5),
            (1, 7 << 30, PathBuf::from("/b"), 3),
        ];
        assert_eq!(too_small(&disks), ["/a, /b need 8 GiB, and 7.0 GiB are free"]);
    }

    #[test]
    fn folders_on_two_disks_are_counted_apart() {
        let disks = [
            (1, 7 << 30, PathBuf::from("/a"), 5),
            (2, 3 << 29, PathBuf::from("/b"), 3),
        ];
        assert_eq!(too_small(&disks), ["/b need 3 GiB, and 1.5 GiB are free"]);
        assert!(too_small(&disks[..1]).is_empty());
    }

    #[test]
    fn a_folder_that_accepts_no_files_is_distinguished_from_a_full_disk() {
        let error = check_space(vec![(PathBuf::from("/proc/cache"), 1)]).unwrap_err();
        let reported = format!("{error:#}");
        assert!(
            reported.starts_with("cannot write to /proc, for /proc/cache: "),
            "{reported}"
        );
        assert!(reported.ends_with("GOMODCACHE: this is no disk"), "{reported}");
    }

    #[test]
    fn a_folder_that_is_not_there_yet_is_on_the_disk_of_the_one_above() {
        assert_eq!(nearest(Path::new("/usr/no/such")), Path::new("/usr"));
    }
}
