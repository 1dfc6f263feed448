//! The cluster -> its processes, as text and as an exit code (IO).

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

use super::layout::{Layout, POD_RANGE, SERVICE_RANGE};
use super::plan::Plan;
use super::state::{Found, State};
use super::{Cluster, clean, node, process};
use crate::args::Provider;
use crate::paths::Paths;

/// Output of `status` and its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Up = 0,
    Broken = 1,
    /// No cluster; the code that init scripts use for "not running".
    Down = 3,
    /// Its record may not be read; the code that init scripts use for "unknown".
    Unknown = 4,
}

/// Prints what runs; exit code 0 when up, 3 when down, 1 when broken, 4 when it is unknown.
pub(crate) fn print(paths: &Paths) -> anyhow::Result<ExitCode> {
    let cluster = Cluster::load(paths)?;
    let (outcome, text) = match cluster {
        Some(cluster) if cluster.provider() != Provider::Node => other(&cluster, paths),
        _ => of_node(paths)?,
    };
    // The reader may close the pipe early, as `head` does.
    let _ = io::stdout().write_all(text.as_bytes());
    Ok(ExitCode::from(outcome as u8))
}

fn of_node(paths: &Paths) -> anyhow::Result<(Outcome, String)> {
    let layout = Layout::new(paths);
    if let Some(owner) = clean::others(&layout).first() {
        let text = format!(
            "cluster: down; this machine runs that of another cache folder, {}\n`up` replaces it, `down` removes it\n",
            owner.display()
        );
        return Ok((Outcome::Down, text));
    }
    let found = match node::observe(&layout, paths) {
        Err(error) if is_denied(&error) => {
            let text = format!("cluster: unknown: {error:#}\nrun this as the user who started it (root)\n");
            return Ok((Outcome::Unknown, text));
        }
        found => found?,
    };
    Ok(match found {
        Found::Nothing => (
            Outcome::Down,
            "cluster: down (`./justw cluster up` starts one)\n".to_owned(),
        ),
        Found::Remains(what) => {
            let text = format!(
                "cluster: broken: found {what}, without a readable record\n`up` replaces it, `down` removes it\n"
            );
            (Outcome::Broken, text)
        }
        Found::Node { state, dead, ready } => {
            let problem = state.problem(&dead, ready, &process::boot()?);
            let silent = state.processes.iter().find(|process| !process.alive());
            let problem = problem.or_else(|| silent.map(|process| format!("not running: {}", process.name)));
            let outcome = if problem.is_some() {
                Outcome::Broken
            } else {
                Outcome::Up
            };
            (outcome, describe(&state, problem.as_deref(), &layout, paths))
        }
    })
}

/// Whether the error is a missing permission for a file.
fn is_denied(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

fn describe(state: &State, problem: Option<&str>, layout: &Layout, paths: &Paths) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{:<12}{value}", format!("{name}:"));
    };
    line(
        "cluster",
        problem.map_or_else(|| "up".to_owned(), |why| format!("broken: {why}")),
    );
    line(
        "provider",
        format!(
            "node, since {}, started from {}",
            state.since,
            state.checkout.display()
        ),
    );
    let same = state.config == Plan::new(layout).hash();
    let other = if same {
        ""
    } else {
        ", not this checkout's: `up` would replace the cluster"
    };
    line(
        "Kubernetes",
        format!("{}, configuration {}{other}", state.version, state.config),
    );
    line("addresses", node::addresses());
    line("ranges", format!("pods {POD_RANGE}, Services {SERVICE_RANGE}"));
    for process in &state.processes {
        let how = if process.alive() { "" } else { " (not running)" };
        line("process", format!("{} {}{how}", process.pid, process.name));
    }
    line("kubeconfig", paths.kubeconfig().display().to_string());
    line("kubectl", paths.kubectl().display().to_string());
    line("logs", layout.file("logs").display().to_string());
    text
}

fn other(cluster: &Cluster, paths: &Paths) -> (Outcome, String) {
    let answer = cluster
        .kubectl()
        .args(["get", "--raw", "/readyz", "--request-timeout=10s"])
        .run();
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{:<12}{value}", format!("{name}:"));
    };
    line(
        "cluster",
        &answer
            .as_ref()
            .map_or_else(|error| format!("broken: {error:#}"), |()| "up".to_owned()),
    );
    line(
        "provider",
        if cluster.provider() == Provider::Kind {
            "kind"
        } else {
            "existing"
        },
    );
    if let Some(registry) = cluster.registry() {
        line("registry", registry);
    }
    line("kubeconfig", &paths.kubeconfig().display().to_string());
    line("kubectl", &paths.kubectl().display().to_string());
    (
        if answer.is_ok() {
            Outcome::Up
        } else {
            Outcome::Broken
        },
        text,
    )
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn a_record_of_another_user_is_distinguished_from_a_broken_one() {
        let read = |kind: io::ErrorKind| -> anyhow::Result<()> {
            Err(io::Error::from(kind)).context("cannot read state.json")
        };
        assert!(is_denied(&read(io::ErrorKind::PermissionDenied).unwrap_err()));
        assert!(!is_denied(&read(io::ErrorKind::InvalidData).unwrap_err()));
    }
}
