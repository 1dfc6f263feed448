//! Remains of a node -> nothing (IO); how they are recognised (pure).
//!
//! It handles a running node, a partly running one, and one from before a reboot. It may be interrupted and run again. It touches only what
//! provably belongs to the node: processes by the marker in their environment or by our control group, mounts and files below our folders,
//! CNI's files by the name of our network.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use super::layout::{LINK, Layout, POD_NETWORK};
use super::mounts::parse_mounts;
use super::process::{self, Process};
use super::state::State;
use super::{cgroup, containerd, network, settings};
use crate::exec::Cmd;

/// Folders of the machine, outer ones first, that a node's programs write to and that cannot be configured.
pub(crate) const BORROWED: [&str; 9] = [
    "/run/containerd",
    "/run/containerd/s",
    "/run/mount",
    "/var/lib/cni",
    "/var/lib/cni/results",
    "/var/lib/kubelet",
    DEVICE_PLUGINS,
    "/var/log/containers",
    "/var/log/pods",
];
/// Socket folder for device plugins. The kubelet does not derive it from its own folder, and leaves its socket behind.
const DEVICE_PLUGINS: &str = "/var/lib/kubelet/device-plugins";
/// Processes that end while containerd still runs; containerd, API server and etcd follow.
const LAST: [&str; 3] = ["containerd", "kube-apiserver", "etcd"];
/// Grace period for a process. No process has data to save: the node's data is deleted.
const GRACE: Duration = Duration::from_secs(2);

/// Removes all parts of the node that exist; cached binaries, archives and imported images stay.
pub(crate) fn clean(layout: &Layout) -> anyhow::Result<()> {
    let made = made(layout);
    let (last, first): (Vec<_>, Vec<_>) = node_processes(layout).into_iter().partition(is_last);
    // Shims are not ended yet: containerd would treat their end as a crash.
    let (shims, first): (Vec<_>, Vec<_>) = first.into_iter().partition(is_shim);
    process::stop(&first, GRACE)?;
    kill_pods()?;
    if last.iter().any(|process| process.name == "containerd") {
        // Best effort: remaining records of containerd are removed when the next node starts.
        let _ = containerd::remove_containers(layout);
    }
    process::stop(&last, GRACE)?;
    process::stop(&shims, GRACE)?;
    process::stop(&node_processes(layout), GRACE)?;
    kill_pods()?;
    let sockets = containerd::shim_sockets(&layout.containerd_state());
    unmount(layout)?;
    network::remove(layout)?;
    cgroup::remove()?;
    let settings = settings::restore(layout);
    remove_files(layout, &sockets, &made)?;
    settings
}

/// Records which folders of the machine a node will create, apart from its main record, which may get lost.
pub(crate) fn note_made(layout: &Layout) -> anyhow::Result<Vec<PathBuf>> {
    let made: Vec<PathBuf> = BORROWED
        .iter()
        .map(PathBuf::from)
        .filter(|folder| !folder.exists())
        .collect();
    let lines: Vec<String> = made.iter().map(|folder| folder.display().to_string()).collect();
    fs::write(layout.run().join("made"), lines.join("\n"))?;
    Ok(made)
}

/// The folders that the node created according to its record, or else to the note beside it, which a reboot deletes.
fn made(layout: &Layout) -> Vec<PathBuf> {
    if let Ok(Some(state)) = State::load(layout) {
        return state.made;
    }
    let note = fs::read_to_string(layout.run().join("made")).unwrap_or_default();
    note.lines()
        .map(PathBuf::from)
        .filter(|folder| BORROWED.iter().any(|known| folder == Path::new(known)))
        .collect()
}

/// Describes the remains of a node without a record; `None` when there are none.
pub(crate) fn remains(layout: &Layout) -> anyhow::Result<Option<String>> {
    let mut found = Vec::new();
    if !node_processes(layout).is_empty() {
        found.push("processes");
    }
    if !cgroup::existing().is_empty() {
        found.push("a control group");
    }
    if !mounts(layout)?.is_empty() {
        found.push("mounts");
    }
    if Path::new("/sys/class/net").join(LINK).exists() {
        found.push("a network link");
    }
    if layout.state().exists() || layout.run().exists() {
        found.push("files");
    }
    Ok((!found.is_empty()).then(|| found.join(", ")))
}

/// Other cache folders that a node of this machine belongs to: by the owner file, and by what running processes say.
pub(crate) fn others(layout: &Layout) -> Vec<PathBuf> {
    let mut owners: Vec<PathBuf> = process::marked().into_iter().map(|(cache, _)| cache).collect();
    owners.extend(
        fs::read_to_string(layout.owner())
            .ok()
            .map(|text| PathBuf::from(text.trim())),
    );
    owners.retain(|owner| owner != layout.cache());
    owners.sort();
    owners.dedup();
    owners
}

/// All processes of the node, by the marker in their environment.
pub(crate) fn node_processes(layout: &Layout) -> Vec<Process> {
    process::marked()
        .into_iter()
        .filter(|(cache, _)| cache == layout.cache())
        .map(|(_, process)| process)
        .collect()
}

fn is_last(process: &Process) -> bool {
    LAST.contains(&process.name.as_str())
}

fn is_shim(process: &Process) -> bool {
    process.name.starts_with("containerd-shim")
}

/// Ends all processes in pods, without grace: their data is deleted with the node.
fn kill_pods() -> anyhow::Result<()> {
    let pods: Vec<Process> = cgroup::existing()
        .iter()
        .flat_map(|folder| process::in_cgroup(folder))
        .collect();
    process::stop(&pods, Duration::ZERO).map(drop)
}

/// Mounts below the node's folders, the latest first.
fn mounts(layout: &Layout) -> anyhow::Result<Vec<PathBuf>> {
    let text = fs::read_to_string("/proc/self/mounts").context("cannot read the list of mounts")?;
    let below = |path: &Path| path.starts_with(layout.state()) || path.starts_with(layout.run());
    Ok(parse_mounts(&text)
        .into_iter()
        .map(|(path, _)| path)
        .filter(|path| below(path))
        .rev()
        .collect())
}

fn unmount(layout: &Layout) -> anyhow::Result<()> {
    for path in mounts(layout)? {
        // `-l` for mounts that a dying process still holds: hidden now, and removed with that process.
        if Cmd::new("umount").arg(&path).succeeds() {
            continue;
        }
        let lazy = Cmd::new("umount").arg("-l").arg(&path).run();
        // The process may have removed the mount meanwhile.
        if mounts(layout)?.contains(&path) {
            lazy?;
        }
    }
    Ok(())
}

fn remove_files(layout: &Layout, sockets: &[PathBuf], made: &[PathBuf]) -> anyhow::Result<()> {
    for socket in sockets {
        let _ = fs::remove_file(socket);
    }
    let plugins = Path::new(DEVICE_PLUGINS);
    if made.iter().any(|folder| folder == plugins) {
        let _ = fs::remove_file(plugins.join("kubelet.sock"));
    }
    let results = Path::new("/var/lib/cni/results");
    for file in own_results(&names_in(results)) {
        let _ = fs::remove_file(results.join(file));
    }
    let links = Path::new("/var/log/containers");
    for link in names_in(links) {
        let link = links.join(link);
        if fs::read_link(&link).is_ok_and(|target| target.starts_with(layout.state())) {
            let _ = fs::remove_file(link);
        }
    }
    for folder in [layout.run(), layout.state()] {
        if folder.exists() {
            fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
    }
    // Inner folders first. A folder that other programs use is not empty, and stays.
    for folder in made.iter().rev() {
        let _ = fs::remove_dir(folder);
    }
    Ok(())
}

/// CNI's records of our pods: those of our network, and those of the loopback network of the same containers.
fn own_results(names: &[String]) -> Vec<String> {
    let id = |name: &str| {
        Some(
            name.strip_prefix(POD_NETWORK)?
                .strip_prefix('-')?
                .rsplit_once('-')?
                .0
                .to_owned(),
        )
    };
    let ids: Vec<String> = names.iter().filter_map(|name| id(name)).collect();
    let loopback = |name: &str| {
        let of = name
            .strip_prefix("cni-loopback-")
            .and_then(|rest| rest.rsplit_once('-'));
        of.is_some_and(|(container, _)| ids.iter().any(|id| id == container))
    };
    names
        .iter()
        .filter(|name| id(name).is_some() || loopback(name))
        .cloned()
        .collect()
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_records_of_our_network_and_its_containers_are_ours() {
        let names = [
            "jupyter-k8s-pods-0aa-eth0",
            "cni-loopback-0aa-lo",
            "cni-loopback-0ab-lo",
            "other-pods-0aa-eth0",
            "jupyter-k8s-podsx-0ac-eth0",
        ];
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        assert_eq!(
            own_results(&names),
            ["jupyter-k8s-pods-0aa-eth0", "cni-loopback-0aa-lo"]
        );
    }

    #[test]
    fn borrowed_folders_are_listed_outer_first() {
        for (index, folder) in BORROWED.iter().enumerate() {
            let later = &BORROWED[index + 1..];
            assert!(
                !later.iter().any(|other| Path::new(folder).starts_with(other)),
                "{folder}"
            );
        }
    }
}
