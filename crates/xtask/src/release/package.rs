//! Files of a folder -> a gzipped tar archive that has the same bytes each time (IO).

use std::path::Path;

use crate::exec::Cmd;

/// Archives entries of a folder, independent of times, owners and umask.
///
/// # Errors
/// When tar fails.
pub(super) fn archive(folder: &Path, entries: &[&str], to: &Path) -> anyhow::Result<()> {
    Cmd::new("tar")
        .args([
            "--create",
            "--format=gnu",
            "--sort=name",
            "--mtime=@0",
            "--mode=u=rwX,go=rX",
        ])
        .args([
            "--owner=0",
            "--group=0",
            "--numeric-owner",
            "--use-compress-program=gzip -n -9",
        ])
        .arg("--file")
        .arg(to)
        .arg("--directory")
        .arg(folder)
        .args(entries)
        .run()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_same_files_give_the_same_bytes_for_any_times_and_modes() {
        let folder = std::env::temp_dir().join(format!("xtask-package-{}", std::process::id()));
        let packed = |name: &str, mode: u32| {
            let source = folder.join(name);
            fs::create_dir_all(source.join("a")).unwrap();
            for file in ["a/2", "a/1"] {
                let path = source.join(file);
                fs::write(&path, file).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            }
            let time = fs::FileTimes::new()
                .set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(mode.into()));
            fs::File::options()
                .write(true)
                .open(source.join("a/1"))
                .unwrap()
                .set_times(time)
                .unwrap();
            let to = folder.join(format!("{name}.tgz"));
            archive(&source, &["a"], &to).unwrap();
            fs::read(to).unwrap()
        };
        let (one, other) = (packed("one", 0o644), packed("other", 0o600));
        fs::remove_dir_all(&folder).unwrap();
        assert!(!one.is_empty() && one == other);
    }
}
