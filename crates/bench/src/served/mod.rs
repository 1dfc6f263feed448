//! Name of a server -> that server on loopback, with example requests on its standard output (IO).
//!
//! Each is a process of its own with one thread, and the API server in memory is in it. It serves until it is killed.
//!
//! | file | content |
//! |---|---|
//! | `bare` | hyper alone: reads a request, and answers 200 |
//! | `door` | the door of an image, before `bare` on a Unix socket |
//! | `gateway` | `/verify`, with 10,000 workspaces and as many shares |
//! | `webhook` | `/mutate` and `/validate` |
//! | `portal` | pages, with 5,000 workspaces in 200 namespaces, and as many shares |
//! | `objects` | these workspaces and shares |

mod bare;
mod door;
mod gateway;
mod objects;
mod portal;
mod webhook;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::bail;
use rustls::ServerConfig;
use tokio::net::TcpListener;

use crate::load::{Announced, Question, Transport};

/// Which server, and how it is asked.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    name: String,
    transport: Transport,
    /// Of each answer of the bare server.
    bytes: usize,
    /// Unix socket of the bare server, in place of a port.
    socket: Option<PathBuf>,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    match args.name.as_str() {
        "bare" => bare::serve(args).await,
        "door" => door::serve(args.bytes),
        "gateway" => gateway::serve(args.transport).await,
        "webhook" => webhook::serve().await,
        "portal" => portal::serve().await,
        other => bail!("there is no server {other}"),
    }
}

/// A port of loopback; prints where it is and what may be asked.
async fn listen(questions: Vec<(&str, Question)>) -> anyhow::Result<TcpListener> {
    let socket = TcpListener::bind("127.0.0.1:0").await?;
    announce(socket.local_addr()?, questions)?;
    Ok(socket)
}

fn announce(address: SocketAddr, questions: Vec<(&str, Question)>) -> anyhow::Result<()> {
    let announced = Announced {
        address: address.to_string(),
        questions: questions
            .into_iter()
            .map(|(case, question)| (case.to_owned(), question))
            .collect(),
    };
    println!("{}", serde_json::to_string(&announced)?);
    Ok(())
}

/// TLS without client certificates, which cost nothing after the handshake.
fn tls() -> anyhow::Result<Arc<ServerConfig>> {
    let now = jiff::Timestamp::now();
    let authority = kit::pki::authority("bench", now)?;
    let names = ["localhost".to_owned()];
    let pair = kit::pki::leaf(&authority, "localhost", &names, kit::pki::Purpose::Server, now)?;
    let certificate = kit::tls::Certificate::default();
    certificate.set(&pair)?;
    Ok(Arc::new(kit::tls::server_config(certificate, None)?))
}

/// The gateway's keys.
fn signer() -> anyhow::Result<kit::assertion_signer::Signer> {
    let signer = kit::assertion_signer::Signer::default();
    signer.replace(&[kit::rotating_keys::MasterKey {
        id: "0101010101010101".into(),
        active_from: 0,
        bytes: [1; 32].into(),
    }])?;
    Ok(signer)
}
