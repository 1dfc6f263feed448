//! Layout -> the parent control group of all pods, in each hierarchy of the machine (IO).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::ensure;

use super::layout::CGROUP;
use super::mounts::parse_mounts;
use super::process::wait_until;

/// Controllers the kubelet demands of its root group, where the kernel has them.
const CONTROLLERS: [&str; 5] = ["cpu", "cpuset", "hugetlb", "memory", "pids"];

/// Where control groups are mounted: one place for version 2, several for version 1.
pub(crate) fn roots() -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let kinds = parse_mounts(&mounts).into_iter();
    kinds
        .filter(|(_, kind)| kind.starts_with("cgroup"))
        .map(|(path, _)| path)
        .collect()
}

/// Our group in each hierarchy that has it.
pub(crate) fn existing() -> Vec<PathBuf> {
    roots()
        .into_iter()
        .map(|root| root.join(CGROUP))
        .filter(|folder| folder.exists())
        .collect()
}

/// Makes the group in each hierarchy.
pub(crate) fn create() {
    for root in roots() {
        let available = fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
        for controller in wanted(&available) {
            // In version 2 a group has only the controllers that its parent enables. If one is refused here, the kubelet reports it if it
            // needs it.
            let _ = fs::write(root.join("cgroup.subtree_control"), format!("+{controller}"));
        }
        // A hierarchy that is read-only here is of no use to the kubelet either.
        let _ = fs::create_dir(root.join(CGROUP));
    }
}

/// Removes the group, whose processes have been ended, with all below.
pub(crate) fn remove() -> anyhow::Result<()> {
    for folder in existing() {
        // The kernel may need some time to remove the last process.
        let gone = wait_until(Duration::from_secs(5), || {
            remove_tree(&folder).is_ok() || !folder.exists()
        });
        ensure!(gone, "cannot remove the control group {}", folder.display());
    }
    Ok(())
}

/// The wanted controllers that are available (pure).
fn wanted(available: &str) -> Vec<&str> {
    available
        .split_whitespace()
        .filter(|name| CONTROLLERS.contains(name))
        .collect()
}

fn remove_tree(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_available_and_needed_controllers_are_enabled() {
        assert_eq!(
            wanted("cpuset cpu io memory pids rdma\n"),
            ["cpuset", "cpu", "memory", "pids"]
        );
        assert!(wanted("").is_empty());
    }

    #[test]
    fn a_tree_of_groups_is_removed_from_its_leaves() {
        let root = std::env::temp_dir().join(format!("xtask-cgroup-{}", std::process::id()));
        fs::create_dir_all(root.join("kubepods/besteffort/pod1")).unwrap();
        remove_tree(&root).unwrap();
        assert!(!root.exists());
    }
}
