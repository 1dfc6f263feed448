//! Debian packages -> base images in the store (IO).

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::key::Key;
use super::plan::{self, Base};
use super::store::Store;
use super::{Step, debian};
use crate::exec::Cmd;
use crate::paths::Paths;
use crate::progress::Progress;

/// Debian packages that programs linked against glibc need.
const RUNTIME: [&str; 7] = [
    "base-files",
    "base-passwd",
    "ca-certificates",
    "libc6",
    "libgcc-s1",
    "netbase",
    "tzdata",
];

/// A base image that can be built, and its name in the store.
#[derive(Debug)]
pub(crate) struct BaseImage {
    kind: Base,
    packages: Vec<String>,
    release: String,
    scripts: PathBuf,
    pub(crate) image: String,
}

impl BaseImage {
    /// Reads the packages of the base.
    ///
    /// # Errors
    /// When a build file cannot be read or names no packages.
    pub(crate) fn plan(kind: Base, release: &str, deploy: &Path) -> anyhow::Result<Self> {
        let packages: Vec<String> = match kind {
            Base::Runtime => RUNTIME.iter().map(ToString::to_string).collect(),
            Base::Packages(folder) => {
                let path = deploy.join(folder).join("Containerfile");
                let text =
                    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
                let packages = plan::packages(&text);
                let packages = packages.with_context(|| format!("{} has no ARG PACKAGES", path.display()))?;
                packages.iter().map(ToString::to_string).collect()
            }
        };
        let scripts = deploy.join("base");
        let variant = variant(kind);
        let key = Key::new("base")
            .with("variant", variant)
            .with("release", release)
            .with("architecture", std::env::consts::ARCH)
            .with("packages", packages.join(" "))
            .with_folder(&scripts)?
            .finish();
        let image = format!("localhost/jupyter-k8s/base:{variant}-{}", &key[..12]);
        Ok(Self {
            kind,
            packages,
            release: release.to_owned(),
            scripts,
            image,
        })
    }

    /// Builds the image unless the store has it.
    ///
    /// # Errors
    /// When the packages cannot be downloaded or unpacked.
    pub(crate) fn ensure(&self, store: &Store, paths: &Paths, progress: &Progress) -> anyhow::Result<()> {
        if store.has(&self.image) {
            return Ok(());
        }
        let step = Step::start(
            "base",
            &format!("base of {}", self.packages.join(" ")),
            paths,
            progress,
        )?;
        let sources = step.folder.join("sources.list");
        fs::write(&sources, debian::sources(&self.release, progress)?)?;
        let rootfs = step.folder.join("rootfs.tar");
        let script = |name: &str| format!("sh '{}' \"$1\"", self.scripts.join(name).display());
        let mut command = Cmd::new("mmdebstrap")
            .arg(format!("--variant={}", variant(self.kind)))
            .arg(format!("--include={}", self.packages.join(",")))
            .arg("--aptopt=APT::Install-Recommends \"false\"");
        command = match self.kind {
            Base::Runtime => command
                .arg(format!("--extract-hook={}", script("runtime.sh")))
                .arg(format!("--extract-hook={}", script("clean.sh"))),
            Base::Packages(_) => command
                .args(
                    ["man/*", "doc/*", "locale/*"]
                        .map(|path| format!("--dpkgopt=path-exclude=/usr/share/{path}")),
                )
                .arg("--dpkgopt=path-include=/usr/share/doc/*/copyright")
                // Java's packages create links in this folder, even without manual pages.
                .arg("--essential-hook=mkdir -p \"$1/usr/share/man/man1\"")
                .arg(format!("--customize-hook={}", script("clean.sh"))),
        };
        command
            .arg(&self.release)
            .arg(&rootfs)
            .arg(&sources)
            .logged(&step.log, step.beat())?;
        store.import(&rootfs, &self.image, &step.log)?;
        step.done()
    }
}

fn variant(kind: Base) -> &'static str {
    match kind {
        Base::Runtime => "extract",
        Base::Packages(_) => "minbase",
    }
}
