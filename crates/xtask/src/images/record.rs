//! Cache folder `images/` -> archives, their names and the hashes of their inputs (IO).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// The archives of one folder.
#[derive(Debug)]
pub(crate) struct Record {
    folder: PathBuf,
    /// Name -> full image name on the local cluster.
    references: BTreeMap<String, String>,
    /// Name -> hash of the archive's inputs.
    inputs: BTreeMap<String, String>,
}

impl Record {
    /// Reads the record. An absent or unreadable one counts as empty, and all images are built again.
    ///
    /// # Errors
    /// When the folder cannot be created.
    pub(crate) fn load(folder: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let map = |name: &str| {
            let text = fs::read(folder.join(name)).unwrap_or_default();
            serde_json::from_slice(&text).unwrap_or_default()
        };
        Ok(Self {
            folder: folder.to_path_buf(),
            references: map("images.json"),
            inputs: map("inputs.json"),
        })
    }

    /// Path of this image's archive.
    pub(crate) fn archive(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.tar"))
    }

    /// Path for the next archive before it replaces the current one.
    pub(crate) fn temporary(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.tmp"))
    }

    /// Whether the archive exists, with exactly these inputs and this name.
    pub(crate) fn is_current(&self, name: &str, key: &str, reference: &str) -> bool {
        self.inputs.get(name).is_some_and(|known| known == key)
            && self.references.get(name).is_some_and(|known| known == reference)
            && self.archive(name).exists()
    }

    /// Replaces the old archive with the temporary one.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(crate) fn replace(
        &mut self,
        name: &str,
        key: &str,
        reference: &str,
        aliases: &[&str],
    ) -> anyhow::Result<()> {
        // Removed in between: after a crash the image is built again, instead of a wrong record.
        if self.inputs.remove(name).is_some() {
            self.write("inputs.json", &self.inputs)?;
        }
        let names = self.folder.join(format!("{name}.names"));
        if aliases.is_empty() {
            let _ = fs::remove_file(&names);
        } else {
            self.write_text(&names, &(aliases.join("\n") + "\n"))?;
        }
        let archive = self.archive(name);
        fs::rename(self.temporary(name), &archive)
            .with_context(|| format!("cannot write {}", archive.display()))?;
        self.references.insert(name.to_owned(), reference.to_owned());
        self.write("images.json", &self.references)?;
        self.inputs.insert(name.to_owned(), key.to_owned());
        self.write("inputs.json", &self.inputs)
    }

    /// Name -> full image name on the local cluster, of every image that was ever built here.
    pub(crate) fn references(&self) -> &BTreeMap<String, String> {
        &self.references
    }

    fn write(&self, name: &str, map: &BTreeMap<String, String>) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(map)? + "\n";
        self.write_text(&self.folder.join(name), &text)
    }

    fn write_text(&self, path: &Path, text: &str) -> anyhow::Result<()> {
        let temporary = self.folder.join(".write");
        let written = fs::write(&temporary, text).and_then(|()| fs::rename(&temporary, path));
        written.with_context(|| format!("cannot write {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("xtask-record-{name}-{}", std::process::id()))
    }

    #[test]
    fn a_replaced_image_is_current_for_its_inputs_alone_and_stays_so() {
        let folder = folder("current");
        let mut record = Record::load(&folder).unwrap();
        let named = "localhost/a:1";
        assert!(!record.is_current("a", "key", named));
        fs::write(record.temporary("a"), "archive").unwrap();
        record
            .replace("a", "key", "localhost/a:1", &["a:latest", "b:latest"])
            .unwrap();
        let record = Record::load(&folder).unwrap();
        assert!(record.is_current("a", "key", named) && !record.is_current("a", "other", named));
        assert!(
            !record.is_current("a", "key", "localhost/a:2"),
            "another name for the same"
        );
        assert_eq!(record.references()["a"], "localhost/a:1");
        assert_eq!(
            fs::read_to_string(folder.join("a.names")).unwrap(),
            "a:latest\nb:latest\n"
        );
        fs::remove_file(record.archive("a")).unwrap();
        assert!(!record.is_current("a", "key", named));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn when_there_is_no_new_archive_the_old_one_stays_but_is_not_taken_for_the_new() {
        let folder = folder("failed");
        let mut record = Record::load(&folder).unwrap();
        fs::write(record.temporary("a"), "archive").unwrap();
        record.replace("a", "old", "localhost/a:1", &[]).unwrap();
        record.replace("a", "new", "localhost/a:2", &[]).unwrap_err();
        let record = Record::load(&folder).unwrap();
        assert_eq!(fs::read_to_string(record.archive("a")).unwrap(), "archive");
        assert_eq!(record.references()["a"], "localhost/a:1");
        assert!(!record.is_current("a", "new", "localhost/a:2"));
        fs::remove_dir_all(&folder).unwrap();
    }
}
