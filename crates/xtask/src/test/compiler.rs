//! The toolchain -> the environment in which cargo compiles our crates with clippy (IO).
//!
//! `cargo clippy` checks without building, so that each crate would be compiled once for the lints and once for the tests. clippy's
//! driver is a compiler: as cargo's wrapper of rustc it finds the same, and writes the programs as well, with fewer optimisations of
//! rustc's own. Dependencies are not wrapped, so other builds share them.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};

use crate::exec::Cmd;
use crate::paths::Paths;

/// Environment of a cargo whose builds fail at the first warning.
///
/// # Errors
/// When rustc does not say where it is.
pub(super) fn clippy(paths: &Paths) -> anyhow::Result<Vec<(&'static str, PathBuf)>> {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let toolchain = Cmd::new(rustc)
        .args(["--print", "sysroot"])
        .dir(paths.clone_root())
        .output()
        .context("where is the toolchain")?;
    let driver = PathBuf::from(toolchain).join("bin/clippy-driver");
    ensure!(
        driver.exists(),
        "{} is missing: run `rustup component add clippy`",
        driver.display()
    );
    Ok(vec![
        ("RUSTC_WORKSPACE_WRAPPER", driver),
        // `cargo clippy -- -D warnings` hands it on in the same way.
        ("CLIPPY_ARGS", "-Dwarnings".into()),
    ])
}
