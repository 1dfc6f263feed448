//! Content -> a file of the user that has all of it, or is as it was (IO).

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::path::Path;

use super::secret;
use crate::system;

/// Writes the whole file, or leaves it as it is. Nobody but the user can read it before it has its permissions; `None`: those of a new file.
pub(crate) fn replace(file: &Path, content: &[u8], permissions: Option<Permissions>) -> anyhow::Result<()> {
    let new = file.with_file_name(format!(".kubectl-workspace-{}", secret::random()?));
    let written = (|| {
        let mut to = system::make_private_file(&new)?;
        to.write_all(content)?;
        if let Some(permissions) = permissions {
            to.set_permissions(permissions)?;
        }
        to.sync_all()?;
        fs::rename(&new, file)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written.map_err(io::Error::into)
}
