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
    /// Files of tests, if other than `test*.py`.
    files: Option<&'static str>,
    /// What they start that has packages of its own.
    program: Option<Program>,
}

/// A program in an environment of its own.
struct Program {
    /// The variable with its path.
    variable: &'static str,
    /// In the environment.
    path: &'static str,
    /// In the cache folder: the environment.
    folder: &'static str,
    /// Below the checkout: the packages.
    requirements: &'static str,
}

/// All of them, in order.
pub(super) const SUITES: [Suite; 4] = [
    Suite {
        name: "application image",
        folder: "application-tests",
        requirements: "deploy/images/jupyter-uv/requirements.txt",
        tests: "deploy/images/jupyter-uv/tests/run.py",
        files: None,
        program: Some(Program {
            variable: "JUPYTER_MCP_SERVER",
            path: "bin/jupyter-mcp-server",
            folder: "mcp-tests",
            requirements: "deploy/images/jupyter-uv/tests/requirements-mcp.txt",
        }),
    },
    Suite {
        name: "JupyterHub 5.2",
        folder: "jupyterhub-5.2-tests",
        requirements: "python/jupyterhub-workspacespawner/tests/requirements-5.2.txt",
        tests: "python/jupyterhub-workspacespawner/tests/run.py",
        files: None,
        program: None,
    },
    Suite {
        name: "JupyterHub 6.1",
        folder: "jupyterhub-6.1-tests",
        requirements: "python/jupyterhub-workspacespawner/tests/requirements-6.1.txt",
        tests: "python/jupyterhub-workspacespawner/tests/run.py",
        files: None,
        program: None,
    },
    // Those of one version are enough. They take as long as the others together.
    Suite {
        name: "JupyterHub's own tests",
        folder: "jupyterhub-6.1-tests",
        requirements: "python/jupyterhub-workspacespawner/tests/requirements-6.1.txt",
        tests: "python/jupyterhub-workspacespawner/tests/run.py",
        files: Some("own*.py"),
        program: None,
    },
];

impl Suite {
    /// Python of an environment with the packages. It, and that of the program, are created in the cache folder when they are missing or have
    /// other versions.
    ///
    /// # Errors
    /// When pip cannot install one of them on this machine.
    pub(super) fn ensure(&self, paths: &Paths, progress: &Progress) -> anyhow::Result<PathBuf> {
        if let Some(program) = &self.program {
            venv::ensure(paths, program.folder, program.requirements, progress)?;
        }
        Ok(venv::ensure(paths, self.folder, self.requirements, progress)?.join("bin/python"))
    }

    /// Runs the tests by this Python, and returns their output. It also goes to a log of its own.
    pub(super) fn run(&self, python: &Path, paths: &Paths) -> (Vec<String>, anyhow::Result<()>) {
        let mut tests = Cmd::new(python)
            .arg(self.tests)
            .args(self.files)
            .dir(paths.clone_root())
            // The image may contain no files of a test run.
            .env("PYTHONDONTWRITEBYTECODE", "1");
        if let Some(program) = &self.program {
            let file = paths.cache().join(program.folder).join(program.path);
            tests = tests.env(program.variable, file);
        }
        let log = paths
            .logs()
            .join(format!("{}.log", self.name.replace([' ', '\''], "-")));
        let mut lines = Vec::new();
        let result = tests.logged(&log, |line| lines.push(line.to_owned()));
        (lines, result)
    }
}
