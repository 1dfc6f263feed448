//! The machine -> whether a node can run on it, or what prevents it (IO; calculations are pure).

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use super::layout::PROXY_PORT;
use crate::apt;
use crate::exec::Cmd;
use crate::paths::{CACHE_VARIABLE, Paths};
use crate::progress::Progress;

/// Debian packages of the node.
const PACKAGES: [&str; 7] = [
    "containerd",
    "runc",
    "containernetworking-plugins",
    "iptables",
    "conntrack",
    "iproute2",
    "socat",
];
/// Go's module cache and build cache after all builds, in GiB, with a reserve.
const GO: [u64; 2] = [3, 6];
/// Binaries, imported images and files of pods, in GiB.
const NODE: u64 = 5;

/// Checks for Linux and root, which all other checks need.
pub(crate) fn check_rights() -> anyhow::Result<()> {
    ensure!(
        cfg!(target_os = "linux") && rustix::process::geteuid().is_root(),
        "a node of its own needs Linux and root: run this as root (sudo), or use a container engine: `./justw cluster up --provider kind`"
    );
    Ok(())
}

/// Checks that the proxy's port is free.
///
/// # Errors
/// When another program listens there: how to find it.
pub(crate) fn check_port() -> anyhow::Result<()> {
    TcpListener::bind(("127.0.0.1", PROXY_PORT)).map(drop).with_context(|| {
        format!(
            "port {PROXY_PORT} of 127.0.0.1 must be free: `ss -ltnp sport = :{PROXY_PORT}` names the program. If it is socat, a demo of \
             another cache folder runs: `{CACHE_VARIABLE}=<that folder> ./justw demo down`"
        )
    })
}

/// Installs Debian packages, and checks free disk space, `builds` included.
pub(crate) fn prepare(paths: &Paths, builds: bool, progress: &Progress) -> anyhow::Result<()> {
    // The kubelet's longest socket: a path may have 107 bytes.
    let longest = paths.cluster().join("kubelet/device-plugins/kubelet.sock");
    ensure!(
        longest.as_os_str().len() <= 107,
        "the cache folder's path is too long by {} bytes; set {CACHE_VARIABLE}",
        longest.as_os_str().len() - 107
    );
    let mut needs = vec![(paths.cache().to_path_buf(), if builds { NODE } else { NODE / 2 })];
    if builds && let Ok(folders) = Cmd::new("go").args(["env", "GOMODCACHE", "GOCACHE"]).output() {
        needs.extend(folders.lines().map(PathBuf::from).zip(GO));
    }
    check_space(needs)?;
    apt::ensure(&PACKAGES, progress)
}

/// Checks that each folder, existing or not, has this many GiB free.
///
/// # Errors
/// When one does not: names it, its need and the free space.
pub(crate) fn check_space(needs: Vec<(PathBuf, u64)>) -> anyhow::Result<()> {
    let mut disks = Vec::new();
    for (folder, gibibytes) in needs {
        let existing = folder
            .ancestors()
            .find(|path| path.exists())
            .unwrap_or_else(|| Path::new("/"));
        let disk = rustix::fs::statvfs(existing)
            .with_context(|| format!("cannot ask for space at {}", existing.display()))?;
        disks.push((
            fs::metadata(existing)?.dev(),
            disk.f_bavail * disk.f_frsize,
            folder.clone(),
            gibibytes,
        ));
    }
    let short = too_small(&disks);
    ensure!(
        short.is_empty(),
        "too little disk space: {}; free some, or move the folders: {CACHE_VARIABLE} (cache), CARGO_TARGET_DIR, GOCACHE, GOMODCACHE",
        short.join("; ")
    );
    Ok(())
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
    short
        .map(|(free, needed, folders)| {
            format!(
                "{} need {needed} GiB, and {} MiB are free",
                folders.join(", "),
                free >> 20
            )
        })
        .collect()
}
