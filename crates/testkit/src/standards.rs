//! Cache folder -> the pods by which Kubernetes tests its Pod Security admission (IO: reads files).

use std::path::Path;
use std::{fs, io};

use k8s_openapi::api::core::v1::Pod;

use crate::cache;

/// The minor version of the Standards, as the module's folders name it.
const VERSION: &str = "v1.34";

/// The pods of a level (`baseline`, `restricted`) and a verdict (`pass`, `fail`), by their file's name without its number.
///
/// # Panics
///
/// Without the fixtures, which `./justw test crates` fetches.
#[expect(clippy::panic, reason = "without its fixtures, a test fails")]
pub fn pods(level: &str, verdict: &str) -> Vec<(String, Pod)> {
    let folder = cache::folder().join("pod-security");
    let folder = folder.join(level).join(VERSION).join(verdict);
    read(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}: `./justw test crates` fetches it", folder.display()))
}

fn read(folder: &Path) -> io::Result<Vec<(String, Pod)>> {
    let one = |entry: io::Result<fs::DirEntry>| {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let name = name.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
        let pod = serde_saphyr::from_str(&fs::read_to_string(&path)?);
        Ok((name, pod.map_err(|error| io::Error::other(error.to_string()))?))
    };
    fs::read_dir(folder)?.map(one).collect()
}
