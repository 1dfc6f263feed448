//! A plan -> websockets that echo messages, or that are only open (IO).

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use futures::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::load::{Answer, client, server_name, write};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Plan {
    address: SocketAddr,
    /// Who signed its certificate, PEM; absent: without TLS.
    authority: Option<String>,
    /// Whose sockets they are, in turns.
    workspaces: Vec<Workspace>,
    /// How many sockets.
    open: usize,
    /// How many messages in all.
    count: usize,
    /// Bytes of a message.
    size: usize,
    /// Where the lines go.
    log: PathBuf,
}

/// Whom a request is for, and by what right.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Workspace {
    /// Host and port.
    pub(crate) authority: String,
    /// The Cookie header.
    pub(crate) cookie: String,
}

type Socket = WebSocketStream<Box<dyn Wire>>;

trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// Each socket sends a message as soon as it has got the one before back.
pub(crate) async fn messages(plan: &str) -> anyhow::Result<()> {
    let (plan, sockets) = opened(plan).await?;
    let each = plan.count / sockets.len();
    let begin = Instant::now();
    let mut under_way = JoinSet::new();
    for mut socket in sockets {
        let size = plan.size;
        under_way.spawn(async move {
            let mut answers = Vec::with_capacity(each);
            for _ in 0..each {
                let due = Instant::now();
                echo(&mut socket, size).await?;
                let took = due.elapsed();
                answers.push(Answer {
                    due,
                    status: 200,
                    took,
                });
            }
            anyhow::Ok(answers)
        });
    }
    let mut answers = Vec::new();
    while let Some(part) = under_way.join_next().await {
        answers.extend(part??);
    }
    write(&answers, begin, &plan.log)
}

/// Opens sockets that have carried a message each, says `open`, and holds them until standard input ends.
pub(crate) async fn idle(plan: &str) -> anyhow::Result<()> {
    let (plan, mut sockets) = opened(plan).await?;
    for socket in &mut sockets {
        echo(socket, plan.size).await?;
    }
    println!("open");
    let mut rest = Vec::new();
    // The process that measures closes this input at the end.
    tokio::task::spawn_blocking(move || std::io::Read::read_to_end(&mut std::io::stdin(), &mut rest))
        .await??;
    for socket in &mut sockets {
        ensure!(is_open(socket).await, "a socket was closed");
    }
    Ok(())
}

/// Whether it still carries messages.
async fn is_open(socket: &mut Socket) -> bool {
    echo(socket, 1).await.is_ok()
}

async fn echo(socket: &mut Socket, size: usize) -> anyhow::Result<()> {
    socket.send(Message::binary(vec![b'x'; size])).await?;
    loop {
        match socket.next().await.context("a socket ended")?? {
            Message::Binary(bytes) => {
                ensure!(bytes.len() == size, "{} of {size} bytes came back", bytes.len());
                return Ok(());
            }
            Message::Ping(_) | Message::Pong(_) => {}
            other => anyhow::bail!("a socket said {other:?}"),
        }
    }
}

async fn opened(plan: &str) -> anyhow::Result<(Plan, Vec<Socket>)> {
    let plan: Plan = serde_json::from_str(&fs::read_to_string(plan)?).context("the plan")?;
    let tls = plan
        .authority
        .as_deref()
        .map(|pem| client(pem, false))
        .transpose()?;
    let mut sockets = Vec::with_capacity(plan.open);
    // One after the other, as browsers do.
    for workspace in plan.workspaces.iter().cycle().take(plan.open) {
        sockets.push(open(plan.address, workspace, tls.as_ref()).await?);
    }
    Ok((plan, sockets))
}

async fn open(
    address: SocketAddr,
    workspace: &Workspace,
    tls: Option<&TlsConnector>,
) -> anyhow::Result<Socket> {
    let mut request =
        format!("wss://{}/api/kernels/1/channels", workspace.authority).into_client_request()?;
    let headers = request.headers_mut();
    headers.insert("cookie", workspace.cookie.parse()?);
    headers.insert("origin", format!("https://{}", workspace.authority).parse()?);
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let stream: Box<dyn Wire> = match tls {
        None => Box::new(stream),
        Some(tls) => Box::new(tls.connect(server_name(&workspace.authority)?, stream).await?),
    };
    let (socket, _) = tokio_tungstenite::client_async(request, stream).await?;
    Ok(socket)
}
