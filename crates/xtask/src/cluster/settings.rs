//! Kernel settings that a kubelet changes -> a note of the old values, restored later (IO).

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;

use super::layout::Layout;

/// The settings that a kubelet always changes, with its values. They apply to the whole machine: no namespace separates them.
pub(crate) const CHANGED: [(&str, &str); 6] = [
    ("kernel.keys.root_maxbytes", "25000000"),
    ("kernel.keys.root_maxkeys", "1000000"),
    ("kernel.panic", "10"),
    ("kernel.panic_on_oops", "1"),
    ("vm.overcommit_memory", "1"),
    ("vm.panic_on_oom", "0"),
];

/// Records the current settings. The note is in a folder that a reboot empties, because a reboot resets the settings.
pub(crate) fn note(layout: &Layout) -> anyhow::Result<()> {
    let lines: Vec<String> = CHANGED
        .iter()
        .filter_map(|(name, _)| Some(format!("{name} = {}", read(name)?)))
        .collect();
    let file = file(layout);
    fs::write(&file, lines.join("\n")).with_context(|| format!("cannot write {}", file.display()))
}

/// Restores the recorded settings as far as possible. A setting that differs from the kubelet's value was changed by another program or
/// user, and stays.
///
/// # Errors
/// When the kernel refused one; names it.
pub(crate) fn restore(layout: &Layout) -> anyhow::Result<()> {
    let Ok(note) = fs::read_to_string(file(layout)) else {
        return Ok(());
    };
    let write = |(name, value): (&str, &str)| {
        fs::write(path(name), value).with_context(|| format!("cannot set {name} back to {value}"))
    };
    let results: Vec<_> = to_restore(&note, read).into_iter().map(write).collect();
    results.into_iter().collect()
}

/// The current value of a setting; `None` where this kernel does not have it.
pub(crate) fn read(name: &str) -> Option<String> {
    Some(fs::read_to_string(path(name)).ok()?.trim().to_owned())
}

/// The recorded settings that must be written.
fn to_restore(note: &str, now: impl Fn(&str) -> Option<String>) -> Vec<(&'static str, &str)> {
    let before = |name: &str| {
        let line = note
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
        line.map(str::trim)
    };
    CHANGED
        .iter()
        .filter(|(name, kubelets)| now(name).as_deref() == Some(kubelets))
        .filter_map(|(name, kubelets)| Some((*name, before(name).filter(|before| before != kubelets)?)))
        .collect()
}

fn file(layout: &Layout) -> PathBuf {
    layout.run().join("settings")
}

fn path(name: &str) -> PathBuf {
    PathBuf::from("/proc/sys").join(name.replace('.', "/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTE: &str = "kernel.panic = 1\nkernel.panic_on_oops = 1\nvm.overcommit_memory = 0";

    #[test]
    fn settings_changed_by_a_kubelet_are_restored() {
        let now = |name: &str| {
            CHANGED
                .iter()
                .find(|(of, _)| *of == name)
                .map(|(_, value)| (*value).to_owned())
        };
        assert_eq!(
            to_restore(NOTE, now),
            [("kernel.panic", "1"), ("vm.overcommit_memory", "0")]
        );
    }

    #[test]
    fn settings_of_others_or_without_a_record_stay() {
        let now = |name: &str| (name == "kernel.panic").then(|| "30".to_owned());
        assert!(to_restore(NOTE, now).is_empty());
        assert!(to_restore("", |_| Some("1".to_owned())).is_empty());
    }
}
