//! Workspace name -> its URL, in the browser or printed (IO).

use std::process::{Command, Stdio};

use api::Workspace;
use api::condition::{AVAILABLE, holds};
use explain::consequence::Action;

use super::change;
use super::targets::Target;
use crate::args::Open;
use crate::cluster::Cluster;
use crate::cluster::wait::{self, Deadline, Goal};
use crate::console::Console;
use crate::failure::Failure;

/// Opens the URL of a workspace that is available.
pub(crate) async fn run(cluster: &Cluster, args: &Open, console: &mut Console<'_>) -> Result<(), Failure> {
    let deadline = Deadline::after(args.timeout);
    let target = Target::named(cluster, &args.name);
    let workspace = if args.start {
        let started = change::one(cluster, Action::Start, &target).await?.workspace;
        wait::until(
            cluster.client(),
            &started,
            &Goal::AVAILABLE,
            deadline,
            &mut console.err,
        )
        .await?
    } else {
        target.read(cluster).await?
    };
    let url = available_url(&workspace, &target)?;
    if !args.print && launch(&url) {
        writeln!(console.err, "Opening {url}")?;
        return Ok(());
    }
    if !args.print {
        writeln!(console.err, "No browser could be opened. Open this URL:")?;
    }
    Ok(writeln!(console.out, "{url}")?)
}

fn available_url(workspace: &Workspace, target: &Target) -> Result<String, Failure> {
    let status = workspace.status.clone().unwrap_or_default();
    let name = &target.name;
    match status.url {
        Some(url) if holds(&status.conditions, AVAILABLE) => Ok(url),
        _ => {
            let phase = status
                .phase
                .map_or_else(|| "Pending".to_owned(), |phase| format!("{phase:?}"));
            Err(Failure::NotAsWanted {
                name: name.clone(),
                wanted: "available",
                reason: status.reason.unwrap_or(phase),
                message: format!(
                    "{}\nTo start it and wait: kubectl workspace open {name} -n {} --start",
                    status.message.unwrap_or_default(),
                    target.namespace
                ),
            })
        }
    }
}

/// Asks the desktop to open the URL; `false`: it has no way to.
fn launch(url: &str) -> bool {
    if !url.starts_with("https://") && !url.starts_with("http://") {
        return false;
    }
    let program = if cfg!(target_os = "macos") {
        "open"
    } else {
        "xdg-open"
    };
    // Without a display, xdg-open would open a browser in the terminal.
    let has_display = ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    if program == "xdg-open" && !has_display {
        return false;
    }
    let status = Command::new(program)
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}
