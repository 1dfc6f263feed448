//! A checkout and a version -> images and chart in a registry, and files to install from (IO).
//!
//! | file | input -> output |
//! |---|---|
//! | `checkout.rs` | a checkout without changes -> its commit and its tracked files |
//! | `version.rs` | text -> a version that this checkout may have in a release (pure) |
//! | `chart.rs` | chart, registry, digests -> a package with these as defaults, and the same as an OCI layout |
//! | `krew.rs` | archives of the plugin -> krew's manifest (pure) |
//! | `manifests.rs` | a packaged chart -> `crds.yaml` and `install.yaml` for kubectl |
//! | `package.rs` | folder -> archive that has the same bytes each time |

mod chart;
mod checkout;
mod krew;
mod manifests;
mod package;
#[cfg(test)]
mod tests;
mod version;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, ensure};

use crate::args;
use crate::args::ImageName;
use crate::cluster::oci;
use crate::helm;
use crate::images::{self, PLUGIN, Purpose, key};
use crate::paths::Paths;
use crate::progress::Progress;
use crate::registry::{Registries, Upload};

/// Images of the chart. Images of the tests are not released.
const IMAGES: [ImageName; 7] = [
    ImageName::Operator,
    ImageName::Webhook,
    ImageName::Gateway,
    ImageName::Portal,
    ImageName::Application,
    ImageName::Proxy,
    ImageName::Identity,
];
/// File with the names of the images.
pub(crate) const IMAGE_LIST: &str = "images.txt";

/// The parts of a release.
struct Release<'a> {
    registry: &'a str,
    version: &'a str,
    /// Commit of this checkout.
    commit: &'a str,
    /// Folder for the files.
    out: &'a Path,
    /// The chart in this checkout.
    chart: &'a Path,
    license: &'a Path,
    helm: &'a Path,
    /// The built kubectl plugin.
    plugin: &'a Path,
    /// Images, by the chart's names for them.
    images: BTreeMap<String, Image>,
}

/// A built image.
struct Image {
    /// Last part of its name.
    repository: String,
    archive: PathBuf,
    /// `sha256:…`.
    digest: String,
}

/// Builds everything with cargo's release profile and publishes it.
///
/// # Errors
/// When the checkout differs from its commit, something cannot be built, a name in the registry has other content, or the registry refuses
/// a push.
pub(crate) fn run(args: &args::Release, paths: &Paths) -> anyhow::Result<ExitCode> {
    let progress = Progress::start();
    // A wrong version is reported before the long part.
    images::checked_registry(&args.registry)?;
    version::check(&args.version, env!("CARGO_PKG_VERSION"))?;
    let root = paths.clone_root();
    let out = args.out.clone().unwrap_or_else(|| root.join("dist"));
    let commit = checkout::commit(root, &out)?;
    let helm = helm::ensure(paths, &progress)?;
    let references = images::ensure(&IMAGES, Purpose::Registry, paths, &progress)?;
    let plugin = images::plugin(paths, &progress)?;
    ensure!(
        checkout::commit(root, &out)? == commit,
        "another commit was checked out during the build: repeat the command"
    );
    let release = Release {
        registry: &args.registry,
        version: &args.version,
        commit: &commit,
        out: &out,
        chart: &root.join("charts/jupyter-k8s"),
        license: &root.join("LICENSE"),
        helm: &helm,
        plugin: &plugin,
        images: built(&references, &Purpose::Registry.folder(paths))?,
    };
    release.publish(&Registries::default(), &progress)?;
    println!(
        "helm install jupyter-k8s oci://{} --version {}",
        release.chart_repository(),
        release.version
    );
    println!(
        "keep {} for the tests of upgrades: charts/released/README.md says how",
        out.join(format!("{}-{}.tgz", chart::NAME, release.version))
            .display()
    );
    Ok(ExitCode::SUCCESS)
}

/// Publishes the images of the local cluster and the chart of this checkout to a test registry; `plugin` is the built kubectl plugin.
/// Returns the chart and its version.
///
/// # Errors
/// When the local cluster's images were not built, or the registry refuses a push.
pub(crate) fn publish_local(
    registry: &str,
    plugin: &Path,
    out: &Path,
    registries: &Registries,
    paths: &Paths,
    progress: &Progress,
) -> anyhow::Result<(String, &'static str)> {
    let root = paths.clone_root();
    let references = images::built(&IMAGES, Purpose::Cluster, paths)?;
    let (helm, version) = (helm::ensure(paths, progress)?, env!("CARGO_PKG_VERSION"));
    let release = Release {
        registry,
        version,
        commit: &checkout::head(root)?,
        out,
        chart: &root.join("charts/jupyter-k8s"),
        license: &root.join("LICENSE"),
        helm: &helm,
        plugin,
        images: built(&references, &Purpose::Cluster.folder(paths))?,
    };
    release.publish(registries, progress)?;
    Ok((format!("oci://{}", release.chart_repository()), version))
}

/// Names and digests of these images' archives.
fn built(references: &BTreeMap<String, String>, folder: &Path) -> anyhow::Result<BTreeMap<String, Image>> {
    let image = |(name, reference): (&String, &String)| {
        let archive = folder.join(format!("{name}.tar"));
        let opened = File::open(&archive).with_context(|| format!("cannot read {}", archive.display()))?;
        let digest = oci::image_digest(opened).with_context(|| format!("{}", archive.display()))?;
        let last = reference.rsplit('/').next().unwrap_or(reference);
        let repository = last.split(':').next().unwrap_or(last).to_owned();
        Ok((
            name.clone(),
            Image {
                repository,
                archive,
                digest,
            },
        ))
    };
    references.iter().map(image).collect()
}

impl Release<'_> {
    /// Writes the files, then pushes the images, then the chart. So whenever the chart exists, so do the images that it names.
    fn publish(&self, registries: &Registries, progress: &Progress) -> anyhow::Result<()> {
        fs::create_dir_all(self.out).with_context(|| format!("cannot make {}", self.out.display()))?;
        let work = self.out.join(".work");
        let _ = fs::remove_dir_all(&work);
        fs::create_dir(&work)?;
        let published = self.publish_from(&work, registries, progress);
        fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))?;
        published
    }

    fn publish_from(&self, work: &Path, registries: &Registries, progress: &Progress) -> anyhow::Result<()> {
        let chart = self.write(work)?;
        progress.line(format_args!("the files are in {}", self.out.display()));
        let mut uploads: Vec<Upload> = self.images.values().map(|image| self.image(image)).collect();
        uploads.push(Upload {
            source: format!("oci:{}:{}", chart.folder.display(), self.version),
            digest: chart.digest,
            target: format!("{}:{}", self.chart_repository(), self.version),
        });
        registries.upload(&uploads, progress)
    }

    /// Writes all files, the checksums last; returns the chart to push.
    fn write(&self, work: &Path) -> anyhow::Result<chart::Layout> {
        let package = chart::package(self, work)?;
        let (crds, install) = ("crds.yaml", "install.yaml");
        self.text(crds, &manifests::crds(&work.join(chart::NAME))?)?;
        self.text(
            install,
            &manifests::install(self.helm, &self.out.join(&package), self.chart)?,
        )?;
        let names = self.images.values().map(|image| {
            let Upload { target, digest, .. } = self.image(image);
            format!("{target}@{digest}\n")
        });
        self.text(IMAGE_LIST, &names.collect::<Vec<_>>().concat())?;
        let plugin = self.plugin_archive(work)?;
        let archive = krew::Archive {
            file: &plugin,
            os: std::env::consts::OS,
            architecture: oci::architecture(),
            sha256: &key::of_file(&self.out.join(&plugin))?,
        };
        self.text(krew::FILE, &krew::manifest(self.version, &[archive])?)?;
        let mut sums = String::new();
        for file in [
            crds,
            IMAGE_LIST,
            install,
            package.as_str(),
            plugin.as_str(),
            krew::FILE,
        ] {
            let sum = key::of_file(&self.out.join(file))?;
            let _ = writeln!(sums, "{sum}  {file}");
        }
        self.text("SHA256SUMS", &sums)?;
        chart::layout(self, &self.out.join(&package), &work.join("layout"))
    }

    /// The kubectl plugin and its licence; returns the archive's name.
    fn plugin_archive(&self, work: &Path) -> anyhow::Result<String> {
        let folder = work.join("plugin");
        fs::create_dir(&folder)?;
        for (from, name) in [(self.plugin, PLUGIN), (self.license, "LICENSE")] {
            fs::copy(from, folder.join(name)).with_context(|| format!("cannot copy {}", from.display()))?;
        }
        let name = format!("{PLUGIN}-{}-linux-{}.tar.gz", self.version, oci::architecture());
        package::archive(&folder, &[PLUGIN, "LICENSE"], &self.out.join(&name))?;
        Ok(name)
    }

    fn image(&self, image: &Image) -> Upload {
        Upload {
            source: format!("oci-archive:{}", image.archive.display()),
            digest: image.digest.clone(),
            target: format!("{}/{}:{}", self.registry, image.repository, self.version),
        }
    }

    fn chart_repository(&self) -> String {
        format!("{}/{}", self.registry, chart::NAME)
    }

    fn text(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.out.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}
