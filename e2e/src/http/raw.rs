//! Path, byte for byte -> status of the installation's response (IO).
//!
//! Usual HTTP clients normalize paths before they send a request.

use anyhow::Context as _;
use reqwest::StatusCode;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use crate::{Environment, http::socket};

/// Requests `target` from `host` exactly as it is written, with these additional header lines.
///
/// # Errors
/// The connection fails, or the response is no HTTP response.
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
