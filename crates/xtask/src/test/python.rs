//! Our Python code -> its tests, with the packages that it runs with (IO).

use std::path::{Path, PathBuf};

use crate::exec::Cmd;
use crate::paths::Paths;
use crate::progress::Progress;
use crate::venv;

/// Tests of one set of packages.
pub(super) struct Suite {
    /// What the summary calls it.
    pub(super) name: &'static str,
    /// In the cache folder: its environment.
    folder: &'static str,
    /// Below the checkout: the packages.
    requirements: &'static str,
    /// Below the checkout: the program that runs the tests.
    pub(super) tests: &'static str,
}

/// All of them, in order.
pub(super) const SUITES: [Suite; 3] = [
    Suite {
        name: "application image",
        folder: "application-tests",
        requirements: "deploy/images/jupyter-uv/requirements.txt",
        tests: "deploy/images/jupyter-uv/tests/run.py",
    },
    Suite {
        name: "JupyterHub 5.2",
        folder: "jupyterhub-5.2-tests",
        requirements: "python/jupyterhub-workspacespawner/tests/requirements-5.2.txt",
        tests: "python/jupyterhub-workspacespawner/tests/run.py",
    },
    Suite {
        name: "JupyterHub 6.1",
        folder: "jupyterhub-6.1-tests",
        requirements: "python/jupyterhub-workspacespawner/tests/requirements-6.1.txt",
        tests: "python/jupyterhub-workspacespawner/tests/run.py",
    },
];

impl Suite {
    /// Python of an environment with the packages. It is created in the cache folder when it is missing or has other versions.
    ///
    /// # Errors
    /// When pip cannot install one of them on this machine.
    pub(super) fn ensure(&self, paths: &Paths, progress: &Progress) -> anyhow::Result<PathBuf> {
        Ok(venv::ensure(paths, self.folder, self.requirements, progress)?.join("bin/python"))
    }

    /// Runs the tests by this Python, and returns their output. It also goes to a log of its own.
    pub(super) fn run(&self, python: &Path, paths: &Paths) -> (Vec<String>, anyhow::Result<()>) {
        let tests = Cmd::new(python)
            .arg(self.tests)
            .dir(paths.clone_root())
            // The image may contain no files of a test run.
            .env("PYTHONDONTWRITEBYTECODE", "1");
        let log = paths.logs().join(format!("{}.log", self.folder));
        let mut lines = Vec::new();
        let result = tests.logged(&log, |line| lines.push(line.to_owned()));
        (lines, result)
    }
}
