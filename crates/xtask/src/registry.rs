//! Images and charts -> registries, by skopeo (IO).

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};

use crate::apt;
use crate::components;
use crate::exec::Cmd;
use crate::progress::Progress;

/// Parts of registries' error messages about an unknown name, in lower case.
const ABSENT: [&str; 3] = ["manifest unknown", "name unknown", "statuscode: 404"];

/// A local image or chart, and its name in a registry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Upload {
    /// Its location, as skopeo names it: `oci-archive:gateway.tar`.
    pub(crate) source: String,
    /// `sha256:…`, of its manifest.
    pub(crate) digest: String,
    /// Its name there, with tag or digest.
    pub(crate) target: String,
}

/// What a registry has under the name of an upload.
enum Found {
    Nothing,
    Same,
    /// A sentence about both.
    Other(String),
}

impl Upload {
    fn found(&self, digest: Option<String>) -> Found {
        match digest {
            None => Found::Nothing,
            Some(same) if same == self.digest => Found::Same,
            Some(other) => Found::Other(format!("{} is {other}, not {}", self.target, self.digest)),
        }
    }
}

/// Access to registries.
#[derive(Debug, Default)]
pub(crate) struct Registries {
    /// File with credentials. Without it skopeo uses those of `skopeo login` or `docker login`: `$REGISTRY_AUTH_FILE`, else
    /// `~/.docker/config.json`.
    pub(crate) auth_file: Option<PathBuf>,
}

impl Registries {
    /// Uploads all of it, in this order. Writes nothing unless all names are free or already have the same content. Checks each name again
    /// directly before its push and after it, because other programs may push in the meantime.
    ///
    /// # Errors
    /// When a name has other content, or a registry refuses an upload.
    pub(crate) fn upload(&self, uploads: &[Upload], progress: &Progress) -> anyhow::Result<()> {
        apt::ensure(&["skopeo"], progress)?;
        let (mut absent, mut taken) = (Vec::new(), Vec::new());
        for upload in uploads {
            match upload.found(self.digest(&upload.target)?) {
                Found::Nothing => absent.push(upload),
                Found::Same => progress.line(format_args!("{} is there already", upload.target)),
                Found::Other(difference) => taken.push(difference),
            }
        }
        ensure!(
            taken.is_empty(),
            "the registry has other content under a tag, and tags are not overwritten: choose another version or registry, or delete the tag\n  {}",
            taken.join("\n  ")
        );
        for upload in absent {
            self.push(upload, progress)?;
        }
        Ok(())
    }

    /// Uploads it to a registry that did not have the name in the last check.
    ///
    /// # Errors
    /// As [`Registries::upload`].
    pub(crate) fn push(&self, upload: &Upload, progress: &Progress) -> anyhow::Result<()> {
        match upload.found(self.digest(&upload.target)?) {
            Found::Nothing => {}
            Found::Same => return Ok(()),
            Found::Other(difference) => bail!(
                "another push was faster, and tags are not overwritten: choose another version or registry, or delete the tag\n  {difference}"
            ),
        }
        self.copy(&upload.source, &upload.target)
            .with_context(|| format!("cannot push {}", upload.target))?;
        match upload.found(self.digest(&upload.target)?) {
            Found::Same => progress.line(format_args!("pushed {}", upload.target)),
            Found::Nothing => bail!(
                "{} was pushed, and the registry does not have it: look into the registry's log, then repeat the command",
                upload.target
            ),
            Found::Other(difference) => bail!(
                "another client pushed a tag at the same time: choose another version, and make tags immutable in the registry\n  {difference}"
            ),
        }
        Ok(())
    }

    /// Pushes an archive's image under `name`, and replaces any earlier content.
    ///
    /// # Errors
    /// When the registry refuses it.
    pub(crate) fn push_archive(&self, archive: &Path, name: &str, progress: &Progress) -> anyhow::Result<()> {
        apt::ensure(&["skopeo"], progress)?;
        self.copy(&format!("oci-archive:{}", archive.display()), name)
    }

    /// Digest of a name in a registry; `None` when it has no such name.
    ///
    /// # Errors
    /// When the registry does not answer.
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

    /// skopeo with these credentials.
    pub(crate) fn skopeo(&self) -> Cmd {
        let skopeo = Cmd::new("skopeo");
        match &self.auth_file {
            Some(file) => skopeo.env("REGISTRY_AUTH_FILE", file),
            None => skopeo,
        }
    }
}

/// A registry on this machine needs no certificate, as with other tools.
fn verify(side: &str, name: &str) -> String {
    format!("--{side}tls-verify={}", !is_local(name))
}

/// Whether an image's registry is on this machine (pure).
fn is_local(name: &str) -> bool {
    let host = name.split(['/', ':']).next().unwrap_or_default();
    host == "localhost" || host.starts_with("127.")
}

/// Whether the error means that the registry lacks the name. All other messages are errors, such as a program that is "not found".
fn is_absent(error: &str) -> bool {
    let error = error.to_lowercase();
    // Harbor has its own error code: `reading manifest 1 in r/a: unknown: artifact a:1 not found`.
    let has_unknown_code = |line: &str| {
        let answer = line.split_once("reading manifest ");
        let message = answer.and_then(|(_, answer)| answer.split_once(": unknown: "));
        message.is_some_and(|(_, message)| message.contains("not found"))
    };
    ABSENT.iter().any(|text| error.contains(text)) || error.lines().any(has_unknown_code)
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
        for absent in [
            "reading manifest 1 in r/a: manifest unknown: manifest unknown",
            "reading manifest 1 in r/a: name unknown: The repository does not exist",
            "reading manifest 1 in r/a: StatusCode: 404, \"<html>\"",
            "`skopeo inspect` failed (exit status: 1)\n  level=fatal msg=\"reading manifest 1 in r/a: unknown: artifact a:1 not found\"",
        ] {
            assert!(is_absent(absent), "{absent}");
        }
        for other in [
            "exec: \"docker-credential-ecr-login\": executable file not found in $PATH",
            "reading manifest 1 in r/a: unauthorized: project a not found",
            "reading manifest 1 in r/a: unknown: quota exceeded",
            "authentication file not found",
            "unauthorized: authentication required",
            "requested access to the resource is denied",
            "dial tcp 192.0.2.1:443: i/o timeout",
            "lookup registry.example.com: no such host",
        ] {
            assert!(!is_absent(other), "{other}");
        }
    }
}
