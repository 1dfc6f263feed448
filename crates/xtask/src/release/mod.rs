//! A checkout and a version -> images and chart in a registry, and files to install from (IO).
//!
//! | file | input -> output |
//! |---|---|
//! | `checkout.rs` | a checkout without changes -> its commit and its tracked files |
//! | `version.rs` | text -> a version that this checkout may have in a release (pure) |
//! | `chart.rs` | chart, registry, digests -> a package with these as defaults, and the same as an OCI layout |
//! | `krew.rs` | archives of the plugin -> krew's manifest (pure) |
//! | `manifests.rs` | a packaged chart -> `crds.yaml` and `install.yaml` for kubectl |
//! | `layout.rs` | blobs -> an OCI layout |
//! | `parts.rs` | folders, each with images and plugin of one architecture -> images for all of them |
//! | `package.rs` | folder -> archive that has the same bytes each time |

mod chart;
mod checkout;
mod krew;
mod layout;
mod manifests;
mod package;
mod parts;
#[cfg(test)]
mod tests;
mod version;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, ensure};

use self::parts::Part;
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
    /// The built kubectl plugin for each architecture.
    plugins: Vec<(String, PathBuf)>,
    /// Images, by the chart's names for them.
    images: BTreeMap<String, Image>,
}

/// A built image.
struct Image {
    /// Last part of its name.
    repository: String,
    /// Where it is, as skopeo names it.
    source: String,
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
    let root = paths.clone_root();
    let archives = Purpose::Registry.folder(paths);
    let (Some(registry), Some(version)) = (&args.registry, &args.version) else {
        let folder = args
            .part
            .as_ref()
            .context("--registry and --version, or --part, must be given")?;
        let commit = checkout::commit(root, folder)?;
        let (_, plugin) = build(&commit, folder, paths, &progress)?;
        Part::write(folder, oci::architecture(), &commit, &archives, &plugin)?;
        return Ok(ExitCode::SUCCESS);
    };
    // A wrong version is reported before the long part.
    images::checked_registry(registry)?;
    version::check(version, env!("CARGO_PKG_VERSION"))?;
    let out = args.out.clone().unwrap_or_else(|| root.join("dist"));
    let commit = checkout::commit(root, &out)?;
    let helm = helm::ensure(paths, &progress)?;
    let joined = out.join(".joined");
    let _ = fs::remove_dir_all(&joined);
    let (images, plugins) = if args.join.is_empty() {
        let (references, plugin) = build(&commit, &out, paths, &progress)?;
        (
            built(&references, &archives)?,
            vec![(oci::architecture().to_owned(), plugin)],
        )
    } else {
        let parts = Part::read(&args.join, &commit)?;
        let plugins = parts
            .iter()
            .map(|part| (part.architecture().to_owned(), part.plugin()));
        (parts::images(&parts, &joined)?, plugins.collect())
    };
    let release = Release {
        registry,
        version,
        commit: &commit,
        out: &out,
        chart: &root.join("charts/jupyter-k8s"),
        license: &root.join("LICENSE"),
        helm: &helm,
        plugins,
        images,
    };
    release.publish(&Registries::default(), &progress)?;
    let _ = fs::remove_dir_all(&joined);
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

/// Builds images and plugin of a commit; files in `out` are not part of it. Returns the images' names, and the plugin.
fn build(
    commit: &str,
    out: &Path,
    paths: &Paths,
    progress: &Progress,
) -> anyhow::Result<(BTreeMap<String, String>, PathBuf)> {
    let references = images::ensure(&IMAGES, Purpose::Registry, paths, progress)?;
    let plugin = images::plugin(paths, progress)?;
    ensure!(
        checkout::commit(paths.clone_root(), out)? == commit,
        "another commit was checked out during the build: repeat the command"
    );
    Ok((references, plugin))
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
        plugins: vec![(oci::architecture().to_owned(), plugin.to_path_buf())],
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
                source: format!("oci-archive:{}", archive.display()),
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
        let plugins = self.plugin_archives(work)?;
        self.text(krew::FILE, &krew::manifest(self.version, &plugins)?)?;
        let mut sums = String::new();
        let plugins = plugins.iter().map(|plugin| plugin.file.as_str());
        let files = [crds, IMAGE_LIST, install, package.as_str()].into_iter();
        for file in files.chain(plugins).chain([krew::FILE]) {
            let sum = key::of_file(&self.out.join(file))?;
            let _ = writeln!(sums, "{sum}  {file}");
        }
        self.text("SHA256SUMS", &sums)?;
        chart::layout(self, &self.out.join(&package), &work.join("layout"))
    }

    /// Archives of the kubectl plugin and its licence.
    fn plugin_archives(&self, work: &Path) -> anyhow::Result<Vec<krew::Archive>> {
        let archive = |(architecture, plugin): &(String, PathBuf)| {
            let folder = work.join(format!("plugin-{architecture}"));
            fs::create_dir(&folder)?;
            let program = folder.join(PLUGIN);
            for (from, to) in [
                (plugin.as_path(), &program),
                (self.license, &folder.join("LICENSE")),
            ] {
                fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
            }
            // Folders that were carried from machine to machine lose it.
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
            let file = format!("{PLUGIN}-{}-linux-{architecture}.tar.gz", self.version);
            package::archive(&folder, &[PLUGIN, "LICENSE"], &self.out.join(&file))?;
            Ok(krew::Archive {
                sha256: key::of_file(&self.out.join(&file))?,
                file,
                os: "linux".to_owned(),
                architecture: architecture.clone(),
            })
        };
        self.plugins.iter().map(archive).collect()
    }

    fn image(&self, image: &Image) -> Upload {
        Upload {
            source: image.source.clone(),
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
