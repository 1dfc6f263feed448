//! What `xtask bench-gateway` and `xtask bench-proxy` run: each part a process of its own with one thread (IO).
//!
//! - `gateway plain|tls`: the real gateway, fed by its watches, with 10,000 workspaces, as many shares and one session
//! - `reference plain|tls`, `headers plain|tls`: a bare hyper server, without headers in its answer or with the gateway's
//! - `site COUNT POD FOLDER`: the gateway behind a proxy, with so many workspaces, and the proxy's configuration
//! - `pod plain`: a substitute for a workspace's pod: pages, and websockets that echo
//! - `load FILE`, `messages FILE`, `idle FILE`, `changes FILE`: requests, messages, open sockets, changes of routes
//!
//! A server listens on loopback and prints one line of JSON: its address, and the requests for it. It serves until it is
//! killed.

mod announce;
mod changes;
mod cluster;
#[path = "gateway.rs"]
mod gateway_process;
mod load;
mod pod;
mod reference;
mod site;
mod sockets;

use anyhow::Context as _;

use self::announce::Tls;

fn main() -> anyhow::Result<()> {
    kit::tls::install_crypto_provider();
    // As in the servers: without it, what libraries trace at every step is looked at.
    kit::telemetry::init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let part = arguments.iter().map(String::as_str).collect::<Vec<_>>();
    let tls = |transport: &str| match transport {
        "plain" => Ok(None),
        "tls" => Tls::new().map(Some),
        other => anyhow::bail!("no transport: {other}"),
    };
    match part.as_slice() {
        ["gateway", transport] => runtime.block_on(gateway_process::serve(tls(transport)?)),
        ["reference", transport] => runtime.block_on(reference::serve(tls(transport)?, false)),
        ["headers", transport] => runtime.block_on(reference::serve(tls(transport)?, true)),
        ["site", count, pod, folder] => {
            let count = count.parse().with_context(|| format!("no number: {count}"))?;
            let pod = pod.parse().with_context(|| format!("no address: {pod}"))?;
            runtime.block_on(site::serve(count, pod, folder.as_ref()))
        }
        ["pod", _] => runtime.block_on(pod::serve()),
        ["load", plan] => runtime.block_on(load::run(plan)),
        ["messages", plan] => runtime.block_on(sockets::messages(plan)),
        ["idle", plan] => runtime.block_on(sockets::idle(plan)),
        ["changes", plan] => runtime.block_on(changes::run(plan)),
        // `cargo bench` and `cargo test --benches` come here: the figures come from the project's tool.
        _ => {
            println!("usage: as `xtask bench-gateway` and `xtask bench-proxy` call it");
            Ok(())
        }
    }
}
