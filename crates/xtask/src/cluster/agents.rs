//! This program -> two processes of a node that run it: policy enforcer and forwarder (IO).

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

use super::layout::{Layout, NODE_ADDRESS, PROXY_PORT};
use super::network;
use super::process::{self, Network, Service, wait_until};
use super::state::State;
use crate::components::short_digest;
use crate::paths::Paths;
use crate::progress::Progress;

/// Their names.
pub(crate) const NAMES: [&str; 2] = ["network-policies", "forwarder"];

macro_rules! sources {
    ($($file:literal),+) => {
        [$(($file, include_str!(concat!("../", $file)))),+]
    };
}

/// The sources of these agents. Other changes of the tool do not restart the agents, because that would close open connections.
const SOURCES: [(&str, &str); 10] = sources![
    "forward.rs",
    "netpol/allow.rs",
    "netpol/apply.rs",
    "netpol/cases.rs",
    "netpol/cidr.rs",
    "netpol/mod.rs",
    "netpol/naive.rs",
    "netpol/render.rs",
    "netpol/select.rs",
    "netpol/snapshot.rs"
];

/// Starts the agents that do not run, or were built from other sources. Existing rules stay in force.
pub(crate) fn ensure(layout: &Layout, paths: &Paths, progress: &Progress) -> anyhow::Result<()> {
    let program = install(paths)?;
    let mut state = State::load(layout)?.context("the node's record is gone")?;
    for agent in services(layout, &program) {
        let current = state.process(agent.name).cloned();
        if current
            .as_ref()
            .is_some_and(|process| process.program == program && process.alive())
        {
            continue;
        }
        process::stop(current.as_slice(), Duration::from_secs(5))?;
        if let Some(why) = (agent.network == Network::Host)
            .then(|| network::port_taken(PROXY_PORT))
            .flatten()
        {
            bail!("{why}; free it and run this again");
        }
        state.processes.retain(|process| process.name != agent.name);
        state.processes.push(agent.start(layout)?);
        state.save(layout)?;
        progress.line(format_args!("started {}", agent.name));
    }
    let listening = || TcpStream::connect((Ipv4Addr::LOCALHOST, PROXY_PORT)).is_ok();
    ensure!(
        wait_until(Duration::from_secs(10), listening),
        "the forwarder does not listen on 127.0.0.1:{PROXY_PORT}; see {}",
        layout.log(NAMES[1]).display()
    );
    remove_other_builds(paths, &program);
    Ok(())
}

/// Their command lines (pure).
pub(crate) fn services(layout: &Layout, program: &Path) -> [Service; 2] {
    let service = |name, network, args: Vec<String>| Service {
        name,
        program: program.to_path_buf(),
        args,
        network,
    };
    let kubeconfig = layout.kubeconfig("admin").display().to_string();
    let (listen, to) = (
        format!("127.0.0.1:{PROXY_PORT}"),
        format!("{NODE_ADDRESS}:{PROXY_PORT}"),
    );
    [
        service(
            NAMES[0],
            Network::Node,
            vec!["netpol-enforce".to_owned(), "--kubeconfig".to_owned(), kubeconfig],
        ),
        service(NAMES[1], Network::Host, forward(&listen, &to)),
    ]
}

/// Arguments of a forwarder (pure).
pub(crate) fn forward(listen: &str, to: &str) -> Vec<String> {
    ["forward", "--listen", listen, "--to", to]
        .map(str::to_owned)
        .into()
}

/// Copies this program into the cache folder: the checkout may be rebuilt or removed while the node runs.
fn install(paths: &Paths) -> anyhow::Result<PathBuf> {
    let path = paths.bin().join(format!(
        "xtask-{}",
        short_digest(format!("{SOURCES:?}").as_bytes())
    ));
    if !path.exists() {
        let temporary = paths.bin().join(".xtask.tmp");
        // Also correct if the program's file was replaced after this process started.
        fs::copy("/proc/self/exe", &temporary)
            .with_context(|| format!("cannot write {}", temporary.display()))?;
        fs::set_permissions(&temporary, fs::Permissions::from_mode(0o755))?;
        fs::rename(&temporary, &path)?;
    }
    Ok(path)
}

fn remove_other_builds(paths: &Paths, current: &Path) {
    for entry in fs::read_dir(paths.bin()).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("xtask-") && entry.path() != current {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_sources_of_the_enforcer_are_listed() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/netpol");
        let names = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.map(|name| format!("netpol/{name}")).collect();
        names.sort();
        let listed = SOURCES
            .iter()
            .map(|(name, _)| (*name).to_owned())
            .filter(|name| name.starts_with("netpol/"));
        assert_eq!(names, listed.collect::<Vec<_>>());
    }
}
