//! Images and charts -> registries, by skopeo (IO).

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use crate::apt;
use crate::components;
use crate::exec::Cmd;
use crate::progress::Progress;

/// What the error texts of registries say of a name that they do not have, in lower case.
const ABSENT: [&str; 5] = [
    "manifest unknown",
    "name unknown",
    "repository name not known",
    "not found",
    "statuscode: 404",
];

/// Something to be put into a registry under a name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Upload {
    /// Where it is, as skopeo names it: `oci-archive:gateway.tar`.
    pub(crate) source: String,
    /// `sha256:…`, of its manifest.
    pub(crate) digest: String,
    /// Its name there, with tag or digest.
    pub(crate) target: String,
}

/// Access to registries.
#[derive(Debug, Default)]
pub(crate) struct Registries {
    /// File with credentials. Without it skopeo uses those of `skopeo login` or `docker login`: `$REGISTRY_AUTH_FILE`, else
    /// `~/.docker/config.json`.
    pub(crate) auth_file: Option<PathBuf>,
}

impl Registries {
    /// Puts all of it into registries, in this order. Nothing is written unless all names are free or have the same content already.
    ///
    /// # Errors
    /// When a name has other content, or a registry refuses something.
    pub(crate) fn upload(&self, uploads: &[Upload], progress: &Progress) -> anyhow::Result<()> {
        apt::ensure(&["skopeo"], progress)?;
        let (mut absent, mut taken) = (Vec::new(), Vec::new());
        for upload in uploads {
            match self.digest(&upload.target)? {
                None => absent.push(upload),
                Some(same) if same == upload.digest => {
                    progress.line(format_args!("{} is there already", upload.target));
                }
                Some(other) => taken.push(format!("{} is {other}, not {}", upload.target, upload.digest)),
            }
        }
        ensure!(
            taken.is_empty(),
            "the registry has other content under a tag, and tags are not overwritten: choose another version or registry, or delete the tag\n  {}",
            taken.join("\n  ")
        );
        for upload in absent {
            self.copy(&upload.source, &upload.target)
                .with_context(|| format!("cannot push {}", upload.target))?;
            progress.line(format_args!("pushed {}", upload.target));
        }
        Ok(())
    }

    /// Pushes an archive's image under `name`, which then has this content, whatever it had before.
    ///
    /// # Errors
    /// When the registry refuses it.
    pub(crate) fn push_archive(&self, archive: &Path, name: &str, progress: &Progress) -> anyhow::Result<()> {
        apt::ensure(&["skopeo"], progress)?;
        self.copy(&format!("oci-archive:{}", archive.display()), name)
    }

    /// Digest of what a registry has under a name; nothing when it has no such name.
    ///
    /// # Errors
    /// When the registry cannot be asked.
    pub(crate) fn digest(&self, name: &str) -> anyhow::Result<Option<String>> {
        let manifest = self
            .skopeo()
            .args(["inspect", "--raw", "--retry-times=3", &verify("", name)])
            .arg(format!("docker://{name}"))
            .bytes();
        match manifest {
            Ok(manifest) => Ok(Some(format!("sha256:{}", components::digest(&manifest)))),
            Err(error) if is_absent(&error.to_string()) => Ok(None),
            Err(error) => Err(error.context(format!("cannot tell whether {name} exists"))),
        }
    }

    /// Copies an image, for all its platforms and with its digest, to a name in a registry.
    fn copy(&self, source: &str, target: &str) -> anyhow::Result<()> {
        let from = source.strip_prefix("docker://").unwrap_or_default();
        self.skopeo()
            .args([
                "copy",
                "--quiet",
                "--all",
                "--preserve-digests",
                "--retry-times=3",
            ])
            .args([verify("src-", from), verify("dest-", target)])
            .args([source, &format!("docker://{target}")])
            .run()
    }

    fn skopeo(&self) -> Cmd {
        let skopeo = Cmd::new("skopeo");
        match &self.auth_file {
            Some(file) => skopeo.env("REGISTRY_AUTH_FILE", file),
            None => skopeo,
        }
    }
}

/// A registry on this machine has no certificate, as with other tools.
fn verify(side: &str, name: &str) -> String {
    format!("--{side}tls-verify={}", !is_local(name))
}

/// Whether an image's registry is on this machine (pure).
fn is_local(name: &str) -> bool {
    let host = name.split(['/', ':']).next().unwrap_or_default();
    host == "localhost" || host.starts_with("127.")
}

/// Whether a registry has just not got it: anything else it may say is an error.
fn is_absent(error: &str) -> bool {
    let error = error.to_lowercase();
    ABSENT.iter().any(|text| error.contains(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_registries_of_this_machine_go_without_a_certificate() {
        assert!(is_local("localhost:5000/operator:1") && is_local("127.0.0.1:5000/operator:1"));
        assert!(
            !is_local("registry.example.com/localhost/operator:1") && !is_local("localhost.example.com/a")
        );
        assert_eq!(verify("dest-", "127.0.0.1:5000/a:1"), "--dest-tls-verify=false");
        assert_eq!(verify("", "registry.example.com/a:1"), "--tls-verify=true");
    }

    #[test]
    fn a_registry_that_refuses_or_is_silent_is_not_one_without_the_image() {
        assert!(is_absent(
            "reading manifest 1 in r/a: manifest unknown: manifest unknown"
        ));
        assert!(is_absent(
            "reading manifest 1 in r/a: name unknown: The repository does not exist"
        ));
        for other in [
            "unauthorized: authentication required",
            "requested access to the resource is denied",
            "dial tcp 192.0.2.1:443: i/o timeout",
            "lookup registry.example.com: no such host",
        ] {
            assert!(!is_absent(other), "{other}");
        }
    }
}
