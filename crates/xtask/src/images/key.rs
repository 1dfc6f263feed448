//! Named inputs -> one hash of them all (pure, except for reading files).

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use aws_lc_rs::digest::{Context, SHA256};

/// A hash that changes whenever any input of an image does.
#[derive(Clone)]
pub(crate) struct Key(Context);

impl Key {
    /// A hash that starts with only the kind of its image.
    pub(crate) fn new(kind: &str) -> Self {
        Self(Context::new(&SHA256)).with("kind", kind)
    }

    /// Adds an input. Its name and length are included, so that no two lists of inputs have the same hash.
    pub(crate) fn with(mut self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let content = content.as_ref();
        self.0
            .update(format!("{} {name} {}\n", name.len(), content.len()).as_bytes());
        self.0.update(content);
        self
    }

    /// The files of a folder and its subfolders, by name.
    ///
    /// # Errors
    /// When the folder or one of its files cannot be read.
    pub(crate) fn with_folder(mut self, folder: &Path) -> anyhow::Result<Self> {
        let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
        let mut files = entries
            .map(|entry| Ok(entry?.path()))
            .collect::<std::io::Result<Vec<_>>>()?;
        files.sort();
        for path in files {
            if path.is_dir() {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                self = self.with("folder", name.as_bytes()).with_folder(&path)?;
                continue;
            }
            let content = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            self = self.with(&name, content);
        }
        Ok(self)
    }

    /// 64 hexadecimal digits.
    pub(crate) fn finish(self) -> String {
        hex(self.0.finish().as_ref())
    }
}

/// SHA-256 of a file, 64 hexadecimal digits.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn of_file(path: &Path) -> anyhow::Result<String> {
    let mut file = fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; 1 << 20];
    loop {
        match std::io::Read::read(&mut file, &mut buffer)? {
            0 => return Ok(hex(context.finish().as_ref())),
            length => context.update(&buffer[..length]),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_file_that_is_changed_added_or_renamed_changes_the_key() {
        let folder = std::env::temp_dir().join(format!("xtask-key-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let key = || Key::new("test").with_folder(&folder).unwrap().finish();
        let mut seen = vec![key()];
        let mut differs = |what: &str| {
            let now = key();
            assert!(!seen.contains(&now), "{what}");
            seen.push(now);
        };
        fs::write(folder.join("a"), "1").unwrap();
        differs("added");
        fs::write(folder.join("a"), "2").unwrap();
        differs("changed");
        fs::rename(folder.join("a"), folder.join("b")).unwrap();
        differs("renamed");
        assert_eq!(key(), key());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_files_hash_is_sha256() {
        let path = std::env::temp_dir().join(format!("xtask-key-file-{}", std::process::id()));
        fs::write(&path, "abc").unwrap();
        let hash = of_file(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(
            hash,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    proptest! {
        #[test]
        fn different_lists_of_inputs_have_different_keys(
            left in prop::collection::vec(("[a-b ]{0,3}", "[a-b0-9\n ]{0,6}"), 0..4),
            right in prop::collection::vec(("[a-b ]{0,3}", "[a-b0-9\n ]{0,6}"), 0..4),
        ) {
            let key = |inputs: &[(String, String)]| {
                let start = Key::new("test");
                inputs.iter().fold(start, |key, (name, content)| key.with(name, content)).finish()
            };
            prop_assert_eq!(key(&left) == key(&right), left == right);
        }
    }
}
