//! Process -> label value by which its own machine detects that it has ended (IO).
//!
//! Other machines recognise such a value as foreign.

use std::fs;

use anyhow::Context as _;

/// Label of namespaces with the test process that created them.
pub const LABEL: &str = "e2e.test/process";

/// The label value of this process: its ID, its start time, and the place where these are valid.
///
/// # Errors
/// The kernel does not report them.
pub fn own() -> anyhow::Result<String> {
    let id = std::process::id();
    let start = start(&id.to_string()).context("/proc has no entry for this process")?;
    Ok(format!("{id}-{start}-{}", pid_scope()?))
}

/// Whether the process of the label's value has ended. Another process may have its ID now, but not its start time.
/// For processes of other places on the same cluster, and for labels without a place, this is unknown: they count as running.
pub fn has_ended(label: &str) -> bool {
    let Ok(here) = pid_scope() else { return false };
    has_ended_at(label, &here)
}

fn has_ended_at(label: &str, here: &str) -> bool {
    let mut parts = label.splitn(3, '-');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(id), Some(since), Some(pid_scope)) => pid_scope == here && start(id).as_deref() != Some(since),
        _ => false,
    }
}

/// A place: one boot of a machine, and one PID namespace on it.
fn pid_scope() -> anyhow::Result<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").context("/proc has no boot_id")?;
    let space = fs::read_link("/proc/self/ns/pid").context("/proc has no PID namespace")?;
    // The link's text is `pid:[4026531836]`.
    let space: String = space
        .to_string_lossy()
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    // Half of the boot ID is enough to distinguish machines. A label value has at most 63 characters.
    let boot = boot.trim().replace('-', "");
    Ok(format!("{space}.{}", boot.get(..16).unwrap_or(&boot)))
}

/// Start of a process, in ticks since the boot.
fn start(id: &str) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The second field is the name, in parentheses, and may contain any character. The start time is field 22.
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(19).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here(id: u32) -> String {
        format!("{id}-1-{}", pid_scope().unwrap())
    }

    #[test]
    fn a_process_has_ended_if_its_pid_is_gone_or_has_another_start_time() {
        assert!(!has_ended(&own().unwrap()));
        assert!(has_ended(&here(std::process::id())));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let id = child.id();
        child.wait().unwrap();
        assert!(has_ended(&here(id)));
    }

    #[test]
    fn a_process_of_another_machine_boot_or_container_counts_as_running() {
        let pid_scope = pid_scope().unwrap();
        let (space, boot) = pid_scope.split_once('.').unwrap();
        for foreign in [format!("{space}.0123456789abcdef"), format!("1{space}.{boot}")] {
            assert!(!has_ended(&format!("1-1-{foreign}")), "{foreign}");
            assert!(has_ended_at(&format!("1-1-{foreign}"), &foreign), "there it has");
        }
    }

    #[test]
    fn the_process_label_is_a_valid_label_value() {
        let own = own().unwrap();
        let fits = |part: char| part.is_ascii_alphanumeric() || "-.".contains(part);
        assert!(own.len() <= 63 && own.chars().all(fits), "{own}");
        assert!(own.ends_with(|part: char| part.is_ascii_alphanumeric()), "{own}");
    }

    #[test]
    fn a_malformed_label_counts_as_running() {
        for label in ["", "unknown", "1-1"] {
            assert!(!has_ended(label), "{label}");
        }
    }
}
