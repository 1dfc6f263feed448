//! The machine before `up` and after `down` -> every difference (IO); the comparison (pure).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{bail, ensure};
use serde_json::json;

use super::clean::{self, BORROWED};
use super::layout::Layout;
use super::{Cluster, cgroup, images, lock, node, process, settings};
use crate::args::Provider;
use crate::components::NODE_TOOLS;
use crate::exec::Cmd;
use crate::paths::Paths;
use crate::progress::Progress;

/// What a cluster could leave behind, by kind, one line for each.
type Snapshot = BTreeMap<&'static str, BTreeSet<String>>;

/// Brings a cluster up, runs a pod with a volume, takes the cluster down and compares the machine with its earlier state. Then it does the
/// same again, and kills all of the cluster's processes before the cluster is taken down.
///
/// # Errors
/// When a cluster is there already, and when anything differs.
pub(crate) fn check(paths: &Paths) -> anyhow::Result<()> {
    let progress = Progress::start();
    let _lock = lock::acquire(paths, "cluster leak-check", &progress)?;
    let layout = Layout::new(paths);
    ensure!(
        clean::remains(&layout)?.is_none(),
        "a cluster is there; take it down first: this check starts its own"
    );
    // Installed packages and builds are no leak.
    node::obtain(paths, &progress)?;
    let before = snapshot(paths)?;
    cycle(paths, &before, &progress, || Ok(()))?;
    progress.line("no leaks after an orderly end; now after a crash");
    cycle(paths, &before, &progress, || kill_all(&layout))?;
    let entries: usize = before.values().map(BTreeSet::len).sum();
    progress.line(format_args!(
        "no leaks: {entries} links, mounts, routes, rules, groups, processes and files are as before"
    ));
    Ok(())
}

fn cycle(
    paths: &Paths,
    before: &Snapshot,
    progress: &Progress,
    end: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let up = super::up_locked(paths, Some(Provider::Node), None, progress);
    let used = up.and_then(|cluster| use_it(&cluster)).and_then(|()| end());
    let down = super::down_locked(paths, progress);
    used.and(down)?;
    let differences = compare(before, &snapshot(paths)?);
    if !differences.is_empty() {
        bail!(
            "`down` did not leave the machine as it was before `up`:\n  {}",
            differences.join("\n  ")
        );
    }
    Ok(())
}

/// Simulates an out-of-memory kill of all processes: none of the node's processes ends regularly.
fn kill_all(layout: &Layout) -> anyhow::Result<()> {
    process::stop(&clean::node_processes(layout), Duration::ZERO).map(drop)
}

/// A pod with a volume and a host port uses everything that a cluster creates: network, mounts, groups, firewall, storage.
fn use_it(cluster: &Cluster) -> anyhow::Result<()> {
    let metadata = json!({"name": "leak-check"});
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata,
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    });
    let container = json!({
        "name": "pause", "image": images::node_image(&NODE_TOOLS), "imagePullPolicy": "Never",
        "ports": [{"containerPort": 9999, "hostPort": 9999}],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    });
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata,
        "spec": {
            "containers": [container],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "leak-check"}}],
        },
    });
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [claim, pod]});
    cluster
        .kubectl()
        .args(["apply", "-f", "-"])
        .stdin(list.to_string())
        .run()?;
    cluster
        .kubectl()
        .args([
            "wait",
            "--for=condition=Ready",
            "pod/leak-check",
            "--timeout=120s",
        ])
        .run()
}

fn snapshot(paths: &Paths) -> anyhow::Result<Snapshot> {
    let run = |line: &str| {
        let mut words = line.split(' ');
        Cmd::new(words.next().unwrap_or_default()).args(words).output()
    };
    let lines = |text: String| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    // Counters and dates are not part of the rules.
    let rules = |text: String| {
        lines(text)
            .into_iter()
            .filter(|line| !line.starts_with(['#', ':']))
            .collect()
    };
    let devices = lines(run("ip -o link show")?)
        .into_iter()
        .filter_map(|line| line.split(": ").nth(1).map(str::to_owned));
    let marked = process::marked()
        .into_iter()
        .map(|(cache, process)| format!("{} ({})", process.name, cache.display()));
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let mounts = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(1).map(str::to_owned));
    let forwarding = ["net.ipv4.ip_forward", "net.ipv4.conf.all.forwarding"];
    let settings = forwarding
        .into_iter()
        .chain(settings::CHANGED.map(|(name, _)| name));
    let setting = |name| format!("{name} = {}", settings::read(name).unwrap_or_default());
    let known = [
        "/run",
        "/run/netns",
        "/var/run/netns",
        "/var/lib",
        "/var/log",
        "/opt",
        "/etc/cni",
        "/etc/cni/net.d",
    ];
    let folders = known.iter().chain(&BORROWED).map(PathBuf::from);
    let folders = folders.chain([paths.cluster()]).chain(cgroup::roots());
    Ok(BTreeMap::from([
        ("link", devices.collect()),
        ("mount", mounts.collect()),
        ("route", lines(run("ip route show table all")?)),
        ("routing rule", lines(run("ip rule show")?)),
        ("firewall rule", rules(run("iptables-save")?)),
        (
            "firewall rule (IPv6)",
            rules(run("ip6tables-save").unwrap_or_default()),
        ),
        ("setting", settings.map(setting).collect()),
        ("process", marked.collect()),
        ("file", folders.flat_map(|folder| entries(&folder)).collect()),
    ]))
}

/// A folder and what is directly in it; nothing when it is not there.
fn entries(folder: &Path) -> Vec<String> {
    let Ok(listed) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let inside = listed.flatten().map(|entry| entry.path().display().to_string());
    inside.chain([folder.display().to_string()]).collect()
}

fn compare(before: &Snapshot, after: &Snapshot) -> Vec<String> {
    let none = BTreeSet::new();
    let mut differences = Vec::new();
    for kind in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
        let (old, new) = (
            before.get(kind).unwrap_or(&none),
            after.get(kind).unwrap_or(&none),
        );
        differences.extend(
            new.difference(old)
                .map(|line| format!("left behind: {kind} {line}")),
        );
        differences.extend(
            old.difference(new)
                .map(|line| format!("taken away: {kind} {line}")),
        );
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot_of(kind: &'static str, lines: &[&str]) -> Snapshot {
        BTreeMap::from([(kind, lines.iter().map(ToString::to_string).collect())])
    }

    #[test]
    fn added_and_removed_entries_are_both_named() {
        let before = snapshot_of("link", &["lo", "eth0"]);
        let after = snapshot_of("link", &["lo", "jk8s-node"]);
        assert_eq!(
            compare(&before, &after),
            ["left behind: link jk8s-node", "taken away: link eth0"]
        );
    }

    #[test]
    fn a_kind_that_is_missing_on_one_side_counts_too() {
        let after = snapshot_of("mount", &["/run/x"]);
        assert_eq!(compare(&Snapshot::new(), &after), ["left behind: mount /run/x"]);
        assert!(compare(&after, &after.clone()).is_empty());
    }
}
