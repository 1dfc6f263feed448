//! `xtask cluster` -> the cluster in use: its provider, its kubeconfig, and its images (IO).
//!
//! | file | what it does |
//! |---|---|
//! | `node` | provider `node`: nothing, or the remains of a node -> a running one |
//! | `existing`, `kind` | the other two providers |
//! | `target` | which cluster this checkout uses |
//! | `layout` | every path and address |
//! | `plan` | all files and processes of a node |
//! | `control_plane`, `kubelet`, `containerd`, `addons`, `pki`, `kubeconfig` | their configuration and command lines (pure); `node` starts them |
//! | `agents` | the node's processes that run this tool |
//! | `kwok` | fake nodes, on request |
//! | `registry` | a registry in the node's network, for a test |
//! | `network`, `cgroup`, `process`, `settings`, `images`, `oci`, `machine`, `mounts` | parts of the start |
//! | `state`, `lock`, `clean` | what was started and by which checkout, and its removal |
//! | `status`, `leaks`, `users` | questions and checks |

mod addons;
mod agents;
mod cgroup;
mod clean;
mod containerd;
pub(crate) mod control_plane;
mod existing;
mod images;
mod kind;
pub(crate) mod kubeconfig;
mod kubelet;
pub(crate) mod kwok;
pub(crate) mod layout;
mod leaks;
pub(crate) mod lock;
mod machine;
mod mounts;
mod network;
mod node;
pub(crate) mod oci;
pub(crate) mod pki;
mod plan;
pub(crate) mod process;
pub(crate) mod registry;
mod settings;
mod state;
mod status;
mod target;
mod users;

use std::process::ExitCode;

use crate::args::{ClusterCommand, Provider};
use crate::paths::Paths;
use crate::progress::Progress;

pub(crate) use kubeconfig::write_secret;
pub(crate) use layout::NODE_ADDRESS;
pub(crate) use leaks::check as leak_check;
pub(crate) use machine::check_space;
pub(crate) use target::Cluster;
pub(crate) use users::kubeconfig_for_user;

/// Runs one `cluster` command.
pub(crate) fn run(command: ClusterCommand, paths: &Paths) -> anyhow::Result<ExitCode> {
    match command {
        ClusterCommand::Up { provider, registry } => {
            let cluster = up(paths, provider, registry)?;
            eprintln!("kubeconfig: {}", cluster.kubeconfig().display());
            eprintln!("kubectl:    {}", paths.kubectl().display());
        }
        ClusterCommand::Down => down(paths)?,
        ClusterCommand::Status => return status::print(paths),
        ClusterCommand::Import => import_images(paths)?,
        ClusterCommand::Kubeconfig { user, group } => {
            print!(
                "{}",
                kubeconfig_for_user(paths, &user, group.as_deref(), "default")?
            );
        }
        ClusterCommand::Kwok { command } => kwok::run(command, paths)?,
        ClusterCommand::LeakCheck => leaks::check(paths)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Brings the cluster up or takes over a running one, and writes `.cluster/kubeconfig`. Fast if nothing needs to change.
///
/// Without a provider, the one of this checkout's last `up` is taken, else `node`.
pub(crate) fn up(
    paths: &Paths,
    provider: Option<Provider>,
    registry: Option<String>,
) -> anyhow::Result<Cluster> {
    let progress = Progress::start();
    let _lock = lock::acquire(paths, "cluster up", &progress)?;
    up_locked(paths, provider, registry, &progress)
}

fn up_locked(
    paths: &Paths,
    provider: Option<Provider>,
    registry: Option<String>,
    progress: &Progress,
) -> anyhow::Result<Cluster> {
    let last = Cluster::load(paths)?;
    let again = last
        .as_ref()
        .is_some_and(|last| last.provider() == Provider::Existing);
    let provider = provider
        .or_else(|| last.as_ref().map(Cluster::provider))
        .unwrap_or(Provider::Node);
    let registry = registry.or_else(|| last.as_ref().and_then(Cluster::registry).map(str::to_owned));
    let cluster = Cluster::new(
        paths,
        provider,
        registry.filter(|_| provider == Provider::Existing),
    )?;
    let kubeconfig = match provider {
        Provider::Node => node::up(paths, progress)?,
        Provider::Existing => existing::up(paths, again, progress)?,
        Provider::Kind => kind::up(paths, progress)?,
    };
    if last.is_some_and(|last| last != cluster) {
        // A new registry lacks the images that the last one received.
        Cluster::forget(paths)?;
    }
    write_secret(&paths.kubeconfig(), &kubeconfig)?;
    cluster.save(paths)?;
    if provider != Provider::Node {
        cluster.deliver_images(paths, progress)?;
    }
    progress.line("cluster is up");
    Ok(cluster)
}

/// Takes the cluster down. For an existing cluster it only deletes the record.
pub(crate) fn down(paths: &Paths) -> anyhow::Result<()> {
    let progress = Progress::start();
    let _lock = lock::acquire(paths, "cluster down", &progress)?;
    down_locked(paths, &progress)
}

fn down_locked(paths: &Paths, progress: &Progress) -> anyhow::Result<()> {
    let provider = Cluster::load(paths)?.map_or(Provider::Node, |cluster| cluster.provider());
    match provider {
        Provider::Node => {
            machine::check_rights()?;
            let layout = layout::Layout::new(paths);
            for owner in clean::others(&layout) {
                clean::clean(&layout::Layout::of_cache(&owner))?;
            }
            clean::clean(&layout)?;
        }
        Provider::Existing => {}
        Provider::Kind => kind::down()?,
    }
    Cluster::forget(paths)?;
    progress.line(if provider == Provider::Existing {
        "cluster is forgotten; nothing in it was changed"
    } else {
        "cluster is down"
    });
    Ok(())
}

/// Whether a local node, or remains of one, exist on this machine.
///
/// # Errors
/// When the state of the machine cannot be read.
pub(crate) fn is_node_here(paths: &Paths) -> anyhow::Result<bool> {
    Ok(clean::remains(&layout::Layout::new(paths))?.is_some())
}

/// Loads images that are new or changed in the cache's `images/` folder into the cluster, which may be in use.
///
/// Archives are oci-archives named `<anything>.tar`; a file `<anything>.names` beside one lists further names for its
/// image, one per line (not for provider `existing`). Use [`Cluster::image`] for the name under which the cluster knows it.
///
/// # Errors
/// When no cluster is up here, or an archive cannot be loaded.
pub(crate) fn import_images(paths: &Paths) -> anyhow::Result<()> {
    let progress = Progress::start();
    let _lock = lock::acquire(paths, "import images", &progress)?;
    Cluster::current(paths)?.deliver_images(paths, &progress)
}

/// Removes all images except the node's own from the local node, for a test that pulls them. Other users cannot use the node then.
///
/// # Errors
/// When containerd refuses.
pub(crate) fn remove_images(paths: &Paths) -> anyhow::Result<()> {
    let progress = Progress::start();
    let _lock = lock::acquire(paths, "remove images", &progress)?;
    images::keep_own(&layout::Layout::new(paths), &paths.images())
}

/// The current time in UTC, RFC 3339, in whole seconds.
fn now() -> String {
    jiff::Timestamp::now()
        .round(jiff::Unit::Second)
        .unwrap_or_default()
        .to_string()
}
