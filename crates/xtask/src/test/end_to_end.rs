//! The installation, and filters -> stages of end-to-end tests that ran (IO).

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Context as _, bail};

use super::{Run, axe, from_registry, last_run, nextest, paramiko};
use crate::cluster;
use crate::components::{CERT_MANAGER, Component, HELM4, METRICS_SERVER, OLDER_API_SERVER};
use crate::paths::Paths;
use crate::{apt, definitions, images};

/// Chromium, its driver, certutil for its trusted authorities, jq for commands of docs/operations.md, and what people use with ssh.
const PACKAGES: [&str; 7] = [
    "chromium",
    "chromium-driver",
    "libnss3-tools",
    "jq",
    "git",
    "openssh-client",
    "rsync",
];

/// Suites and modules of tests, the program that each runs, and the environment variable with its path. The programs take minutes to
/// build the first time.
const PROGRAMS: [(&str, Component, &str); 7] = [
    ("rendered::", HELM4, "JUPYTER_K8S_HELM4"),
    ("registry::", HELM4, "JUPYTER_K8S_HELM4"),
    (
        "releases::certificates::",
        CERT_MANAGER,
        "JUPYTER_K8S_CERT_MANAGER",
    ),
    ("releases::production::", CERT_MANAGER, "JUPYTER_K8S_CERT_MANAGER"),
    ("releases::usage::", METRICS_SERVER, "JUPYTER_K8S_METRICS_SERVER"),
    (
        "rendered::older::",
        OLDER_API_SERVER,
        "JUPYTER_K8S_OLDER_API_SERVER",
    ),
    (
        "upgrade::older_api_server::",
        OLDER_API_SERVER,
        "JUPYTER_K8S_OLDER_API_SERVER",
    ),
];

/// In the path of tests of a JupyterHub, and of the identity provider with a database. They need images that no others need.
const HUB: &str = "hub::";
const IDENTITY: &str = "releases::identity::";

/// The state of the cluster while a stage runs.
enum Release {
    /// The release, with these values of the chart added to those of its installation, as `helm --set` takes them.
    Installed(&'static [&'static str]),
    /// The same, for tests that run only if a filter selects them (docs/decisions/0072).
    Named,
    /// An empty cluster, beside a registry to install from, if a filter selects its tests. No other stage can follow.
    InRegistry,
}

/// A profile, the release in it, and the tests that it runs.
type Stage = (&'static str, &'static Release, Vec<String>);
/// A variable of the tests, and the path in it.
type Tool = (&'static str, PathBuf);

/// Profiles of nextest, in order.
static STAGES: [(&str, Release); 8] = [
    ("installed", Release::Installed(&[])),
    // Tickets, sessions and the grace for autoscalers that end soon, tokens in place of a browser's cookie.
    (
        "settings",
        Release::Installed(&[
            "gateway.session.ticketSeconds=60",
            "gateway.session.lifetimeMinutes=11",
            "gateway.bearer.enabled=true",
            "settings.unschedulableGraceSeconds=10",
        ]),
    ),
    ("stops", Release::Installed(&[])),
    ("quiet", Release::Installed(&[])),
    ("alone", Release::Installed(&[])),
    ("releases", Release::Installed(&[])),
    ("before-release", Release::Named),
    ("registry", Release::InRegistry),
];

/// Runs the tests whose path contains one of `wanted`, or all but those that must be named, on the installation in `access_file`.
///
/// # Errors
/// When a test fails, a filter matches no test, or a requirement of tests cannot be installed or built.
pub(super) fn run(run: &mut Run<'_>, access_file: &Path, wanted: &[String]) -> anyhow::Result<()> {
    let paths = run.paths;
    apt::ensure(&PACKAGES, &run.progress)?;
    if cluster::is_node_here(paths)? {
        cluster::kwok::up(paths, 0, &run.progress)?;
    }
    build(run)?;
    let stages = chosen(run, wanted)?;
    let tools = tools(run, wanted, &stages)?;
    let tests = || stages.iter().flat_map(|(.., tests)| tests);
    let [identity, hub] = [IDENTITY, HUB].map(|suite| tests().any(|test| test.contains(suite)));
    images::ensure_of_tests(identity, paths, &run.progress)?;
    if hub {
        images::ensure_hub(paths, &run.progress)?;
    }
    cluster::import_images(paths)?;
    let installed = environment(&tools, access_file);
    let helper = |run: &Run<'_>, name: &str, args: &[&str]| {
        run.stream(&built(name)?.display().to_string(), args, &installed)
    };

    // One of the stages writes into the checkout.
    let commit = last_run::now(paths.clone_root())?;
    let _alone = cluster::lock::of_tests(paths, &run.progress)?;
    let (mut failed, mut now): (Vec<anyhow::Error>, &[&str]) = (Vec::new(), &[]);
    for (profile, release, tests) in &stages {
        println!("\n--- {profile}");
        let mut args = suites(paths)?;
        if !wanted.is_empty() {
            // Named tests have no second try.
            args.extend([
                "--retries=0".to_owned(),
                format!("--filterset={}", filterset(tests)),
            ]);
        }
        let values: &[&str] = match release {
            Release::Installed(values) => values,
            Release::Named | Release::InRegistry => &[],
        };
        // Remains of a flaky test would disturb others. Those of a failed test are for inspection.
        let mut prepared = if failed.is_empty() {
            helper(run, "cleanup", &[])
        } else {
            Ok(())
        };
        if prepared.is_ok() && values != now {
            // Also if this fails in the middle, the end sets them back.
            now = values;
            prepared = helper(run, "release", values);
        }
        if let Err(error) = prepared {
            failed.push(error);
            break;
        }
        let result = match release {
            Release::Installed(_) | Release::Named => nextest::run(run, profile, &args, &installed),
            Release::InRegistry if !failed.is_empty() => {
                println!("skipped: this stage would delete what the failed tests left for inspection");
                continue;
            }
            Release::InRegistry => {
                let tested = from_registry::begin(run, access_file, |run| helper(run, "remove", &[]))
                    .and_then(|file| nextest::run(run, profile, &args, &environment(&tools, &file)));
                let ended = from_registry::end(run, tested.is_ok());
                tested.and(ended)
            }
        };
        let result = match release {
            Release::Installed(_) => result,
            Release::Named | Release::InRegistry => {
                result.and_then(|()| last_run::write(paths.clone_root(), tests, &commit))
            }
        };
        failed.extend(
            result
                .err()
                .map(|error| error.context(format!("stage `{profile}`"))),
        );
    }
    // Also after a failure, because other runs follow.
    if !now.is_empty() {
        failed.extend(helper(run, "release", &[]).err());
    }
    match failed.into_iter().next() {
        None => Ok(()),
        Some(first) => Err(first),
    }
}

/// What tests find by variables. Programs are built when they are missing.
fn tools(run: &Run<'_>, wanted: &[String], stages: &[Stage]) -> anyhow::Result<Vec<Tool>> {
    let paths = run.paths;
    let tests = || stages.iter().flat_map(|(.., tests)| tests);
    let mut tools = vec![
        (
            "JUPYTER_K8S_DEFINITIONS",
            definitions::ensure(paths, &run.progress)?,
        ),
        ("JUPYTER_K8S_AXE", axe::ensure(paths, &run.progress)?),
        ("JUPYTER_K8S_PARAMIKO", paramiko::ensure(paths, &run.progress)?),
    ];
    if wanted.is_empty() {
        let began = UNIX_EPOCH.elapsed()?.as_secs();
        tools.push(("JUPYTER_K8S_BEGAN", began.to_string().into()));
    }
    for (suite, component, variable) in &PROGRAMS {
        if tests().any(|test| test.starts_with(*suite)) {
            tools.push((*variable, component.ensure(paths, &run.progress)?));
        }
    }
    Ok(tools)
}

/// Environment of tests of the installation in `access_file`.
fn environment<'a>(tools: &'a [Tool], access_file: &'a Path) -> Vec<(&'a str, &'a Path)> {
    let tools = tools.iter().map(|(name, path)| (*name, path.as_path()));
    tools.chain([("JUPYTER_K8S_E2E", access_file)]).collect()
}

/// Builds the suites and their helpers.
///
/// # Errors
/// When something does not compile.
pub(super) fn build(run: &Run<'_>) -> anyhow::Result<()> {
    let suites = suites(run.paths)?;
    let mut build = vec!["test", "--no-run"];
    build.extend(suites.iter().map(String::as_str));
    run.cargo(&build)
}

/// The program that cargo has put beside this one.
fn built(name: &str) -> anyhow::Result<PathBuf> {
    Ok(env::current_exe()?.with_file_name(name))
}

/// Cargo's selection of the suites. It decides the features of dependencies: all crates, as for the unit tests.
pub(super) fn suites(paths: &Paths) -> anyhow::Result<Vec<String>> {
    let folder = paths.clone_root().join("e2e/tests");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        names.push(format!("--test={}", entry?.file_name().to_string_lossy()));
    }
    names.sort();
    names.push("--workspace".to_owned());
    Ok(names)
}

/// Stages with tests whose path contains one of `wanted`, and these tests. Without filters: all tests but those that must be named, which
/// must have run lately.
fn chosen(run: &Run<'_>, wanted: &[String]) -> anyhow::Result<Vec<Stage>> {
    let suites = suites(run.paths)?;
    let mut stages = Vec::new();
    let mut listed = BTreeSet::new();
    for (profile, release) in &STAGES {
        let mut tests = nextest::list(run, profile, &suites)?;
        // A test is in the first stage that selects it.
        tests.retain(|test| listed.insert(test.clone()));
        if wanted.is_empty() && !matches!(release, Release::Installed(_)) {
            last_run::check(run.paths.clone_root(), &tests)?;
            continue;
        }
        tests.retain(|test| wanted.is_empty() || wanted.iter().any(|filter| test.contains(filter.as_str())));
        if !tests.is_empty() {
            stages.push((*profile, release, tests));
        }
    }
    let found = |filter: &&String| {
        let mut tests = stages.iter().flat_map(|(.., tests)| tests);
        tests.any(|test| test.contains(filter.as_str()))
    };
    match wanted.iter().find(|filter| !found(filter)) {
        Some(filter) => bail!("no end-to-end test's path contains `{filter}`"),
        None => Ok(stages),
    }
}

/// Exactly these tests (pure).
fn filterset(tests: &[String]) -> String {
    let of = |path: &String| {
        let (suite, name) = path.split_once("::").unwrap_or_default();
        format!("(binary(={suite}) & test(={name}))")
    };
    tests.iter().map(of).collect::<Vec<_>>().join(" | ")
}

/// The file that the last `demo` or `test` wrote.
///
/// # Errors
/// When there is none.
pub(super) fn installed(run: &Run<'_>) -> anyhow::Result<PathBuf> {
    let file = run.paths.cluster().join("access.json");
    fs::metadata(&file).context(
        "nothing is installed: `./justw demo` installs this checkout's state, then run this again",
    )?;
    Ok(file)
}
