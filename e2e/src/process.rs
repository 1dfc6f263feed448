//! Process -> a label's value by which everybody on this machine finds out whether it has ended (IO).

use std::fs;

use anyhow::Context as _;

/// Label of namespaces: which process of tests made it.
pub const LABEL: &str = "e2e.test/process";

/// This process, as the label says it.
///
/// # Errors
/// When the kernel does not tell about it.
pub fn own() -> anyhow::Result<String> {
    let id = std::process::id();
    let start = start(&id.to_string()).context("/proc tells nothing about this process")?;
    Ok(format!("{id}-{start}"))
}

/// Whether the process of that label's value has ended. Its number may be another process's by now, but not since when it
/// runs.
pub fn has_ended(label: &str) -> bool {
    label
        .split_once('-')
        .is_some_and(|(id, since)| start(id).as_deref() != Some(since))
}

/// When a process began, in ticks since the machine did.
fn start(id: &str) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // Its name comes second, in parentheses, and may hold anything; the start is the 22nd field.
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(19).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_runs_and_one_that_is_gone_or_began_at_another_time_has_ended() {
        let own = own().unwrap();
        assert!(!has_ended(&own));
        let (id, _) = own.split_once('-').unwrap();
        assert!(has_ended(&format!("{id}-1")));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let id = child.id();
        child.wait().unwrap();
        assert!(has_ended(&format!("{id}-1")));
    }

    #[test]
    fn of_a_label_that_nobody_here_wrote_nothing_is_known() {
        assert!(!has_ended(""));
        assert!(!has_ended("somebody"));
    }
}
