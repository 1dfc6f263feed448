//! Archives of images -> a registry, by skopeo (IO).

use std::path::Path;

use crate::apt;
use crate::exec::Cmd;
use crate::progress::Progress;

/// Copies an oci-archive to a name, with the credentials of this machine's container tools. A registry on this machine may use plain HTTP.
///
/// # Errors
/// When the registry refuses it.
pub(crate) fn push(archive: &Path, name: &str, progress: &Progress) -> anyhow::Result<()> {
    apt::ensure(&["skopeo"], progress)?;
    let is_local = name.starts_with("localhost:") || name.starts_with("127.");
    Cmd::new("skopeo")
        .args([
            "copy",
            "--quiet",
            "--all",
            "--preserve-digests",
            "--retry-times=3",
        ])
        .arg(format!("--dest-tls-verify={}", !is_local))
        .arg(format!("oci-archive:{}", archive.display()))
        .arg(format!("docker://{name}"))
        .run()
}
