//! URLs -> whether a browser that is not signed in would get the right answers (IO: runs curl).

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;

use super::site::{ADDRESS, BASE_DOMAIN, DISCOVERY, IDENTITY_HOST};
use crate::exec::Cmd;

/// Timeout after the workspace is available. Its route usually reaches the proxy in well under a second.
const TIMEOUT: Duration = Duration::from_mins(1);
const PERIOD: Duration = Duration::from_millis(250);

/// Waits until `url` redirects to the login and the identity provider answers, with certificates of the authority in this file.
///
/// # Errors
/// When that takes longer than a minute; contains the last answer.
pub(super) fn wait(url: &str, authority: &Path) -> anyhow::Result<()> {
    let port = ADDRESS.port();
    let provider = format!("https://{IDENTITY_HOST}:{port}{DISCOVERY}");
    let login = format!("302 https://auth.{BASE_DOMAIN}:{port}/");
    let end = Instant::now() + TIMEOUT;
    loop {
        let answers = begins(&provider, authority, "200 ").and_then(|()| begins(url, authority, &login));
        match answers {
            Err(error) if Instant::now() >= end => return Err(error),
            Err(_) => thread::sleep(PERIOD),
            Ok(()) => return Ok(()),
        }
    }
}

/// Whether status and target of the answer begin like this.
fn begins(url: &str, authority: &Path, expected: &str) -> anyhow::Result<()> {
    let found = Cmd::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--noproxy",
            "*",
            "--max-time",
            "10",
            "--output",
            "/dev/null",
        ])
        .args([
            "--header",
            // As browsers do. The provider's page is no HTML.
            "Accept: text/html,*/*;q=0.8",
            "--write-out",
            "%{http_code} %{redirect_url}",
            "--cacert",
        ])
        .arg(authority)
        .arg("--connect-to")
        .arg(format!("::{ADDRESS}"))
        .arg(url)
        .output()?;
    ensure!(
        found.starts_with(expected.trim_end()),
        "{url} answers `{found}`, not `{expected}…`"
    );
    Ok(())
}
