//! Pinned Go modules -> the cluster's binaries in the cache folder (IO).
//!
//! A binary is named by a hash of all its inputs. So a checkout with other versions builds its own beside it, and no finished binary is
//! built again. Each gets its name in one step, so a partial build never counts as complete.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, bail};

use crate::exec::Cmd;
use crate::paths::Paths;
use crate::progress::Progress;

/// Kubernetes' version; the modules in `components/` are pinned to it.
pub(crate) const KUBERNETES: &str = "v1.36.3";
/// Oldest Go that the modules can be built with.
const GO: (u32, u32) = (1, 26);

/// A program built from Go modules.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Component {
    pub(crate) name: &'static str,
    /// The package to build: ours, or one of a module that is itself a program.
    package: &'static str,
    /// Whether Kubernetes' version is linked in; clients and servers of Kubernetes compare it.
    kubernetes: bool,
    files: &'static [(&'static str, &'static str)],
}

macro_rules! files {
    ($folder:literal: $($file:literal),+) => {
        &[$(($file, include_str!(concat!("../components/", $folder, "/", $file)))),+]
    };
}

/// All processes of a Kubernetes node, in one binary.
pub(crate) const HYPERKUBE: Component = Component {
    name: "hyperkube",
    package: ".",
    kubernetes: true,
    files: files!("hyperkube": "go.mod", "go.sum", "main.go"),
};
/// The API server of an older Kubernetes, for end-to-end tests.
pub(crate) const OLDER_API_SERVER: Component = Component {
    name: "older-apiserver",
    package: ".",
    kubernetes: true,
    files: files!("older-apiserver": "go.mod", "go.sum", "main.go"),
};
/// Kubernetes' command line client.
pub(crate) const KUBECTL: Component = Component {
    name: "kubectl",
    package: ".",
    kubernetes: true,
    files: files!("kubectl": "go.mod", "go.sum", "main.go"),
};
/// Kubernetes' database.
pub(crate) const ETCD: Component = Component {
    name: "etcd",
    package: ".",
    kubernetes: false,
    files: files!("etcd": "go.mod", "go.sum", "main.go"),
};
/// The cluster's DNS.
pub(crate) const COREDNS: Component = Component {
    name: "coredns",
    package: ".",
    kubernetes: false,
    files: files!("coredns": "go.mod", "go.sum", "main.go"),
};
/// Makes volumes out of folders of the node.
pub(crate) const PROVISIONER: Component = Component {
    name: "local-path-provisioner",
    package: "github.com/rancher/local-path-provisioner",
    kubernetes: false,
    files: files!("local-path-provisioner": "go.mod", "go.sum"),
};
/// First process of each pod, and the provisioner's helper.
pub(crate) const NODE_TOOLS: Component = Component {
    name: "node-tools",
    package: ".",
    kubernetes: false,
    files: files!("node-tools": "go.mod", "main.go"),
};

/// Simulates nodes.
pub(crate) const KWOK: Component = Component {
    name: "kwok",
    package: "sigs.k8s.io/kwok/cmd/kwok",
    kubernetes: false,
    files: files!("kwok": "go.mod", "go.sum"),
};

/// cert-manager's controllers, which some end-to-end tests run.
pub(crate) const CERT_MANAGER: Component = Component {
    name: "cert-manager",
    package: ".",
    kubernetes: false,
    files: files!("cert-manager": "go.mod", "go.sum", "main.go"),
};

/// Measures resource usage of pods, for an end-to-end test.
pub(crate) const METRICS_SERVER: Component = Component {
    name: "metrics-server",
    package: "sigs.k8s.io/metrics-server/cmd/metrics-server",
    kubernetes: false,
    files: files!("metrics-server": "go.mod", "go.sum"),
};

/// The newest Helm, for tests. The other tools use the oldest supported one, version 3 (`helm`).
pub(crate) const HELM4: Component = Component {
    name: "helm4",
    package: "helm.sh/helm/v4/cmd/helm",
    kubernetes: false,
    files: files!("helm4": "go.mod", "go.sum"),
};

/// Checks the workflows of CI.
pub(crate) const ACTIONLINT: Component = Component {
    name: "actionlint",
    package: "github.com/rhysd/actionlint/cmd/actionlint",
    kubernetes: false,
    files: files!("actionlint": "go.mod", "go.sum"),
};

impl Component {
    /// Hash of everything that goes into the binary, 12 hexadecimal digits.
    pub(crate) fn hash(&self) -> String {
        let mut input = format!(
            "{}\n{}\n{}\n",
            self.package,
            self.linker_flags(),
            std::env::consts::ARCH
        );
        for (name, text) in self.files {
            let _ = writeln!(input, "{name} {}\n{text}", text.len());
        }
        short_digest(input.as_bytes())
    }

    /// Path of the binary after its build.
    pub(crate) fn path(&self, paths: &Paths) -> PathBuf {
        paths.bin().join(format!("{}-{}", self.name, self.hash()))
    }

    /// Builds the binary unless it exists, and links its plain name to it.
    pub(crate) fn ensure(&self, paths: &Paths, progress: &Progress) -> anyhow::Result<PathBuf> {
        let binary = self.path(paths);
        if !binary.exists() {
            self.build(paths, &binary, progress)
                .with_context(|| format!("cannot build {}", self.name))?;
        }
        let link = paths.bin().join(self.name);
        if fs::read_link(&link).ok().as_deref() != binary.file_name().map(Path::new) {
            let temporary = paths.bin().join(format!(".{}.link", self.name));
            let _ = fs::remove_file(&temporary);
            symlink(binary.file_name().unwrap_or_default(), &temporary)?;
            fs::rename(&temporary, &link)?;
        }
        Ok(binary)
    }

    fn build(&self, paths: &Paths, binary: &Path, progress: &Progress) -> anyhow::Result<()> {
        let folder = paths.go().join(format!("{}-{}", self.name, self.hash()));
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        fs::create_dir_all(paths.bin())?;
        for (name, text) in self.files {
            fs::write(folder.join(name), text)?;
        }
        if let Err(error) = check_go(&folder) {
            fs::remove_dir_all(&folder)?;
            return Err(error);
        }
        progress.line(format_args!(
            "building {} (once; the slowest takes some minutes)",
            self.name
        ));
        let temporary = paths.bin().join(format!(".{}.tmp", self.name));
        let (started, mut beat, mut downloads, mut packages) = (Instant::now(), progress.beat(), 0, 0);
        let build = Cmd::new("go").args(["build", "-v", "-trimpath", "-ldflags", &self.linker_flags()]);
        let build = build
            .args(["-buildvcs=false", "-o"])
            .arg(&temporary)
            .arg(self.package);
        let build = build.env("CGO_ENABLED", "0").env("GOWORK", "off").dir(&folder);
        build.logged(&paths.logs().join(format!("build-{}.log", self.name)), |line| {
            if line.starts_with("go: downloading") {
                downloads += 1;
            } else {
                packages += 1;
            }
            beat.line(|| {
                format!(
                    "  {}: {downloads} modules fetched, {packages} packages compiled",
                    self.name
                )
            });
        })?;
        fs::rename(&temporary, binary)?;
        let _ = fs::remove_dir_all(&folder);
        progress.line(format_args!(
            "built {} in {:.0} s",
            self.name,
            started.elapsed().as_secs_f64()
        ));
        Ok(())
    }

    /// The version of Kubernetes that its module requires; [`KUBERNETES`] if it requires only parts of it.
    fn kubernetes_version(&self) -> &'static str {
        let mut lines = self.files.iter().flat_map(|(_, text)| text.lines());
        lines
            .find_map(|line| line.strip_prefix("\tk8s.io/kubernetes "))
            .unwrap_or(KUBERNETES)
    }

    fn linker_flags(&self) -> String {
        let mut flags = "-s -w".to_owned();
        if self.kubernetes {
            let version = self.kubernetes_version();
            let (major, minor) = version
                .trim_start_matches('v')
                .split_once('.')
                .unwrap_or_default();
            let minor = minor.split('.').next().unwrap_or_default();
            // Without these, a client reads the server's version as v0.0.0 and reports that it cannot read it.
            for package in ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"] {
                for (name, value) in [
                    ("gitVersion", version),
                    ("gitMajor", major),
                    ("gitMinor", minor),
                    ("gitCommit", "0000000000000000000000000000000000000000"),
                    ("gitTreeState", "clean"),
                    ("buildDate", "2026-07-22T00:00:00Z"),
                ] {
                    let _ = write!(flags, " -X {package}.{name}={value}");
                }
            }
        }
        flags
    }
}

/// Which of the components are not built yet.
pub(crate) fn missing<'a>(components: &[&'a Component], paths: &Paths) -> Vec<&'a Component> {
    components
        .iter()
        .copied()
        .filter(|component| !component.path(paths).exists())
        .collect()
}

/// SHA-256 as hexadecimal digits.
pub(crate) fn digest(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The first 12 digits of [`digest`]; enough to tell our own builds apart.
pub(crate) fn short_digest(bytes: &[u8]) -> String {
    digest(bytes).chars().take(12).collect()
}

/// Checks that Go exists and is new enough. Runs in the module's folder, where Go may switch to another version by itself.
fn check_go(folder: &Path) -> anyhow::Result<()> {
    let how = "get Go 1.26 or newer from https://go.dev/dl/ and put its bin folder on PATH";
    let Ok(output) = Cmd::new("go").arg("version").dir(folder).output() else {
        bail!("Go is not installed, or too old for the modules; {how}");
    };
    match go_version(&output) {
        Some(version) if version < GO => bail!("{output} is too old; {how}"),
        _ => Ok(()),
    }
}

/// Major and minor version from `go version go1.26.3 linux/amd64`; none for a development build.
fn go_version(output: &str) -> Option<(u32, u32)> {
    let version = output.split_whitespace().nth(2)?.strip_prefix("go")?;
    let mut parts = version.split(['.', '-']);
    let mut number = || {
        let digits: String = parts.next()?.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    };
    Some((number()?, number()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_versions_are_read_from_releases_and_candidates() {
        assert_eq!(go_version("go version go1.26.3 linux/amd64"), Some((1, 26)));
        assert_eq!(go_version("go version go1.26rc1 linux/amd64"), Some((1, 26)));
        assert_eq!(go_version("go version devel +abc linux/amd64"), None);
        assert!(go_version("go version go1.19.8 linux/amd64") < Some(GO));
    }

    #[test]
    fn the_hash_changes_with_files_and_flags_and_is_stable() {
        let base = NODE_TOOLS;
        assert_eq!(base.hash(), base.hash());
        assert_ne!(
            base.hash(),
            Component {
                kubernetes: true,
                ..base
            }
            .hash()
        );
        assert_ne!(
            base.hash(),
            Component {
                files: &[("go.mod", "module other\n")],
                ..base
            }
            .hash()
        );
        assert_eq!(base.hash().len(), 12);
    }

    #[test]
    fn modules_of_kubernetes_are_pinned_to_the_version_that_is_linked_in() {
        let text = |component: &Component| {
            component
                .files
                .iter()
                .find(|(name, _)| *name == "go.mod")
                .unwrap()
                .1
        };
        assert!(text(&HYPERKUBE).contains(&format!("k8s.io/kubernetes {KUBERNETES}\n")));
        assert!(text(&KUBECTL).contains(&KUBERNETES.replace("v1.", "k8s.io/kubectl v0.")));
        assert!(HYPERKUBE.linker_flags().contains("version.gitMinor=36 "));
        assert!(KUBECTL.linker_flags().contains("version.gitMinor=36 "));
        assert!(OLDER_API_SERVER.linker_flags().contains("version.gitMinor=34 "));
    }

    #[test]
    fn a_digest_is_sha256() {
        assert_eq!(
            digest(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
