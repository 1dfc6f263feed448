//! Workspace -> a port of this computer that leads to it (IO: a local socket).

use std::convert::Infallible;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::destination::Destination;
use super::local::{Local, Permit};
use crate::args::{Connect, Connection};
use crate::console::Console;
use crate::failure::Failure;
use crate::remote::secret;

/// Connections at the same time, those that became websockets included. Further ones wait.
const CONNECTIONS: usize = 128;
/// After a connection that could not be taken.
const AGAIN: Duration = Duration::from_millis(100);

/// Serves until it is interrupted.
pub(super) async fn run(
    flags: &Connection,
    args: &Connect,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    // Before a workspace is started: whether there is a port.
    let listener = listen(args.port).await?;
    let found = Box::pin(Destination::find(
        flags,
        &args.name,
        args.waiting,
        "connect",
        console,
    ))
    .await?;
    let address = listener.local_addr().map_err(anyhow::Error::from)?;
    let token = secret::random()?;
    let url = format!("http://{address}{}/?token={token}", found.address.path);
    let local = Arc::new(Local::new(address.port(), token, found.signed_in, found.address));
    // Refusals show now rather than in the first request.
    local.ticket().await?;
    writeln!(
        console.err,
        "Give this URL to programs on this computer, such as an editor that asks for an existing Jupyter server. It is valid until \
         this command ends (Ctrl-C):"
    )?;
    writeln!(console.out, "{url}")?;
    console.out.flush()?;
    Ok(serve(listener, local).await?)
}

async fn listen(port: u16) -> anyhow::Result<TcpListener> {
    match TcpListener::bind(("127.0.0.1", port)).await {
        Err(error) if error.kind() == ErrorKind::AddrInUse => Err(anyhow!(
            "port {port} of 127.0.0.1 is taken by another program: choose another with --port, or leave it out"
        )),
        bound => bound
            .with_context(|| format!("port {port} of 127.0.0.1 cannot be used: choose another with --port")),
    }
}

async fn serve(listener: TcpListener, local: Arc<Local>) -> anyhow::Result<()> {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let permit = permits.clone().acquire_owned().await?;
        let Ok((stream, _)) = listener.accept().await else {
            // Too many files are open: those of connections that end are free again.
            sleep(AGAIN).await;
            continue;
        };
        let (local, permit) = (local.clone(), Permit::new(permit));
        tokio::spawn(async move {
            let upstream = Arc::default();
            let service = service_fn(|request| {
                let answer = local
                    .clone()
                    .answer(Arc::clone(&upstream), Arc::clone(&permit), request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            let serving = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            let _ = serving.await;
            drop(permit);
        });
    }
}
