//! A checkout without changes -> its commit and its tracked files (IO: runs `git`).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use anyhow::ensure;

use crate::exec::Cmd;

/// The commit of a checkout without changes. Files in `out` from an earlier run do not count.
///
/// # Errors
/// When files differ from the commit or are untracked, or this is no checkout.
pub(super) fn commit(root: &Path, out: &Path) -> anyhow::Result<String> {
    // Both paths without links; `out` may not exist yet.
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let (root, out) = (real(root), real(&std::path::absolute(out)?));
    let status = git(&root)
        .args([
            "status",
            "--porcelain",
            "--no-renames",
            "-z",
            "--untracked-files=all",
        ])
        .bytes()?;
    let is_ours = |(state, path): &(&[u8], &OsStr)| {
        *state == b"?? " && root.join(path).starts_with(&out) && !root.starts_with(&out)
    };
    // `XY path`
    let entries = names(&status).filter_map(|entry| entry.as_bytes().split_at_checked(3));
    let changed: Vec<String> = entries
        .map(|(state, path)| (state, OsStr::from_bytes(path)))
        .filter(|entry| !is_ours(entry))
        .map(|(_, path)| path.display().to_string())
        .collect();
    ensure!(
        changed.is_empty(),
        "a release must be a commit, and these files are not as in the commit of {}: commit them, put them away (git stash -u), or keep \
         files of your own outside the checkout\n  {}",
        root.display(),
        changed.join("\n  ")
    );
    head(&root)
}

/// The current commit, even if files have changed since.
///
/// # Errors
/// When this is no checkout.
pub(super) fn head(root: &Path) -> anyhow::Result<String> {
    git(root).args(["rev-parse", "HEAD"]).output()
}

/// The tracked files of a folder, relative to it.
///
/// # Errors
/// When the folder is not in a checkout.
pub(super) fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let listed = git(folder).args(["ls-files", "-z"]).bytes()?;
    Ok(names(&listed).map(PathBuf::from).collect())
}

fn git(folder: &Path) -> Cmd {
    Cmd::new("git").dir(folder)
}

/// The parts of a list whose parts end with a zero byte.
fn names(list: &[u8]) -> impl Iterator<Item = &OsStr> {
    let parts = list.split(|byte| *byte == 0);
    parts.filter(|part| !part.is_empty()).map(OsStr::from_bytes)
}

/// Repositories for tests.
#[cfg(test)]
pub(super) mod testing {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::git;

    /// A repository in a temporary folder.
    pub(crate) struct Repository(PathBuf);

    impl Repository {
        pub(crate) fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("xtask-checkout-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder).unwrap();
            git(&folder).args(["init", "--quiet"]).run().unwrap();
            Self(folder)
        }

        pub(crate) fn folder(&self) -> &Path {
            &self.0
        }

        pub(crate) fn write(&self, name: &str, text: &str) {
            let path = self.0.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        /// Commits all files.
        pub(crate) fn commit(&self) {
            git(&self.0).args(["add", "--all"]).run().unwrap();
            let account = ["-c", "user.name=test", "-c", "user.email=test@example.com"];
            git(&self.0)
                .args(account)
                .args(["-c", "commit.gpgSign=false", "-c", "core.hooksPath=/dev/null"])
                .args(["commit", "--quiet", "--message", "test"])
                .run()
                .unwrap();
        }
    }

    impl Drop for Repository {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::Repository;
    use super::*;

    #[test]
    fn only_a_checkout_that_is_its_commit_is_released() {
        let repository = Repository::new("dirty");
        let (root, out) = (repository.folder(), repository.folder().join("here/out"));
        repository.write("a", "1");
        repository.write("folder/b", "1");
        repository.write(".gitignore", "/ignored\n");
        repository.commit();
        repository.write("ignored", "x");
        repository.write("here/out/images.txt", "x");
        let clean = commit(root, &out).unwrap();
        assert_eq!(clean.len(), 40);

        repository.write("folder/b", "2");
        repository.write("folder/my-values.yaml", "password: hush");
        let error = commit(root, &out).unwrap_err().to_string();
        let listed: Vec<&str> = error.lines().skip(1).map(str::trim).collect();
        assert_eq!(listed, ["folder/b", "folder/my-values.yaml"], "{error}");
        assert!(error.contains("git stash -u"), "{error}");
        // The folder for the output hides no change.
        let all = commit(root, root).unwrap_err().to_string();
        assert!(
            all.contains("folder/b") && all.contains("my-values.yaml"),
            "{all}"
        );
        let all = commit(root, &root.join("folder")).unwrap_err().to_string();
        assert!(all.contains("folder/b") && all.contains("here/out"), "{all}");

        repository.commit();
        assert_ne!(commit(root, &out).unwrap(), clean);
    }

    #[test]
    fn a_folder_has_the_files_that_git_has() {
        let repository = Repository::new("files");
        repository.write("a/b c", "1");
        repository.write("a/d/e", "1");
        repository.write("other", "1");
        repository.commit();
        repository.write("a/new", "1");
        let found = files(&repository.folder().join("a")).unwrap();
        assert_eq!(found, [Path::new("b c"), Path::new("d/e")]);
    }
}
