//! A plan -> workspaces that start one after the other, and how long each takes until its first page (IO).
//!
//! The time starts when the cluster has the change, and ends with the first 200 through the proxy. Until then the
//! gateway's own page answers, and the bench requests it again after a millisecond.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::load::{Answer, client, server_name, write};
use crate::sockets::Workspace;

/// Between two changes, so that the proxy is at rest when one comes.
const REST: Duration = Duration::from_secs(1);
/// A route that is not there after this is lost.
const LOST: Duration = Duration::from_secs(20);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plan {
    /// The proxy.
    address: SocketAddr,
    authority: String,
    /// Where workspaces are started, by number.
    commands: SocketAddr,
    /// By number.
    workspaces: Vec<Workspace>,
    /// The first one that is started.
    from: usize,
    /// How many are started.
    count: usize,
    /// Whether to request pages; otherwise the bench only makes the changes.
    asks: bool,
    /// Where the lines go.
    log: PathBuf,
}

/// Makes the changes of the plan.
pub(crate) async fn run(plan: &str) -> anyhow::Result<()> {
    let plan: Plan = serde_json::from_str(&fs::read_to_string(plan)?).context("the plan")?;
    let commands = TcpStream::connect(plan.commands).await?;
    commands.set_nodelay(true)?;
    let (answers, mut commands) = commands.into_split();
    let mut answers = BufReader::new(answers).lines();
    let begin = Instant::now();
    let mut made = Vec::new();
    for number in plan.from..plan.from + plan.count {
        let workspace = plan.workspaces.get(number).context("no such workspace")?;
        let mut page = if plan.asks {
            let mut page = Page::new(&plan, workspace).await?;
            let status = page.status().await?;
            ensure!(status == 503, "a stopped workspace answers {status}");
            Some(page)
        } else {
            None
        };
        sleep(REST).await;
        let due = Instant::now();
        commands.write_all(format!("{number}\n").as_bytes()).await?;
        answers.next_line().await?.context("the gateway ended")?;
        if let Some(page) = &mut page {
            loop {
                let status = page.status().await?;
                if status == 200 {
                    break;
                }
                ensure!(due.elapsed() < LOST, "no route after {LOST:?}: {status}");
                sleep(Duration::from_millis(1)).await;
            }
        }
        let took = due.elapsed();
        made.push(Answer {
            due,
            status: 200,
            took,
        });
    }
    sleep(REST).await;
    write(&made, begin, &plan.log)
}

/// A browser that opens the page of one workspace, over one connection.
struct Page {
    sender: http1::SendRequest<Empty<Bytes>>,
    workspace: Workspace,
}

impl Page {
    async fn new(plan: &Plan, workspace: &Workspace) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(plan.address).await?;
        stream.set_nodelay(true)?;
        let tls = client(&plan.authority, false)?;
        let stream = tls.connect(server_name(&workspace.authority)?, stream).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self {
            sender,
            workspace: workspace.clone(),
        })
    }

    async fn status(&mut self) -> anyhow::Result<u16> {
        let Workspace { authority, cookie } = &self.workspace;
        let request = Request::get("/lab")
            .header("host", authority)
            .header("cookie", cookie)
            .header("accept", "text/html")
            .body(Empty::new())?;
        self.sender.ready().await?;
        let answer = self.sender.send_request(request).await?;
        let status = answer.status().as_u16();
        answer.into_body().collect().await?;
        Ok(status)
    }
}
