//! Locks -> one `cluster` command, and one run of the tests, at a time (IO).

use std::fs::{self, File, TryLockError};

use anyhow::Context as _;

use crate::paths::Paths;
use crate::progress::Progress;

/// Takes the lock of commands that change the cluster.
pub(super) fn of_cluster(paths: &Paths, progress: &Progress) -> anyhow::Result<File> {
    acquire("cluster.lock", "another command of the cluster", paths, progress)
}

/// Takes the lock for installations of the product: Helm refuses a second one at the same time.
pub(crate) fn of_installation(paths: &Paths, progress: &Progress) -> anyhow::Result<File> {
    acquire("installation.lock", "another installation", paths, progress)
}

/// Takes the lock for end-to-end tests: some of them remove components, which would break tests of another run.
pub(crate) fn of_tests(paths: &Paths, progress: &Progress) -> anyhow::Result<File> {
    acquire("tests.lock", "another run of the tests", paths, progress)
}

/// The kernel releases it when the file is dropped or its holder dies.
fn acquire(name: &str, holder: &str, paths: &Paths, progress: &Progress) -> anyhow::Result<File> {
    let path = paths.cache().join(name);
    fs::create_dir_all(paths.cache())
        .and_then(|()| File::create(&path))
        .and_then(|file| {
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) => {
                    progress.line(format_args!("waiting for {holder}"));
                    file.lock()?;
                }
            }
            Ok(file)
        })
        .with_context(|| {
            format!(
                "cannot lock {}: the cache folder must be writable",
                path.display()
            )
        })
}
