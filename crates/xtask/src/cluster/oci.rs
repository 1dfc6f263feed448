//! One program -> an image with only that program, as an oci-archive (pure, bytes out).
//!
//! The node's own images contain static binaries, so they need neither a base image nor a build tool.

use std::io::{Read, Seek};

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::components::digest;

/// Content and start of the image.
#[derive(Debug)]
pub(crate) struct Image<'a> {
    /// Full name with tag.
    pub(crate) name: &'a str,
    /// Path of the program in the image, without the leading slash.
    pub(crate) path: &'a str,
    pub(crate) program: &'a [u8],
    /// User and group the program runs as, `65532:65532` for instance.
    pub(crate) user: &'a str,
}

/// The archive's bytes.
pub(crate) fn archive(image: &Image<'_>) -> anyhow::Result<Vec<u8>> {
    let layer = tar(&[(image.path, image.program, 0o755)])?;
    let config = serde_json::to_vec(&json!({
        "architecture": architecture(),
        "os": "linux",
        "config": {"User": image.user, "Entrypoint": [format!("/{}", image.path)]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", digest(&layer))]},
    }))?;
    let blob = |media: &str, bytes: &[u8]| {
        let media = format!("application/vnd.oci.image.{media}");
        json!({"mediaType": media, "digest": format!("sha256:{}", digest(bytes)), "size": bytes.len()})
    };
    let manifest = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob("config.v1+json", &config),
        "layers": [blob("layer.v1.tar", &layer)],
    }))?;
    let mut entry = blob("manifest.v1+json", &manifest);
    entry["annotations"] =
        json!({"io.containerd.image.name": image.name, "org.opencontainers.image.ref.name": image.name});
    let index = serde_json::to_vec(&json!({"schemaVersion": 2, "manifests": [entry]}))?;
    let path = |bytes: &[u8]| format!("blobs/sha256/{}", digest(bytes));
    tar(&[
        ("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#, 0o644),
        ("index.json", &index, 0o644),
        (&path(&manifest), &manifest, 0o644),
        (&path(&config), &config, 0o644),
        (&path(&layer), &layer, 0o644),
    ])
}

/// This machine's architecture, as images name it.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Names of the images in an oci-archive.
pub(crate) fn names(archive: impl Read + Seek) -> anyhow::Result<Vec<String>> {
    let name = |manifest: &Value| {
        let annotation = |key: &str| manifest["annotations"][key].as_str().map(str::to_owned);
        annotation("io.containerd.image.name").or_else(|| annotation("org.opencontainers.image.ref.name"))
    };
    Ok(manifests(archive)?.iter().filter_map(name).collect())
}

/// The manifests that the index of an oci-archive lists.
fn manifests(archive: impl Read + Seek) -> anyhow::Result<Vec<Value>> {
    // Skips over the layers instead of reading them.
    for entry in tar::Archive::new(archive).entries_with_seek()? {
        let entry = entry?;
        let path = entry.path()?;
        if path.strip_prefix("./").unwrap_or(&path) != std::path::Path::new("index.json") {
            continue;
        }
        let mut index: Value = serde_json::from_reader(entry).context("its index.json")?;
        let Value::Array(manifests) = index["manifests"].take() else {
            anyhow::bail!("its index.json has no manifests")
        };
        return Ok(manifests);
    }
    anyhow::bail!("not an oci-archive: it has no index.json")
}

fn tar(files: &[(&str, &[u8], u32)]) -> anyhow::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, bytes, mode) in files {
        // A new header's time, user and group are 0.
        let mut header = tar::Header::new_gnu();
        header.set_size(u64::try_from(bytes.len())?);
        header.set_mode(*mode);
        builder.append_data(&mut header, path, *bytes)?;
    }
    Ok(builder.into_inner()?)
}
