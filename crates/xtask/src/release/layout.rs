//! Blobs -> an OCI layout with one named entry, which skopeo pushes (IO).

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::components::digest;

/// Writes a blob; returns its descriptor.
///
/// # Errors
/// When it cannot be written.
pub(super) fn blob(folder: &Path, media: &str, bytes: &[u8]) -> anyhow::Result<Value> {
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let digest = digest(bytes);
    fs::write(blobs.join(&digest), bytes)?;
    Ok(json!({"mediaType": media, "digest": format!("sha256:{digest}"), "size": bytes.len()}))
}

/// Makes this descriptor the layout's one entry; returns its digest, `sha256:…`.
///
/// # Errors
/// When a file cannot be written.
pub(super) fn finish(folder: &Path, mut entry: Value, name: &str) -> anyhow::Result<String> {
    entry["annotations"] = json!({"org.opencontainers.image.ref.name": name});
    let index = json!({"schemaVersion": 2, "manifests": [entry]});
    fs::write(folder.join("index.json"), index.to_string())?;
    let version = json!({"imageLayoutVersion": "1.0.0"});
    fs::write(folder.join("oci-layout"), version.to_string())?;
    Ok(entry["digest"].as_str().unwrap_or_default().to_owned())
}
