//! Archives of the plugin -> manifest for `kubectl krew install --manifest` (pure).
//!
//! The fields are described in krew's developer guide, "Plugin manifest".

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::images::PLUGIN;

/// Name of the plugin, and of its file without the extension: `kubectl workspace`.
pub(super) const NAME: &str = "workspace";
/// The file with the manifest.
pub(super) const FILE: &str = "workspace.yaml";

/// An archive for one platform.
pub(super) struct Archive {
    pub(super) file: String,
    /// As Go names it, such as `linux`.
    pub(super) os: String,
    /// As Go names it, such as `amd64`.
    pub(super) architecture: String,
    /// In hexadecimal digits.
    pub(super) sha256: String,
}

/// The manifest, as YAML.
///
/// # Errors
/// When it cannot be written.
pub(super) fn manifest(version: &str, archives: &[Archive]) -> anyhow::Result<String> {
    let repository = env!("CARGO_PKG_REPOSITORY");
    let platforms: Vec<Value> = archives
        .iter()
        .map(|archive| {
            json!({
                "selector": {"matchLabels": {"os": archive.os, "arch": archive.architecture}},
                "uri": format!("{repository}/releases/download/v{version}/{}", archive.file),
                "sha256": archive.sha256,
                "bin": PLUGIN,
                "files": [{"from": PLUGIN, "to": "."}, {"from": "LICENSE", "to": "."}],
            })
        })
        .collect();
    let manifest = json!({
        "apiVersion": "krew.googlecontainertools.github.com/v1alpha2",
        "kind": "Plugin",
        "metadata": {"name": NAME},
        "spec": {
            "version": format!("v{version}"),
            "homepage": repository,
            "shortDescription": "Create, open, share and explain workspaces",
            "description":
                "Works with the workspaces of jupyter-k8s: JupyterLab and VS Code for many users.\n\
                 Creates, lists, opens, starts, stops, shares and deletes workspaces, explains\n\
                 why one does not run, and checks manifests and templates without a cluster.\n",
            "caveats":
                "For completion of names by kubectl:\n\
                 kubectl workspace completion kubectl > ~/.local/bin/kubectl_complete-workspace\n\
                 chmod +x ~/.local/bin/kubectl_complete-workspace\n",
            "platforms": platforms,
        },
    });
    serde_saphyr::to_string(&manifest).context("krew's manifest cannot be written")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::super::package;
    use super::*;
    use crate::cluster::oci;
    use crate::demo;
    use crate::exec::Cmd;
    use crate::images::key;
    use crate::paths::Paths;

    fn text<'a>(value: &'a Value, name: &str) -> &'a str {
        value[name]
            .as_str()
            .unwrap_or_else(|| panic!("{name} is missing: {value}"))
    }

    /// The checks of krew: wrong version or kind, unsafe names, and empty fields.
    fn assert_accepted(manifest: &Value) {
        assert_eq!(
            text(manifest, "apiVersion"),
            "krew.googlecontainertools.github.com/v1alpha2"
        );
        assert_eq!(text(manifest, "kind"), "Plugin");
        let name = text(&manifest["metadata"], "name");
        assert!(
            name.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)),
            "{name}"
        );
        let spec = &manifest["spec"];
        semver::Version::parse(text(spec, "version").strip_prefix('v').unwrap()).unwrap();
        let short = text(spec, "shortDescription");
        assert!(
            !short.is_empty() && short.len() <= 50 && !short.contains('\n'),
            "{short}"
        );
        assert!(!text(spec, "description").is_empty());
        assert!(text(spec, "homepage").starts_with("https://"));
        let known = [
            "version",
            "shortDescription",
            "description",
            "caveats",
            "homepage",
            "platforms",
        ];
        assert!(
            spec.as_object()
                .unwrap()
                .keys()
                .all(|field| known.contains(&field.as_str())),
            "{spec}"
        );
        let platforms = spec["platforms"].as_array().unwrap();
        assert!(!platforms.is_empty());
        for platform in platforms {
            let labels = &platform["selector"]["matchLabels"];
            assert!(["linux", "darwin", "windows"].contains(&text(labels, "os")));
            assert!(["amd64", "arm64"].contains(&text(labels, "arch")));
            let uri = text(platform, "uri");
            assert!(uri.starts_with("https://") && uri.ends_with(".tar.gz"), "{uri}");
            let sum = text(platform, "sha256");
            assert!(
                sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit()),
                "{sum}"
            );
            assert!(!text(platform, "bin").is_empty());
            for file in platform["files"].as_array().unwrap() {
                assert!(!text(file, "from").is_empty() && !text(file, "to").is_empty());
            }
        }
    }

    /// Unpacks an archive, moves its files and links the program as krew does.
    fn install(manifest: &Value, archive: &Path, home: &Path) -> std::path::PathBuf {
        let platform = &manifest["spec"]["platforms"][0];
        assert_eq!(key::of_file(archive).unwrap(), text(platform, "sha256"));
        assert!(text(platform, "uri").ends_with(archive.file_name().unwrap().to_str().unwrap()));
        let name = text(&manifest["metadata"], "name");
        let (unpacked, store, bin) = (
            home.join("tmp"),
            home.join("store")
                .join(name)
                .join(text(&manifest["spec"], "version")),
            home.join("bin"),
        );
        for folder in [&unpacked, &store, &bin] {
            fs::create_dir_all(folder).unwrap();
        }
        let tar = Cmd::new("tar").arg("-xzf").arg(archive).arg("-C").arg(&unpacked);
        tar.run().unwrap();
        for file in platform["files"].as_array().unwrap() {
            let (from, to) = (text(file, "from"), text(file, "to"));
            let target = store.join(to).join(from);
            fs::rename(unpacked.join(from), target).unwrap();
        }
        let link = bin.join(format!("kubectl-{}", name.replace('-', "_")));
        symlink(store.join(text(platform, "bin")), &link).unwrap();
        link
    }

    #[test]
    fn the_archive_can_be_installed_and_run_as_by_krew() {
        let paths = Paths::from_env().unwrap();
        let plugin = demo::build_plugin(&paths).unwrap();
        let home = std::env::temp_dir().join(format!("xtask-krew-{}", std::process::id()));
        let _ = fs::remove_dir_all(&home);
        let folder = home.join("plugin");
        fs::create_dir_all(&folder).unwrap();
        fs::copy(&plugin, folder.join(PLUGIN)).unwrap();
        fs::copy(paths.clone_root().join("LICENSE"), folder.join("LICENSE")).unwrap();
        let file = home.join("plugin.tar.gz");
        package::archive(&folder, &[PLUGIN, "LICENSE"], &file).unwrap();
        let version = env!("CARGO_PKG_VERSION");
        let archive = Archive {
            file: "plugin.tar.gz".to_owned(),
            os: "linux".to_owned(),
            architecture: oci::architecture().to_owned(),
            sha256: key::of_file(&file).unwrap(),
        };
        let manifest: Value = serde_saphyr::from_str(&manifest(version, &[archive]).unwrap()).unwrap();
        assert_accepted(&manifest);
        let link = install(&manifest, &file, &home);
        let said = Cmd::new(&link).args(["version", "--client"]).output().unwrap();
        let made = Cmd::new(&link)
            .args(["create", "demo", "--dry-run=client", "-o", "name"])
            .output()
            .unwrap();
        fs::remove_dir_all(&home).unwrap();
        assert!(said.contains(version), "{said}");
        assert_eq!(made.trim(), "workspace.workspaces.jupyter.org/demo");
    }
}
