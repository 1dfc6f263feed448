//! Lock file -> one `cluster` command at a time on this machine; the file names the holder (IO).

use std::fs::{self, File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;

use crate::paths::Paths;
use crate::progress::Progress;

/// The held lock; released, and its file removed, when dropped. The kernel releases it when the holder dies.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    file: File,
}

/// Takes the machine's lock, and waits for its holder. Without root, clusters can only be existing ones or in an engine, and the lock is in
/// the cache folder.
pub(crate) fn acquire(paths: &Paths, what: &str, progress: &Progress) -> anyhow::Result<Lock> {
    let path = if rustix::process::geteuid().is_root() {
        PathBuf::from("/run/jupyter-k8s.lock")
    } else {
        fs::create_dir_all(paths.cache())
            .with_context(|| format!("cannot make {}", paths.cache().display()))?;
        paths.cache().join("cluster.lock")
    };
    let holder = format!(
        "`{what}` (pid {}, in {}, since {})",
        std::process::id(),
        paths.clone_root().display(),
        super::now()
    );
    acquire_at(&path, &holder, |holder| {
        progress.line(format_args!("waiting for the cluster's lock, held by {holder}"));
    })
}

/// Takes the lock for end-to-end tests: some of them remove components, which would break tests of another run.
pub(crate) fn of_tests(paths: &Paths, progress: &Progress) -> anyhow::Result<Lock> {
    let holder = format!("pid {}, since {}", std::process::id(), super::now());
    acquire_at(&paths.cache().join("tests.lock"), &holder, |holder| {
        progress.line(format_args!("waiting for another run of the tests ({holder})"));
    })
}

fn acquire_at(path: &Path, holder: &str, on_wait: impl Fn(&str)) -> anyhow::Result<Lock> {
    let mut reported = String::new();
    loop {
        let opened = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path);
        let mut file = opened.with_context(|| format!("cannot open the lock {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut other = String::new();
                let _ = file.read_to_string(&mut other);
                if other != reported && !other.is_empty() {
                    on_wait(&other);
                    reported = other;
                }
                thread::sleep(Duration::from_millis(200));
                continue;
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).context(format!("cannot lock {}", path.display()));
            }
        }
        // The last holder may have removed the file after it was opened here. A lock on such a file excludes no other process.
        let same =
            fs::metadata(path).is_ok_and(|now| file.metadata().is_ok_and(|ours| ours.ino() == now.ino()));
        if same {
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(holder.as_bytes())?;
            return Ok(Lock {
                path: path.to_path_buf(),
                file,
            });
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Removed while still locked, so that a waiting process finds its file gone and opens the next one.
        let _ = fs::remove_file(&self.path);
        let _ = self.file.unlock();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("xtask-lock-{name}-{}", std::process::id()))
    }

    #[test]
    fn a_waiting_process_sees_the_holder_and_gets_the_lock_next() {
        let path = path("wait");
        let first = acquire_at(&path, "the first", |_| ()).unwrap();
        let (reported, received) = mpsc::channel();
        let waiting = path.clone();
        let second = thread::spawn(move || {
            acquire_at(&waiting, "the second", |holder| {
                reported.send(holder.to_owned()).unwrap();
            })
            .unwrap()
        });
        assert_eq!(received.recv().unwrap(), "the first");
        drop(first);
        let second = second.join().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "the second");
        drop(second);
        assert!(!path.exists());
    }

    #[test]
    fn many_at_once_hold_it_one_at_a_time() {
        let path = path("many");
        let inside = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let lock = acquire_at(&path, "one of many", |_| ()).unwrap();
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    thread::yield_now();
                    inside.fetch_sub(1, Ordering::SeqCst);
                    drop(lock);
                });
            }
        });
        assert!(!path.exists());
    }
}
