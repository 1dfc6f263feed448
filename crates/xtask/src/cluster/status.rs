//! The cluster -> what runs, for people and as an exit code (IO).

use std::process::ExitCode;

use super::layout::{Layout, POD_RANGE, SERVICE_RANGE};
use super::state::Found;
use super::{Cluster, node, process};
use crate::args::Provider;
use crate::paths::Paths;

/// Exit code when no cluster is there; the one that init scripts use for "not running".
const IS_DOWN: u8 = 3;

/// Prints what runs; exit code 0 when up, 3 when down, 1 when broken.
pub(crate) fn print(paths: &Paths) -> anyhow::Result<ExitCode> {
    let cluster = Cluster::load(paths)?;
    match cluster.as_ref().map_or(Provider::Node, Cluster::provider) {
        Provider::Node => print_node(paths),
        provider => Ok(print_other(paths, provider, cluster.as_ref())),
    }
}

fn print_node(paths: &Paths) -> anyhow::Result<ExitCode> {
    let layout = Layout::new(paths);
    let (state, dead, ready) = match node::observe(&layout, paths)? {
        Found::Nothing => {
            println!("cluster: down (`./justw cluster up` starts one)");
            return Ok(ExitCode::from(IS_DOWN));
        }
        Found::Remains(what) => {
            println!("cluster: broken: found {what} of a cluster without a readable record");
            println!("`./justw cluster up` replaces it, `./justw cluster down` removes it");
            return Ok(ExitCode::FAILURE);
        }
        Found::Node { state, dead, ready } => (state, dead, ready),
    };
    let mut trouble = state.trouble(&dead, ready, &process::boot()?);
    let silent = state
        .processes
        .iter()
        .find(|process| !process.alive())
        .map(|process| process.name.clone());
    trouble = trouble.or(silent.map(|name| format!("not running: {name}")));
    println!(
        "cluster:    {}",
        trouble
            .as_ref()
            .map_or("up".to_owned(), |why| format!("broken: {why}"))
    );
    println!(
        "provider:   node, since {}, started from {}",
        state.since,
        state.checkout.display()
    );
    println!("Kubernetes: {}, configuration {}", state.version, state.config);
    println!("addresses:  {}", node::addresses());
    println!("ranges:     pods {POD_RANGE}, Services {SERVICE_RANGE}");
    for process in &state.processes {
        let how = if process.alive() { "" } else { " (not running)" };
        println!("process:    {} {}{how}", process.pid, process.name);
    }
    print_paths(paths);
    println!("logs:       {}", layout.file("logs").display());
    Ok(if trouble.is_some() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn print_other(paths: &Paths, provider: Provider, cluster: Option<&Cluster>) -> ExitCode {
    let ask = |cluster: &Cluster| {
        cluster
            .kubectl()
            .args(["get", "--raw", "/readyz", "--request-timeout=10s"])
            .run()
    };
    let answer = cluster.map_or(Ok(()), ask);
    println!(
        "cluster:    {}",
        answer
            .as_ref()
            .map_or_else(|error| format!("broken: {error:#}"), |()| "up".to_owned())
    );
    println!(
        "provider:   {}",
        if provider == Provider::Kind {
            "kind"
        } else {
            "existing"
        }
    );
    if let Some(registry) = cluster.and_then(Cluster::registry) {
        println!("registry:   {registry}");
    }
    print_paths(paths);
    if answer.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn print_paths(paths: &Paths) {
    println!("kubeconfig: {}", paths.kubeconfig().display());
    println!("kubectl:    {}", paths.kubectl().display());
}
