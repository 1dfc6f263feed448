//! URLs -> whether a browser that is not signed in would get the right answers (IO).

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use super::probe;
use super::site::{ADDRESS, BASE_DOMAIN, DISCOVERY, IDENTITY_HOST};

/// Timeout after the workspace is available. Its route usually reaches the proxy in well under a second.
const TIMEOUT: Duration = Duration::from_mins(1);
const PERIOD: Duration = Duration::from_millis(250);

/// Waits until `url` redirects to the login and the identity provider answers.
///
/// # Errors
/// When that takes longer than a minute; contains the last answer.
pub(super) fn wait(url: &str, authority: &str) -> anyhow::Result<()> {
    let host = host(url)?;
    let end = Instant::now() + TIMEOUT;
    loop {
        let answer = identity(authority).and_then(|()| workspace(host, authority));
        match answer {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() >= end => {
                return Err(error.context(format!(
                    "{url} did not answer as it should within {} s",
                    TIMEOUT.as_secs()
                )));
            }
            Err(_) => thread::sleep(PERIOD),
        }
    }
}

fn identity(authority: &str) -> anyhow::Result<()> {
    let answer = probe::get(ADDRESS, IDENTITY_HOST, DISCOVERY, authority)?;
    ensure!(
        answer.status == 200,
        "the identity provider answered {}",
        answer.status
    );
    Ok(())
}

fn workspace(host: &str, authority: &str) -> anyhow::Result<()> {
    let answer = probe::get(ADDRESS, host, "/", authority)?;
    let login = format!("https://auth.{BASE_DOMAIN}:{}/", ADDRESS.port());
    match answer.location {
        Some(location) if answer.status == 302 && location.starts_with(&login) => Ok(()),
        location => bail!(
            "the workspace answered {} to {location:?} instead of a redirect to {login}",
            answer.status
        ),
    }
}

/// The host of one of our URLs.
fn host(url: &str) -> anyhow::Result<&str> {
    let rest = url
        .strip_prefix("https://")
        .with_context(|| format!("{url:?} does not begin with https://"))?;
    let end = rest.find([':', '/']).unwrap_or(rest.len());
    Ok(&rest[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_the_part_before_port_and_path() {
        for url in [
            "https://a.workspaces.localhost:8443/lab",
            "https://a.workspaces.localhost/",
            "https://a.workspaces.localhost",
        ] {
            assert_eq!(host(url).unwrap(), "a.workspaces.localhost");
        }
        assert!(host("http://a").is_err());
    }
}
