//! Names of Debian packages -> installed packages (IO).

use std::path::Path;

use anyhow::{Context as _, bail};

use crate::exec::{Cmd, download};
use crate::progress::Progress;

/// Lock of calls that change packages; build.sh has it, too.
const LOCK: &str = "/run/lock/jupyter-k8s-apt";

/// Installs the missing packages, without prompts. Waits while another apt runs.
///
/// # Errors
/// When packages are missing and this is not Debian (or a derivative with apt-get), not root, or apt-get fails.
pub(crate) fn ensure(packages: &[&str], progress: &Progress) -> anyhow::Result<()> {
    let missing: Vec<&str> = packages
        .iter()
        .copied()
        .filter(|package| !installed(package))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if !Path::new("/usr/bin/apt-get").exists() {
        bail!(
            "missing: {names}; this is not Debian, so install these (or their like) by your own package manager"
        );
    }
    if !rustix::process::geteuid().is_root() {
        bail!("missing: {names}; run `apt-get install {names}` as root, or run this as root");
    }
    progress.line(format_args!("installing Debian packages: {names}"));
    let install = || {
        apt_get()
            .args(["install", "-y", "--no-install-recommends"])
            .args(&missing)
            .run()
    };
    // Package lists of a new machine may be absent or stale, and an earlier call may have been interrupted: a first failure proves nothing.
    if install().is_ok() {
        return Ok(());
    }
    download(progress, || {
        // What this cannot mend, the installation names.
        let _ = Cmd::new("flock").args([LOCK, "dpkg", "--configure", "-a"]).run();
        apt_get()
            .arg("update")
            .run()
            .context("cannot refresh apt's package lists")?;
        install()
    })
    .with_context(|| format!("cannot install {names}"))
}

/// One at a time with those of deploy/images/build.sh: apt waits for another installation, but not for another update of its lists.
fn apt_get() -> Cmd {
    Cmd::new("flock")
        .args([LOCK, "apt-get"])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(["-qq", "-o", "DPkg::Lock::Timeout=300"])
}

fn installed(package: &str) -> bool {
    let query = Cmd::new("dpkg-query")
        .args(["-W", "-f", "${db:Status-Status}", package])
        .output();
    query.is_ok_and(|status| status == "installed")
}
