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

use crate::exec::{Cmd, download};
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
    /// Files of its module, with their text. Programs of one module share versions, so each package that they share is compiled once.
    files: &'static [(&'static str, &'static str)],
}

macro_rules! component {
    ($name:literal, $package:literal, $module:literal $(, $file:literal)*) => {
        Component {
            name: $name,
            package: $package,
            files: &[
                component!(@file $module, "go.mod"),
                component!(@file $module, "go.sum"),
                $(component!(@file $module, $file)),*
            ],
        }
    };
    (@file $module:literal, $file:literal) => {
        ($file, include_str!(concat!("../components/", $module, "/", $file)))
    };
}

/// All processes of a Kubernetes node and its command line client, in one binary.
pub(crate) const HYPERKUBE: Component = component!("hyperkube", "./hyperkube", "node", "hyperkube/main.go");
/// Kubernetes' database.
pub(crate) const ETCD: Component = component!("etcd", "./etcd", "node", "etcd/main.go");
/// The cluster's DNS.
pub(crate) const COREDNS: Component = component!("coredns", "./coredns", "node", "coredns/main.go");
/// Makes volumes out of folders of the node.
pub(crate) const PROVISIONER: Component = component!(
    "local-path-provisioner",
    "github.com/rancher/local-path-provisioner",
    "node"
);
/// Enforces network policies.
pub(crate) const NETWORK_POLICIES: Component = component!(
    "kube-network-policies",
    "./kube-network-policies",
    "node",
    "kube-network-policies/main.go"
);
/// First process of each pod, and the provisioner's helper.
pub(crate) const NODE_TOOLS: Component =
    component!("node-tools", "./node-tools", "node", "node-tools/main.go");
/// Simulates nodes.
pub(crate) const KWOK: Component = component!("kwok", "sigs.k8s.io/kwok/cmd/kwok", "node");
/// The API server of an older Kubernetes, for end-to-end tests.
pub(crate) const OLDER_API_SERVER: Component =
    component!("older-apiserver", ".", "older-apiserver", "main.go");
/// cert-manager's controllers, which some end-to-end tests run.
pub(crate) const CERT_MANAGER: Component =
    component!("cert-manager", "./cert-manager", "tests", "cert-manager/main.go");
/// Measures resource usage of pods, for an end-to-end test.
pub(crate) const METRICS_SERVER: Component = component!(
    "metrics-server",
    "sigs.k8s.io/metrics-server/cmd/metrics-server",
    "tests"
);
/// The newest Helm, for tests. The other tools use the oldest supported one, version 3 (`helm`).
pub(crate) const HELM4: Component = component!("helm4", "helm.sh/helm/v4/cmd/helm", "tests");
/// Checks the workflows of CI.
pub(crate) const ACTIONLINT: Component = component!(
    "actionlint",
    "github.com/rhysd/actionlint/cmd/actionlint",
    "actionlint"
);

/// Checks the plugin's manifest for krew.
pub(crate) const VALIDATE_KREW_MANIFEST: Component = component!(
    "validate-krew-manifest",
    "sigs.k8s.io/krew/cmd/validate-krew-manifest",
    "validate-krew-manifest"
);

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

    /// Builds the binary unless it exists.
    pub(crate) fn ensure(&self, paths: &Paths, progress: &Progress) -> anyhow::Result<PathBuf> {
        let binary = self.path(paths);
        if !binary.exists() {
            self.build(paths, &binary, progress)
                .with_context(|| format!("cannot build {}", self.name))?;
        }
        Ok(binary)
    }

    fn build(&self, paths: &Paths, binary: &Path, progress: &Progress) -> anyhow::Result<()> {
        let folder = paths.go().join(format!("{}-{}", self.name, self.hash()));
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        fs::create_dir_all(paths.bin())?;
        for (name, text) in self.files {
            let file = folder.join(name);
            fs::create_dir_all(file.parent().unwrap_or(&folder))?;
            fs::write(file, text)?;
        }
        if let Err(error) = check_go(&folder) {
            fs::remove_dir_all(&folder)?;
            return Err(error);
        }
        progress.line(format_args!(
            "building {} (once; the slowest takes some minutes)",
            self.name
        ));
        let go = |args: &[&str]| {
            Cmd::new("go")
                .args(args)
                .env("CGO_ENABLED", "0")
                .env("GOWORK", "off")
                .dir(&folder)
        };
        // Fetches the modules of the packages that it needs, and no others.
        download(progress, || go(&["list", "-deps", self.package]).run())?;
        let temporary = paths.bin().join(format!(".{}.tmp", self.name));
        let (started, mut beat) = (Instant::now(), progress.beat());
        let build = go(&["build", "-v", "-trimpath", "-ldflags", &self.linker_flags()]);
        let build = build
            .args(["-buildvcs=false", "-o"])
            .arg(&temporary)
            .arg(self.package);
        let log = paths.logs().join(format!("build-{}.log", self.name));
        build.logged(&log, |_| beat.line(|| format!("  still building {}", self.name)))?;
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
        // Clients and servers of Kubernetes compare its version.
        if [HYPERKUBE.name, OLDER_API_SERVER.name].contains(&self.name) {
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

/// Builds the binary that has kubectl, and links this name to it.
///
/// # Errors
/// As [`Component::ensure`].
pub(crate) fn ensure_kubectl(paths: &Paths, progress: &Progress) -> anyhow::Result<()> {
    let binary = HYPERKUBE.ensure(paths, progress)?;
    let link = paths.kubectl();
    if fs::read_link(&link).ok().as_deref() == binary.file_name().map(Path::new) {
        return Ok(());
    }
    let temporary = link.with_extension("link");
    let _ = fs::remove_file(&temporary);
    symlink(binary.file_name().unwrap_or_default(), &temporary)?;
    fs::rename(&temporary, &link)?;
    Ok(())
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
    let how = "call this by ./justw, which brings it, or get Go 1.26 or newer from https://go.dev/dl/";
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
        assert!(text(&HYPERKUBE).contains(&KUBERNETES.replace("v1.", "k8s.io/kubectl v0.")));
        assert!(HYPERKUBE.linker_flags().contains("version.gitMinor=36 "));
        assert!(OLDER_API_SERVER.linker_flags().contains("version.gitMinor=34 "));
    }
}
