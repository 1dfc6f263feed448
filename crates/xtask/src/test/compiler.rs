//! The toolchain -> the environment in which cargo compiles our crates with clippy (IO).
//!
//! `cargo clippy` checks without building, so each crate would be compiled once for the lints and once for the tests. clippy's driver is
//! also a compiler. As cargo's wrapper of rustc it reports the same lints and builds the programs, with fewer of rustc's own optimisations.
//! Dependencies are not wrapped, so other builds share them.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};

use crate::exec::Cmd;
use crate::paths::Paths;

/// Environment of a cargo whose builds fail at the first warning.
///
/// # Errors
/// When rustc does not print its path.
pub(super) fn clippy(paths: &Paths) -> anyhow::Result<Vec<(&'static str, PathBuf)>> {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let toolchain = Cmd::new(rustc)
        .args(["--print", "sysroot"])
        .dir(paths.clone_root())
        .output()
        .context("cannot find the toolchain")?;
    let driver = PathBuf::from(toolchain).join("bin/clippy-driver");
    ensure!(
        driver.exists(),
        "{} is missing: run `rustup component add clippy`",
        driver.display()
    );
    Ok(vec![
        ("RUSTC_WORKSPACE_WRAPPER", driver),
        // `cargo clippy -- -D warnings` passes it in the same way.
        ("CLIPPY_ARGS", "-Dwarnings".into()),
    ])
}
