//! Text of `/proc/mounts` -> mount points with the types of their file systems (pure).

use std::path::PathBuf;

/// (mount point, file system type) of each line of `/proc/mounts`; blanks in paths are written as `\040`.
pub(crate) fn parse_mounts(text: &str) -> Vec<(PathBuf, String)> {
    let line = |line: &str| {
        let mut fields = line.split(' ').skip(1);
        let path = fields
            .next()?
            .replace("\\040", " ")
            .replace("\\011", "\t")
            .replace("\\134", "\\");
        Some((PathBuf::from(path), fields.next()?.to_owned()))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_with_blanks_in_their_paths() {
        let text = "tmpfs /run/a\\040b tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n";
        let expected = [
            (PathBuf::from("/run/a b"), "tmpfs".to_owned()),
            (PathBuf::from("/sys/fs/cgroup/cpu"), "cgroup".to_owned()),
        ];
        assert_eq!(parse_mounts(text), expected);
    }
}
