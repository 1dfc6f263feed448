//! Debian's package of Prometheus -> promtool, which checks and tests alert rules (IO).

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;

use crate::exec::Cmd;
use crate::paths::Paths;
use crate::progress::Progress;

/// Path of promtool in the cache folder. Nothing is installed: the package would start a server.
///
/// # Errors
/// When apt-get cannot get the package.
pub(super) fn ensure(paths: &Paths, progress: &Progress) -> anyhow::Result<PathBuf> {
    let folder = paths.cache().join("promtool");
    let promtool = folder.join("bin/promtool");
    if promtool.exists() {
        return Ok(promtool);
    }
    progress.line(format_args!("getting promtool from Debian's package prometheus"));
    let parts = folder.join("parts");
    fs::create_dir_all(&parts)?;
    fs::create_dir_all(folder.join("bin"))?;
    Cmd::new("apt-get")
        .dir(&parts)
        .args(["-qq", "download", "prometheus"])
        .run()
        .context("apt-get download prometheus; or set PROMTOOL to the path of one")?;
    let package = fs::read_dir(&parts)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .context("apt-get download left no package")?;
    Cmd::new("dpkg-deb").arg("-x").arg(&package).arg(&parts).run()?;
    fs::copy(parts.join("usr/bin/promtool"), &promtool)?;
    fs::remove_dir_all(&parts)?;
    Ok(promtool)
}
