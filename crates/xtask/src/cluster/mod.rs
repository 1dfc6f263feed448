//! `xtask cluster` -> the cluster in use: its provider, its kubeconfig, and its images (IO).
//!
//! | file | what it does |
//! |---|---|
//! | `node`, `node.sh` | provider `node`: a running node, its first process |
//! | `kind` | provider `kind`: a cluster in a container engine |
//! | `target` | which cluster this checkout uses |
//! | `layout` | every path and address |
//! | `control_plane`, `kubelet`, `containerd`, `addons`, `pki`, `kubeconfig`, `process` | configuration and command lines (pure) |
//! | `images`, `oci` | archives of images -> images of the cluster |
//! | `kwok` | fake nodes, on request |
//! | `registry` | a registry in the node's network, for a test |
//! | `machine`, `lock`, `users` | checks, locks, kubeconfigs of users |

mod addons;
mod containerd;
pub(crate) mod control_plane;
mod images;
mod kind;
pub(crate) mod kubeconfig;
mod kubelet;
pub(crate) mod kwok;
pub(crate) mod layout;
pub(crate) mod lock;
mod machine;
mod node;
pub(crate) mod oci;
pub(crate) mod pki;
pub(crate) mod process;
pub(crate) mod registry;
mod target;
mod users;

use std::process::ExitCode;

use crate::args::{ClusterCommand, Provider};
use crate::paths::Paths;
use crate::progress::Progress;

pub(crate) use kubeconfig::write_secret;
pub(crate) use layout::NODE_ADDRESS;
pub(crate) use machine::check_space;
pub(crate) use node::has_programs;
pub(crate) use target::Cluster;
pub(crate) use users::kubeconfig_for_user;

/// Runs one `cluster` command.
pub(crate) fn run(command: ClusterCommand, paths: &Paths) -> anyhow::Result<ExitCode> {
    match command {
        ClusterCommand::Up { provider } => {
            let cluster = up(paths, provider)?;
            eprintln!("kubeconfig: {}", cluster.kubeconfig().display());
            eprintln!("kubectl:    {}", paths.kubectl().display());
        }
        ClusterCommand::Down => down(paths)?,
        ClusterCommand::Status => {
            let cluster = Cluster::current(paths)?;
            print!(
                "{}",
                cluster.kubectl().args(["get", "nodes", "-o", "wide"]).output()?
            );
            println!("\nkubeconfig: {}", cluster.kubeconfig().display());
        }
        ClusterCommand::Import => import_images(paths)?,
        ClusterCommand::Kubeconfig { user, group } => {
            print!(
                "{}",
                kubeconfig_for_user(paths, &user, group.as_deref(), "default")?
            );
        }
        ClusterCommand::Kwok { nodes } => kwok::up(paths, nodes, &Progress::start())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Checks what would stop a local node after minutes of builds.
///
/// # Errors
/// When this user may not run one, or the port of its proxy is taken by another program.
pub(crate) fn check(paths: &Paths) -> anyhow::Result<()> {
    machine::check_rights()?;
    if is_node_here(paths)? {
        Ok(())
    } else {
        machine::check_port()
    }
}

/// Brings the cluster up or takes over a running one, and writes `.cluster/kubeconfig`. Fast if nothing needs to change.
///
/// Without a provider, the one of this checkout's last `up` is taken, else `node`.
pub(crate) fn up(paths: &Paths, provider: Option<Provider>) -> anyhow::Result<Cluster> {
    let progress = Progress::start();
    let _lock = lock::of_cluster(paths, &progress)?;
    let last = Cluster::load(paths)?.map(|last| last.provider());
    let cluster = Cluster::new(paths, provider.or(last).unwrap_or(Provider::Node));
    let kubeconfig = match cluster.provider() {
        Provider::Node => node::up(paths, &progress)?,
        Provider::Kind => kind::up(paths, &progress)?,
    };
    write_secret(&paths.kubeconfig(), &kubeconfig)?;
    cluster.save(paths)?;
    progress.line("cluster is up");
    Ok(cluster)
}

/// Takes the cluster down.
pub(crate) fn down(paths: &Paths) -> anyhow::Result<()> {
    let progress = Progress::start();
    let _lock = lock::of_cluster(paths, &progress)?;
    if Cluster::load(paths)?.is_some_and(|cluster| cluster.provider() == Provider::Kind) {
        kind::down()?;
    } else {
        machine::check_rights()?;
        node::down(&layout::Layout::new(paths))?;
    }
    Cluster::forget(paths)?;
    progress.line("cluster is down");
    Ok(())
}

/// Whether a local node runs on this machine.
///
/// # Errors
/// When its state folder may not be read.
pub(crate) fn is_node_here(paths: &Paths) -> anyhow::Result<bool> {
    let layout = layout::Layout::new(paths);
    Ok(layout.state().try_exists()? && node::is_running(&layout))
}

/// Loads images that are new in the cache's `images/` folder into the cluster, which may be in use.
///
/// # Errors
/// When no cluster is up here, or an archive cannot be loaded.
pub(crate) fn import_images(paths: &Paths) -> anyhow::Result<()> {
    let progress = Progress::start();
    let _lock = lock::of_cluster(paths, &progress)?;
    match Cluster::current(paths)?.provider() {
        Provider::Node => images::import(&layout::Layout::new(paths), &paths.images(), &progress),
        Provider::Kind => kind::load(&paths.images(), &progress),
    }
}

/// Removes all images except the node's own from the local node, for a test that pulls them. Other users cannot use the node then.
///
/// # Errors
/// When containerd refuses.
pub(crate) fn remove_images(paths: &Paths) -> anyhow::Result<()> {
    images::keep_own(&layout::Layout::new(paths), &paths.images())
}
