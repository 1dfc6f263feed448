//! What `xtask bench-portal` runs beside the portal: each part a process of its own with one thread (IO).
//!
//! - `keys`: the key set that the portal reads
//! - `bare ADDRESS FOLDER BYTES`: a server behind the portal's own TLS listener that always answers a page of that size
//! - `first FILE`: what a browser loads for a page
//! - `front FILE`: what proxy and gateway are for browsers
//! - `changes FILE`: statuses of workspaces that change at a steady rate
//! - `requests FILE`: pages and other requests at a steady rate, and a line about each: when it was due in microseconds, status, microseconds that it took
//! - `streams FILE`: open lists, and changes of workspaces; a line about each sighting of a change, in the same columns
//!
//! FILE is JSON, see the `Plan` of each part.

mod changes;
mod front;
mod requests;
mod streams;
mod user;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use kit::pki::Pair;
use kit::tls::Certificate;
use serde::de::DeserializeOwned;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

fn main() -> anyhow::Result<()> {
    kit::tls::install_crypto_provider();
    kit::telemetry::init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let part = arguments.iter().map(String::as_str).collect::<Vec<_>>();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    match part.as_slice() {
        ["keys"] => {
            println!("{}", user::signer()?.key_set());
            Ok(())
        }
        ["bare", address, folder, bytes] => {
            runtime.block_on(bare(address.parse()?, folder.as_ref(), bytes.parse()?))
        }
        ["front", plan] => runtime.block_on(front::run(read(plan)?)),
        ["changes", plan] => runtime.block_on(changes::run(read(plan)?)),
        ["first", plan] => runtime.block_on(requests::first(read(plan)?)),
        ["requests", plan] => runtime.block_on(requests::run(read(plan)?)),
        ["streams", plan] => runtime.block_on(streams::run(read(plan)?)),
        // `cargo bench` and `cargo test --benches` come here: the figures come from the project's tool.
        _ => {
            println!("usage: as `xtask bench-portal` calls it");
            Ok(())
        }
    }
}

fn read<T: DeserializeOwned>(file: &str) -> anyhow::Result<T> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
    serde_json::from_str(&text).with_context(|| file.to_owned())
}

/// Serves until the process is killed.
async fn bare(address: SocketAddr, folder: &Path, bytes: usize) -> anyhow::Result<()> {
    let authority = file(folder, "ca.crt")?;
    let config = kit::tls::server_config(certificate(folder)?, Some(&authority))?;
    let page = axum::body::Bytes::from(vec![b'a'; bytes]);
    let router = Router::new().fallback(move || std::future::ready(page.clone()));
    let listener = TcpListener::bind(address).await?;
    kit::https::serve(
        listener,
        Arc::new(config),
        router,
        kit::https::IDLE,
        CancellationToken::new(),
    )
    .await;
    Ok(())
}

/// The serving certificate in a folder.
fn certificate(folder: &Path) -> anyhow::Result<Certificate> {
    let certificate = Certificate::default();
    certificate.set(&Pair {
        certificate: file(folder, "tls.crt")?,
        key: file(folder, "tls.key")?,
    })?;
    Ok(certificate)
}

fn file(folder: &Path, name: &str) -> anyhow::Result<String> {
    fs::read_to_string(folder.join(name)).with_context(|| name.to_owned())
}
