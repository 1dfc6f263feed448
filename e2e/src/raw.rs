//! a path, byte for byte -> the status that the installation answers (IO). Clients for people resolve paths before they ask.

use anyhow::Context as _;
use reqwest::StatusCode;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use crate::{Environment, socket};

/// Asks `host` for `target`, as it is written, with these further header lines.
///
/// # Errors
/// When the connection fails, or the answer is none.
pub async fn get(
    host: &str,
    target: impl AsRef<[u8]>,
    headers: &[(&str, &str)],
) -> anyhow::Result<StatusCode> {
    let mut stream = socket::tls(host).await?;
    let port = Environment::get()?.port;
    let further: String = headers
        .iter()
        .map(|(name, value)| [name, ": ", value, "\r\n"].concat())
        .collect();
    let rest = format!(" HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n{further}\r\n");
    let request = [&b"GET "[..], target.as_ref(), rest.as_bytes()].concat();
    stream.write_all(&request).await?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await?;
    let status = line
        .split(' ')
        .nth(1)
        .with_context(|| format!("no answer: {line:?}"))?;
    Ok(status.parse()?)
}
