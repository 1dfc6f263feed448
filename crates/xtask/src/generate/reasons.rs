//! Reasons of the contract -> docs/reasons.md: where each shows, its meaning, its remedy (pure).

use std::fmt::Write as _;

use api::condition::reason::{self, Reason};

/// Renders the table of reasons.
pub(crate) fn render() -> anyhow::Result<String> {
    let mut page = String::from(
        "<!-- Generated from crates/api by `./justw gen`; do not edit. -->\n\n# Reasons: why it does not run\n\n\
         For users whose workspace does not run. See its reason, message and Events:\n\n    kubectl describe ws NAME\n\n\
         `kubectl get ws` also shows the reason, `-o wide` the message. `Degraded=True` gives the cause within seconds, and clears by\n\
         itself. The reasons are part of the contract: scripts and alerts may match them.\n",
    );
    let (wrong, plain): (Vec<_>, Vec<_>) = reason::ALL.iter().partition(|reason| !reason.remedy.is_empty());
    page.push_str(
        "\n## Something is wrong\n\n| reason | shows | meaning | what to do |\n|---|---|---|---|\n",
    );
    for Reason {
        name,
        shows,
        meaning,
        remedy,
        ..
    } in wrong
    {
        writeln!(page, "| `{name}` | {shows} | {meaning} | {remedy} |")?;
    }
    page.push_str("\n## Nothing is wrong\n\n| reason | shows | meaning |\n|---|---|---|\n");
    for Reason {
        name, shows, meaning, ..
    } in plain
    {
        writeln!(page, "| `{name}` | {shows} | {meaning} |")?;
    }
    Ok(page)
}
