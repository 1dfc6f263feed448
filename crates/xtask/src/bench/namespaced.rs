//! Arguments of a bench -> the bench in its own Linux namespaces, and its table on the page (IO).

use std::ffi::OsString;
use std::fs;

use anyhow::{Context as _, ensure};

use super::{put_on_page, target};
use crate::exec::Cmd;
use crate::paths::Paths;

/// A bench with its own control plane.
pub(super) struct NamespacedBench<'a> {
    /// Name of the bench: in `bench-<name>`, and of its files under target/bench.
    pub(super) name: &'a str,
    /// The processor of its processes, unless they choose others.
    pub(super) processor: Option<usize>,
    /// Arguments of the inner process.
    pub(super) args: Vec<OsString>,
    /// Whether docs/performance.md stays unchanged.
    pub(super) dry_run: bool,
}

/// Checks that namespaces can be created.
///
/// # Errors
/// When this is not root.
pub(super) fn require_root() -> anyhow::Result<()> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "namespaces of its own need root"
    );
    Ok(())
}

impl NamespacedBench<'_> {
    /// Runs the inner process, prints its table and writes it to the page.
    ///
    /// # Errors
    /// When it fails, writes no table, or the page cannot be written.
    pub(super) fn run(self, paths: &Paths) -> anyhow::Result<()> {
        let folder = target(paths).join("bench");
        fs::create_dir_all(&folder)?;
        let file = |end: &str| folder.join(format!("{}.{end}", self.name));
        let _ = fs::remove_file(file("md"));
        let job = format!("bench-{}", self.name);
        // The first process of a PID namespace ignores all signals except the kill that follows the end of this process.
        let namespaced = [
            "--pdeathsig",
            "KILL",
            "unshare",
            "--net",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ];
        let command = match self.processor {
            Some(processor) => Cmd::new("taskset").args(["--cpu-list", &processor.to_string(), "setpriv"]),
            None => Cmd::new("setpriv"),
        };
        command
            .args(namespaced)
            .arg(std::env::current_exe()?)
            .args([&job, "--inside"])
            .args(self.args)
            .logged(&file("log"), |line| eprintln!("{line}"))?;
        let table = fs::read_to_string(file("md")).context("the bench wrote no table")?;
        println!("{table}\nfigures: {}", file("json").display());
        if !self.dry_run {
            put_on_page(paths, &job, &table)?;
        }
        Ok(())
    }
}
