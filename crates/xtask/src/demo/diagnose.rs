//! A cluster after a failure -> a file with its pods, events and logs (IO).

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use super::site::{SYSTEM_NAMESPACE, USER_NAMESPACE};
use crate::cluster::Cluster;
use crate::paths::Paths;

/// Lines of each pod's log.
const LOG_LINES: &str = "--tail=200";

/// Writes all information that is available; `None` when there is none.
pub(crate) fn collect(cluster: &Cluster, paths: &Paths) -> Option<PathBuf> {
    let ask = |args: &[&str]| cluster.kubectl().arg("--request-timeout=20s").args(args).output();
    // Without an API server there is nothing to read.
    let pods = ask(&["get", "pods", "-A", "-o", "wide"]).ok()?;
    let mut text = format!("# pods\n{pods}\n");
    let mut section = |title: &str, args: &[&str]| {
        let found = ask(args).unwrap_or_else(|error| format!("{error:#}"));
        let _ = writeln!(text, "\n# {title}\n{found}");
    };
    section(
        "warnings",
        &[
            "get",
            "events",
            "-A",
            "--field-selector=type=Warning",
            "--sort-by=.lastTimestamp",
        ],
    );
    section(
        "workspaces",
        &["get", "workspaces.workspaces.jupyter.org", "-A", "-o", "yaml"],
    );
    for namespace in [SYSTEM_NAMESPACE, USER_NAMESPACE] {
        section(
            &format!("pods of {namespace}"),
            &["describe", "pods", "-n", namespace],
        );
        let Ok(names) = ask(&["get", "pods", "-n", namespace, "-o", "name"]) else {
            continue;
        };
        for pod in names.lines() {
            section(
                &format!("log of {namespace} {pod}"),
                &[
                    "logs",
                    "-n",
                    namespace,
                    pod,
                    "--all-containers",
                    "--prefix",
                    LOG_LINES,
                ],
            );
        }
    }
    let file = paths.logs().join("failure.txt");
    fs::create_dir_all(paths.logs())
        .and_then(|()| fs::write(&file, text))
        .ok()?;
    Some(file)
}
