//! Forwarding of ssh -> answers of servers on the loopback interface of the pod (IO).

use std::{net::Ipv4Addr, process::Stdio};

use anyhow::{Context as _, ensure};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    process::Child,
    time::timeout,
};

use super::Machine;
use crate::wait;

/// What is listened on at this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `-L`: leads to this port of the pod.
    Port(u16),
    /// `-D`: a SOCKS proxy, asked for this port of the pod.
    Proxy(u16),
}

/// A forwarding ssh. It ends when this is dropped.
#[derive(Debug)]
pub struct Forwarding {
    ssh: Child,
    port: u16,
    kind: Kind,
}

impl Forwarding {
    /// Starts it, with this command in the pod, or with none.
    ///
    /// # Errors
    /// No port is free, or ssh cannot be started.
    pub async fn start(
        machine: &Machine,
        host: &str,
        kind: Kind,
        command: Option<&str>,
    ) -> anyhow::Result<Self> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = free.local_addr()?.port();
        drop(free);
        let (flag, rule) = match kind {
            Kind::Port(to) => ("-L", format!("127.0.0.1:{port}:127.0.0.1:{to}")),
            Kind::Proxy(_) => ("-D", format!("127.0.0.1:{port}")),
        };
        let mut arguments = vec!["-T", "-o", "ExitOnForwardFailure=yes", flag, &rule];
        match command {
            None => arguments.extend(["-N", host]),
            Some(command) => arguments.extend([host, command]),
        }
        let mut ssh = machine.ssh(&arguments)?;
        let ssh = ssh.stderr(Stdio::inherit()).spawn()?;
        Ok(Self { ssh, port, kind })
    }

    /// The port of this machine that leads there.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Writes a script for a command that reads it, and waits for a line of its output with this text. Both streams stay open.
    ///
    /// # Errors
    /// The command ends, or prints no such line.
    pub async fn runs(&mut self, script: &str, text: &str) -> anyhow::Result<()> {
        let stdin = self.ssh.stdin.as_mut().context("no standard input")?;
        stdin.write_all(script.as_bytes()).await?;
        let stdout = self.ssh.stdout.as_mut().context("no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        let printed = async {
            while let Some(line) = lines.next_line().await? {
                if line.contains(text) {
                    return Ok(());
                }
            }
            anyhow::bail!("the command ended before a line with {text:?}")
        };
        let printed = timeout(wait::USUAL, printed).await;
        printed.with_context(|| format!("no line with {text:?}"))?
    }

    /// Waits until the server in the pod answers a GET with this text.
    ///
    /// # Errors
    /// It does not.
    pub async fn shows(&self, text: &str) -> anyhow::Result<()> {
        wait::until(&format!("{text:?} by {:?}", self.kind), wait::USUAL, || async {
            match self.get().await {
                Ok(answer) if answer.contains(text) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await
    }

    async fn get(&self) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await?;
        if let Kind::Proxy(port) = self.kind {
            through_socks(&mut stream, port).await?;
        }
        let request = "GET / HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n";
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        ensure!(!answer.is_empty(), "nothing answers");
        Ok(answer)
    }
}

/// Asks a SOCKS proxy (RFC 1928) for a port of its own loopback interface.
async fn through_socks(stream: &mut TcpStream, port: u16) -> anyhow::Result<()> {
    // Version 5, one method: none.
    stream.write_all(&[5, 1, 0]).await?;
    let mut method = [0; 2];
    stream.read_exact(&mut method).await.context("no SOCKS proxy")?;
    ensure!(method == [5, 0], "{method:?}");
    // Connect to an IPv4 address.
    let [high, low] = port.to_be_bytes();
    stream.write_all(&[5, 1, 0, 1, 127, 0, 0, 1, high, low]).await?;
    let mut answer = [0; 10];
    stream.read_exact(&mut answer).await?;
    ensure!(answer[1] == 0, "the proxy refuses: {answer:?}");
    Ok(())
}
