//! Request bytes -> status and body, over one TLS connection, as the API server calls webhooks (IO).

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

/// Timeout of an answer. A longer one fails the run.
const LIMIT: Duration = Duration::from_secs(30);
/// Buffer size for an answer.
const MOST: usize = 1 << 20;

pub(crate) struct Connection {
    stream: StreamOwned<ClientConnection, TcpStream>,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects, with the TLS handshake.
    pub(crate) fn open(
        address: SocketAddr,
        name: ServerName<'static>,
        config: Arc<ClientConfig>,
    ) -> anyhow::Result<Self> {
        let mut socket =
            TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(LIMIT))?;
        let mut tls = ClientConnection::new(config, name)?;
        tls.complete_io(&mut socket).context("no TLS")?;
        Ok(Self {
            stream: StreamOwned::new(tls, socket),
            buffer: Vec::new(),
        })
    }

    /// Sends a whole request and reads its whole answer.
    pub(crate) fn ask(&mut self, request: &[u8]) -> anyhow::Result<(u16, &[u8])> {
        self.stream.write_all(request)?;
        self.stream.flush()?;
        self.buffer.clear();
        let head = self.head()?;
        let text = std::str::from_utf8(&self.buffer[..head])?;
        let (status, length) = (status(text)?, length(text)?);
        match length {
            Some(length) => {
                ensure!(length <= MOST, "an answer of {length} bytes");
                while self.buffer.len() < head + length {
                    self.more()?;
                }
            }
            None => {
                while !self.buffer.ends_with(b"\r\n0\r\n\r\n") {
                    self.more()?;
                }
            }
        }
        Ok((status, &self.buffer[head..]))
    }

    /// Index of the body.
    fn head(&mut self) -> anyhow::Result<usize> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                return Ok(end + 4);
            }
            self.more()?;
        }
    }

    fn more(&mut self) -> anyhow::Result<()> {
        ensure!(self.buffer.len() <= MOST, "an answer without end");
        let mut room = [0; 16 * 1024];
        let count = self.stream.read(&mut room)?;
        ensure!(count > 0, "the server closed the connection");
        self.buffer.extend_from_slice(&room[..count]);
        Ok(())
    }
}

fn status(head: &str) -> anyhow::Result<u16> {
    let status = head.split(' ').nth(1).context("no status")?;
    Ok(status.parse()?)
}

/// Length of the body. `None`: the answer is chunked.
fn length(head: &str) -> anyhow::Result<Option<usize>> {
    for line in head.lines() {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        if name.eq_ignore_ascii_case("content-length") {
            return Ok(Some(value.trim().parse()?));
        }
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return Ok(None);
        }
    }
    bail!("an answer that says neither length nor chunks: {head}")
}
