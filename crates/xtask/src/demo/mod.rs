//! `xtask demo` -> a cluster with the product and a workspace, or (`down`) none of it (IO).
//!
//! | file | what it does |
//! |---|---|
//! | `site` | names of hosts, namespaces, users (pure) |
//! | `authority`, `credentials` | certificates and passwords, created once per machine |
//! | `authentication` | makes the API server trust the identity provider |
//! | `install` | the release of the chart |
//! | `kubectl` | calls of kubectl |
//! | `users`, `workspace` | kubeconfigs of users, the workspace of one of them |
//! | `reachability` | whether a browser would reach the pages |
//! | `access` | the file by which end-to-end tests find all this |
//! | `diagnose` | state of the cluster after a failure |
//!
//! Kept after `demo down`, in the cache folder: `ca/`, because browsers trust it, and `demo/credentials.json`.

mod access;
mod authentication;
mod authority;
mod credentials;
pub(crate) mod diagnose;
mod install;
mod kubectl;
mod reachability;
mod site;
mod users;
mod workspace;

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, thread};

use anyhow::{Context as _, anyhow, bail};

use self::access::{Access, User};
use self::install::Installed;
use self::site::{
    ADDRESS, ADMINISTRATOR, BASE_DOMAIN, IDENTITY_HOST, RELEASE, SYSTEM_NAMESPACE, USER_NAMESPACE, USERS,
};
use crate::applications;
use crate::apt;
use crate::args::{ALL, DemoCommand, Provider};
use crate::cluster::{self, Cluster};
use crate::exec::{Cmd, cargo};
use crate::images;
use crate::paths::Paths;
use crate::progress::Progress;

/// Archives of the images and the store they are built in, in GiB.
const IMAGES: u64 = 5;
/// Output of cargo for this checkout, tests included, in GiB.
const PROGRAMS: u64 = 12;

/// The demo's installation.
#[derive(Debug)]
pub(crate) struct Deployed {
    /// The file for the end-to-end tests.
    pub(crate) access_file: PathBuf,
    access: Access,
    installed: Installed,
}

/// Runs `xtask demo …`.
pub(crate) fn run(with: &[String], command: Option<&DemoCommand>, paths: &Paths) -> anyhow::Result<ExitCode> {
    match command {
        None => up(with, paths)?,
        Some(DemoCommand::Down) => cluster::down(paths)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn up(with: &[String], paths: &Paths) -> anyhow::Result<()> {
    let progress = Progress::start();
    let _lock = cluster::lock::of_installation(paths, &progress)?;
    let was_there = cluster::is_node_here(paths)?;
    let offered = install::offered(paths);
    let applications: Vec<&str> = applications::images()
        .into_iter()
        .filter(|name| {
            offered.contains(name) || with.iter().any(|wanted| [*name, ALL].contains(&wanted.as_str()))
        })
        .collect();
    let (cluster, references) = start(&applications, paths, &progress)?;
    let shown = references
        .and_then(|references| deploy(&cluster, &references, paths, &progress))
        .and_then(|deployed| open(&deployed, &applications, paths, &progress));
    match shown {
        Ok(text) => {
            println!("{text}");
            Ok(())
        }
        Err(error) => Err(give_up(&error, was_there, &cluster, paths)),
    }
}

/// The local node, running, and the names of the images, with those of these applications, or why they could not be built. Conflicts are
/// reported before anything starts.
///
/// # Errors
/// When this checkout uses another cluster, or this machine cannot run the node.
pub(crate) fn start(
    applications: &[&'static str],
    paths: &Paths,
    progress: &Progress,
) -> anyhow::Result<(Cluster, anyhow::Result<BTreeMap<String, String>>)> {
    if Cluster::current(paths).is_ok_and(|cluster| cluster.provider() != Provider::Node) {
        bail!(
            "the demo runs on the local node, and this checkout uses kind: take that down by `./justw cluster down`; \
             to install the product there, see docs/install.md"
        );
    }
    check_space(paths)?;
    cluster::check(paths)?;
    let system = fs::read_to_string("/etc/os-release").unwrap_or_default();
    if !system.lines().any(|line| line == "ID=debian") {
        bail!(
            "the demo makes images of Debian's packages, so it needs Debian 12 or newer: run it in a virtual machine or a privileged \
             container of Debian"
        );
    }
    progress.line(plan(applications, paths)?);
    apt::ensure(&["curl", "openssl"], progress)?;
    // Both compile for minutes, and wait for downloads, links and starts in between.
    thread::scope(|scope| {
        let built = scope.spawn(|| images::ensure(applications, paths, progress));
        let cluster = cluster::up(paths, Some(Provider::Node));
        if let Err(error) = &cluster {
            progress.line(format_args!(
                "{error:#}; this ends when the images are built, for the next call"
            ));
        }
        let built = built.join().unwrap_or_else(|panic| resume_unwind(panic));
        Ok((cluster?, built))
    })
}

/// The release with these images on the running node, ready for use. Fast when it is.
///
/// # Errors
/// When the release is refused or does not become ready.
pub(crate) fn deploy(
    cluster: &Cluster,
    references: &BTreeMap<String, String>,
    paths: &Paths,
    progress: &Progress,
) -> anyhow::Result<Deployed> {
    cluster::import_images(paths)?;
    let plugin = build_plugin(paths)?;
    progress.line("installing the chart");
    let installed = install::install(cluster, references, paths, progress)?;
    progress.line("all pods of the release are ready");
    authentication::trust(&installed.tls.authority, cluster, paths)?;

    let mut users = BTreeMap::new();
    for user in USERS {
        let password = installed
            .credentials
            .passwords
            .get(user)
            .cloned()
            .unwrap_or_default();
        users.insert(
            user,
            User {
                password,
                kubeconfig: users::kubeconfig(user, paths)?,
            },
        );
    }
    let access = Access {
        kubeconfig: cluster.kubeconfig().to_owned(),
        system_namespace: SYSTEM_NAMESPACE,
        release: RELEASE,
        base_domain: BASE_DOMAIN,
        port: ADDRESS.port(),
        identity_host: IDENTITY_HOST,
        ca_file: installed.tls.authority_file.clone(),
        kubectl: paths.kubectl(),
        plugin,
        users,
        images: paths.images(),
        helm: installed.helm.clone(),
        chart: installed.chart.clone(),
        values: installed.values.clone(),
        artefacts: paths.clone_cluster().join("artefacts"),
        audit_log: cluster.audit_log(paths),
    };
    let access_file = paths.cluster().join("access.json");
    access.write(&access_file)?;
    Ok(Deployed {
        access_file,
        access,
        installed,
    })
}

/// What is to be done at least, and about how long that takes on two cores. Changes since the last call take longer.
fn plan(applications: &[&str], paths: &Paths) -> anyhow::Result<String> {
    let mut parts = Vec::new();
    if !cluster::has_programs(paths) {
        parts.push(("programs of Kubernetes, from Go modules".to_owned(), 6));
    }
    if !has_images(paths) {
        parts.push(("servers and images".to_owned(), 10));
    }
    for name in applications {
        if !has_image(name, paths) {
            parts.push((format!("the image {name}"), 2));
        }
    }
    if !cluster::is_node_here(paths)? {
        parts.push(("start of the cluster and installation".to_owned(), 3));
    }
    if parts.is_empty() {
        return Ok("to do: what has changed".to_owned());
    }
    let minutes: u32 = parts.iter().map(|(_, minutes)| minutes).sum();
    let names: Vec<String> = parts.into_iter().map(|(name, _)| name).collect();
    Ok(format!(
        "to do: {}; about {minutes} minutes on two cores",
        names.join("; ")
    ))
}

fn has_image(name: &str, paths: &Paths) -> bool {
    paths.images().join(format!("{name}.ref")).exists()
}

/// Whether an earlier call has built the images. Some may have changed since.
fn has_images(paths: &Paths) -> bool {
    has_image("portal", paths)
}

/// Checks for free disk space for images and cargo builds that are missing. The cluster checks for its own.
fn check_space(paths: &Paths) -> anyhow::Result<()> {
    let target =
        env::var_os("CARGO_TARGET_DIR").map_or_else(|| paths.clone_root().join("target"), PathBuf::from);
    let mut needs = Vec::new();
    if !has_images(paths) {
        needs.push((paths.cache().to_owned(), IMAGES));
    }
    if !target.join("debug/jupyter-k8s-operator").exists() {
        needs.push((target, PROGRAMS));
    }
    cluster::check_space(needs)
}

/// Further names of the plugin: for `kubectl create workspace`, and for the shell's completion. The program acts by the name it is called
/// with.
const FURTHER_NAMES: [&str; 2] = ["kubectl-create-workspace", "kubectl_complete-workspace"];

/// Builds `kubectl-workspace`, links its other names beside it, and returns its path.
pub(crate) fn build_plugin(paths: &Paths) -> anyhow::Result<PathBuf> {
    // With all crates, which decide the features of dependencies: as this tool and the tests are built.
    let build = [
        "build",
        "--quiet",
        "--workspace",
        "--bin",
        images::PLUGIN,
        "--message-format",
        "json",
    ];
    let messages = Cmd::new(cargo()).args(build).dir(paths.clone_root()).output()?;
    let plugin = messages
        .lines()
        .find_map(executable)
        .context("cargo built no program of the crate cli")?;
    let program = plugin.file_name().unwrap_or_default();
    for name in FURTHER_NAMES {
        let link = plugin.with_file_name(name);
        if fs::read_link(&link).is_ok_and(|to| to == program) {
            continue;
        }
        // A program of an earlier version may have this name.
        let _ = fs::remove_file(&link);
        symlink(program, &link).with_context(|| format!("cannot make {}", link.display()))?;
    }
    Ok(plugin)
}

/// The built program according to a message of cargo (pure).
fn executable(message: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    message["executable"].as_str().map(PathBuf::from)
}

/// Creates the workspace and waits until its URL answers; returns the text to print.
fn open(
    deployed: &Deployed,
    applications: &[&str],
    paths: &Paths,
    progress: &Progress,
) -> anyhow::Result<String> {
    let owner = &deployed.access.users[USERS[0]];
    let url = workspace::ensure_running(&deployed.access.plugin, &owner.kubeconfig, paths)?;
    progress.line("the workspace is available");
    reachability::wait(&url, &deployed.installed.tls.authority_file)?;
    progress.line("its URL answers");
    Ok(print_summary(&url, applications, &deployed.access))
}

/// Opens the workspace as the demo does. Deletes it again unless it was there, because tests count what an idle cluster does.
///
/// # Errors
/// When the demo would not work.
pub(crate) fn check(deployed: &Deployed, paths: &Paths, progress: &Progress) -> anyhow::Result<()> {
    let owner = &deployed.access.users[USERS[0]].kubeconfig;
    let was_there = workspace::exists(owner, paths)?;
    open(deployed, &applications::images(), paths, progress)?;
    if !was_there {
        workspace::delete(owner, paths)?;
    }
    Ok(())
}

fn print_summary(url: &str, applications: &[&str], access: &Access) -> String {
    let missing: Vec<&str> = applications::images()
        .into_iter()
        .filter(|name| !applications.contains(name))
        .collect();
    let more = if missing.is_empty() {
        String::new()
    } else {
        format!(
            "More     ./justw demo --with {}\n         # images of more applications: minutes each, once\n",
            missing.join(",")
        )
    };
    let port = ADDRESS.port();
    let users = access.users.iter();
    let users: Vec<String> = users
        .map(|(name, user)| {
            let role = if *name == ADMINISTRATOR {
                "  (administrator)"
            } else {
                ""
            };
            format!("{name}  {}{role}", user.password)
        })
        .collect();
    format!(
        "\nOpen     {url}\n\
         Log in   {}\n\
         Trust    {}\n\n\
         The browser must trust that certificate authority; it can only sign certificates for names under `localhost`. Firefox: Settings,\n\
         Certificates, Authorities, Import. Chrome and Chromium: chrome://certificate-manager. Names under `localhost` lead to\n\
         this machine in every browser; from another one, first `ssh -L {port}:127.0.0.1:{port} <this machine>`.\n\n\
         kubectl  export KUBECONFIG={} PATH={}:{}:$PATH\n         \
                  kubectl get workspaces; kubectl create workspace another --wait    # as {}, in {USER_NAMESPACE}\n\
         {more}\
         End      ./justw demo down",
        users.join("\n         "),
        access.ca_file.display(),
        access.users[USERS[0]].kubeconfig.display(),
        folder(&access.kubectl),
        folder(&access.plugin),
        USERS[0],
    )
}

/// Path of a program.
fn folder(program: &Path) -> std::path::Display<'_> {
    program.parent().unwrap_or(program).display()
}

/// Saves diagnostics, takes the cluster down if this run started it, and reports both.
fn give_up(error: &anyhow::Error, was_there: bool, cluster: &Cluster, paths: &Paths) -> anyhow::Error {
    let seen = diagnose::collect(cluster, paths)
        .map(|file| format!("\nstate of pods, and events: {}", file.display()))
        .unwrap_or_default();
    if was_there {
        return anyhow!("{error:#}{seen}");
    }
    match cluster::down(paths) {
        Ok(()) => anyhow!("{error:#}{seen}\nthe cluster that this run started was taken down again"),
        Err(down) => {
            anyhow!("{error:#}{seen}\nthe cluster that this run started could not be taken down: {down:#}")
        }
    }
}
